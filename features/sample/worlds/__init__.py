"""The scenes that the sample corpus shows, painted frame by frame."""
