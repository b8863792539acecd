"""Metrics of both heads: one table, from which everything that names a metric is derived.

An entry appears by itself in ``metrics.json``, in the report, in the ablation and in the cross-validation; with its
flags also among the headlines, in the closing table and among the metrics that pick the epoch to keep. To add one,
give :class:`~models.metrics.head_scores.HeadScores` an attribute with its value, and the table an entry.

:mod:`~models.metrics.arrays` has the functions of plain arrays; the two that are public are also found here.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from models.metrics.metric import Metric

if TYPE_CHECKING:
    from models.metrics.arrays import global_average_precision, mean_average_precision

__all__ = ["METRICS", "global_average_precision", "mean_average_precision"]

# In the order of every table. Averages of the tags over all tags have keys of their own: an average of the same name
# over the categories leaves out those that neither occur nor are predicted.
METRICS: tuple[Metric, ...] = (
    Metric(
        "category", "accuracy", "accuracy", "accuracy",
        is_headline=True, is_in_summary=True, selection_name="category_accuracy",
    ),
    Metric("category", "macro_precision", "macro precision", "macro.precision"),
    Metric("category", "macro_recall", "macro recall", "macro.recall"),
    Metric(
        "category", "macro_f1", "macro F1", "macro.f1",
        is_headline=True, is_in_summary=True, selection_name="category_macro_f1",
    ),
    Metric(
        "category", "map", "mAP", "mean_ap",
        is_headline=True, is_in_summary=True, selection_name="category_map",
    ),
    Metric(
        "category", "gap_at_20", "GAP@20", "gap_at_20",
        is_in_summary=True, selection_name="category_gap",
    ),
    Metric(
        "tags", "map", "mAP", "mean_ap",
        is_headline=True, is_in_summary=True, selection_name="tag_map",
    ),
    Metric(
        "tags", "gap_at_20", "GAP@20", "gap_at_20",
        is_headline=True, is_in_summary=True, selection_name="tag_gap",
    ),
    Metric("tags", "micro_precision", "micro precision", "micro.precision"),
    Metric("tags", "micro_recall", "micro recall", "micro.recall"),
    Metric("tags", "micro_f1", "micro F1", "micro.f1", is_in_summary=True),
    Metric(
        "tags", "macro_precision_all_tags", "macro precision of all tags", "macro_all_classes.precision",
        former_key="macro_precision",
    ),
    Metric(
        "tags", "macro_recall_all_tags", "macro recall of all tags", "macro_all_classes.recall",
        former_key="macro_recall",
    ),
    Metric(
        "tags", "macro_f1_all_tags", "macro F1 of all tags", "macro_all_classes.f1",
        former_key="macro_f1",
    ),
)  # fmt: skip


if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        """Return a public function; numpy is loaded when one is asked for, not by the table."""
        if name in __all__:
            return getattr(importlib.import_module("models.metrics.arrays"), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
