"""Where pretrained weights come from: packages, model folders, the hub's cache; and their digests."""
