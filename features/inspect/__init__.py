"""A close look at published files, as plain values and pictures; ``files`` chooses by the kind of the file."""
