"""What Ablation and CrossValidate measure a network by."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Mapping

    from models.baselines import BaselineScores
    from models.batching import Indices, Labels
    from models.evaluation import Evaluation
    from models.prediction import Predictions


def measure(found: Predictions | BaselineScores, labels: Labels, scored: Indices) -> Evaluation:
    """Return how good the scores of the clips at ``scored`` are.

    Args:
        found: One row for each of ``scored``.
        labels: Labels of all clips.
        scored: Positions in ``labels``.
    """
    from models.baselines import take  # noqa: PLC0415 - loads scikit-learn
    from models.evaluation import evaluate  # noqa: PLC0415 - loads torch

    chosen = take(labels, scored)
    return evaluate(
        found.category_scores,
        chosen.category,
        found.tag_scores,
        chosen.tags,
        chosen.tags_known,
        category_names=labels.category_names,
        tag_names=labels.tag_names,
        tag_thresholds=found.tag_thresholds,
    )


def head_scores(evaluation: Evaluation) -> dict[str, Mapping[str, float]]:
    """Return head -> metric -> score, of the heads that were measured."""
    blocks = {"category": evaluation["category"], "tags": evaluation["tags"]}
    return {head: cast("Mapping[str, float]", block) for head, block in blocks.items() if block is not None}


def flat_metrics(evaluation: Evaluation) -> dict[str, float]:
    """Return the metrics of both heads by name, such as ``tag gap@20``; none of a head that was not measured."""
    return {
        f"{head.removesuffix('s')} {name.replace('_at_', '@')}": score
        for head, scores in head_scores(evaluation).items()
        for name, score in scores.items()
    }
