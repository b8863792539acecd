"""Checkpoints, and the scores and embeddings that they give."""
