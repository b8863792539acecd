"""Embedding shards in HDF5, and the base of other HDF5 files: the only module that imports h5py.

An embedding shard contains one modality of up to some thousand clips, flat and ragged::

    /features (S, D) float16, chunks (64, D), fletcher32     /offsets (N+1) int64    /clip_id (N) utf-8
    /time_seconds (S) float32     /expected (N) int32        /status (N) uint8       /code (N) utf-8
    /input_digest (N, 32) uint8   text also: /token_id (S) int32                     /field_id (S) uint8

The rows of clip ``i`` are ``features[offsets[i]:offsets[i + 1]]``; a clip without the modality has none. Equal
content gives equal bytes: the file has no time, place or name of a corpus. ``/input_digest``
is the sha256 of what decides a clip's features, settings apart: a rebuilt shard reuses the rows of clips whose
digest is the same.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from features.base.errors import ShardError
from features.base.files import sha256_of_json
from features.base.outcomes import STATUS_NAMES, STATUS_NUMBERS, Outcome
from features.formats.hdf5_sink import DeferredErrorFile

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

    import numpy.typing as npt

    from features.formats.clip_data import ClipFeatures

SCHEMA_VERSION = 2
DIGEST_BYTES = 32
CHUNK_ROWS = 64
# Gathered before they are written: 64 chunks, 10 MB at a width of 1280.
BUFFER_ROWS = 64 * CHUNK_ROWS


class NonFiniteError(ValueError):
    """Features hold a value that float16 cannot."""


class ShardWriter:
    """Writes one embedding shard, clip by clip in the order of the records.

    Args:
        path: File to write, under a temporary name that no reader opens.
        dim: Width D of the features.
        attributes: What made the shard; text and numbers. To it comes ``key``, a digest of them and of the
            clips' inputs.
        has_tokens: Whether rows are tokens, with an id and a text field each.
    """

    def __init__(self, path: Path, dim: int, attributes: Mapping[str, str | int], *, has_tokens: bool) -> None:
        self._stream = DeferredErrorFile(path)
        self._file = h5py.File(self._stream, "w", libver="earliest", track_order=False)
        self._attributes = {**attributes, "dim": dim, "schema_version": SCHEMA_VERSION}
        self._columns = {"features": _column(self._file, "features", dim, np.float16)}
        self._columns["time_seconds"] = _column(self._file, "time_seconds", None, np.float32)
        if has_tokens:
            self._columns["token_id"] = _column(self._file, "token_id", None, np.int32)
            self._columns["field_id"] = _column(self._file, "field_id", None, np.uint8)
        self._buffers: dict[str, list[npt.NDArray[Any]]] = {name: [] for name in self._columns}
        self._buffered = 0
        self._offsets = [0]
        self._outcomes: list[Outcome] = []
        self._expected: list[int] = []
        self._digests: list[bytes] = []

    def __enter__(self) -> ShardWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._finish()
        finally:
            self._file.close()
            self._stream.close()

    def add(self, outcome: Outcome, clip: ClipFeatures, *, expected: int, input_digest: bytes) -> None:
        """Append one clip: its outcome, its rows (possibly none), and the number expected.

        Raises:
            NonFiniteError: The rows hold a value that float16 cannot; nothing was appended.
            ValueError: They have another width, or not one time and, for text, one token and field each; or the
                digest is no sha256.
        """
        if len(input_digest) != DIGEST_BYTES:
            raise ValueError(f"input_digest of {outcome.clip_id} has {len(input_digest)} bytes, a sha256 has 32")
        rows = to_float16(clip.features)
        if not np.isfinite(rows).all():
            raise NonFiniteError(f"features of {outcome.clip_id} are not finite in float16")
        parts: dict[str, npt.NDArray[Any]] = {
            "features": rows,
            "time_seconds": clip.time_seconds,
            "token_id": np.zeros(0, np.int32) if clip.token_id is None else clip.token_id,
            "field_id": np.zeros(0, np.uint8) if clip.field_id is None else clip.field_id,
        }
        for name, column in self._columns.items():
            if parts[name].shape != (len(rows), *column.shape[1:]):
                raise ValueError(f"{name} of {outcome.clip_id} has shape {parts[name].shape}, of {len(rows)} rows")
            self._buffers[name].append(parts[name].astype(column.dtype))
        self._buffered += len(rows)
        self._offsets.append(self._offsets[-1] + len(rows))
        self._outcomes.append(outcome)
        self._expected.append(expected)
        self._digests.append(input_digest)
        if self._buffered >= BUFFER_ROWS:
            self._flush()

    def _flush(self) -> None:
        for name, parts in self._buffers.items():
            if parts:
                rows, column = np.concatenate(parts), self._columns[name]
                start = len(column)
                column.resize(start + len(rows), axis=0)
                column[start:] = rows
            self._buffers[name] = []
        self._buffered = 0

    def _finish(self) -> None:
        self._flush()
        key = sha256_of_json({"made_by": self._attributes, "inputs": list(map(bytes.hex, self._digests))})
        for name, value in sorted({**self._attributes, "key": key}.items()):
            self._file.attrs[name] = value
        outcomes = self._outcomes
        _array(self._file, "offsets", np.asarray(self._offsets, np.int64))
        _array(self._file, "expected", np.asarray(self._expected, np.int32))
        _array(self._file, "input_digest", np.frombuffer(b"".join(self._digests), np.uint8).reshape(-1, DIGEST_BYTES))
        _array(self._file, "status", np.asarray([STATUS_NUMBERS[o.status] for o in outcomes], np.uint8))
        _texts(self._file, "clip_id", [outcome.clip_id for outcome in outcomes])
        _texts(self._file, "code", [outcome.code for outcome in outcomes])


def to_float16(values: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.float16]:
    """Return values as they are stored; what is too large for float16 becomes infinite, without a warning."""
    with np.errstate(over="ignore"):
        return values.astype(np.float16)


def _column(file: h5py.File, name: str, dim: int | None, dtype: type[np.generic]) -> h5py.Dataset:
    inner = () if dim is None else (dim,)
    return file.create_dataset(
        name,
        shape=(0, *inner),
        maxshape=(None, *inner),
        chunks=(CHUNK_ROWS if dim else 64 * CHUNK_ROWS, *inner),
        dtype=dtype,
        fletcher32=True,
        track_times=False,
    )


def _array(file: h5py.File, name: str, values: npt.NDArray[Any]) -> None:
    file.create_dataset(name, data=values, track_times=False)


def _texts(file: h5py.File, name: str, texts: Sequence[str]) -> None:
    file.create_dataset(name, data=list(texts), dtype=h5py.string_dtype(), shape=(len(texts),), track_times=False)


def _type_name(dataset: h5py.Dataset) -> str:
    return "utf-8 text" if h5py.check_string_dtype(dataset.dtype) else str(dataset.dtype)


def write_hdf5(
    path: Path,
    arrays: Mapping[str, npt.NDArray[Any]],
    texts: Mapping[str, Sequence[str]],
    attributes: Mapping[str, str | int],
) -> None:
    """Write arrays, lists of text and attributes under their names; the schema version comes to the attributes."""
    with DeferredErrorFile(path) as stream, h5py.File(stream, "w", libver="earliest", track_order=False) as file:
        for name, value in sorted({**attributes, "schema_version": SCHEMA_VERSION}.items()):
            file.attrs[name] = value
        for name, array in arrays.items():
            _array(file, name, array)
        for name, lines in texts.items():
            _texts(file, name, lines)


class Hdf5File:
    """An HDF5 file that each process opens for itself when it first reads: handles do not survive a fork.

    Raises:
        ShardError: By every method, when the file is missing or damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._handles: dict[int, h5py.File] = {}
        # Looking a data set up costs ten times what reading a clip from it does.
        self._columns: dict[tuple[int, str], h5py.Dataset] = {}

    def open(self) -> h5py.File:
        """Return this process's handle."""
        if (process := os.getpid()) not in self._handles:
            with self._reading("cannot be opened"):
                self._handles[process] = h5py.File(self.path, "r")
        return self._handles[process]

    @contextmanager
    def _reading(self, what: str) -> Iterator[None]:
        try:
            yield
        except (AttributeError, KeyError, OSError, RuntimeError, TypeError, ValueError) as error:
            # What h5py raises at a file that is cut, overwritten or of another make.
            raise self.damaged(f"{what} ({error})") from error

    def read(self, name: str, selection: slice = slice(None)) -> npt.NDArray[Any]:
        """Return a slice of a data set; damage that a checksum shows is an error."""
        place = (os.getpid(), name)
        with self._reading(f"/{name} cannot be read"):
            if place not in self._columns:
                self._columns[place] = self.open()[name]
            values: npt.NDArray[Any] = self._columns[place][selection]
        return values

    def texts(self, name: str) -> tuple[str, ...]:
        """Return a data set of text."""
        with self._reading(f"/{name} cannot be read"):
            return tuple(value.decode("utf-8") for value in self.read(name))

    def attributes(self) -> dict[str, str | int]:
        """Return the attributes of the file."""
        with self._reading("attributes cannot be read"):
            rows = self.open().attrs.items()
            return {name: value if isinstance(value, str) else int(value) for name, value in rows}

    def checked_attributes(self) -> dict[str, str | int]:
        """Return the attributes of a file of this schema version."""
        attributes = self.attributes()
        if (version := attributes.get("schema_version")) != SCHEMA_VERSION:
            raise self.damaged(f"its schema_version is {version}, this program reads {SCHEMA_VERSION}")
        return attributes

    def datasets(self) -> list[tuple[str, tuple[int, ...], str]]:
        """Return name, shape and type of every data set."""
        with self._reading("data sets cannot be listed"):
            found = self.open()
            return [(f"/{name}", found[name].shape, _type_name(found[name])) for name in sorted(found)]

    def damaged(self, what: str) -> ShardError:
        """Return the error of a damaged file."""
        return ShardError(f"{self.path}: {what}: delete the file and run again to rebuild it")

    def close(self) -> None:
        """Close this process's handle; the next read opens it again."""
        self._columns = {place: column for place, column in self._columns.items() if place[0] != os.getpid()}
        handle = self._handles.pop(os.getpid(), None)
        if handle is not None:
            handle.close()


