"""Video backbones: one embedding a window of successive frames."""
