"""File formats of the pipeline: records, decoded shards (tar, Matroska), embedding and prediction shards (HDF5)."""
