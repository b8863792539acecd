"""What Train, Predict and Evaluate share: clips over embedding shards, their labels and splits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from features.manifests.corpus import read_records, read_splits
from tasks.config.run import settings
from tasks.stages.extract import Extract
from tasks.training.training_job import labels_of

if TYPE_CHECKING:
    from pathlib import Path

    from features.formats.records import ClipRecord
    from features.formats.sharded_clips import ShardedClips
    from models.data.labels import Labels
    from tasks.stages.manifest import Manifest
    from tasks.stages.recognize import Recognize


def extract_stages() -> dict[str, Extract]:
    """Return the Extract stage of every modality that is used, by the name of its folder."""
    stages = [Extract(modality=name) for name in settings().features.names()]
    return {stage.stage_name: stage for stage in stages}


def recognize_stages() -> dict[str, Recognize]:
    """Return the stages that read text from the media for the modalities that are used, by their folder's name."""
    found = {}
    for extract in extract_stages().values():
        for stage in extract.recognized().values():
            found[stage.stage_name] = stage
    return found


def shard_paths() -> dict[str, tuple[Path, ...]]:
    """Return modality -> its published embedding shards in order, of every modality that is used."""
    return {stage.modality: stage.shard_paths() for stage in extract_stages().values()}


def open_clips() -> ShardedClips:
    """Return all clips of the corpus with the features of every modality that is used."""
    from features.formats.sharded_clips import ShardedClips  # noqa: PLC0415 - loads HDF5

    return ShardedClips(shard_paths())


@dataclass(frozen=True)
class LabelledCorpus:
    """The corpus as training and evaluation see it, everything in the order of the records."""

    records: list[ClipRecord]
    splits: list[str]
    labels: Labels


def read_labelled_corpus(manifest: Manifest) -> LabelledCorpus:
    """Return the records of a published corpus with labels and splits."""
    records = [record for path in manifest.shard_paths() for record in read_records(path)]
    splits = read_splits(manifest.folder)
    labels = labels_of(records, manifest.folder)
    return LabelledCorpus(records, [splits[record.clip_id] for record in records], labels)
