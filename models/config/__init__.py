"""Settings of networks and of their training, and named presets of both. Imports no torch."""
