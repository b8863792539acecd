"""Scores, labels and an embedding for every clip."""

from __future__ import annotations

import functools
import json
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from features.errors import SettingError, SourceError
from features.files import published, sha256_of, sha256_of_json
from features.outcomes import Outcome, Tally
from models.recipes import recipe_difference
from tasks.configs import PredictConfig
from tasks.dataset import extract_stages
from tasks.ledger import FileReceipt
from tasks.settings import load, significant
from tasks.sharded import ShardedStage
from tasks.stage import exit_on_own_errors
from tasks.train import CALIBRATION_NAME, CHECKPOINT_NAMES, train_stages

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from features.dataset import ShardedClips
    from tasks.engine import ShardJob
    from tasks.progress import Progress
    from tasks.sharded import ShardBuilder
    from tasks.stage import Stage

PREDICTIONS_NAME = "predictions.jsonl"


class Predict(ShardedStage):
    """Prediction shards, ``shard-00000.h5``, and ``predictions.jsonl`` with the best labels of every clip."""

    stage_version: ClassVar[int] = 3
    suffix: ClassVar[str] = ".h5"

    def settings(self) -> Mapping[str, object]:
        """Return how many labels are listed, and the checkpoint where it is a given one."""
        given = {"checkpoint_digest": self.checkpoint_digest()} if self.is_given() else {}
        return {**significant("predict"), **given}

    def is_given(self) -> bool:
        """Return whether the checkpoint is one that a setting names."""
        return bool(load("predict", PredictConfig).checkpoint)

    def checkpoints(self) -> tuple[Path, ...]:
        """Return the folders of the checkpoints whose predictions are averaged; without an ensemble it is one."""
        if self.is_given():
            return (Path(load("predict", PredictConfig).checkpoint).expanduser().absolute(),)
        return tuple(stage.folder for stage in train_stages(self.force).values())

    def checkpoint_digest(self) -> str:
        """Return the digest of what the checkpoints score by.

        Raises:
            SourceError: A file is not there.
        """
        return sha256_of_json([_digests(folder) for folder in self.checkpoints()])

    def deps(self) -> Any:  # noqa: ANN401 - as in Luigi
        """Return the required tasks, after a look whether a given checkpoint goes with the features to come."""
        if self.is_given():
            with exit_on_own_errors():
                self._check_recipes()
        return super().deps()

    def _check_recipes(self) -> None:
        """Compare what the checkpoint was trained on with what the settings would extract, before anything runs.

        Raises:
            SettingError: They differ, or a modality is left out.
        """
        path = self.checkpoints()[0] / CHECKPOINT_NAMES[0]
        stages = {stage.modality: stage for stage in extract_stages(self.force).values()}
        for name, trained in _trained_recipes(path).items():
            if name not in stages:
                raise SettingError(f"the network in {path.parent} needs {name}, which [features] modalities leaves out")
            # Which weights a model has is known once it is loaded; the checkpoint is asked again then.
            told = {key: value for key, value in trained.items() if key != "weights_sha256"}
            given = stages[name].recipe()
            if told != given:
                difference = recipe_difference(json.dumps(told), json.dumps(given))
                raise SettingError(
                    f"the network in {path.parent} was trained on {name} features that were made otherwise:"
                    f" {difference}; use those settings, or train again"
                )

    def inputs(self) -> Mapping[str, Stage]:
        """Return the embeddings, and the trainings unless a checkpoint is given."""
        return {**({} if self.is_given() else train_stages(self.force)), **extract_stages(self.force)}

    def shard_inputs(self) -> Mapping[str, tuple[Stage, str]]:
        """Return the embedding shards of every modality."""
        return {stage.modality: (stage, stage.suffix) for stage in extract_stages(self.force).values()}

    def key_settings(self) -> Mapping[str, object]:
        """Return the checkpoint by its content; ``top_k`` is not in the shards."""
        return {"checkpoint": self.checkpoint_digest()}

    @contextmanager
    def shard_builder(self, progress: Progress) -> Iterator[ShardBuilder]:
        """Yield what scores the clips of one shard."""
        yield functools.partial(self._score, on_batch=progress.advance)

    def _score(self, job: ShardJob, path: Path, on_batch: Callable[[int], None]) -> tuple[Tally, dict[str, float]]:
        from features.dataset import ShardedClips  # noqa: PLC0415 - loads HDF5
        from features.prediction_shards import PredictionShard, write_predictions  # noqa: PLC0415 - loads HDF5
        from models.checkpoints import load as load_checkpoint  # noqa: PLC0415 - loads torch
        from models.labelling import every_position  # noqa: PLC0415 - loads torch
        from models.prediction import predict_ensemble  # noqa: PLC0415 - loads torch

        clips = ShardedClips({name: [file] for name, file in job.inputs.items()})
        found = predict_ensemble(
            self.checkpoints(),
            clips,
            every_position(clips),
            feature_recipes=clips.recipes(),
            batch_size=load("predict", PredictConfig).batch_size,
            on_batch=on_batch,
        )
        info = load_checkpoint(self.checkpoints()[0]).info
        shard = PredictionShard(
            clips.clip_ids,
            info.category_names,
            info.tag_names,
            found.category_scores,
            found.tag_scores,
            found.embedding,
        )
        write_predictions(path, shard, {"stage": self.stage_name, "key": job.key})
        return Tally.of(_outcome(clips, position) for position in range(len(clips))), {}

    def build(self) -> tuple[Sequence[FileReceipt], int, Mapping[str, object]]:
        """Score what is missing, then list the best labels of all clips."""
        receipts, built, facts = super().build()
        path = self.folder / PREDICTIONS_NAME
        with published(path) as temporary:
            rows = _list_labels([self.folder / item.name for item in receipts], temporary)
        built += 1 if built else 0
        return [*receipts, FileReceipt.of(self.folder, PREDICTIONS_NAME, rows)], built, facts


