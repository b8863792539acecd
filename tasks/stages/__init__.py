"""One Luigi stage a file."""
