"""From batches of cached embeddings to scores, metrics and the report. No Luigi, no HDF5, no media."""
