"""Colours and marks that stay apart for colour-blind eyes and in grey."""

# M. Okabe, K. Ito, Color Universal Design (2008), without its yellow, which white paper swallows.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#000000")
# Six marks and seven colours run on together: 42 pairs before one comes again.
MARKS = ("o", "s", "^", "D", "v", "P")
NO_CATEGORY = "#9AA3AD"
MAX_STYLES = len(COLOURS) * len(MARKS)


def style(number: int) -> tuple[str, str]:
    """Return colour and mark of the category with a number from 0; they repeat after 42."""
    return COLOURS[number % len(COLOURS)], MARKS[number % len(MARKS)]
