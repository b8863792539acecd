"""Scores of the network on held-out clips, over all folds, with their intervals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from features.base.files import publish_json, published
from features.base.machine import resolve_device
from features.splits.stratified_split import NO_FOLD
from models.ablation.runs import HELD_OUT_FOLDS
from models.metrics import METRICS
from models.metrics.metric import HEAD_NAMES
from models.rendering.terminal_table import render_table
from tasks.config.run import settings
from tasks.core.console import Progress, say
from tasks.core.receipts import FileReceipt
from tasks.core.stage import Stage
from tasks.stages.dataset import extract_stages, open_clips, read_labelled_corpus
from tasks.stages.manifest import Manifest
from tasks.stages.train import fold_stages
from tasks.training.ensemble import corpus_folds, num_folds

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from features.formats.sharded_clips import ShardedClips
    from models.data.labels import Indices
    from models.prediction.predict import Predictions
    from tasks.stages.dataset import LabelledCorpus
    from tasks.stages.train import Train

METRICS_NAME = "metrics.json"


class CrossValidate(Stage):
    """``metrics.json`` by fold and over all folds, and ``fold-0.h5``, ... with the scores of the clips of each fold.

    A fold's network is stopped on the fold that it is scored on: the figures are those of validation clips. They are
    not calibrated, because the calibration is fitted to these clips, too. The test split is not looked at.
    """

    stage_version: ClassVar[int] = 2

    def identity_settings(self) -> Mapping[str, object]:
        """Return the number of folds; the rest is in the trainings."""
        return {"folds": num_folds()}

    def inputs(self) -> Mapping[str, Stage]:
        """Return the corpus, the embeddings, and the network of every fold."""
        return {"manifest": Manifest(), **extract_stages(), **fold_stages()}

    def build(self) -> tuple[Sequence[FileReceipt], int, Mapping[str, object]]:
        """Score each fold's clips by the network that was not trained on them."""
        from models.data.labels import positions_of  # noqa: PLC0415 - loads numpy

        corpus, clips = read_labelled_corpus(Manifest()), open_clips()
        folds = corpus_folds(corpus.records, corpus.splits)
        members = [f"fold-{fold}" for fold in folds]
        rows: list[dict[str, Any]] = []
        receipts: list[FileReceipt] = []
        with Progress(self.stage_name, len(folds) - folds.count(NO_FOLD), self.folder) as progress:
            for stage in fold_stages().values():
                held_out = positions_of(members, stage.member)
                scores = self._predict(stage, clips, held_out, progress)
                rows.append(_row(stage, corpus, scores, held_out))
                receipts.append(self._publish_scores(stage.member, corpus, scores, held_out))
        metrics = {"num_folds": len(rows), "about": HELD_OUT_FOLDS, "folds": rows, "mean": _mean(rows)}
        publish_json(self.folder / METRICS_NAME, metrics)
        receipts.insert(0, FileReceipt.of(self.folder, METRICS_NAME, len(rows)))
        say("\n".join(["", fold_table(metrics), "", HELD_OUT_FOLDS, "", f"metrics  {self.folder / METRICS_NAME}"]))
        num_scored = sum(row["num_clips"] for row in rows)
        return receipts, len(receipts), {"clips": num_scored, "mean": metrics["mean"]}

    def _predict(self, stage: Train, clips: ShardedClips, held_out: Indices, progress: Progress) -> Predictions:
        from models.prediction.predict import predict  # noqa: PLC0415 - loads torch

        config = settings().predict
        return predict(
            stage.folder,
            clips,
            held_out,
            feature_recipes=clips.recipes(),
            batch_size=config.batch_size,
            device=str(resolve_device(config.device)),
            calibrated=False,
            on_batch=progress.advance,
        )

    def _publish_scores(
        self, member: str, corpus: LabelledCorpus, scores: Predictions, held_out: Indices
    ) -> FileReceipt:
        """Publish the scores of a fold's clips: a file each, for the embeddings of two networks cannot be compared."""
        from features.formats.prediction_shard import PredictionShard, write_predictions  # noqa: PLC0415 - loads HDF5

        shard = PredictionShard(
            tuple(corpus.records[position].clip_id for position in held_out),
            corpus.labels.category_names,
            corpus.labels.tag_names,
            scores.category_scores,
            scores.tag_scores,
            scores.embedding,
        )
        with published(self.folder / f"{member}.h5") as temporary:
            write_predictions(temporary, shard, {"stage": self.stage_name, "key": self.fingerprint})
        return FileReceipt.of(self.folder, f"{member}.h5", len(held_out))


def _row(stage: Train, corpus: LabelledCorpus, scores: Predictions, held_out: Indices) -> dict[str, Any]:
    from models.evaluation.evaluate import evaluate  # noqa: PLC0415 - loads numpy and scikit-learn

    evaluation = evaluate(scores, corpus.labels, held_out)
    return {
        "member": stage.member,
        "num_clips": len(held_out),
        "category": evaluation["category"],
        "tags": evaluation["tags"],
        "num_evaluated": evaluation["num_evaluated"],
    }


def _mean(rows: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return head -> metric -> mean over the folds with its 95 % interval, over the folds that have the head."""
    from models.ablation.significance import estimate  # noqa: PLC0415 - loads numpy

    result: dict[str, dict[str, Any]] = {}
    for head in HEAD_NAMES:
        blocks = [row[head] for row in rows if row[head] is not None]
        for name in blocks[0] if blocks else ():
            found = estimate([block[name] for block in blocks])
            result.setdefault(head, {})[name] = {
                "mean": found.mean, "low": found.low, "high": found.high, "num_folds": found.num_seeds
            }  # fmt: skip
    return result


def fold_table(metrics: Mapping[str, Any]) -> str:
    """Return the scores of every fold, and their means with half their 95 % intervals, for a terminal."""
    columns = [metric for metric in METRICS if metric.is_in_summary]
    rows = [
        [row["member"], str(row["num_clips"]), *(_cell(row[metric.head], metric.key) for metric in columns)]
        for row in metrics["folds"]
    ]
    num_clips = sum(row["num_clips"] for row in metrics["folds"])
    means = [_mean_cell(metrics["mean"].get(metric.head, {}).get(metric.key)) for metric in columns]
    headers = ["", "clips", *(metric.title for metric in columns)]
    return render_table(headers, [*rows, ["mean", str(num_clips), *means]])


def _cell(block: Mapping[str, float] | None, name: str) -> str | None:
    return None if block is None else f"{block[name]:.3f}"


def _mean_cell(found: Mapping[str, float | None] | None) -> str | None:
    if found is None or found["mean"] is None:
        return None
    reach = "" if found["high"] is None else f" ± {found['high'] - found['mean']:.3f}"
    return f"{found['mean']:.3f}{reach}"
