"""Sampled frames, 16 kHz sound and covers of every clip."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, ClassVar

from features.base.outcomes import Tally, is_transient
from features.base.parallel import WorkerPool, num_cpus
from features.decoding.config import DecodeConfig
from features.decoding.ffmpeg import ffmpeg_version, find_ffmpeg
from features.decoding.shard import decode_shard
from features.downloads.config import DownloadConfig
from features.downloads.download import Downloader
from features.downloads.download_rows import FROM_STORE, read_downloaded
from features.downloads.media_gc import MediaSweeper
from tasks.config.load import load, significant
from tasks.core.sharded import ShardedStage
from tasks.stages.download import Download, media_folders
from tasks.stages.manifest import Manifest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from tasks.core.engine import ShardJob
    from tasks.core.progress import Progress
    from tasks.core.receipts import FileReceipt
    from tasks.core.sharded import ShardBuilder
    from tasks.core.stage import Stage


class Decode(ShardedStage):
    """Decoded shards: ``shard-00000.tar`` in WebDataset's naming."""

    stage_version: ClassVar[int] = 3
    suffix: ClassVar[str] = ".tar"
    # The last clips of one shard decode beside the first of the next.
    shards_at_a_time: ClassVar[int] = 2

    @property
    def can_retry(self) -> bool:
        """Whether clips may fail here for reasons that pass."""
        return True

    def settings(self) -> Mapping[str, object]:
        """Return what decides which frames and which sound are kept."""
        return {**self.sampling(), "ffmpeg_version": self.ffmpeg_version()}

    def ffmpeg_version(self) -> str:
        """Return the version of the ffmpeg that decodes."""
        return ffmpeg_version(find_ffmpeg(load("decode", DecodeConfig).ffmpeg))

    def sampling(self) -> Mapping[str, object]:
        """Return the settings alone, whatever ffmpeg follows them."""
        settings = significant("decode")
        if not load("decode", DecodeConfig).motion_frames_per_second:
            # What is off has no size.
            settings = {name: value for name, value in settings.items() if "motion" not in name}
        return settings

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
        if not load("download", DownloadConfig).keep_media:
            folder = media_folders(Manifest(force=self.force))[FROM_STORE]
            self._sweeper = MediaSweeper(folder, {job.name: job.inputs["download"] for job in self.jobs()})
        return super().build()

    _sweeper: MediaSweeper | None = None

    def shard_done(self, receipt: FileReceipt) -> None:
        """Delete what only this shard needed."""
        if self._sweeper is not None:
            retried = {outcome.clip_id for outcome in receipt.problems if is_transient(outcome.code)}
            failed = {outcome.clip_id for outcome in receipt.problems if outcome.status == "failed"}
            self._sweeper.shard_done(receipt.name, keep=retried, hold=failed)

    def on_success(self) -> None:
        """Delete the files of clips that failed for good, now that the stage has not failed with them."""
        if self._sweeper is not None:
            self._sweeper.finish()
