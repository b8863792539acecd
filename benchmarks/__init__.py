"""Programs that measure: speed as ratios within one run, and what a design choice is worth."""
