"""Stages that read clips: from decoded shards or, with ``[decode] store = false``, from the media."""

from __future__ import annotations

import functools
import itertools
import time
from abc import abstractmethod
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from features.base.outcomes import Tally
from features.base.parallel import WorkerPool, num_cpus
from features.decoding.clip import sources
from features.decoding.shard import OnTheFlyClips
from features.downloads.download import Downloader
from features.downloads.download_rows import read_downloaded
from features.formats.reuse import source_digest
from features.formats.tar_shard import check_digest, open_tar_shard
from tasks.config.run import settings
from tasks.core.sharded import TAKEN_OVER, ShardedStage
from tasks.stages.decode import Decode
from tasks.stages.download import Download, media_folders
from tasks.stages.manifest import Manifest

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from features.backbones.extractor.shard_loop import Model, ShardRun
    from features.downloads.download_rows import DownloadedClip
    from features.formats.reuse import ReusableShard
    from features.formats.tar_shard import OpenedClip
    from tasks.core.console import Progress
    from tasks.core.sharded import ShardBuilder, ShardJob
    from tasks.core.stage import Stage


def stores_decoded() -> bool:
    """Return whether Decode keeps its shards, or every stage decodes for itself."""
    return settings().decode.store


class ClipStage(ShardedStage):
    """A stage that reads every clip of a shard; its output does not depend on where the clips are read from."""

    @property
    def decodes_media(self) -> bool:
        """Whether the stage decodes media itself."""
        return not stores_decoded()

    @property
    def can_retry(self) -> bool:
        """Whether clips may fail here for reasons that another attempt may not meet."""
        return self.decodes_media

    def inputs(self) -> Mapping[str, Stage]:
        """Return the stage with the clips."""
        if self.decodes_media:
            return {"download": Download()}
        return {"decode": Decode()}

    def upstream_fingerprints(self) -> Mapping[str, str]:
        """Return Decode's fingerprint, also where its work is done here."""
        return {"decode": Decode().fingerprint}

    def key_settings(self) -> Mapping[str, object]:
        """Return the settings and Decode's version, since its clips give the outcomes; for media its settings too."""
        decode = Decode()
        used = decode.identity_settings() if self.decodes_media else {}
        return {**self.identity_settings(), "decode": {**used, "stage_version": decode.stage_version}}

    @contextmanager
    def shard_builder(self, progress: Progress) -> Iterator[ShardBuilder]:
        """Yield what runs the model over one shard; the model is loaded with the first."""
        with self._clip_opener() as opener:
            yield functools.partial(self._build_shard, opener=opener, on_clip=progress.advance)

    @contextmanager
    def _clip_opener(self) -> Iterator[ClipOpener]:
        if not self.decodes_media:
            yield ClipOpener(None, None)
            return
        folders = media_folders(Manifest())
        workers = settings().decode.workers or num_cpus()
        with Downloader(settings().download, folders) as downloader, WorkerPool(workers) as pool:
            yield ClipOpener(downloader, pool)

    def _build_shard(
        self, job: ShardJob, path: Path, opener: ClipOpener, on_clip: Callable[[], None]
    ) -> tuple[Tally, dict[str, float]]:
        started = time.perf_counter()
        _ = self.model
        load_seconds = time.perf_counter() - started
        try:
            run = self.run_model(job, path, opener, on_clip)
        except Exception:
            # A damaged shard may fail in any way before all of it is hashed: its digest names the cause.
            opener.check(job)
            raise
        timings = {"load_seconds": load_seconds, "network_seconds": run.network_seconds, **opener.timings()}
        timings[TAKEN_OVER] = run.num_reused
        return Tally.of(run.outcomes), timings

    @functools.cached_property
    @abstractmethod
    def model(self) -> Model:
        """What runs over the clips, loaded when the first shard needs it."""

    @abstractmethod
    def run_model(self, job: ShardJob, path: Path, opener: ClipOpener, on_clip: Callable[[], None]) -> ShardRun:
        """Write the shard of a job to a path, and return its outcomes and timings."""

    def reusable_paths(self, job: ShardJob) -> list[Path]:
        """Return the older shards that may have rows of a new one: of other settings, and last the one in this folder.

        Under other settings of Decode the model may get another input of a clip. That is known only once it is
        decoded, so the shards of other settings do not count where this stage decodes.
        """
        own = [] if job.previous is None else [job.previous]
        return own if self.decodes_media else [*self.elsewhere(job), *own]


class ClipOpener:
    """Opens the clips of a shard, whether they are stored or still to be decoded."""

    def __init__(self, downloader: Downloader | None, pool: WorkerPool | None) -> None:
        self._downloader = downloader
        self._pool = pool
        self._fresh: OnTheFlyClips | None = None

    def open(self, job: ShardJob, path: Path, reusable: ReusableShard[Any]) -> Iterable[OpenedClip]:
        """Return the clips of a shard.

        Where they are decoded now, they are kept beside ``path`` meanwhile, and those in ``reusable`` are not decoded.
        A stored shard is compared with its digest while it is read; the error comes before the new shard is published.
        """
        if self._downloader is None or self._pool is None:
            return open_tar_shard(job.inputs["decode"], job.digests["decode"])

        def is_known(clip: DownloadedClip) -> bool:
            return reusable.find(clip.outcome.clip_id, source_digest(sources(clip))) is not None

        clips = read_downloaded(job.inputs["download"])
        config = settings().decode
        self._fresh = OnTheFlyClips(clips, config, self._downloader.restore, path, self._pool, is_known)
        return self._fresh

    def check(self, job: ShardJob) -> None:
        """Raise ShardError where the shard of a job is a stored one and damaged."""
        if "decode" in job.inputs:
            check_digest(job.inputs["decode"], job.digests["decode"])

    def timings(self) -> dict[str, float]:
        """Return the CPU seconds of ffmpeg for the shard that was opened last; nothing where none ran."""
        return {} if self._fresh is None else {"child_cpu_seconds": self._fresh.cpu_seconds}


@contextmanager
def some_clips(clip_ids: Collection[str], positions: Sequence[int], folder: Path) -> Iterator[Iterator[OpenedClip]]:
    """Yield decoded clips, among them those that are named, from whatever contains them.

    Args:
        clip_ids: The clips that are wanted.
        positions: Their positions in the corpus.
        folder: Parent of ffmpeg's working folder.
    """
    if stores_decoded():
        decode = Decode()
        paths = [decode.folder / name for name in _shards_with(decode, positions)]
        yield itertools.chain.from_iterable(open_tar_shard(path) for path in paths)
        return
    download = Download()
    rows = [row for name in _shards_with(download, positions) for row in read_downloaded(download.folder / name)]
    wanted = [row for row in rows if row.outcome.clip_id in clip_ids]
    folders = media_folders(Manifest())
    with Downloader(settings().download, folders) as downloader, WorkerPool(num_cpus()) as pool:
        yield iter(OnTheFlyClips(wanted, settings().decode, downloader.restore, folder / "clips", pool))


def _shards_with(stage: Stage, positions: Sequence[int]) -> list[str]:
    """Return the shards that contain clips, given their positions in the corpus."""
    names, start = [], 0
    for item in stage.published_success().files:
        if any(start <= position < start + item.rows for position in positions):
            names.append(item.name)
        start += item.rows
    return names
