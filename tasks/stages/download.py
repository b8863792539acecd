"""Media files of every clip, fetched or found, and an outcome for each."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, ClassVar

from features.base.outcomes import Tally
from features.base.parallel import WorkerPool
from features.base.settings import identity_values
from features.downloads.download import Downloader, download_shard
from features.downloads.download_rows import FROM_MANIFEST, FROM_STORE
from features.manifests.corpus import read_records
from tasks.config.run import settings
from tasks.core.sharded import ShardedStage
from tasks.core.stage import Stage, root_folder
from tasks.stages.manifest import Manifest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from tasks.core.console import Progress
    from tasks.core.sharded import ShardBuilder, ShardJob

MEDIA_FOLDER = "media"


def media_folders(manifest: Manifest) -> dict[str, Path]:
    """Return where the paths of downloaded clips start."""
    return {FROM_MANIFEST: manifest.media_folder(), FROM_STORE: root_folder() / MEDIA_FOLDER}


class Download(ShardedStage):
    """The media of every clip: one row a clip with its files, their digests, or why there are none."""

    stage_version: ClassVar[int] = 3
    suffix: ClassVar[str] = ".jsonl"
    # While the slowest clips of one shard are fetched, the other workers fetch the next one.
    shards_at_a_time: ClassVar[int] = 2

    @property
    def can_retry(self) -> bool:
        """Whether clips may fail here for transient reasons."""
        return True

    def identity_settings(self) -> Mapping[str, object]:
        """Return the limits on what is taken."""
        manifest = Manifest()
        # The same manifest beside other files is another corpus. The embedded one is always below the root.
        place = {} if manifest.uses_sample() else {"media_folder": str(manifest.media_folder())}
        return {**identity_values(settings().download), **place}

    def inputs(self) -> Mapping[str, Stage]:
        """Return the corpus."""
        return {"manifest": Manifest()}

    def max_failed_fraction(self) -> float:
        """Return the setting."""
        return settings().download.max_failed_fraction

    @contextmanager
    def shard_builder(self, progress: Progress) -> Iterator[ShardBuilder]:
        """Keep the connections and the store open, and yield what fetches the media of one shard."""
        config = settings().download
        folders = media_folders(Manifest())
        window = settings().manifest.clips_per_shard
        with (
            Downloader(config, folders, refetch=self.is_forced(), on_bytes=progress.add_bytes) as downloader,
            WorkerPool(config.workers, window) as pool,
        ):

            def build(job: ShardJob, path: Path) -> tuple[Tally, dict[str, float]]:
                records = read_records(job.inputs["manifest"])
                return Tally.of(download_shard(records, downloader, path, pool, progress.advance, job.previous)), {}

            yield build
