"""Sampled frames, 16 kHz sound and covers of every clip."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import Field, fields
from typing import TYPE_CHECKING, Any, ClassVar

from features.base.modalities import MODALITIES, names_of_stream
from features.base.outcomes import Tally, is_transient
from features.base.parallel import WorkerPool, num_cpus
from features.base.settings import is_identity, modalities_of
from features.decoding.ffmpeg import ffmpeg_version, find_ffmpeg
from features.decoding.shard import decode_shard
from features.downloads.download import Downloader
from features.downloads.download_rows import FROM_STORE, read_downloaded
from tasks.config.run import settings
from tasks.core.sharded import ShardedStage
from tasks.stages.absence import absent_modalities_line
from tasks.stages.download import Download, media_folders
from tasks.stages.manifest import Manifest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from features.decoding.config import DecodeConfig
    from features.downloads.store import MediaCollector
    from tasks.core.console import Progress
    from tasks.core.receipts import FileReceipt, Success
    from tasks.core.sharded import ShardBuilder, ShardJob
    from tasks.core.stage import Stage


class Decode(ShardedStage):
    """Decoded shards: ``shard-00000.tar`` in WebDataset's naming."""

    stage_version: ClassVar[int] = 4
    suffix: ClassVar[str] = ".tar"
    # The last clips of one shard decode beside the first of the next.
    shards_at_a_time: ClassVar[int] = 2

    @property
    def can_retry(self) -> bool:
        """Whether clips may fail here for transient reasons."""
        return True

    def identity_settings(self) -> Mapping[str, object]:
        """Return what decides which frames and which sound are kept."""
        return {**self.sampling(), "ffmpeg_version": self.ffmpeg_version()}

    def ffmpeg_version(self) -> str:
        """Return the version of the ffmpeg that decodes."""
        return ffmpeg_version(find_ffmpeg(settings().decode.ffmpeg))

    def sampling(self) -> Mapping[str, object]:
        """Return the settings without the version of ffmpeg; those of a modality only where it is decoded."""
        config = settings().decode
        used = [item.name for item in fields(config) if is_identity(item) and _is_used(config, item)]
        return {name: getattr(config, name) for name in used}

    def inputs(self) -> Mapping[str, Stage]:
        """Return the stage with the rows of the downloaded clips."""
        return {"download": Download()}

    def max_failed_fraction(self) -> float:
        """Return the setting."""
        return settings().decode.max_failed_fraction

    def modalities(self) -> tuple[str, ...]:
        """Return those that are made of a clip's video; of a cover a clip's code does not tell."""
        return names_of_stream("frames", "sound")

    def remark(self, success: Success) -> str:
        """Return which of them no clip has."""
        return absent_modalities_line([success])

    @contextmanager
    def shard_builder(self, progress: Progress) -> Iterator[ShardBuilder]:
        """Keep the threads that wait for ffmpeg, and yield what decodes the clips of one shard."""
        config = settings().decode
        folders = media_folders(Manifest())
        with (
            Downloader(settings().download, folders) as downloader,
            WorkerPool(config.workers or num_cpus()) as pool,
        ):

            def build(job: ShardJob, path: Path) -> tuple[Tally, dict[str, float]]:
                clips = read_downloaded(job.inputs["download"])
                found = decode_shard(clips, config, downloader.restore, path, pool, progress.advance, job.previous)
                return Tally.of(found.outcomes), {"child_cpu_seconds": found.cpu_seconds}

            yield build

    def build(self) -> tuple[Sequence[FileReceipt], int, Mapping[str, object]]:
        """Decode what is missing; without ``keep_media`` delete the files that no shard needs any more."""
        if not settings().download.keep_media:
            folder = media_folders(Manifest())[FROM_STORE]
            from features.downloads.store import MediaCollector  # noqa: PLC0415 - loads SQLite

            self._collector = MediaCollector(folder, {job.name: job.inputs["download"] for job in self.jobs()})
        return super().build()

    _collector: MediaCollector | None = None

    def shard_done(self, receipt: FileReceipt) -> None:
        """Delete what only this shard needed."""
        if self._collector is not None:
            retried = {outcome.clip_id for outcome in receipt.problems if is_transient(outcome.code)}
            failed = {outcome.clip_id for outcome in receipt.problems if outcome.status == "failed"}
            self._collector.shard_done(receipt.name, keep=retried, hold=failed)

    def on_success(self) -> None:
        """Delete the files of clips that failed for good, now that the stage has not failed with them."""
        if self._collector is not None:
            self._collector.finish()


def decode_settings_of(modality: str) -> dict[str, object]:
    """Return the settings of Decode that decide the input of a modality. Another frame rate is no other sound."""
    config = settings().decode
    return {item.name: getattr(config, item.name) for item in fields(config) if modality in (modalities_of(item) or ())}


def _is_used(config: DecodeConfig, item: Field[Any]) -> bool:
    """Return whether a setting affects the output: those only of modalities whose rate is 0 do not."""
    rates = [MODALITIES[name].rate_setting for name in modalities_of(item) or ()]
    return not rates or any(not rate or getattr(config, rate) > 0 for rate in rates)
