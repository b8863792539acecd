"""Media files of every clip, fetched or found, and an outcome for each."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from features.corpus import read_records
from features.download import FROM_MANIFEST, FROM_STORE, DownloadConfig, download_shard
from features.files import remove_leftovers
from features.outcomes import Tally
from tasks.corpus import Manifest
from tasks.settings import load, significant
from tasks.sharded import ShardedStage
from tasks.stage import Stage, root_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from tasks.engine import ShardJob

MEDIA_FOLDER = "media"


def media_folders(manifest: Manifest) -> dict[str, Path]:
    """Return where the paths of downloaded clips start."""
    return {FROM_MANIFEST: manifest.source().parent, FROM_STORE: root_folder() / MEDIA_FOLDER}


class Download(ShardedStage):
    """The media of every clip: one row a clip with its files, their digests, or why there are none."""

    suffix: ClassVar[str] = ".jsonl"

    def settings(self) -> Mapping[str, object]:
        """Return the limits on what is taken."""
        load("download", DownloadConfig)
        manifest = Manifest(force=self.force)
        # The same manifest beside other files is another corpus. The embedded one always lies below the root.
        place = {} if manifest.uses_sample() else {"media_folder": str(manifest.source().parent)}
        return {**significant("download"), **place}

    def inputs(self) -> Mapping[str, Stage]:
        """Return the corpus."""
        return {"manifest": Manifest(force=self.force)}

    def shard_inputs(self) -> Mapping[str, tuple[Stage, str]]:
        """Return the record shards."""
        return {"manifest": (self.inputs()["manifest"], ".jsonl")}

    def max_failed_fraction(self) -> float:
        """Return the setting."""
        return load("download", DownloadConfig).max_failed_fraction

    def build_shard(self, job: ShardJob, path: Path, on_clip: Callable[[], None]) -> tuple[Tally, dict[str, float]]:
        """Fetch the media of one shard."""
        remove_leftovers(root_folder() / MEDIA_FOLDER)
        records = read_records(job.inputs["manifest"])
        folders = media_folders(Manifest(force=self.force))
        outcomes = download_shard(records, load("download", DownloadConfig), folders, path, on_clip)
        return Tally.of(outcomes), {}
