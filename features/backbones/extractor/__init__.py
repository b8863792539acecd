"""The extractor protocol, its settings, and the loop that runs one shard through a frozen network."""
