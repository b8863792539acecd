"""The metrics of both heads by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Mapping

    from models.evaluation.scores import Evaluation


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
