"""The files of one clip: fetched over http(s), or found below the manifest's folder, and checked."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from features.errors import ClipError, SettingError
from features.files import TEMPORARY_PREFIX
from features.http import HttpConfig, fetch
from features.magic import COVER_KINDS, SNIFF_BYTES, VIDEO_KINDS, kind_of
from features.outcomes import Outcome
from features.parallel import ordered_map

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from features.records import ClipRecord

# Where a path starts: the folder of the manifest, or the media store below the root.
FROM_MANIFEST = "manifest"
FROM_STORE = "store"


@dataclass(frozen=True)
class DownloadConfig(HttpConfig):
    """How media files are fetched and checked; the http part is :class:`features.http.HttpConfig`.

    Attributes:
        workers: Files at a time.
        max_failed_fraction: The stage fails when a larger share of its clips failed.
    """

    workers: int = 8
    max_failed_fraction: float = 0.2

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.workers < 1:
            raise SettingError(f"workers is {self.workers}: give 1 or more")
        if not 0 <= self.max_failed_fraction <= 1:
            raise SettingError(f"max_failed_fraction is {self.max_failed_fraction}: give a share, 0 to 1")


@dataclass(frozen=True)
class MediaFile:
    """One checked file.

    Attributes:
        where: What the path starts from, ``manifest`` or ``store``.
        path: Relative path, with slashes.
        kind: Container or picture format as its first bytes tell, such as ``mp4`` or ``jpeg``.
        bytes: Size.
        sha256: Digest of the content.
    """

    where: str
    path: str
    kind: str
    bytes: int
    sha256: str

    def locate(self, folders: Mapping[str, Path]) -> Path:
        """Return the absolute path, given the folder for each ``where``."""
        return folders[self.where] / self.path


@dataclass(frozen=True)
class DownloadedClip:
    """One row of the Download stage: the outcome, the files that are there, and why others are not (code, detail)."""

    outcome: Outcome
    video: MediaFile | None = None
    cover: MediaFile | None = None
    problems: tuple[tuple[str, str], ...] = ()

    def to_line(self) -> str:
        """Return the row as one line of canonical JSON, line break included."""
        return json.dumps(asdict(self), sort_keys=True, ensure_ascii=False) + "\n"

    @classmethod
    def from_line(cls, line: str) -> DownloadedClip:
        """Return the row of a line that :meth:`to_line` wrote."""
        row = json.loads(line)
        video, cover = (MediaFile(**row[name]) if row[name] else None for name in ("video", "cover"))
        problems = tuple((code, detail) for code, detail in row["problems"])
        return cls(Outcome(**row["outcome"]), video, cover, problems)


def download_shard(
    records: Iterable[ClipRecord],
    config: DownloadConfig,
    folders: Mapping[str, Path],
    path: Path,
    on_clip: Callable[[], None] = lambda: None,
) -> list[Outcome]:
    """Write one row a record to ``path``, JSON lines, and return one outcome a record."""
    outcomes: list[Outcome] = []
    with path.open("w", encoding="utf-8") as stream:
        for clip in ordered_map(lambda record: download_clip(record, config, folders), records, config.workers):
            stream.write(clip.to_line())
            outcomes.append(clip.outcome)
            on_clip()
    return outcomes


def read_downloaded(path: Path) -> list[DownloadedClip]:
    """Return the rows of a file that :func:`download_shard` wrote."""
    with path.open(encoding="utf-8") as stream:
        return [DownloadedClip.from_line(line) for line in stream]


def download_clip(record: ClipRecord, config: DownloadConfig, folders: Mapping[str, Path]) -> DownloadedClip:
    """Return the files of one clip and how getting them went.

    ``failed``: the video could not be had. ``partial``: the video is there, a cover was named and could not
    be had. A clip of which the manifest names no cover, or no video (code ``no_video``), is ``ok``.
    """
    problems: list[ClipError] = []
    files: dict[str, MediaFile | None] = {"video": None, "cover": None}
    for name, source, kinds in (("video", record.video, VIDEO_KINDS), ("cover", record.cover, COVER_KINDS)):
        if not source:
            continue
        try:
            files[name] = _obtain(source, kinds, config, folders)
        except ClipError as error:
            problems.append(error if name == "video" else ClipError(f"cover_{error.code}", error.detail))
    if not problems:
        # A modality that the manifest never named is missing, not lost.
        code = "" if record.video else "no_video"
        return DownloadedClip(Outcome(record.clip_id, "ok", code), files["video"], files["cover"])
    detail = "; ".join(problem.detail for problem in problems)
    outcome = Outcome(record.clip_id, "failed", problems[0].code, detail)
    if files["video"] is not None or not record.video:
        outcome = replace(outcome, status="partial")
    reasons = tuple((problem.code, problem.detail) for problem in problems)
    return DownloadedClip(outcome, files["video"], files["cover"], reasons)


def _obtain(source: str, kinds: frozenset[str], config: DownloadConfig, folders: Mapping[str, Path]) -> MediaFile:
    scheme, is_url, _ = source.partition("://")
    if is_url and scheme.lower() in {"http", "https"}:
        return _from_network(source, kinds, config, folders[FROM_STORE])
    if is_url:
        raise ClipError("scheme_not_allowed", f"{scheme}:// is not fetched: give http(s) or a relative path")
    return _from_manifest_folder(source, kinds, config, folders[FROM_MANIFEST])


def _from_manifest_folder(source: str, kinds: frozenset[str], config: DownloadConfig, folder: Path) -> MediaFile:
    """Return the facts of a local file, which stays where it is."""
    if "\0" in source:
        raise ClipError("path_not_allowed", "the path holds a zero byte")
    top = folder.resolve()
    try:
        path = (top / source).resolve()
        if not path.is_relative_to(top):
            raise ClipError("path_not_allowed", f"{source} leads out of the manifest's folder")
        return _checked(path, kinds, config, FROM_MANIFEST, path.relative_to(top))
    except FileNotFoundError as error:
        raise ClipError("file_missing", f"{source} is not there") from error
    except OSError as error:
        raise ClipError("file_unreadable", f"{source}: {error.strerror}") from error
    except RuntimeError as error:
        # What Python before 3.13 says of symbolic links that lead in a circle.
        raise ClipError("file_unreadable", f"{source}: {error}") from error


def _from_network(url: str, kinds: frozenset[str], config: DownloadConfig, store: Path) -> MediaFile:
    """Return the facts of a file fetched into the store, where it is named by its content."""
    store.mkdir(parents=True, exist_ok=True)
    temporary = store / f"{TEMPORARY_PREFIX}{os.getpid()}-{threading.get_ident()}"
    try:
        fetch(url, temporary, config)
        facts = _checked(temporary, kinds, config, FROM_STORE, Path())
        path = Path(facts.sha256[:2]) / f"{facts.sha256}.{facts.kind}"
        (store / path).parent.mkdir(exist_ok=True)
        temporary.replace(store / path)
    finally:
        temporary.unlink(missing_ok=True)
    return replace(facts, path=path.as_posix())


def _checked(path: Path, kinds: frozenset[str], config: DownloadConfig, where: str, name: Path) -> MediaFile:
    """Return the facts of a file.

    Raises:
        ClipError: ``file_missing``, ``empty_file``, ``too_large``, ``not_a_video`` or ``not_a_picture``.
    """
    if not path.is_file():
        raise ClipError("file_missing", f"{name} is not a file")
    size = path.stat().st_size
    if size == 0:
        raise ClipError("empty_file", "the file holds no byte")
    if size > config.max_bytes:
        raise ClipError("too_large", f"{size:,} bytes; max_bytes is {config.max_bytes:,}")
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        head = stream.read(SNIFF_BYTES)
        digest.update(head)
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
    kind = kind_of(head)
    if kind not in kinds:
        wanted = "not_a_video" if kinds is VIDEO_KINDS else "not_a_picture"
        raise ClipError(wanted, f"the file is {kind or 'of no known kind'}, expected {', '.join(sorted(kinds))}")
    return MediaFile(where, name.as_posix(), kind, size, digest.hexdigest())
