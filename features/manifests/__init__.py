"""Manifests of the user in several formats -> records, labels, splits, and rejected rows."""
