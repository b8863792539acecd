"""One Luigi stage a file: what it is made of, where it is published, and when it is complete."""
