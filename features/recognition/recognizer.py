"""What goes into a recognizer and what comes out of it.

=====  =====================  =============================================
field  one clip is            one segment of its text is
=====  =====================  =============================================
ocr    ``Iterable[Picture]``  a line that stands on screen
asr    ``Sound``              a passage that is spoken
=====  =====================  =============================================
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

InputT_contra = TypeVar("InputT_contra", contravariant=True)


@dataclass(frozen=True)
class Segment:
    """A piece of text, and when it is seen or heard.

    Attributes:
        start_seconds: Its first time in the clip.
        end_seconds: Its last; equal to the first for what is seen in one picture only.
        text: One line, not blank.
        confidence: 0 to 1, ``None`` where the model tells none.
    """

    start_seconds: float
    end_seconds: float
    text: str
    confidence: float | None


@dataclass(frozen=True)
class Recognition:
    """What was recognised in one clip.

    Attributes:
        text: The whole text, ``""`` when nothing was recognised.
        segments: Its pieces in the order of the text.
        problem: Why the clip cannot be used, as found while it was read; there is then no text.
    """

    text: str
    segments: tuple[Segment, ...]
    problem: str = ""


class Recognizer(Protocol[InputT_contra]):
    """A model that reads or listens, ready to run."""

    @property
    def provenance(self) -> Mapping[str, str]:
        """How the text comes about, one line for each of the extractors' ``PROVENANCE_KEYS``."""
        ...

    def recognize(self, clips: Iterable[InputT_contra | None]) -> Iterator[Recognition]:
        """Yield what was recognised in each clip, one for each and in the same order.

        ``None`` gives no text; a ``ShardError`` while a clip is read becomes its ``problem``. Clips are taken
        as they are needed, never as a whole; the same clips and settings give the same text.
        """
        ...
