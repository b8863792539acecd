"""The report: one HTML page with scores, pictures and provenance."""
