"""The report: one HTML page with scores, pictures, and where everything came from."""