def _digests(folder: Path) -> list[str]:
    calibration = [CALIBRATION_NAME] if (folder / CALIBRATION_NAME).exists() else []
    try:
        return [sha256_of(folder / name) for name in (*CHECKPOINT_NAMES, *calibration)]
    except OSError as error:
        raise SourceError(f"no checkpoint in {folder} ({error.strerror}): correct [predict] checkpoint") from error


def _trained_recipes(path: Path) -> dict[str, dict[str, object]]:
    """Return modality -> recipe of the features a checkpoint was trained on; nothing where it does not tell."""
    try:
        description = json.loads(path.read_bytes())
        recipes = {name: json.loads(description["feature_recipes"][name]) for name, _ in description["modality_dims"]}
    except (OSError, ValueError, KeyError, TypeError):
        # What is wrong with it is told when it is loaded.
        return {}
    return {name: recipe for name, recipe in recipes.items() if isinstance(recipe, dict)}


def _outcome(clips: ShardedClips, position: int) -> Outcome:
    clip_id = clips.clip_ids[position]
    if clips.has_features(position):
        return Outcome(clip_id, "ok")
    return Outcome(
        clip_id, "partial", "no_features", "no modality gave anything: the scores are those of any such clip"
    )


def _list_labels(shards: Sequence[Path], path: Path) -> int:
    from features.prediction_shards import read_predictions  # noqa: PLC0415 - loads HDF5
    from models.ranking import top_labels  # noqa: PLC0415 - loads torch

    best = functools.partial(top_labels, limit=load("predict", PredictConfig).top_k)
    rows = 0
    with path.open("w", encoding="utf-8") as stream:
        for shard in map(read_predictions, shards):
            for row, clip_id in enumerate(shard.clip_ids):
                line = {
                    "clip_id": clip_id,
                    "categories": best(shard.category_scores[row], shard.categories),
                    "tags": best(shard.tag_scores[row], shard.tags),
                }
                stream.write(json.dumps(line, ensure_ascii=False) + "\n")
                rows += 1
    return rows
