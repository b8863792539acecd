"""Clips by position over the embedding shards of several modalities: what training and prediction read."""

from __future__ import annotations

import json
import resource
from collections import OrderedDict
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from features.base.errors import ShardError
from features.base.modalities import TEXT
from features.formats.hdf5_shard import ShardReader

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import numpy.typing as npt


# Files that the rest of the process may need, and the least that are open where the system allows no more.
FILES_FOR_OTHERS = 256
MIN_OPEN_SHARDS = 16


class ShardedClips:
    """All clips of a corpus in the order of its records, each a mapping modality -> ``(T, D)`` float16.

    The features of a modality are read when they are asked for. All files stay open where the system allows it, for
    opening one costs as much as some ten reads; else the most recently read ones. To this end the process's limit of
    open files is raised as far as the system lets it.

    Args:
        paths: Modality -> its shards in order. Shard number i of every modality has the same clips.

    Raises:
        ShardError: The modalities have different shards, or a shard has other clips than its neighbours.
    """

    def __init__(self, paths: Mapping[str, Sequence[Path]]) -> None:
        self._readers = {name: [ShardReader(path) for path in shards] for name, shards in paths.items()}
        # Numbers of the shards that may be open, the least recently read first.
        self._recent: OrderedDict[int, None] = OrderedDict()
        num_files = sum(len(shards) for shards in self._readers.values())
        allowed = allow_open_files(num_files + FILES_FOR_OTHERS) - FILES_FOR_OTHERS
        self._max_open = max(MIN_OPEN_SHARDS, allowed // max(1, len(self._readers)))
        self._check()
        first = next(iter(self._readers.values()))
        self.clip_ids: tuple[str, ...] = tuple(clip_id for reader in first for clip_id in reader.clip_ids)
        self._starts = np.cumsum([0, *(len(reader) for reader in first)])

    def _check(self) -> None:
        names = list(self._readers)
        if not names:
            raise ShardError("no modality to read: list at least one")
        for name in names[1:]:
            if len(self._readers[name]) != len(self._readers[names[0]]):
                raise ShardError(f"{name} and {names[0]} have different numbers of shards: run Extract again")
        for group in zip(*self._readers.values(), strict=True):
            for reader in group:
                if reader.clip_ids != group[0].clip_ids:
                    raise ShardError(f"{reader.path} and {group[0].path} have different clips: run Extract again")
                reader.close()
        for readers in self._readers.values():
            for reader in readers:
                if reader.dim != readers[0].dim:
                    raise ShardError(
                        f"{reader.path} has features of width {reader.dim}, {readers[0].path} of width"
                        f" {readers[0].dim}: delete the one that is wrong and run Extract again"
                    )

    @property
    def modality_dims(self) -> Mapping[str, int]:
        """Width D of each modality."""
        return {name: readers[0].dim for name, readers in self._readers.items()}

    def __len__(self) -> int:
        return len(self.clip_ids)

    def __getitem__(self, index: int) -> Mapping[str, npt.NDArray[np.float16]]:
        shard, row = self._place(index)
        self._keep_open(shard)
        return _ClipFeatures({name: readers[shard] for name, readers in self._readers.items()}, row)

    def token_ids(self, index: int) -> npt.NDArray[np.int32]:
        """Return the ids of a clip's text tokens, one for each of its rows of text.

        Raises:
            ShardError: There is no modality text among these clips.
        """
        if TEXT not in self._readers:
            raise ShardError(f"token ids need the modality text, and there is {', '.join(self._readers)}: extract text")
        shard, row = self._place(index)
        self._keep_open(shard)
        ids: npt.NDArray[np.int32] = self._readers[TEXT][shard].column("token_id", row)
        return ids

    def has_features(self, index: int) -> bool:
        """Return whether any modality gave at least one row for a clip."""
        shard, row = self._place(index)
        readers = (group[shard] for group in self._readers.values())
        return any(reader.offsets[row] < reader.offsets[row + 1] for reader in readers)

    def _place(self, index: int) -> tuple[int, int]:
        if not 0 <= index < len(self):
            raise IndexError(f"clip {index} of {len(self)}")
        shard = int(np.searchsorted(self._starts, index, side="right")) - 1
        return shard, index - int(self._starts[shard])

    def _keep_open(self, shard: int) -> None:
        self._recent[shard] = None
        self._recent.move_to_end(shard)
        if len(self._recent) > self._max_open:
            oldest, _ = self._recent.popitem(last=False)
            for readers in self._readers.values():
                readers[oldest].close()

    def recipes(self) -> dict[str, str]:
        """Return for each modality what made its features, settings and weights, as JSON; equal texts, equal features.

        Raises:
            ShardError: Two shards of a modality were made by different recipes.
        """
        result: dict[str, str] = {}
        for name, readers in self._readers.items():
            first = readers[0].attributes
            for reader in readers:
                about = reader.attributes
                reader.close()
                if _recipe(about) != _recipe(first):
                    raise ShardError(
                        f"{reader.path} was made by {_named(about)}, {readers[0].path} by {_named(first)}: delete the"
                        " one that is wrong and run Extract again"
                    )
            result[name] = _recipe(first)
        return result


class _ClipFeatures(Mapping[str, "npt.NDArray[np.float16]"]):
    """Modality -> features of one clip, each read when it is asked for."""

    def __init__(self, readers: Mapping[str, ShardReader], row: int) -> None:
        self._readers = readers
        self._row = row

    def __getitem__(self, name: str) -> npt.NDArray[np.float16]:
        return self._readers[name][self._row]

    def __iter__(self) -> Iterator[str]:
        return iter(self._readers)

    def __len__(self) -> int:
        return len(self._readers)


def allow_open_files(wanted: int) -> int:
    """Raise this process's limit of open files to ``wanted``, or as far as the system lets it; return the limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return wanted
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if most > soft:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    return max(soft, most)


def _recipe(about: Mapping[str, str | int]) -> str:
    # The settings name a model of a hub; its weights may have changed there under the same name.
    return json.dumps({**json.loads(str(about["params"])), "weights_sha256": about["weights_sha256"]}, sort_keys=True)


def _named(about: Mapping[str, str | int]) -> str:
    return f"{about['backbone']} with recipe {about['recipe']} and weights {str(about['weights_sha256'])[:12]}"
