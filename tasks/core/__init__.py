"""What all stages share: identity, completeness, publishing, shards, progress, the lock of the root."""
