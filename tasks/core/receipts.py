"""Receipts of published files: one a shard, and ``_SUCCESS.json`` for the complete stage."""

from __future__ import annotations

import functools
import json
import os
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from features.base.files import publish_json, sha256_of, sha256_of_json
from features.base.outcomes import Outcome, is_transient

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from features.base.outcomes import Tally

SUCCESS_NAME = "_SUCCESS.json"


@dataclass(frozen=True)
class FileReceipt:
    """One published file.

    Attributes:
        name: File name in the stage's folder.
        bytes: Size.
        sha256: Digest of the content.
        rows: Clips, or lines, in it.
        key: What the content is a function of: settings and inputs; ``""`` for a file that is no shard.
        counts: Clips by status.
        codes: Clips by code.
        problems: Outcomes that are not ``ok``.
        timings: Seconds by what they were spent on.
        is_record: Whether it is left out of the stage's digest: it documents the run, times included, or only repeats
            what the keys of the shards decide.
        taken_over: Clips whose rows were reused from an older shard when it was built.
        retry: Whether the next run attempts the transient failures again.
    """

    name: str
    bytes: int
    sha256: str
    rows: int
    key: str = ""
    counts: Mapping[str, int] = field(default_factory=dict)
    codes: Mapping[str, int] = field(default_factory=dict)
    problems: tuple[Outcome, ...] = ()
    timings: Mapping[str, float] = field(default_factory=dict)
    is_record: bool = False
    taken_over: int = 0
    retry: bool = False

    @classmethod
    def of(cls, folder: Path, name: str, rows: int, *, is_record: bool = False) -> FileReceipt:
        """Return the receipt of a file that is no shard; ``name`` may lead into a folder below."""
        size = (folder / name).stat().st_size
        return cls(name, size, sha256_of(folder / name), rows, is_record=is_record)

    @classmethod
    def of_shard(cls, path: Path, name: str, key: str, tally: Tally) -> FileReceipt:
        """Return the receipt of the shard at ``path`` that will be published as ``name``."""
        size = path.stat().st_size
        return cls(name, size, sha256_of(path), tally.rows, key, tally.counts, tally.codes, tally.problems)

    def transient_codes(self) -> dict[str, int]:
        """Return the clips that failed for a reason that another attempt may not meet, by code."""
        return {code: count for code, count in self.codes.items() if is_transient(code)}

    def matches(self, folder: Path) -> bool:
        """Return whether the file is there with its size."""
        try:
            return (folder / self.name).stat().st_size == self.bytes
        except FileNotFoundError:
            return False


def receipt_path(folder: Path, name: str) -> Path:
    """Return the path of a shard's receipt: ``shard-00000.receipt.json`` for ``shard-00000.h5``."""
    return folder / f"{name.partition('.')[0]}.receipt.json"


def write_receipt(folder: Path, receipt: FileReceipt) -> None:
    """Publish the receipt of a shard."""
    publish_json(receipt_path(folder, receipt.name), asdict(receipt))


def read_receipt(folder: Path, name: str) -> FileReceipt | None:
    """Return the receipt of a shard, ``None`` when there is none that can be read."""
    try:
        row = json.loads(receipt_path(folder, name).read_text(encoding="utf-8"))
        row["problems"] = tuple(Outcome(**problem) for problem in row["problems"])
        return FileReceipt(**row)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def shards_by_key(stage_folder: Path) -> dict[str, tuple[Path, FileReceipt]]:
    """Return every shard that any fingerprint of a stage has published, by its key.

    Of two with one key, one without transient failures is preferred.
    """
    found: dict[str, tuple[Path, FileReceipt]] = {}
    for path in sorted(stage_folder.glob("*/*.receipt.json")):
        if path.parent.is_symlink():
            continue
        receipt = read_receipt(path.parent, path.name)
        if receipt is not None and receipt.key and not receipt.retry and receipt.matches(path.parent):
            earlier = found.get(receipt.key)
            if earlier is None or earlier[1].transient_codes():
                found[receipt.key] = (path.parent, receipt)
    return found


