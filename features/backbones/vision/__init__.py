"""Backbones for pictures: one embedding a picture, or one a window of successive pictures."""
