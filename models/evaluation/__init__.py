"""Scores of a network and of its baselines on the clips of one split."""
