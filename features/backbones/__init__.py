"""Frozen networks, and plain signal processing, that turn clips into features; chosen by ``source:name``.

``families`` lists the sources of each kind of input. ``extractor`` contains what all of them share: settings, batches,
and the loop over the clips of a shard. ``vision``, ``audio`` and ``text`` contain the backbones, ``pretrained`` their
weights, ``runtime`` how a network is run.
"""
