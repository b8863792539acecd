"""From a manifest to embedding shards: records, media, frozen networks, HDF5.

Imports neither Luigi nor training. The shard format is its only interface to ``models``.
"""
