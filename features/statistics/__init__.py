"""Statistics of a corpus and of its run as numbers: labels, durations, download cost, disk space."""
