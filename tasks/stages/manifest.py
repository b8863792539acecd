"""The start of the chain: the embedded sample corpus, the user's manifest, and the normalised corpus."""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import luigi

from features.base.errors import SourceError
from features.base.files import remove_leftovers
from features.base.parallel import num_cpus
from features.base.settings import identity_values
from features.decoding.ffmpeg import find_ffmpeg
from features.manifests.corpus import build_corpus
from features.manifests.source import check_manifest, manifest_digest, manifest_folder
from features.sample.config import MANIFEST_NAME
from tasks.config.run import settings
from tasks.core.console import Progress, say
from tasks.core.receipts import FileReceipt
from tasks.core.stage import Stage

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from features.manifests.config import CorpusConfig


class SampleCorpus(Stage):
    """The embedded corpus of short clips, rendered by ffmpeg, with its manifest."""

    def identity_settings(self) -> Mapping[str, object]:
        """Return the settings of the rendering."""
        return identity_values(settings().sample)

    @property
    def stage_name(self) -> str:
        """Name of the stage's folder."""
        return "sample"

    def build(self) -> tuple[Sequence[FileReceipt], int, Mapping[str, object]]:
        """Render what the manifest then lists."""
        from features.sample.render import render_corpus  # noqa: PLC0415 - loads numpy and PIL

        config = settings().sample
        ffmpeg = find_ffmpeg(settings().decode.ffmpeg)
        remove_leftovers(self.folder / "media")
        with Progress(self.stage_name, config.num_clips, self.folder) as progress:
            rows = render_corpus(config, self.folder, ffmpeg=ffmpeg, workers=num_cpus(), on_clip=progress.advance)
        media = sorted(path.relative_to(self.folder).as_posix() for path in self.folder.glob("media/[!.]*"))
        receipts = [FileReceipt.of(self.folder, name, 1) for name in (MANIFEST_NAME, *media)]
        return receipts, len(receipts), {"clips": rows}


class ManifestFile(luigi.ExternalTask):
    """The user's manifest, which no task makes."""

    path: str = luigi.Parameter()

    def output(self) -> luigi.LocalTarget:
        """Return the manifest."""
        return luigi.LocalTarget(self.path)

    def complete(self) -> bool:
        """Return whether the manifest exists; print the error in one line if not."""
        try:
            check_manifest(Path(self.path), settings().corpus)
        except SourceError as error:
            say(f"error: {error}")
            return False
        return True


class Manifest(Stage):
    """The normalised corpus: record shards, label space, splits, and the rows that were rejected and why."""

    stage_version: ClassVar[int] = 2
    suffix: ClassVar[str] = ".jsonl"

    def identity_settings(self) -> Mapping[str, object]:
        """Return how the manifest is read, and the digest of its content."""
        return {**identity_values(settings().corpus), **identity_values(settings().manifest)}

    def identity(self) -> dict[str, object]:
        """Return the settings, and the digest of the user's manifest in place of its path."""
        identity = super().identity()
        if self.uses_sample():
            return identity
        path, config = self.source(), settings().corpus
        check_manifest(path, config)
        stat = path.stat()
        return {**identity, "manifest_sha256": _digest(path, config, stat.st_mtime_ns, stat.st_size)}

    def uses_sample(self) -> bool:
        """Return whether the corpus is the embedded one."""
        return not settings().corpus.manifest

    def inputs(self) -> Mapping[str, Stage]:
        """Return the embedded corpus where it is the one."""
        return {"sample": SampleCorpus()} if self.uses_sample() else {}

    def requires(self) -> list[luigi.Task]:
        """Return what makes the manifest."""
        return [*self.inputs().values()] if self.uses_sample() else [ManifestFile(path=str(self.source()))]

    def source(self) -> Path:
        """Return the manifest file."""
        if self.uses_sample():
            return SampleCorpus().folder / MANIFEST_NAME
        return Path(os.path.abspath(Path(settings().corpus.manifest).expanduser()))  # noqa: PTH100 - resolve() would follow links

    def media_folder(self) -> Path:
        """Return where the paths in the manifest start."""
        return manifest_folder(self.source(), settings().corpus)

    def build(self) -> tuple[Sequence[FileReceipt], int, Mapping[str, object]]:
        """Read the manifest and publish the corpus."""
        corpus, config = settings().corpus, settings().manifest
        summary = build_corpus(self.source(), corpus, config, self.folder)
        if not self.uses_sample() and manifest_digest(self.source(), corpus) != self.identity()["manifest_sha256"]:
            raise SourceError(f"{self.source()} was changed while it was read: run the same command again")
        receipts = [FileReceipt.of(self.folder, name, rows) for name, rows in summary.files.items()]
        facts = {
            "rows": summary.num_rows,
            "clips": summary.num_clips,
            "merged": summary.num_merged,
            "rejected": summary.rejected,
            "splits": summary.clips_per_split,
        }
        return receipts, len(receipts), facts


@functools.cache
def _digest(path: Path, config: CorpusConfig, mtime_ns: int, size: int) -> str:  # noqa: ARG001 - they make the cache forget
    return manifest_digest(path, config)