class ShardReader:
    """Reads one embedding shard; cheap to make, opened at the first read, safe to keep across a fork.

    ``len(reader)`` is the number of clips, ``reader[i]`` and ``reader.read(clip_id)`` give a clip's features
    as ``(T, D)`` float16, with T = 0 where the clip lacks the modality.

    Raises:
        ShardError: At the first read, when the file is missing, damaged, or of another schema version.
    """

    def __init__(self, path: Path) -> None:
        self._file = Hdf5File(path)
        self._index: _Index | None = None

    @property
    def path(self) -> Path:
        """The file."""
        return self._file.path

    @property
    def attributes(self) -> dict[str, str | int]:
        """The attributes that its writer was given."""
        return self._file.attributes()

    @property
    def dim(self) -> int:
        """Width D of the features."""
        return self._loaded().dim

    @property
    def clip_ids(self) -> tuple[str, ...]:
        """The clips, in the order of their rows."""
        return self._loaded().clip_ids

    @property
    def offsets(self) -> npt.NDArray[np.int64]:
        """Where the rows of each clip start, ``(N + 1,)``."""
        return self._loaded().offsets

    @property
    def outcomes(self) -> list[Outcome]:
        """What became of each clip."""
        numbers, codes = self._file.read("status").tolist(), self._file.texts("code")
        if not len(numbers) == len(codes) == len(self) or not STATUS_NAMES.keys() >= set(numbers):
            raise self._file.damaged("status and code do not fit the clips")
        rows = zip(self.clip_ids, numbers, codes, strict=True)
        return [Outcome(name, STATUS_NAMES[number], code) for name, number, code in rows]

    @property
    def has_tokens(self) -> bool:
        """Whether the rows are tokens of text."""
        return any(name == "/token_id" for name, _, _ in self.datasets())

    @property
    def input_digests(self) -> list[bytes]:
        """The sha256 of what each clip's features are made of."""
        digests = self._file.read("input_digest")
        if digests.shape != (len(self), DIGEST_BYTES):
            raise self._file.damaged("input_digest does not fit the clips")
        return [row.tobytes() for row in digests]

    @property
    def expected(self) -> npt.NDArray[np.int32]:
        """How many rows each clip should have had, ``(N,)``."""
        return self._file.read("expected")

    def __len__(self) -> int:
        return len(self._loaded().clip_ids)

    def __getitem__(self, position: int) -> npt.NDArray[np.float16]:
        return self.column("features", position)

    def read(self, clip_id: str) -> npt.NDArray[np.float16]:
        """Return the features of one clip, ``(T, D)``.

        Raises:
            KeyError: The shard does not have the clip.
        """
        return self[self.position(clip_id)]

    def position(self, clip_id: str) -> int:
        """Return the position of a clip.

        Raises:
            KeyError: The shard does not have it.
        """
        index = self._loaded()
        if not index.positions:
            index.positions.update((name, number) for number, name in enumerate(index.clip_ids))
        return index.positions[clip_id]

    def column(self, name: str, position: int) -> npt.NDArray[Any]:
        """Return the rows of one clip in ``features``, ``time_seconds``, ``token_id`` or ``field_id``."""
        offsets = self._loaded().offsets
        if not -len(self) <= position < len(self):
            raise IndexError(f"clip {position} of {len(self)}")
        position %= len(self)
        return self._file.read(name, slice(int(offsets[position]), int(offsets[position + 1])))

    def datasets(self) -> list[tuple[str, tuple[int, ...], str]]:
        """Return name, shape and type of every data set, for a person to look at."""
        return self._file.datasets()

    def close(self) -> None:
        """Close this process's handle; the next read opens it again."""
        self._file.close()

    def _loaded(self) -> _Index:
        if self._index is None:
            dim = int(self._file.checked_attributes().get("dim", 0))
            index = _Index(dim, self._file.texts("clip_id"), self._file.read("offsets"))
            cuts = index.offsets.tolist()
            shapes = {name: shape for name, shape, _ in self.datasets()}
            whole = len(cuts) == len(index.clip_ids) + 1 and cuts[0] == 0 and cuts == sorted(cuts)
            if not (whole and shapes.get("/features") == (cuts[-1], dim)):
                raise self._file.damaged("clip_id, offsets and features do not fit together")
            self._index = index
        return self._index


@dataclass
class _Index:
    dim: int
    clip_ids: tuple[str, ...]
    offsets: npt.NDArray[np.int64]
    positions: dict[str, int] = field(default_factory=dict)
