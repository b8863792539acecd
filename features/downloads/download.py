"""The files of the clips: fetched over http(s), or found below the manifest's folder, and checked."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING

from features.base.errors import ClipError
from features.base.outcomes import Outcome, is_transient, leading_code
from features.downloads.download_rows import FROM_MANIFEST, FROM_STORE, DownloadedClip, MediaFile, read_downloaded
from features.downloads.fetching import Fetcher
from features.downloads.local_files import find_changes, is_below, stamp_of
from features.downloads.media_kinds import COVER_KINDS
from features.downloads.media_spec import READ_BYTES, MediaSpec, StreamingValidator
from features.http.rate_limit import HostLimiter, Scheduler, run_to_end

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path
    from types import TracebackType

    from features.base.parallel import WorkerPool
    from features.downloads.config import DownloadConfig
    from features.downloads.local_files import Stamp
    from features.downloads.store import MediaStore
    from features.formats.records import ClipRecord
    from features.http.rate_limit import FetchSteps

# Clips that a thread finishes before it is handed others.
MAX_CLIPS_AT_A_TIME = 8
NOT_A_VIDEO = "not_a_video"
NOT_A_PICTURE = "not_a_picture"


def find_local(source: str, spec: MediaSpec, folder: Path) -> MediaFile:
    """Return the facts of a local file.

    Args:
        source: A path below ``folder``; symbolic links are followed if they stay there.
        spec: The requirements.
        folder: Folder of the manifest.

    Raises:
        ClipError: ``path_not_allowed``, ``file_missing``, ``file_unreadable``, or what
            :class:`features.downloads.media_spec.StreamingValidator` refuses.
    """
    if "\0" in source:
        raise ClipError("path_not_allowed", "the path has a zero byte")
    top = folder.resolve()
    try:
        path = (top / source).resolve()
        if not path.is_relative_to(top):
            raise ClipError("path_not_allowed", f"{source} leads out of the manifest's folder")
        return _inspect(path, spec, path.relative_to(top))
    except FileNotFoundError as error:
        raise ClipError("file_missing", f"{source} is not there") from error
    except OSError as error:
        raise ClipError("file_unreadable", f"{source}: {error.strerror}") from error
    except (RuntimeError, UnicodeError) as error:
        # RuntimeError: a loop of links, in Python before 3.13. UnicodeError: characters that no file name can have.
        raise ClipError("file_unreadable", f"{source!r}: {error}") from error


def _inspect(path: Path, spec: MediaSpec, name: Path) -> MediaFile:
    if not path.is_file():
        raise ClipError("file_missing", f"{name} is not a file")
    spec.check_size(path.stat().st_size)
    validator = StreamingValidator(spec)
    with path.open("rb") as stream:
        while data := stream.read(READ_BYTES):
            validator.update(data)
    facts = validator.finish()
    return MediaFile(FROM_MANIFEST, name.as_posix(), facts.kind, facts.num_bytes, facts.sha256)


def locate_unchanged(file: MediaFile, folder: Path) -> Path:
    """Return the absolute path of a local file of an earlier row.

    Raises:
        ClipError: ``file_missing``, or ``changed_since_download`` when its size is another one.
    """
    path = folder / file.path
    try:
        size = path.stat().st_size
    except OSError as error:
        raise ClipError("file_missing", f"{file.path} has gone since Download saw it") from error
    if size != file.bytes:
        raise ClipError("changed_since_download", f"{size:,} bytes, Download saw {file.bytes:,}: run the command again")
    return path


class Downloader:
    """Fetches or locates media files; one per stage run; thread-safe.

    Args:
        config: The settings.
        folders: ``where`` of a file -> folder of the local files, and of the store.
        refetch: Fetch files again that are in the store.
        on_bytes: Called with the size of every piece that arrives from the network, from any thread.
    """

    def __init__(
        self,
        config: DownloadConfig,
        folders: Mapping[str, Path],
        *,
        refetch: bool = False,
        on_bytes: Callable[[int], None] = lambda _: None,
    ) -> None:
        self.limiter = HostLimiter(
            config.connections_per_host, config.requests_per_second_per_host, config.max_retry_after_seconds
        )
        self._config = config
        self._folders = folders
        self._refetch = refetch
        self._on_bytes = on_bytes
        self._lock = threading.Lock()
        self._store: MediaStore | None = None
        self._fetcher: Fetcher | None = None
        self._close: list[Callable[[], None]] = []

    def __enter__(self) -> Downloader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        while self._close:
            self._close.pop()()

    @property
    def manifest_folder(self) -> Path:
        """Folder of the local files."""
        return self._folders[FROM_MANIFEST]

    def clip(self, record: ClipRecord) -> DownloadedClip:
        """Return the row of one clip, after all its requests; its files are published."""
        row = run_to_end(self.clip_steps(record), self.limiter)
        self.publish()
        return row

    def publish(self) -> None:
        """Give the files that have arrived their names in the store, where they are synced.

        Raises:
            OSError: The disk is full or may not be written.
        """
        if self._store is not None:
            self._store.publish()

    def clip_steps(self, record: ClipRecord, stamps: dict[str, Stamp] | None = None) -> FetchSteps[DownloadedClip]:
        """Return the row of one clip, in steps of one request each; :meth:`publish` has to follow.

        ``failed``: the video could not be obtained. ``partial``: the video was obtained, but not the cover that the
        manifest names. A clip without a cover, or without a video (code ``no_video``), in the manifest is ``ok``.

        Args:
            record: The clip.
            stamps: Gets size and time of its local files as they were before they were read.
        """
        stamps = {} if stamps is None else stamps
        problems: list[ClipError] = []
        video = cover = None
        if record.video:
            try:
                spec = self._spec(self._config.video_kinds(), NOT_A_VIDEO, record.video_checksum)
                video = yield from self._obtain(record.video, spec, stamps)
            except ClipError as error:
                problems.append(error)
        if record.cover:
            try:
                spec = self._spec(COVER_KINDS, NOT_A_PICTURE, record.cover_checksum)
                cover = yield from self._obtain(record.cover, spec, stamps)
            except ClipError as error:
                problems.append(ClipError(f"cover_{error.code}", error.detail))
        return _row(record, video, cover, problems)

    def restore(self, file: MediaFile) -> Path:
        """Return the absolute path of a file of an earlier row; one missing from the store is fetched again.

        Raises:
            ClipError: ``file_missing``; ``changed_since_download`` when the content differs now; or as fetching raises.
        """
        if file.where == FROM_MANIFEST:
            return locate_unchanged(file, self._folders[FROM_MANIFEST])
        store, fetcher = self._network()
        if not store.has(file):
            if not file.url:
                raise ClipError("file_missing", f"{file.path} is missing from the store, and its URL is not known")
            spec = self._spec(frozenset({file.kind}), "changed_since_download", f"sha256:{file.sha256}")
            try:
                run_to_end(fetcher.fetch(file.url, spec), self.limiter)
                store.publish()
            except ClipError as error:
                if error.code != "checksum_mismatch":
                    raise
                raise ClipError("changed_since_download", f"its URL gives another file now: {error.detail}") from error
        return file.locate(self._folders)

    def _spec(self, kinds: frozenset[str], wrong_kind_code: str, checksum: str) -> MediaSpec:
        return MediaSpec(kinds, wrong_kind_code, self._config.max_bytes, checksum)

    def _network(self) -> tuple[MediaStore, Fetcher]:
        """Return the store and its fetcher, created for the first URL: local corpora need neither."""
        with self._lock:
            if self._store is None or self._fetcher is None:
                from features.downloads.store import MediaStore  # noqa: PLC0415 - imports sqlite3
                from features.http.client import HttpClient  # noqa: PLC0415 - imports requests

                client = HttpClient(self._config)
                self._store = MediaStore(self._folders[FROM_STORE])
                self._close += [self._store.close, client.close]
                self._fetcher = Fetcher(
                    self._config, self._store, client, self.limiter, self._on_bytes, refetch=self._refetch
                )
            return self._store, self._fetcher

    def _obtain(self, source: str, spec: MediaSpec, stamps: dict[str, Stamp]) -> FetchSteps[MediaFile]:
        scheme, is_url, _ = source.partition("://")
        if not is_url:
            folder = self._folders[FROM_MANIFEST]
            if is_below(source):
                stamps[source] = stamp_of(str(folder), source)
            return find_local(source, spec, folder)
        if scheme.lower() not in {"http", "https"}:
            raise ClipError("scheme_not_allowed", f"{scheme}:// is not fetched: give http(s) or a relative path")
        _, fetcher = self._network()
        found = fetcher.known(source, spec)
        if found is None:
            found = yield from fetcher.fetch(source, spec)
        return found


def _row(
    record: ClipRecord, video: MediaFile | None, cover: MediaFile | None, problems: list[ClipError]
) -> DownloadedClip:
    if not problems:
        # A modality that the manifest does not name is absent, not lost.
        return DownloadedClip(Outcome(record.clip_id, "ok", "" if record.video else "no_video"), video, cover)
    detail = "; ".join(problem.detail for problem in problems)
    outcome = Outcome(record.clip_id, "failed", leading_code([problem.code for problem in problems]), detail)
    if video is not None or not record.video:
        outcome = replace(outcome, status="partial")
    return DownloadedClip(outcome, video, cover, tuple((problem.code, problem.detail) for problem in problems))


def _local_sources(record: ClipRecord) -> list[str]:
    """Return the paths of a clip that lead to files below the manifest's folder."""
    return [source for source in (record.video, record.cover) if source and "://" not in source and is_below(source)]


