"""From cached features and labels to padded batches."""
