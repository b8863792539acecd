"""Stages that look into clips: into decoded shards, or, with ``[decode] store = false``, into the media themselves."""

from __future__ import annotations

import itertools
from contextlib import contextmanager
from typing import TYPE_CHECKING

from features.base.errors import ShardError
from features.base.files import sha256_of
from features.base.parallel import WorkerPool, num_cpus
from features.downloads.download import Downloader
from features.downloads.download_rows import read_downloaded
from features.formats.tar_shard import open_tar_shard
from tasks.config.run import settings
from tasks.core.sharded import ShardedStage
from tasks.stages.decode import Decode
from tasks.stages.download import Download, media_folders
from tasks.stages.manifest import Manifest

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from features.decoding.shard import OnTheFlyClips
    from features.downloads.download_rows import DownloadedClip
    from features.formats.tar_shard import OpenedClip
    from tasks.core.sharded import ShardJob
    from tasks.core.stage import Stage

    IsKnown = Callable[[DownloadedClip], bool]


def stores_decoded() -> bool:
    """Return whether Decode keeps its shards, or every stage decodes for itself."""
    return settings().decode.store


class ClipsStage(ShardedStage):
    """A stage that looks into every clip of a shard; what comes out does not depend on where it looks."""

    @property
    def looks_into_media(self) -> bool:
        """Whether the stage decodes media itself."""
        return not stores_decoded()

    @property
    def can_retry(self) -> bool:
        """Whether clips may fail here for reasons that pass."""
        return self.looks_into_media

    def inputs(self) -> Mapping[str, Stage]:
        """Return what holds the clips."""
        if self.looks_into_media:
            return {"download": Download()}
        return {"decode": Decode()}

    def upstream_fingerprints(self) -> Mapping[str, str]:
        """Return Decode's fingerprint, also where its work is done here."""
        return {"decode": Decode().fingerprint}

    def shard_inputs(self) -> Mapping[str, tuple[Stage, str]]:
        """Return the shards that hold the clips."""
        return {name: (stage, ".tar" if name == "decode" else ".jsonl") for name, stage in self.inputs().items()}

    def key_settings(self) -> Mapping[str, object]:
        """Return the settings, with Decode's where the inputs are media."""
        if not self.looks_into_media:
            return self.identity_settings()
        decode = Decode()
        return {
            **self.identity_settings(),
            "decode": {**decode.identity_settings(), "stage_version": decode.stage_version},
        }

    @contextmanager
    def clip_source(self) -> Iterator[ClipSource]:
        """Hold what reading clips needs, and yield what opens the clips of a shard."""
        if not self.looks_into_media:
            yield ClipSource(None, None)
            return
        folders = media_folders(Manifest())
        workers = settings().decode.workers or num_cpus()
        with Downloader(settings().download, folders) as downloader, WorkerPool(workers) as pool:
            yield ClipSource(downloader, pool)


def _intact(path: Path, digest: str) -> Path:
    """Return the path of a published shard whose bytes are those that were published.

    Raises:
        ShardError: They are not.
    """
    if sha256_of(path) != digest:
        raise ShardError(
            f"{path} is damaged: its sha256 is not the one it was published with; run `python -m pipeline verify`,"
            " which takes it away, and then the same command again"
        )
    return path


class ClipSource:
    """Opens the clips of a shard, whether they are stored or still to be decoded."""

    def __init__(self, downloader: Downloader | None, pool: WorkerPool | None) -> None:
        self._downloader = downloader
        self._pool = pool
        self._fresh: OnTheFlyClips | None = None

    def open(self, job: ShardJob, path: Path, is_known: IsKnown) -> Iterable[OpenedClip]:
        """Return the clips of a shard; what is decoded now waits beside ``path``, and known clips are not decoded."""
        if self._downloader is None or self._pool is None:
            return open_tar_shard(_intact(job.inputs["decode"], job.digests["decode"]))
        from features.decoding.shard import OnTheFlyClips  # noqa: PLC0415 - loads the codec libraries

        clips = read_downloaded(job.inputs["download"])
        config = settings().decode
        self._fresh = OnTheFlyClips(clips, config, self._downloader.restore, path, self._pool, is_known)
        return self._fresh

    def timings(self) -> dict[str, float]:
        """Return the CPU seconds of ffmpeg for the shard that was opened last; nothing where none ran."""
        return {} if self._fresh is None else {"child_cpu_seconds": self._fresh.cpu_seconds}


@contextmanager
def some_clips(clip_ids: Collection[str], positions: Sequence[int], folder: Path) -> Iterator[Iterator[OpenedClip]]:
    """Yield decoded clips, among them those that are named, from whatever holds them.

    Args:
        clip_ids: The clips that are wanted.
        positions: Their positions in the corpus.
        folder: Where ffmpeg's working folder may stand.
        force: As of the stage that asks.
    """
    if stores_decoded():
        decode = Decode()
        paths = [decode.folder / name for name in _shards_with(decode, positions)]
        yield itertools.chain.from_iterable(open_tar_shard(path) for path in paths)
        return
    from features.decoding.shard import OnTheFlyClips  # noqa: PLC0415 - loads the codec libraries

    download = Download()
    rows = [row for name in _shards_with(download, positions) for row in read_downloaded(download.folder / name)]
    wanted = [row for row in rows if row.outcome.clip_id in clip_ids]
    folders = media_folders(Manifest())
    with Downloader(settings().download, folders) as downloader, WorkerPool(num_cpus()) as pool:
        yield iter(OnTheFlyClips(wanted, settings().decode, downloader.restore, folder / "clips", pool))


def _shards_with(stage: Stage, positions: Sequence[int]) -> list[str]:
    """Return the shards in which clips stand, given their positions in the corpus."""
    names, start = [], 0
    for item in stage.published_success().files:
        if any(start <= position < start + item.rows for position in positions):
            names.append(item.name)
        start += item.rows
    return names