@dataclass(frozen=True)
class Success:
    """A complete stage: the content of ``_SUCCESS.json``.

    Attributes:
        stage: Name of the stage.
        fingerprint: Of the stage.
        inputs: Digest of every stage that was read, by name.
        files: Every published file, shards first, without the single outcomes.
        totals: Rows by status.
        codes: Clips by code.
        started_at: Start of the run that completed the stage, ISO 8601, UTC.
        seconds: Wall time of that run.
        built: Files that this run made; the others were there or were linked from another fingerprint.
        timings: Seconds by what they were spent on, over all files, whenever they were made.
        facts: Further values for a person.
    """

    stage: str
    fingerprint: str
    inputs: Mapping[str, str]
    files: tuple[FileReceipt, ...]
    totals: Mapping[str, int]
    codes: Mapping[str, int]
    started_at: str
    seconds: float
    built: int
    timings: Mapping[str, float] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)  # JSON values

    @functools.cached_property
    def digest(self) -> str:
        """Digest of everything that later stages read: the names and contents of all files but records."""
        return sha256_of_json([[item.name, item.sha256] for item in self.files if not item.is_record])

    @property
    def work_seconds(self) -> float:
        """Wall time that building the files took, in whichever runs; ``seconds`` is that of the last run alone."""
        return self.timings.get("wall_seconds", self.seconds)

    def shards(self, suffix: str) -> list[FileReceipt]:
        """Return the receipts of the shards whose names end in ``suffix``, in order."""
        return [item for item in self.files if item.name.startswith("shard-") and item.name.endswith(suffix)]

    def file_names(self, suffix: str) -> list[str]:
        """Return the names of the shards that end in ``suffix``, in order."""
        return [item.name for item in self.shards(suffix)]

    def by_name(self) -> dict[str, FileReceipt]:
        """Return the receipt of every file by its name."""
        return {item.name: item for item in self.files}

    def is_whole(self, folder: Path) -> bool:
        """Return whether every file is in ``folder`` with its size; one listing a directory."""
        sizes: dict[str, int] = {}
        try:
            for below in {item.name.rpartition("/")[0] for item in self.files}:
                with os.scandir(folder / below) as entries:
                    prefix = f"{below}/" if below else ""
                    sizes |= {prefix + entry.name: entry.stat().st_size for entry in entries if entry.is_file()}
        except FileNotFoundError:
            return False
        return all(sizes.get(item.name) == item.bytes for item in self.files)


def write_success(folder: Path, success: Success) -> None:
    """Publish ``_SUCCESS.json``; the last thing that a stage does."""
    publish_json(folder / SUCCESS_NAME, asdict(success))


def read_success(folder: Path) -> Success | None:
    """Return the ``_SUCCESS.json`` of a folder, ``None`` when there is none that can be read."""
    try:
        stat = (folder / SUCCESS_NAME).stat()
    except OSError:
        return None
    return _parse_success(folder / SUCCESS_NAME, stat.st_mtime_ns, stat.st_size, stat.st_ino)


# A run reads each stage's file many times, and parsing the receipts of 600 shards takes 16 ms.
@functools.lru_cache(maxsize=64)
def _parse_success(path: Path, mtime_ns: int, size: int, inode: int) -> Success | None:  # noqa: ARG001 - they make the cache forget
    try:
        row = json.loads(path.read_text(encoding="utf-8"))
        # The single outcomes are in the receipts of the shards, not here.
        row["files"] = tuple(FileReceipt(**{**item, "problems": ()}) for item in row["files"])
        return Success(**row)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def total(receipts: Iterable[FileReceipt], what: str) -> dict[str, float]:
    """Return the sum over receipts of ``counts``, ``codes`` or ``timings``, by name."""
    result: dict[str, float] = {}
    for receipt in receipts:
        for name, value in getattr(receipt, what).items():
            result[name] = result.get(name, 0) + value
    return result
