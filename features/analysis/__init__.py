"""Numbers that describe features: similarity, projections, the words behind token ids."""
