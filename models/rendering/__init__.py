"""Tables for a terminal, HTML markup and SVG plots."""
