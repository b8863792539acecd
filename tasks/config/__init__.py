"""The settings of a run, read once."""
