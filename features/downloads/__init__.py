"""From a URL or a path to a checked file: limits, manners, resuming, and a store by content."""
