"""From a manifest to embedding shards: records, media, frozen networks, HDF5.

Knows neither Luigi nor training. What it hands over to `models` is the shard format alone.
"""
