"""Scores, labels and an embedding for every clip."""

from __future__ import annotations

import functools
import json
import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from features.base.errors import SettingError, SourceError
from features.base.files import published, sha256_of, sha256_of_json
from features.base.machine import resolve_device
from features.base.outcomes import Outcome, Tally
from features.base.settings import identity_values
from models.config.artifacts import CALIBRATION_NAME, CHECKPOINT_NAMES, recipe_difference
from tasks.config.run import settings
from tasks.core.receipts import FileReceipt
from tasks.core.sharded import ShardedStage
from tasks.core.stage import exit_on_error
from tasks.stages.dataset import extract_stages, open_clips
from tasks.stages.train import train_stages

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from features.formats.prediction_shard import PredictionShard
    from features.formats.sharded_clips import ShardedClips
    from models.data.labels import Indices
    from models.prediction.predict import Float32, Predictor
    from tasks.core.console import Progress
    from tasks.core.sharded import ShardBuilder, ShardJob
    from tasks.core.stage import Stage

PREDICTIONS_NAME = "predictions.jsonl"


class Predict(ShardedStage):
    """Prediction shards, ``shard-00000.h5``, and ``predictions.jsonl``: best labels and given tags of every clip.

    Where a network is calibrated, ``uncalibrated-00000.npz`` beside each shard has the category scores before that,
    for the calibration error in ``metrics.json``. These files are not part of the stage's digest: a stage that was
    published by a version without them stays complete, and so do the stages below it.
    """

    stage_version: ClassVar[int] = 4
    suffix: ClassVar[str] = ".h5"

    def identity_settings(self) -> Mapping[str, object]:
        """Return how many labels are listed, and the checkpoint where it is a given one."""
        given = {"checkpoint_digest": self.checkpoint_digest()} if self.is_given() else {}
        return {**identity_values(settings().predict), **given}

    def is_given(self) -> bool:
        """Return whether the checkpoint is one that a setting names."""
        return bool(settings().predict.checkpoint)

    def checkpoints(self) -> tuple[Path, ...]:
        """Return the folders of the checkpoints whose predictions are averaged; without an ensemble it is one."""
        if self.is_given():
            return (Path(settings().predict.checkpoint).expanduser().absolute(),)
        return tuple(stage.folder for stage in train_stages().values())

    def checkpoint_digest(self) -> str:
        """Return the digest of what the checkpoints score by.

        Raises:
            SourceError: A file is not there.
        """
        return sha256_of_json([_digests(folder) for folder in self.checkpoints()])

    def deps(self) -> Any:  # noqa: ANN401 - as in Luigi
        """Return the required tasks, after a look whether a given checkpoint goes with the features to come."""
        if self.is_given():
            with exit_on_error():
                self._check_recipes()
        return super().deps()

    def _check_recipes(self) -> None:
        """Compare what the checkpoint was trained on with what the settings would extract, before anything runs.

        Raises:
            SettingError: They differ, or a modality is left out.
        """
        path = self.checkpoints()[0] / CHECKPOINT_NAMES[0]
        stages = {stage.modality: stage for stage in extract_stages().values()}
        for name, trained in _trained_recipes(path).items():
            if name not in stages:
                raise SettingError(f"the network in {path.parent} needs {name}, which [features] modalities leaves out")
            # The digest of a model's weights is computed when it is loaded; the recipes are compared again then.
            expected = {key: value for key, value in trained.items() if key != "weights_sha256"}
            given = stages[name].recipe()
            if expected != given:
                difference = recipe_difference(json.dumps(expected), json.dumps(given))
                raise SettingError(
                    f"the network in {path.parent} was trained on {name} features that were made otherwise:"
                    f" {difference}; use those settings, or train again"
                )

    def inputs(self) -> Mapping[str, Stage]:
        """Return the embeddings, and the trainings unless a checkpoint is given."""
        return {**({} if self.is_given() else train_stages()), **extract_stages()}

    def shard_inputs(self) -> Mapping[str, Stage]:
        """Return the stages with the embedding shards, by modality."""
        return {stage.modality: stage for stage in extract_stages().values()}

    def key_settings(self) -> Mapping[str, object]:
        """Return the checkpoint by its content; ``top_k`` is not in the shards."""
        return {"checkpoint": self.checkpoint_digest()}

    @contextmanager
    def shard_builder(self, progress: Progress) -> Iterator[ShardBuilder]:
        """Yield what scores the clips of one shard by networks that are loaded once."""
        yield functools.partial(self._score, predictor=self._predictor(), on_batch=progress.advance)

    def _predictor(self) -> Predictor:
        from models.prediction.predict import Predictor  # noqa: PLC0415 - loads torch

        clips = open_clips()
        device = str(resolve_device(settings().predict.device))
        return Predictor.load(self.checkpoints(), clips.modality_dims, clips.recipes(), device=device)

    def is_calibrated(self) -> bool:
        """Return whether a network has a calibration; its checkpoint must be published."""
        return any((folder / CALIBRATION_NAME).exists() for folder in self.checkpoints())

    def uncalibrated_scores(self, clips: ShardedClips, positions: Indices) -> Float32 | None:
        """Return the category scores of the clips at ``positions`` before calibration; None without a calibration."""
        from features.formats.prediction_shard import read_uncalibrated  # noqa: PLC0415 - loads HDF5

        if not self.is_calibrated():
            return None
        shards = self.published_success().shards(self.suffix)
        kept = read_uncalibrated({self.folder / _companion(shard.name): shard.key for shard in shards})
        if kept is not None:
            return kept[positions]
        # The stage was published by an earlier version, which did not keep them.
        batch_size = settings().predict.batch_size
        return self._predictor().predict(clips, positions, batch_size=batch_size).uncalibrated_category_scores

    def _score(
        self, job: ShardJob, path: Path, *, predictor: Predictor, on_batch: Callable[[int], None]
    ) -> tuple[Tally, dict[str, float]]:
        from features.formats import prediction_shard as formats  # noqa: PLC0415 - loads HDF5
        from features.formats.sharded_clips import ShardedClips  # noqa: PLC0415 - loads HDF5
        from models.data.labels import every_position  # noqa: PLC0415 - loads numpy

        clips = ShardedClips({name: [file] for name, file in job.inputs.items()})
        batch_size = settings().predict.batch_size
        found = predictor.predict(clips, every_position(clips), batch_size=batch_size, on_batch=on_batch)
        if self.is_calibrated():
            with published(self.folder / _companion(job.name)) as companion:
                formats.write_uncalibrated(companion, found.uncalibrated_category_scores, job.key)
        shard = formats.PredictionShard(
            clips.clip_ids,
            predictor.info.category_names,
            predictor.info.tag_names,
            found.category_scores,
            found.tag_scores,
            found.embedding,
        )
        formats.write_predictions(path, shard, {"stage": self.stage_name, "key": job.key})
        return Tally.of(_outcome(clips, position) for position in range(len(clips))), {}

    def build(self) -> tuple[Sequence[FileReceipt], int, Mapping[str, object]]:
        """Score what is missing, then list the best labels of all clips."""
        receipts, built, facts = super().build()
        companions = [
            FileReceipt.of(self.folder, _companion(item.name), item.rows, is_record=True)
            for item in (receipts if self.is_calibrated() else ())
        ]
        if companions:
            built *= 2
        path = self.folder / PREDICTIONS_NAME
        with published(path) as temporary:
            rows = _list_labels([self.folder / item.name for item in receipts], self.checkpoints(), temporary)
        built += 1 if built else 0
        return [*receipts, FileReceipt.of(self.folder, PREDICTIONS_NAME, rows), *companions], built, facts

    def _kept(self, jobs: Sequence[ShardJob]) -> dict[str, FileReceipt]:
        """Return the receipts of the shards that are not built again: without its companion a shard is."""
        from features.formats.prediction_shard import read_uncalibrated  # noqa: PLC0415 - loads HDF5

        kept = super()._kept(jobs)
        if not self.is_calibrated():
            return kept
        return {
            name: receipt
            for name, receipt in kept.items()
            if read_uncalibrated({self.folder / _companion(name): receipt.key}) is not None
        }

    def _link(self, source: Path, receipt: FileReceipt) -> FileReceipt:
        """Link a shard from another fingerprint's folder, after its companion if there is one."""
        companion = source.with_name(_companion(source.name))
        if companion.exists():
            with published(self.folder / _companion(receipt.name)) as temporary:
                os.link(companion, temporary)
        return super()._link(source, receipt)


