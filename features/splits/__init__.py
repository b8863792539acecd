"""Which clips train, validate and test, and which labels the corpus has."""
