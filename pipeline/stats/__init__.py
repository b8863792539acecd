"""Corpus statistics, as text and as a page."""
