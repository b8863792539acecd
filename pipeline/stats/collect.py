"""Collects the statistics of the configured run from its published files."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from features.base.errors import SourceError
from features.manifests.categories import other_name
from features.manifests.corpus import read_labels
from features.statistics.columns import Columns, read_columns
from features.statistics.cost import DownloadCost, download_cost
from features.statistics.counts import CorpusStatistics, corpus_statistics
from features.statistics.disk import FolderUsage, disk_usage
from features.statistics.media import DecodedDurations, decoded_durations, read_media
from features.statistics.pairs import CoOccurrence, co_occurrence
from pipeline.workflow import chain
from tasks.config.run import settings
from tasks.core.receipts import read_receipt, total
from tasks.core.sharded import ShardedStage
from tasks.core.stage import root_folder
from tasks.stages.decode import Decode
from tasks.stages.download import Download
from tasks.stages.manifest import Manifest
from tasks.stages.predict import Predict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from tasks.core.receipts import FileReceipt, Success

NUM_PAIRS = 30
MATRIX_SIZE = 31


@dataclass(frozen=True)
class StageOutcomes:
    """The outcomes of the clips in the published shards of one stage of this run.

    Attributes:
        stage: Name of the stage.
        shards: Published shards.
        of_shards: Shards of the corpus.
        counts: Clips by status.
        codes: Clips by code.
    """

    stage: str
    shards: int
    of_shards: int
    counts: Mapping[str, int]
    codes: Mapping[str, int]


@dataclass(frozen=True)
class Stats:
    """The output of ``python -m pipeline stats``.

    Attributes:
        root: Root folder of the run.
        manifest: The file that the corpus was read from.
        fingerprint: Of the Manifest stage.
        rows: Lines of the manifest that are not blank.
        merged: Rows merged into the record of an earlier row with the same id.
        rejected: Rows and labels left out, by code.
        corpus: The records in numbers.
        labels_left_out: Categories and tags with too few clips for the label space.
        other_names: Category -> its name in the other language, where it is known.
        together: Co-occurrence of labels.
        outcomes: Download, Decode and Extract.
        files_found: Clips whose file Download has stored, by kind of media; empty before it ran.
        decoded: Durations that Decode read, None before it ran.
        cost: Size and time of the remaining download.
        disk: Disk space of each folder below the root.
    """

    root: str
    manifest: str
    fingerprint: str
    rows: int
    merged: int
    rejected: Mapping[str, int]
    corpus: CorpusStatistics
    labels_left_out: Mapping[str, tuple[str, ...]]
    other_names: Mapping[str, str]
    together: CoOccurrence
    outcomes: tuple[StageOutcomes, ...]
    files_found: Mapping[str, int]
    decoded: DecodedDurations | None
    cost: DownloadCost
    disk: tuple[FolderUsage, ...]

    def to_json(self) -> dict[str, Any]:
        """Return everything as plain JSON values."""
        return asdict(self)


@dataclass(frozen=True)
class PublishedCorpus:
    """The Manifest stage of the configured run, complete, and its records as arrays."""

    stage: Manifest
    success: Success
    columns: Columns

    def shards(self) -> list[FileReceipt]:
        """Return the receipts of the record shards, in order."""
        return self.success.shards(self.stage.suffix)


def read_corpus() -> PublishedCorpus:
    """Return the corpus of the configured run.

    Raises:
        SourceError: There is no manifest, or the Manifest stage is not complete.
    """
    stage = Manifest()
    success = stage.success()
    if success is None or not success.is_whole(stage.folder):
        raise SourceError(f"{stage.folder} is not complete: run `luigi --module pipeline Manifest` first")
    return PublishedCorpus(stage, success, read_columns(stage.folder, success.file_names(".jsonl")))


def read_stats(corpus: PublishedCorpus) -> Stats:
    """Return the statistics of a corpus and of its run so far. Takes no lock and writes nothing.

    Raises:
        ShardError: A published file is damaged.
    """
    columns, facts, shards = corpus.columns, corpus.success.facts, corpus.shards()
    described = corpus_statistics(columns)
    media = read_media([(downloaded_shard(shard), shard.rows) for shard in shards])
    return Stats(
        root=str(root_folder()),
        manifest=str(corpus.stage.source()),
        fingerprint=corpus.stage.fingerprint,
        rows=facts["rows"],
        merged=facts["merged"],
        rejected=facts["rejected"],
        corpus=described,
        labels_left_out=_left_out(corpus.stage.folder, described),
        other_names={name: other for name in columns.category_names if (other := other_name(name))},
        together=co_occurrence(columns, num_pairs=NUM_PAIRS, matrix_size=MATRIX_SIZE),
        outcomes=_outcomes(shards),
        files_found=media.found() if media.tried.any() else {},
        decoded=decoded_durations([path for shard in shards if (path := decoded_shard(shard)) is not None]),
        cost=download_cost(columns, media, settings().download.requests_per_second_per_host),
        disk=disk_usage(root_folder()),
    )


def downloaded_shard(shard: FileReceipt) -> Path | None:
    """Return the rows that Download has published for a record shard, ``None`` where there are none."""
    return _published(Download(), shard)


def decoded_shard(shard: FileReceipt) -> Path | None:
    """Return the decoded clips of a record shard, ``None`` where they are not published."""
    return _published(Decode(), shard)


def _published(stage: ShardedStage, shard: FileReceipt) -> Path | None:
    path = stage.folder / f"{shard.name.partition('.')[0]}{stage.suffix}"
    receipt = read_receipt(stage.folder, path.name)
    return path if receipt is not None and receipt.name == path.name and receipt.matches(stage.folder) else None


def _left_out(folder: Path, described: CorpusStatistics) -> dict[str, tuple[str, ...]]:
    space = read_labels(folder)
    known = {"categories": set(space.categories), "tags": set(space.tags)}
    counted = {"categories": described.categories, "tags": described.tags}
    return {kind: tuple(row.name for row in rows if row.name not in known[kind]) for kind, rows in counted.items()}


def _outcomes(shards: Sequence[FileReceipt]) -> tuple[StageOutcomes, ...]:
    """Return one row for each sharded stage but Predict."""
    rows = []
    for stage in chain():
        if not isinstance(stage, ShardedStage) or isinstance(stage, Predict):
            continue
        try:
            folder = stage.folder
        except SourceError:
            # A model folder is missing: the stage has no fingerprint yet.
            rows.append(StageOutcomes(stage.stage_name, 0, len(shards), {}, {}))
            continue
        found = [read_receipt(folder, shard.name) for shard in shards]
        receipts = [receipt for receipt in found if receipt is not None]
        counts = {name: int(count) for name, count in total(receipts, "counts").items()}
        codes = {name: int(count) for name, count in total(receipts, "codes").items()}
        ordered = dict(sorted(codes.items(), key=lambda item: (-item[1], item[0])))
        rows.append(StageOutcomes(stage.stage_name, len(receipts), len(shards), counts, ordered))
    return tuple(rows)
