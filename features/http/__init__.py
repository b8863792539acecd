"""HTTP requests under limits: addresses, connections, deadlines, rate limits."""
