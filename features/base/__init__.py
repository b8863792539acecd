"""Errors, outcomes, files, processes, threads and devices for every package. Imports nothing else of this project."""
