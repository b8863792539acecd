"""What goes into an extractor and what comes out of it, whatever the backbone.

An extractor takes the clips of one modality as they come and gives one ``ClipFeatures`` for each of them, in
the same order. A clip that lacks the modality is ``None`` and gives a ``ClipFeatures`` without steps.

========  =========================  ==========================================================
modality  one clip is                one step of its features is
========  =========================  ==========================================================
frames    ``Iterable[Picture]``      one picture
cover     ``Iterable[Picture]``      the one picture
motion    ``Iterable[Picture]``      a window of successive pictures
audio     ``Sound``                  a window of sound
text      ``Mapping[str, str]``      one token of one field (title, asr, ocr: field -> its text)
========  =========================  ==========================================================
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from features.formats.clip_data import ClipFeatures

InputT_contra = TypeVar("InputT_contra", contravariant=True)

# The keys that every extractor's provenance has; all values are text of one line.
PROVENANCE_KEYS = ("backbone", "weights_sha256", "preprocessing", "runtime", "versions")


class Extractor(Protocol[InputT_contra]):
    """A frozen backbone, ready to run: pictures, sound or text in, ``ClipFeatures`` out."""

    @property
    def dim(self) -> int:
        """Width D of the features."""
        ...

    @property
    def provenance(self) -> Mapping[str, str]:
        """How the features come about, one line for each of ``PROVENANCE_KEYS``."""
        ...

    def extract(self, clips: Iterable[InputT_contra | None]) -> Iterator[ClipFeatures]:
        """Yield the features of each clip, one for each and in the same order.

        ``None`` and an empty clip give T = 0; a ``ShardError`` while a clip is read becomes its ``problem``.
        ``clips`` is consumed in another thread as batches fill, never as a whole, and a clip is done with
        when the next one is asked for; the same clips and settings give the same bytes.
        """
        ...
