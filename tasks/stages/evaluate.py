"""The numbers: the trained network beside its baselines on one split, and the report for a person."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, ClassVar

from features.base.files import publish_json
from features.base.modalities import ABSENT_CODES
from features.base.settings import identity_values
from models.report.data import FailedClip, ReportData, StageSummary, WorstError
from models.structure.structure import read_structure
from models.training.history import read_history
from tasks.config.run import settings
from tasks.core.receipts import FileReceipt, read_receipt
from tasks.core.stage import Stage
from tasks.stages.ablation import Ablation, read_ablation
from tasks.stages.absence import corpus_remarks
from tasks.stages.clip_stage import some_clips, stores_decoded
from tasks.stages.dataset import extract_stages, open_clips, read_labelled_corpus, recognize_stages
from tasks.stages.decode import Decode
from tasks.stages.download import Download
from tasks.stages.manifest import Manifest
from tasks.stages.predict import Predict
from tasks.stages.train import train_stages
from tasks.training.ensemble import baseline_name, learned_from, model_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from features.formats.prediction_shard import PredictionShard
    from models.evaluation.evaluate import SplitEvaluation
    from tasks.stages.dataset import LabelledCorpus

METRICS_NAME = "metrics.json"
REPORT_NAME = "report.html"
# Failures listed in the report; the receipts of each stage have all of them.
MAX_LISTED_FAILURES = 200


class Evaluate(Stage):
    """``metrics.json`` and ``report.html``."""

    stage_version: ClassVar[int] = 2

    def identity_settings(self) -> Mapping[str, object]:
        """Return what is measured."""
        return identity_values(settings().evaluate)

    def inputs(self) -> Mapping[str, Stage]:
        """Return the predictions, the labels, the features of the baselines, and the stages that the report lists."""
        predict = Predict()
        train = {} if predict.is_given() else train_stages()
        return {
            "manifest": Manifest(),
            "download": Download(),
            **({"decode": Decode()} if stores_decoded() else {}),
            **recognize_stages(),
            **extract_stages(),
            **train,
            "predict": predict,
            **({"ablation": Ablation()} if self._shows_ablation() else {}),
        }

    def _shows_ablation(self) -> bool:
        return settings().evaluate.ablation

    @functools.cached_property
    def corpus(self) -> LabelledCorpus:
        """The records with their labels and splits."""
        return read_labelled_corpus(Manifest())

    def build(self) -> tuple[Sequence[FileReceipt], int, Mapping[str, object]]:
        """Measure the scores, and write metrics and report."""
        predictions = self._predictions()
        found = self._measure(predictions)
        split = settings().evaluate.split
        metrics = {
            "split": split,
            "num_clips": self.corpus.splits.count(split),
            **found.model,
            "calibration": found.calibration,
            "learned_from": learned_from(is_given=Predict().is_given()),
            "baselines": dict(found.baselines),
        }
        publish_json(self.folder / METRICS_NAME, metrics)
        self._write_report(found, predictions)
        # The report contains timings, so its bytes differ between runs.
        receipts = [
            FileReceipt.of(self.folder, METRICS_NAME, 1),
            FileReceipt.of(self.folder, REPORT_NAME, 1, is_record=True),
        ]
        facts = {
            name: {"category": scores["category"], "tags": scores["tags"]}
            for name, scores in {"model": found.model, **found.baselines}.items()
        }
        return receipts, len(receipts), facts

    def _predictions(self) -> PredictionShard:
        from features.formats.prediction_shard import join_predictions, read_predictions  # noqa: PLC0415 - loads HDF5

        return join_predictions([read_predictions(path, with_embedding=False) for path in Predict().shard_paths()])

    def _measure(self, predictions: PredictionShard) -> SplitEvaluation:
        from models.data.labels import labels_in_space, positions_of  # noqa: PLC0415 - loads numpy
        from models.evaluation.evaluate import evaluate_split  # noqa: PLC0415 - loads numpy and scikit-learn

        split = settings().evaluate.split
        clips = open_clips()
        splits = {name: positions_of(self.corpus.splits, name) for name in ("train", "validation", split)}
        predict = Predict()
        return evaluate_split(
            clips,
            # A given checkpoint has a label space of its own; the corpus is measured in that one.
            labels_in_space(self.corpus.labels, predictions.categories, predictions.tags),
            splits,
            split,
            (predictions.category_scores, predictions.tag_scores),
            predict.checkpoints(),
            uncalibrated=predict.uncalibrated_scores(clips, splits[split]),
        )

    def _write_report(self, found: SplitEvaluation, predictions: PredictionShard) -> None:
        from models.report.page import write_report  # noqa: PLC0415 - loads numpy

        predict = Predict()
        split = settings().evaluate.split
        failures, num_failures = self._failures()
        data = ReportData(
            title="Short-video understanding: evaluation",
            corpus=_corpus_name(),
            split=split,
            split_sizes={name: self.corpus.splits.count(name) for name in ("train", "validation", "test")},
            model_name=model_name(is_given=predict.is_given()),
            model=found.model,
            baselines={
                baseline_name(name, is_given=predict.is_given()): scores for name, scores in found.baselines.items()
            },
            category_names=predictions.categories,
            history=() if predict.is_given() else read_history(predict.checkpoints()[0]),
            stages=tuple(stage_summaries()),
            failures=tuple(failures),
            num_failures=num_failures,
            worst_errors=tuple(self._worst_errors(predictions, split)),
            settings=_shown_settings(),
            provenance={f"{name} fingerprint": stage.fingerprint for name, stage in self.inputs().items()},
            # Of several members: their networks are alike.
            network=read_structure(predict.checkpoints()[0]),
            ablation=read_ablation(Ablation().folder) if self._shows_ablation() else None,
            remarks=tuple(corpus_remarks([stage.published_success() for stage in stages_with_outcomes()])),
        )
        write_report(data, self.folder / REPORT_NAME)

    def _failures(self) -> tuple[list[FailedClip], int]:
        """Return the clips to list, and how many there are in all stages."""
        listed: list[FailedClip] = []
        count = 0
        # A clip that a stage could not handle is failed in the stages below it too: list it once.
        seen = set()
        for stage in stages_with_outcomes():
            for name in stage.published_success().file_names(""):
                receipt = read_receipt(stage.folder, name)
                for problem in receipt.problems if receipt else ():
                    # A clip of sound alone is partial for Decode, and as its maker meant it.
                    if problem.status == "partial" and problem.code in ABSENT_CODES:
                        continue
                    if (problem.clip_id, problem.code) in seen:
                        continue
                    seen.add((problem.clip_id, problem.code))
                    count += 1
                    if len(listed) < MAX_LISTED_FAILURES:
                        listed.append(FailedClip(problem.clip_id, stage.stage_name, problem.code, problem.detail))
        return listed, count

    def _worst_errors(self, predictions: PredictionShard, split: str) -> list[WorstError]:
        from features.formats.matroska import clip_pictures  # noqa: PLC0415 - loads codecs
        from models.data.labels import labels_in_space, positions_of  # noqa: PLC0415 - loads numpy
        from models.evaluation.evaluate import most_confident_errors  # noqa: PLC0415 - loads numpy and scikit-learn

        labels = labels_in_space(self.corpus.labels, predictions.categories, predictions.tags)
        scored = positions_of(self.corpus.splits, split)
        limit = settings().evaluate.num_pictures
        rows = most_confident_errors(predictions.category_scores[scored], labels.category[scored], limit)
        positions = [int(position) for position in scored[rows]]
        wanted = {self.corpus.records[position].clip_id for position in positions}
        with some_clips(wanted, positions, self.folder) as clips:
            pictures = clip_pictures(clips, wanted)
        errors = []
        for position in positions:
            record, scores = self.corpus.records[position], predictions.category_scores[position]
            errors.append(
                WorstError(
                    clip_id=record.clip_id,
                    title=record.title,
                    true=predictions.categories[labels.category[position]],
                    predicted=predictions.categories[scores.argmax()],
                    probability=float(scores.max()),
                    picture=pictures.get(record.clip_id),
                )
            )
        return errors


def stages_with_outcomes() -> list[Stage]:
    """Return the stages with an outcome for every clip, in the order in which they run."""
    decode = [Decode()] if stores_decoded() else []
    return [Download(), *decode, *recognize_stages().values(), *extract_stages().values()]


def stage_summaries() -> list[StageSummary]:
    """Return the outcomes of the clips by stage."""
    manifest = Manifest().published_success()
    clips = int(manifest.facts["clips"])
    result = [StageSummary("manifest", clips, clips, 0, 0, manifest.facts["rejected"], manifest.seconds)]
    for stage in stages_with_outcomes():
        found = stage.published_success()
        result.append(
            StageSummary(
                stage=stage.stage_name,
                num_clips=sum(found.totals.values()),
                num_ok=found.totals.get("ok", 0),
                num_partial=found.totals.get("partial", 0),
                num_failed=found.totals.get("failed", 0),
                reasons=found.codes,
                seconds=found.work_seconds,
            )
        )
    return result


def _corpus_name() -> str:
    return settings().corpus.manifest or "the embedded sample corpus"


def _shown_settings() -> dict[str, dict[str, str]]:
    """Return section -> setting -> its value as text, of all that change the output."""
    shown = {}
    for section, config in settings().sections().items():
        if section != "paths":
            shown[section] = {name: str(value) for name, value in identity_values(config).items()}
    return shown
