"""One metric of one head, as the table names it. Imports no numpy: settings are checked with these names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Head = Literal["category", "tags"]
HEAD_NAMES: tuple[Head, ...] = ("category", "tags")


@dataclass(frozen=True)
class Metric:
    """One metric of one head; 0 to 1, higher is better.

    Attributes:
        head: Head that it rates: the key of its block in ``metrics.json``.
        key: Its key in that block.
        label: How pages and tables name it, without the head.
        attribute: Attribute of :class:`~models.metrics.head_scores.HeadScores` that has its value, such as
            ``micro.f1``; by name, so that the table loads no numpy.
        is_headline: Whether it decides if a variant of an ablation helped, and is shown large in the report.
        is_in_summary: Whether the closing table and that of the cross-validation have a column of it.
        selection_name: Name by which ``[train] selection_metric`` and ``history.jsonl`` name it; ``""`` for a metric
            that is not computed on the validation clips of each epoch.
        former_key: Its key in files of earlier versions, where another metric of the other head has that key now.
    """

    head: Head
    key: str
    label: str
    attribute: str
    is_headline: bool = False
    is_in_summary: bool = False
    selection_name: str = ""
    former_key: str = ""

    @property
    def title(self) -> str:
        """Head and label: ``tag mAP``."""
        return f"{self.head.removesuffix('s')} {self.label}"

    @property
    def run_name(self) -> str:
        """Name in the files of an ablation: ``tag gap@20``."""
        return self._run_name(self.key)

    @property
    def former_run_name(self) -> str:
        """Name in the ablation files of earlier versions; ``""`` where it is the same."""
        return self._run_name(self.former_key) if self.former_key else ""

    def _run_name(self, key: str) -> str:
        return f"{self.head.removesuffix('s')} {key.replace('_at_', '@')}"
