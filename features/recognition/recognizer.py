"""The protocol of recognizers: pictures or sound in, text out.

=====  =====================  =============================================
field  one clip is            one segment of its text is
=====  =====================  =============================================
ocr    ``Iterable[Picture]``  a line visible on screen
asr    ``Sound``              a stretch of speech
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
    """A piece of text, and when it is on screen or spoken.

    Attributes:
        start_seconds: Its first time in the clip.
        end_seconds: Its last; equal to the first for text in one picture only.
        text: One line, not blank.
        confidence: 0 to 1, ``None`` where the model gives none.
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
    """A model that turns pictures or sound into text, ready to run."""

    @property
    def provenance(self) -> Mapping[str, str]:
        """How the text comes about, one line for each of the extractors' ``PROVENANCE_KEYS``."""
        ...

    @property
    def network_seconds(self) -> float:
        """Wall time in which the networks ran since they were loaded."""
        ...

    def recognize(self, clips: Iterable[InputT_contra | None]) -> Iterator[Recognition]:
        """Yield what was recognised in each clip, one for each and in the same order.

        ``None`` gives no text; a ``ShardError`` while a clip is read becomes its ``problem``. ``clips`` is
        consumed in another thread, never as a whole, and a clip is done with when the next one is asked for; the same
        clips and settings give the same text.
        """
        ...
