"""Features of clips by position, and a source that keeps in memory what was read once. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from features.base.errors import DataError

if TYPE_CHECKING:
    from models.config.network import NetworkConfig

# Modality -> ``(T, D)``; T is 0 when the clip lacks the modality.
ClipFeatures = Mapping[str, npt.NDArray[np.float16]]


class FeatureSource(Protocol):
    """Clips by position, 0 to ``len(source) - 1``."""

    @property
    def modality_dims(self) -> Mapping[str, int]:
        """Return modality -> D, in one fixed order."""

    def __len__(self) -> int:
        """Return the number of clips."""

    def __getitem__(self, index: int) -> ClipFeatures:
        """Return every modality of ``modality_dims`` of one clip."""

    def token_ids(self, index: int) -> npt.NDArray[np.int32]:
        """Return ``(T,)`` ids of one clip's text tokens, one for each step of the modality ``text``."""


def used_modalities(config: NetworkConfig, modality_dims: Mapping[str, int]) -> dict[str, int]:
    """Return the available modalities that a network of ``config`` uses, with their widths.

    Raises:
        DataError: There is none, or one that ``config`` names is not there.
    """
    if not modality_dims:
        raise DataError("a network needs at least one modality, but there are features of none")
    missing = [name for name in config.modality_names() if name not in modality_dims]
    if missing:
        raise DataError(
            f"[network] modalities names {', '.join(missing)}, but there are only features of "
            f"{', '.join(modality_dims)}: "
            "extract the missing ones, or name other modalities"
        )
    return {name: modality_dims[name] for name in config.modality_names() or modality_dims}


class CachedSource:
    """A source that keeps the clips that it read first, up to ``max_bytes``, and reads all others again.

    Nothing is evicted: every epoch reads every clip once, so no clip is better to keep than another.
    """

    def __init__(self, source: FeatureSource, max_bytes: int, modality_dims: Mapping[str, int] | None = None) -> None:
        self._source = source
        self._dims = dict(source.modality_dims if modality_dims is None else modality_dims)
        self._bytes_left = max_bytes
        self._clips: dict[int, ClipFeatures] = {}
        self._token_ids: dict[int, npt.NDArray[np.int32]] = {}

    @property
    def modality_dims(self) -> Mapping[str, int]:
        """Return modality -> D, of those that are read."""
        return self._dims

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, index: int) -> ClipFeatures:
        if index in self._clips:
            return self._clips[index]
        found = self._source[index]
        clip = {name: found[name] for name in self._dims}
        size = sum(steps.nbytes for steps in clip.values())
        if size <= self._bytes_left:
            self._bytes_left -= size
            self._clips[index] = clip
        return clip

    def token_ids(self, index: int) -> npt.NDArray[np.int32]:
        """Return the ids of the text tokens, as in the source."""
        if index in self._token_ids:
            return self._token_ids[index]
        ids = self._source.token_ids(index)
        if ids.nbytes <= self._bytes_left:
            self._bytes_left -= ids.nbytes
            self._token_ids[index] = ids
        return ids
