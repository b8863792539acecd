"""The table of metrics: what is derived from it, and that the docs name the same."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import models.metrics
from models.ablation.runs import HEADLINES, current_metrics, metric_label, run_metrics
from models.config.training import SELECTION_METRICS, TrainConfig
from models.metrics import METRICS
from models.metrics.metric import HEAD_NAMES

HOME = Path(__file__).resolve().parents[3]


def test_every_metric_has_names_of_its_own() -> None:
    for names in (
        [(metric.head, metric.key) for metric in METRICS],
        [metric.title for metric in METRICS],
        [metric.run_name for metric in METRICS],
        [metric.selection_name for metric in METRICS if metric.selection_name],
    ):
        assert len(names) == len(set(names))
    former = {metric.former_run_name for metric in METRICS} - {""}
    assert not former & {metric.run_name for metric in METRICS}


def test_the_public_keys_are_as_they_were() -> None:
    keys = {head: [metric.key for metric in METRICS if metric.head == head] for head in HEAD_NAMES}
    assert {"accuracy", "macro_precision", "macro_recall", "macro_f1", "map", "gap_at_20"} <= set(keys["category"])
    assert {"map", "gap_at_20", "micro_precision", "micro_recall", "micro_f1"} <= set(keys["tags"])
    # Averages over all tags do not share a key with averages over the categories that occur.
    assert not [key for key in keys["tags"] if key.startswith("macro") and not key.endswith("_all_tags")]
    assert {"category accuracy", "category macro_f1", "category map", "tag map", "tag gap@20"} <= set(HEADLINES)
    # Names of the setting enter fingerprints.
    names = {"category_accuracy", "category_macro_f1", "category_map", "category_gap", "tag_map", "tag_gap"}
    assert {"map", "loss", *names} <= set(SELECTION_METRICS)


@pytest.mark.parametrize("name", SELECTION_METRICS)
def test_every_selection_metric_is_a_setting(name: str) -> None:
    assert TrainConfig(selection_metric=name).selection_metric == name


def test_the_names_of_metrics_load_no_array_library() -> None:
    modules = "models.config.training, models.ablation.runs"
    code = f"import sys, {modules}; print({{'numpy', 'torch', 'sklearn'}} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=HOME, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_the_public_functions_are_found_in_the_package() -> None:
    assert models.metrics.mean_average_precision([[0.1], [0.2]], [[0], [1]]) == 1.0
    assert models.metrics.global_average_precision([[0.1, 0.2]], [[0, 1]], top_k=1) == 1.0
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = models.metrics.nothing  # type: ignore[attr-defined]


def test_runs_of_an_ablation_have_every_metric_of_the_heads_that_were_evaluated() -> None:
    tags = {metric.key: 0.25 for metric in METRICS if metric.head == "tags"}
    found = run_metrics({"category": None, "tags": tags})
    assert found == {metric.run_name: 0.25 for metric in METRICS if metric.head == "tags"}
    assert found["tag gap@20"] == 0.25


def test_runs_of_earlier_versions_are_read_under_the_names_of_today() -> None:
    old = {"tag macro_f1": 0.1, "tag macro_recall": 0.2, "category macro_f1": 0.3, "tag gap@20": 0.4}
    found = current_metrics(old)
    assert found == {
        "tag macro_f1_all_tags": 0.1,
        "tag macro_recall_all_tags": 0.2,
        "category macro_f1": 0.3,
        "tag gap@20": 0.4,
    }
    assert current_metrics(found) == found


@pytest.mark.parametrize(
    ("metric", "label"),
    [
        ("category macro_f1", "category macro F1"),
        ("tag gap@20", "tag GAP@20"),
        ("tag map", "tag mAP"),
        ("category accuracy", "category accuracy"),
        ("tag macro_f1_all_tags", "tag macro F1 of all tags"),
        ("something_else", "something else"),
    ],
)
def test_pages_name_a_metric_by_its_label(metric: str, label: str) -> None:
    assert metric_label(metric) == label


def test_the_docs_list_every_metric_under_its_head() -> None:
    page = (HOME / "docs" / "formats.md").read_text(encoding="utf-8")
    (rows,) = re.findall(r"\| metric \| category \| tags \|\n\| --- .*\n((?:\|.*\n)+)", page)
    listed = set()
    for row in rows.splitlines():
        names, *cells = [cell.strip() for cell in row.strip("|").split("|")]
        heads = [head for head, cell in zip(HEAD_NAMES, cells, strict=True) if cell]
        listed |= {(head, key) for key in re.findall(r"`(\w+)`", names) for head in heads}
    assert listed == {(metric.head, metric.key) for metric in METRICS}


def test_the_docs_list_every_selection_metric() -> None:
    page = (HOME / "docs" / "training.md").read_text(encoding="utf-8")
    (text,) = re.findall(r"`selection_metric` picks.*?\.\n", page, re.DOTALL)
    assert set(re.findall(r"`(\w+)`", text)) - {"selection_metric", "patience_epochs"} == set(SELECTION_METRICS)
