"""Audio backbones: one embedding a window of sound."""
