"""Which variants of a network help: means over seeds, differences paired by seed, and what they show.

`runs` is what goes in, `table.summarise` what comes out; `sentences`, `markdown` and `document` render it.
"""
