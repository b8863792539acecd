"""Media files of every clip, fetched or found, and an outcome for each."""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, ClassVar

from features.base.files import sha256_of
from features.base.outcomes import Tally, is_transient
from features.base.parallel import WorkerPool
from features.base.settings import identity_values
from features.downloads.download import Downloader, download_shard
from features.downloads.download_rows import FROM_MANIFEST, FROM_STORE, read_downloaded
from features.downloads.local_files import Changes, find_changes, mark_unknown, read_stamps, write_stamps
from features.manifests.corpus import read_records
from tasks.config.run import current_run, settings
from tasks.core.console import say
from tasks.core.receipts import read_receipt
from tasks.core.sharded import ShardedStage
from tasks.core.stage import Stage, published_at, root_folder
from tasks.stages.manifest import Manifest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from features.downloads.local_files import Stamp
    from tasks.core.console import Progress
    from tasks.core.receipts import FileReceipt
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
                stamps = self._stamps(job.name) or {}
                outcomes = download_shard(records, downloader, path, pool, progress.advance, job.previous, stamps)
                write_stamps(self.folder, job.name, sha256_of(path), stamps)
                return Tally.of(outcomes), {}

            yield build

    @property
    def inputs_changed(self) -> bool:
        """Whether local files have changed since Download read them."""
        return any(changes.changed for changes in self._changes().values())

    def mark_for_retry(self) -> dict[str, int]:
        """Mark the shards with transient failures; failures of local files that have changed count as such, too."""
        changed = self._changes()
        codes = Counter(super().mark_for_retry())
        for name, changes in changed.items():
            rows = {row.outcome.clip_id: row for row in read_downloaded(self.folder / name)} if changes.changed else {}
            records = read_records(self._manifest_shard(name)) if rows else ()
            for record in records:
                if changes.changed & {record.video, record.cover}:
                    codes.update(code for code in rows[record.clip_id].codes() if not is_transient(code))
        return dict(codes)

    def read_again(self, shard: str, path: str) -> None:
        """Let the next run read a local file again, though its size and time may be the same."""
        receipt = read_receipt(self.folder, shard)
        if receipt is not None:
            stamps = read_stamps(self.folder, shard, receipt.sha256) or {}
            stamps = mark_unknown(stamps, Manifest().media_folder(), path)
            write_stamps(self.folder, shard, receipt.sha256, stamps)

    def _is_complete(self, answers: dict[Stage, bool]) -> bool:
        return super()._is_complete(answers) and not self.inputs_changed

    def _kept(self, jobs: Sequence[ShardJob]) -> dict[str, FileReceipt]:
        kept = super()._kept(jobs)
        folder = Manifest().media_folder()
        return {name: item for name, item in kept.items() if not self._changes_of(item, folder).changed}

    def _link(self, source: Path, receipt: FileReceipt) -> FileReceipt:
        stamps = read_stamps(source.parent, source.name, receipt.sha256)
        write_stamps(self.folder, receipt.name, receipt.sha256, stamps or {})
        return super()._link(source, receipt)

    def _changes(self) -> dict[str, Changes]:
        """Return the local files that have changed or gone, by shard; looked at once a run, and said.

        There are none where this run has built Download: it has read them.
        """
        run = current_run()
        key = ("local_files", self)
        if key not in run.memo:
            found, folder = self.success(), Manifest().media_folder()
            changes = {item.name: self._changes_of(item, folder) for item in found.shards(self.suffix)} if found else {}
            run.memo[key] = {name: item for name, item in changes.items() if item.changed or item.gone}
            _say_changes(run.memo[key].values())
        is_built_now = self.success() is not None and published_at(self.folder) >= run.started_at
        changed: dict[str, Changes] = {} if is_built_now else run.memo[key]
        return changed

    def _changes_of(self, receipt: FileReceipt, folder: Path) -> Changes:
        stamps = read_stamps(self.folder, receipt.name, receipt.sha256)
        return find_changes(stamps, folder) if stamps else Changes()

    def _stamps(self, name: str) -> dict[str, Stamp] | None:
        receipt = read_receipt(self.folder, name)
        return None if receipt is None else read_stamps(self.folder, name, receipt.sha256)

    def _manifest_shard(self, name: str) -> Path:
        return next(job.inputs["manifest"] for job in self.jobs() if job.name == name)


def _say_changes(changes: Iterable[Changes]) -> None:
    """Say which local files have changed or gone."""
    found = list(changes)
    _say_files({path for item in found for path in item.changed}, "changed", "they are read again")
    _say_files({path for item in found for path in item.gone}, "gone", "what was made of them is kept")


def _say_files(paths: set[str], what: str, consequence: str) -> None:
    if paths:
        more = f" and {len(paths) - 1:,} more" if len(paths) > 1 else ""
        say(f"local files have {what} since Download read them: {min(paths)}{more}; {consequence}")
