"""A clip source that remembers what it has read."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from models.data.batching import ClipFeatures, ClipSource


class CachedSource:
    """Some modalities of `source`, kept in memory, first come, until `max_bytes` are held; the rest is read anew.

    Nothing is thrown out: every epoch wants every clip once, and then the oldest clip is as good as any.
    """

    def __init__(self, source: ClipSource, max_bytes: int, modality_dims: Mapping[str, int] | None = None) -> None:
        self._source = source
        self._dims = dict(source.modality_dims if modality_dims is None else modality_dims)
        self._bytes_left = max_bytes
        self._clips: dict[int, ClipFeatures] = {}
        self._token_ids: dict[int, npt.NDArray[np.int32]] = {}

    @property
    def modality_dims(self) -> Mapping[str, int]:
        """Modality -> D, of those that are read."""
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
        """Ids of the text tokens, as in the source."""
        if index in self._token_ids:
            return self._token_ids[index]
        ids = self._source.token_ids(index)
        if ids.nbytes <= self._bytes_left:
            self._bytes_left -= ids.nbytes
            self._token_ids[index] = ids
        return ids
