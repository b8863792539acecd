"""Attacks by whoever wrote the manifest, the media, or runs the servers; ``python -m tests.attacks`` prints a table."""
