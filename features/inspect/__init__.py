"""Inspection of published files, as plain values and pictures; ``inspect_file`` chooses by the kind of the file."""