def _companion(shard: str) -> str:
    """Return the name of the file with the scores before calibration: ``uncalibrated-00000.npz``."""
    return f"uncalibrated-{shard.removeprefix('shard-').partition('.')[0]}.npz"


def _digests(folder: Path) -> list[str]:
    calibration = [CALIBRATION_NAME] if (folder / CALIBRATION_NAME).exists() else []
    try:
        return [sha256_of(folder / name) for name in (*CHECKPOINT_NAMES, *calibration)]
    except OSError as error:
        name = Path(error.filename).name
        raise SourceError(
            f"no checkpoint in {folder} ({name}: {error.strerror}): let [predict] checkpoint name a folder that holds"
            " one, such as runs/train/latest"
        ) from error


def _trained_recipes(path: Path) -> dict[str, dict[str, object]]:
    """Return modality -> recipe of the features a checkpoint was trained on; empty where it records none."""
    try:
        description = json.loads(path.read_bytes())
        recipes = {name: json.loads(description["feature_recipes"][name]) for name, _ in description["modality_dims"]}
    except (OSError, ValueError, KeyError, TypeError):
        # Loading it reports the error.
        return {}
    return {name: recipe for name, recipe in recipes.items() if isinstance(recipe, dict)}


def _outcome(clips: ShardedClips, position: int) -> Outcome:
    clip_id = clips.clip_ids[position]
    if clips.has_features(position):
        return Outcome(clip_id, "ok")
    return Outcome(
        clip_id, "partial", "no_features", "no modality gave anything: the scores are those of any such clip"
    )


def _list_labels(shards: Sequence[Path], checkpoints: Sequence[Path], path: Path) -> int:
    from features.formats.prediction_shard import read_predictions  # noqa: PLC0415 - loads HDF5

    rows = 0
    with path.open("w", encoding="utf-8") as stream:
        for shard in (read_predictions(name, with_embedding=False) for name in shards):
            for line in _lines(shard, checkpoints):
                stream.write(json.dumps(line, ensure_ascii=False) + "\n")
                rows += 1
    return rows


def _lines(shard: PredictionShard, checkpoints: Sequence[Path]) -> Iterator[dict[str, object]]:
    """Yield the best labels of each clip, and all the tags that it is given."""
    from models.calibration.schema import mean_thresholds, read_or_default  # noqa: PLC0415 - loads numpy
    from models.prediction.predict import predicted_tags, top_labels  # noqa: PLC0415 - loads torch

    best = functools.partial(top_labels, limit=settings().predict.top_k)
    sizes = len(shard.categories), len(shard.tags)
    thresholds = mean_thresholds([read_or_default(folder, *sizes) for folder in checkpoints])
    for row, clip_id in enumerate(shard.clip_ids):
        yield {
            "clip_id": clip_id,
            "categories": best(shard.category_scores[row], shard.categories),
            "tags": best(shard.tag_scores[row], shard.tags),
            "given_tags": predicted_tags(shard.tag_scores[row], thresholds, shard.tags),
        }
