"""Image backbones: one embedding a picture."""
