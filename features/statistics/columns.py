"""The published corpus as arrays of about 100 bytes a clip, from which the statistics are counted."""

from __future__ import annotations

import functools
import json
import re
from array import array
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import numpy as np
import numpy.typing as npt

from features.base.errors import SourceError
from features.formats.records import SPLITS
from features.manifests.corpus import SPLITS_NAME, read_records
from features.splits.stratified_split import normalised_title

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from features.formats.records import ClipRecord

Bools = npt.NDArray[np.bool_]
Int8 = npt.NDArray[np.int8]
Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]
Float32 = npt.NDArray[np.float32]

FIELDS = ("video", "cover", "title", "asr", "ocr")
MEDIA = ("video", "cover")
# Scripts of a title; a column contains the position in this tuple.
SCRIPTS = ("none", "chinese", "latin", "chinese and latin", "other")
_CHINESE = re.compile("[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003fffd]")
_AUTHORITY = re.compile("https?://([^/?#]*)", re.IGNORECASE)
_LATIN = re.compile("[A-Za-z\u00aa\u00ba\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f]")


@dataclass(frozen=True)
class UrlColumns:
    """One kind of media in the records: ``digest`` and ``host``, both ``(N,)``.

    A digest is 64 bits, the same within one process only; ``host`` is a position in ``Columns.host_names``,
    -1 where the record names no URL.
    """

    digest: Int64
    host: Int32


@dataclass(frozen=True)
class Columns:
    """N clips in the order of the records.

    Attributes:
        category: ``(N,)`` position in ``category_names``, -1 where it is unknown.
        category_names: In order of first appearance.
        tags: ``(S,)`` positions in ``tag_names``, clip by clip.
        tag_offsets: ``(N + 1,)``; the tags of clip i are ``tags[tag_offsets[i]:tag_offsets[i + 1]]``.
        tags_known: ``(N,)`` False where the manifest has no tags field for the clip.
        tag_names: In order of first appearance.
        split: ``(N,)`` position in ``SPLITS``.
        duration_seconds: ``(N,)`` from the manifest, NaN where it has none.
        title_characters: ``(N,)`` without the spaces around it.
        title_script: ``(N,)`` position in ``SCRIPTS``.
        title_digest: ``(N,)`` of the title as normalised for the splits.
        present: For each of ``FIELDS`` ``(N,)`` whether the record has it.
        urls: For ``video`` and ``cover`` the URLs.
        host_names: Hosts of all URLs.
    """

    category: Int32
    category_names: tuple[str, ...]
    tags: Int32
    tag_offsets: Int64
    tags_known: Bools
    tag_names: tuple[str, ...]
    split: Int8
    duration_seconds: Float32
    title_characters: Int32
    title_script: Int8
    title_digest: Int64
    present: Mapping[str, Bools]
    urls: Mapping[str, UrlColumns]
    host_names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.category)


def read_columns(folder: Path, shard_names: Sequence[str]) -> Columns:
    """Return the corpus published in ``folder``; the record shards are read in the given order.

    Raises:
        SourceError: Records and splits do not match.
    """
    builder = _Builder()
    with (folder / SPLITS_NAME).open(encoding="utf-8") as stream:
        splits: Iterator[dict[str, str]] = (json.loads(line) for line in stream)
        for name in shard_names:
            for record in read_records(folder / name):
                row = next(splits, {})
                if row.get("clip_id") != record.clip_id:
                    raise SourceError(
                        f"{folder / SPLITS_NAME} and {name} differ at clip {record.clip_id}: delete the folder and run"
                        " Manifest again"
                    )
                builder.add(record, row["split"])
    return builder.finish()


def script_of(title: str) -> str:
    """Return the entry of ``SCRIPTS`` for a title; digits and signs alone are ``other``."""
    chinese, latin = _CHINESE.search(title) is not None, _LATIN.search(title) is not None
    if chinese and latin:
        return "chinese and latin"
    if chinese or latin:
        return "chinese" if chinese else "latin"
    return "other" if title.strip() else "none"


class _Builder:
    """Appends to one typed array a column."""

    def __init__(self) -> None:
        self._category, self._tags, self._tag_offsets = array("i"), array("i"), array("q", [0])
        self._tags_known, self._split = array("b"), array("b")
        self._seconds = array("f")
        self._characters, self._script, self._title = array("i"), array("b"), array("q")
        self._present = {name: array("b") for name in FIELDS}
        self._digests = {name: array("q") for name in MEDIA}
        self._hosts = {name: array("i") for name in MEDIA}
        self._numbers: dict[str, dict[str, int]] = {"category": {}, "tag": {}, "host": {}}

    def add(self, record: ClipRecord, split: str) -> None:
        self._category.append(-1 if record.category is None else self._number("category", record.category))
        self._tags.extend(self._number("tag", tag) for tag in record.tags or ())
        self._tag_offsets.append(len(self._tags))
        self._tags_known.append(record.tags is not None)
        self._split.append(SPLITS.index(split))
        self._seconds.append(float("nan") if record.duration_seconds is None else record.duration_seconds)
        title = record.title.strip()
        self._characters.append(len(title))
        self._script.append(SCRIPTS.index(script_of(title)))
        # ``hash`` is salted per process, so titles that collide cannot be prepared.
        self._title.append(hash(normalised_title(title)))
        for name, column in self._present.items():
            column.append(bool(getattr(record, name)))
        for name, source in (("video", record.video), ("cover", record.cover)):
            host = _host(source)
            self._digests[name].append(hash(source))
            self._hosts[name].append(-1 if host is None else self._number("host", host))

    def _number(self, kind: str, name: str) -> int:
        numbers = self._numbers[kind]
        return numbers.setdefault(name, len(numbers))

    def finish(self) -> Columns:
        return Columns(
            category=np.array(self._category, np.int32),
            category_names=tuple(self._numbers["category"]),
            tags=np.array(self._tags, np.int32),
            tag_offsets=np.array(self._tag_offsets, np.int64),
            tags_known=np.array(self._tags_known, np.bool_),
            tag_names=tuple(self._numbers["tag"]),
            split=np.array(self._split, np.int8),
            duration_seconds=np.array(self._seconds, np.float32),
            title_characters=np.array(self._characters, np.int32),
            title_script=np.array(self._script, np.int8),
            title_digest=np.array(self._title, np.int64),
            present={name: np.array(column, np.bool_) for name, column in self._present.items()},
            urls={
                name: UrlColumns(np.array(self._digests[name], np.int64), np.array(self._hosts[name], np.int32))
                for name in MEDIA
            },
            host_names=tuple(self._numbers["host"]),
        )


def _host(source: str) -> str | None:
    """Return the host of an http(s) URL, ``""`` for an invalid one, ``None`` for any other text."""
    found = _AUTHORITY.match(source)
    return None if found is None else _host_of(found[1])


@functools.lru_cache(maxsize=4096)
def _host_of(authority: str) -> str:
    try:
        return urlsplit(f"//{authority}").hostname or ""
    except ValueError:
        # Such as "http://[": Download rejects it as a bad URL.
        return ""
