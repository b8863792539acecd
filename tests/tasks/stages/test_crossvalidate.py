"""CrossValidate: which networks it reads, and how folds become one figure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from scipy import stats

from models.metrics import METRICS
from tasks.stages.crossvalidate import CrossValidate, _mean, fold_table

if TYPE_CHECKING:
    from tests.tasks.stages.small import Configure

COLUMNS = [metric for metric in METRICS if metric.is_in_summary]


def _row(member: str, category: float | None, tags: float | None) -> dict[str, Any]:
    blocks: dict[str, Any] = {}
    for head, value in (("category", category), ("tags", tags)):
        names = [metric.key for metric in METRICS if metric.head == head]
        blocks[head] = None if value is None else dict.fromkeys(names, value)
    return {"member": member, "num_clips": 10, **blocks}


def test_every_fold_is_an_input_whatever_the_ensemble_is(configure: Configure) -> None:
    configure({"features": {"modalities": "text"}})
    assert set(CrossValidate().inputs()) == {
        "manifest", "extract-text", *(f"train-fold-{number}" for number in range(5))
    }  # fmt: skip
    assert dict(CrossValidate().identity_settings()) == {"folds": 5}
    configure({"features": {"modalities": "text"}, "ensemble": {"folds": "2"}})
    assert set(CrossValidate().inputs()) == {"manifest", "extract-text", "train-fold-0", "train-fold-1"}
    configure({"features": {"modalities": "text"}, "ensemble": {"seeds": "3"}})
    assert dict(CrossValidate().identity_settings()) == {"folds": 5}


def test_the_mean_over_folds_has_the_interval_of_students_t() -> None:
    values = [0.5, 0.6, 0.85]
    low, high = stats.t.interval(0.95, 2, loc=sum(values) / 3, scale=stats.sem(values))

    mean = _mean([_row(f"fold-{number}", value, None) for number, value in enumerate(values)])

    found = mean["category"]["accuracy"]
    assert found["num_folds"] == 3
    assert (found["mean"], found["low"], found["high"]) == pytest.approx((sum(values) / 3, low, high))
    # No fold has tags.
    assert "tags" not in mean


def test_folds_without_a_head_do_not_count_for_it() -> None:
    mean = _mean([_row("fold-0", None, 0.25), _row("fold-1", 0.5, 0.75)])

    assert mean["tags"]["map"]["mean"] == pytest.approx(0.5)
    assert mean["category"]["map"] == {"mean": 0.5, "low": None, "high": None, "num_folds": 1}
    assert _mean([]) == {}


def test_the_table_has_a_row_a_fold_and_their_mean() -> None:
    rows = [_row("fold-0", 0.5, None), _row("fold-1", 0.7, None)]
    lines = fold_table({"folds": rows, "mean": _mean(rows)}).splitlines()

    assert all(metric.title in lines[0] for metric in COLUMNS)
    folds = [line.split() for line in lines if line.strip().startswith("fold-")]
    num_category = sum(metric.head == "category" for metric in COLUMNS)
    assert folds[0][:2] == ["fold-0", "10"]
    assert folds[0].count("0.500") == num_category
    assert folds[1].count("0.700") == num_category
    (mean,) = (line for line in lines if line.strip().startswith("mean"))
    assert mean.split()[:2] == ["mean", "20"]
    # Half of the interval of two values is 12.706 times the standard error, 0.1.
    assert mean.count("0.600 ± 1.271") == num_category


def test_one_fold_alone_has_no_interval() -> None:
    rows = [_row("fold-0", 0.5, 0.5)]
    assert "±" not in fold_table({"folds": rows, "mean": _mean(rows)})
