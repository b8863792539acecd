"""Turns a URL or a path into a checked file: limits, rate limits, resumed downloads, and a content-addressed store."""
