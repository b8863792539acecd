"""Shapes in words: `(B, T, 1280)`."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Seen:
    """The shapes of some tensors in three passes over a network.

    Attributes:
        once: With the clips as they are.
        more_clips: With other clips beside them.
        more_steps: With more steps in each.
    """

    once: Sequence[Shape]
    more_clips: Sequence[Shape]
    more_steps: Sequence[Shape]


def shape_words(seen: Seen) -> tuple[str, ...]:
    """The shapes, B for what grows with the clips and T for what grows with the steps; equal neighbours as one.

    Sizes are told apart by what they depend on, not by their value: a width that happens to be the number of
    clips stays a number.
    """
    words = [_word(*shapes) for shapes in zip(seen.once, seen.more_clips, seen.more_steps, strict=True)]
    return tuple(_several(word, len(list(group))) for word, group in groupby(words))


def _word(once: Shape, more_clips: Shape, more_steps: Shape) -> str:
    sizes = [_size(*size) for size in zip(once, more_clips, more_steps, strict=True)]
    return f"({sizes[0]},)" if len(sizes) == 1 else f"({', '.join(sizes)})"


def _size(once: int, more_clips: int, more_steps: int) -> str:
    symbols = (["B"] if more_clips != once else []) + (["T"] if more_steps != once else [])
    return " ".join(symbols) or str(once)


def _several(word: str, number: int) -> str:
    return word if number == 1 else f"{number} × {word}"