def download_shard(
    records: Iterable[ClipRecord],
    downloader: Downloader,
    path: Path,
    pool: WorkerPool,
    on_clip: Callable[[], None] = lambda: None,
    previous: Path | None = None,
    stamps: dict[str, Stamp] | None = None,
) -> list[Outcome]:
    """Write one row a record to ``path``, JSON lines, and return one outcome a record.

    Args:
        records: The clips.
        downloader: Obtains their files.
        path: File of the rows.
        pool: Threads for the work; its window should be at least one shard.
        on_clip: Called after each clip, from any thread.
        previous: An older version of this shard: its rows are reused, except those with a transient failure, and those
            of local files that have changed since.
        stamps: Size and time of the local files of ``previous``, ``None`` = they are taken for unchanged; on return
            those of the files of this shard.
    """
    records = list(records)
    rows = {row.outcome.clip_id: row for row in read_downloaded(previous)} if previous is not None else {}
    rows = {clip_id: row for clip_id, row in rows.items() if not any(map(is_transient, row.codes()))}
    known = None if stamps is None else dict(stamps)
    if known is not None:
        changes = find_changes(known, downloader.manifest_folder)
        # A file that has gone is no reason to lose what was made of it.
        kept = known.keys() - changes.changed
        rows = {
            record.clip_id: rows[record.clip_id]
            for record in records
            if record.clip_id in rows and kept.issuperset(_local_sources(record))
        }
    found: dict[str, Stamp] = {} if stamps is None else stamps
    found.clear()
    if known is not None:
        reused = (source for record in records if record.clip_id in rows for source in _local_sources(record))
        found.update((source, known[source]) for source in reused)
    missing = [record for record in records if record.clip_id not in rows]
    for _ in range(len(records) - len(missing)):
        on_clip()
    scheduler = Scheduler([downloader.clip_steps(record, found) for record in missing], downloader.limiter)

    # Handing a clip to a thread takes as long as a tenth of a small download: several at a time.
    share = max(1, min(MAX_CLIPS_AT_A_TIME, len(missing) // (2 * pool.workers)))

    def work(num_clips: int) -> list[DownloadedClip]:
        clips = []
        for _ in range(num_clips):
            clips.append(scheduler.run_one())
            on_clip()
        return clips

    shares = [len(missing[start : start + share]) for start in range(0, len(missing), share)]
    for clips in pool.ordered_map(work, shares):
        rows.update((clip.outcome.clip_id, clip) for clip in clips)
    # Before any row speaks of the files.
    downloader.publish()
    with path.open("w", encoding="utf-8") as stream:
        stream.writelines(rows[record.clip_id].to_line() for record in records)
    return [rows[record.clip_id].outcome for record in records]
