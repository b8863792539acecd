"""Sampled frames, 16 kHz sound and covers of every clip."""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, ClassVar

from features.decoding.ffmpeg import DecodeConfig, ffmpeg_version, find_ffmpeg
from features.decoding.shard import decode_shard
from features.downloads.download import DownloadConfig, Downloader
from features.downloads.downloaded import FROM_STORE, read_downloaded
from features.downloads.store import MediaStore
from features.outcomes import Tally, may_pass
from features.parallel import WorkerPool, num_cpus
from tasks.corpus import Manifest
from tasks.download import Download, media_folders
from tasks.settings import load, significant
from tasks.sharded import ShardedStage

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from features.downloads.downloaded import MediaFile
    from tasks.engine import ShardJob
    from tasks.ledger import FileReceipt
    from tasks.progress import Progress
    from tasks.sharded import ShardBuilder
    from tasks.stage import Stage


class Decode(ShardedStage):
    """Decoded shards: ``shard-00000.tar`` in WebDataset's naming."""

    stage_version: ClassVar[int] = 2
    suffix: ClassVar[str] = ".tar"
    # The last clips of one shard decode beside the first of the next.
    shards_at_a_time: ClassVar[int] = 2
    can_retry: ClassVar[bool] = True

    def settings(self) -> Mapping[str, object]:
        """Return what decides which frames and which sound are kept."""
        return {**self.sampling(), "ffmpeg_version": ffmpeg_version(find_ffmpeg(load("decode", DecodeConfig).ffmpeg))}

    def sampling(self) -> Mapping[str, object]:
        """Return the settings alone, whatever ffmpeg follows them."""
        load("decode", DecodeConfig)
        return significant("decode")

    def inputs(self) -> Mapping[str, Stage]:
        """Return the downloaded media."""
        return {"download": Download(force=self.force)}

    def shard_inputs(self) -> Mapping[str, tuple[Stage, str]]:
        """Return the rows of the downloaded clips."""
        return {"download": (self.inputs()["download"], ".jsonl")}

    def max_failed_fraction(self) -> float:
        """Return the setting."""
        return load("decode", DecodeConfig).max_failed_fraction

    @contextmanager
    def shard_builder(self, progress: Progress) -> Iterator[ShardBuilder]:
        """Hold the threads that wait for ffmpeg, and yield what decodes the clips of one shard."""
        config = load("decode", DecodeConfig)
        folders = media_folders(Manifest(force=self.force))
        with (
            Downloader(load("download", DownloadConfig), folders) as downloader,
            WorkerPool(config.workers or num_cpus()) as pool,
        ):

            def build(job: ShardJob, path: Path) -> tuple[Tally, dict[str, float]]:
                clips = read_downloaded(job.inputs["download"])
                found = decode_shard(clips, config, downloader.restore, path, pool, progress.advance, job.previous)
                return Tally.of(found.outcomes), {"child_cpu_seconds": found.cpu_seconds}

            yield build

    def build(self) -> tuple[Sequence[FileReceipt], int, Mapping[str, object]]:
        """Decode what is missing; without ``keep_media`` delete the files that nobody has to read any more."""
        if load("download", DownloadConfig).keep_media:
            return super().build()
        jobs = self.jobs()
        folder = media_folders(Manifest(force=self.force))[FROM_STORE]
        with MediaStore(folder) as store:
            self._sweeper = MediaSweeper(store, {job.name: job.inputs["download"] for job in jobs})
            return super().build()

    _sweeper: MediaSweeper | None = None

    def shard_done(self, receipt: FileReceipt) -> None:
        """Delete what only this shard needed."""
        if self._sweeper is not None:
            retried = {outcome.clip_id for outcome in receipt.problems if may_pass(outcome.code)}
            self._sweeper.shard_done(receipt.name, retried)


class MediaSweeper:
    """Deletes fetched media once every shard that refers to them has been decoded; files of the user never.

    Args:
        store: Where fetched files lie.
        rows: Shard -> the rows of its downloaded clips.
    """

    def __init__(self, store: MediaStore, rows: Mapping[str, Path]) -> None:
        self._store = store
        self._rows = rows
        # One video under two URLs is one file: the last shard that refers to it lets it go.
        self._references = Counter(file.path for path in rows.values() for _, file in _stored(path))

    def shard_done(self, name: str, keep: set[str]) -> None:
        """Let go of the files of a shard, other than those of the clips in ``keep``."""
        files = {}
        for clip_id, file in _stored(self._rows[name]):
            if clip_id not in keep:
                self._references[file.path] -= 1
                if self._references[file.path] == 0:
                    files[file.path] = file
        self._store.remove(files.values())


def _stored(path: Path) -> Iterator[tuple[str, MediaFile]]:
    """Yield clip id and file for every file of these rows that lies in the store."""
    for clip in read_downloaded(path):
        for file in (clip.video, clip.cover):
            if file is not None and file.where == FROM_STORE:
                yield clip.outcome.clip_id, file
