"""Text backbones: one embedding a token."""
