"""The renderings of an ablation hold its figures, and nothing from outside becomes markup."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from features.base.errors import DataError
from models.ablation.documents import table_from_json, table_to_json, table_to_markdown
from models.ablation.runs import AblationRun, FailedRun
from models.ablation.table import summarise
from models.report.page import write_ablation_page
from tests.models.report.pages import ATTACK, Page

if TYPE_CHECKING:
    from pathlib import Path

SCORES: dict[str, dict[int, tuple[float, float | None]]] = {
    "default": {1: (0.80, 0.50), 2: (0.82, 0.52), 3: (0.84, 0.54)},
    "casc|ade": {1: (0.812, 0.50), 2: (0.833, 0.53), 3: (0.851, None)},
    ATTACK: {1: (0.70, 0.51), 3: (0.74, 0.53)},
}
RUNS = [
    AblationRun(variant, seed, {"tag map": tag, "category macro_f1": macro}, 1234567, 0.25)
    for variant, by_seed in SCORES.items()
    for seed, (tag, macro) in by_seed.items()
]
TABLE = summarise(RUNS, "default", headlines=("tag map",))
FAILURES = [
    FailedRun("fgm", 1, "the loss became <b>infinite</b>"),
    FailedRun("fgm", 3, "the loss became <b>infinite</b>"),
    FailedRun("fgm", 2, "no clip"),
    FailedRun("majority", None, "no label"),
]


def markdown_rows(name: str) -> list[list[str]]:
    lines = [line for line in table_to_markdown(TABLE).splitlines() if line.startswith(f"| {name} ")]
    return [line.strip("| ").split(" | ") for line in lines]


def test_markdown_has_the_differences_and_the_scores() -> None:
    differences, scores = markdown_rows("default")
    assert differences == ["default", "3", "–"]
    # 4.302653 * 0.02 / sqrt(3) = 0.0497
    assert scores == ["default", "3", "1,234,567", "0.25", "0.820 ± 0.050", "0.520 ± 0.050"]
    differences, scores = markdown_rows(r"casc\|ade")
    assert differences == [r"casc\|ade", "3", "+0.012 (0.010 to 0.014), helped"]
    # two seeds of the macro F1: 0.015 * 12.7062
    assert scores[-1] == "0.515 ± 0.191 (n 2)"


def test_markdown_shows_missing_seeds_and_escapes_names() -> None:
    text = table_to_markdown(TABLE)
    assert "2 of 3, without 2" in text
    assert "<script" not in text.replace("\\<script", "")
    assert text.startswith("# Ablation\n\n3 variants, 8 runs, seeds 1, 2, 3.")
    assert "against default: helped." in text


def test_json_has_every_figure_and_comes_back() -> None:
    text = table_to_json(TABLE)
    assert table_from_json(text) == TABLE
    document = json.loads(text)
    assert len(document["runs"]) == 8
    helped = document["variants"][1]["metrics"]["tag map"]
    assert helped["verdict"] == "helped"
    assert helped["difference"]["mean"] == pytest.approx(0.012)
    assert document["num_comparisons"] == 2
    assert document["variants"][2]["missing_seeds"] == [2]


@pytest.mark.parametrize(
    "text", ["[]", "{}", "nothing", '{"runs": [{"variant": 1}], "reference": "x", "headlines": []}']
)
def test_json_of_something_else_is_refused(text: str) -> None:
    with pytest.raises(DataError, match="give one that table_to_json wrote"):
        table_from_json(text)


def test_runs_that_failed_stand_on_every_page_with_their_reasons(tmp_path: Path) -> None:
    table = summarise(RUNS, "default", failures=FAILURES)
    text = table_to_markdown(table)
    assert text.endswith(
        "## Runs that failed\n\n* fgm (seed 1, 3): the loss became \\<b>infinite\\</b>\n"
        "* fgm (seed 2): no clip\n* majority: no label\n"
    )
    rows = json.loads(table_to_json(table))["failures"]
    assert rows[3] == {"variant": "majority", "seed": None, "reason": "no label"}
    assert table_from_json(table_to_json(table)) == table
    write_ablation_page(table, tmp_path / "a.html")
    page = Page((tmp_path / "a.html").read_text(encoding="utf-8"))
    assert "fgm (seed 1, 3): the loss became <b>infinite</b>" in page.text
    assert "Runs that failed" not in table_to_markdown(TABLE)
    assert "b" not in {tag for tag, _ in page.tags}


@pytest.mark.parametrize(
    ("split", "told", "not_told"),
    [
        ("validation", ("choose the epoch", "Nothing is calibrated", "a tag is given from 0.5 on"), "test split"),
        ("test", ("Scored on the test split", "fitted on the validation split"), "too good"),
        ("train", ("Scored on the train split", "everything was learned"), "calibrated"),
    ],
)
def test_it_is_said_what_the_scored_clips_were_also_used_for(
    tmp_path: Path, split: str, told: tuple[str, ...], not_told: str
) -> None:
    table = summarise(RUNS, "default", split=split)
    assert json.loads(table_to_json(table))["split"] == split
    assert table_from_json(table_to_json(table)) == table
    write_ablation_page(table, tmp_path / "a.html")
    for text in (table_to_markdown(table), Page((tmp_path / "a.html").read_text(encoding="utf-8")).text):
        assert all(words in text for words in told)
        assert not_told not in text


def test_the_page_shows_the_same_and_runs_nothing(tmp_path: Path) -> None:
    write_ablation_page(TABLE, tmp_path / "a.html", title=f"Ablation {ATTACK}")
    write_ablation_page(TABLE, tmp_path / "b.html", title=f"Ablation {ATTACK}")
    content = (tmp_path / "a.html").read_text(encoding="utf-8")
    assert content == (tmp_path / "b.html").read_text(encoding="utf-8")
    page = Page(content)
    assert "script" not in [tag for tag, _ in page.tags]
    differences, scores = [row for row in page.rows if row and row[0] == "casc|ade"]
    assert differences[1:] == ["3", "+0.012 (0.010 to 0.014)helped"]
    assert scores[1:] == ["3", "1,234,567", "0.25", "0.832 ± 0.048", "0.515 ± 0.191 (n 2)"]
    assert [row[0] for row in page.rows if len(row) == 3][1:] == ["default (reference)", "casc|ade", ATTACK]
    verdicts = [
        attributes.get("class")
        for tag, attributes in page.tags
        if tag == "div" and attributes.get("class") in {"up", "down", "soft"}
    ]
    assert verdicts == ["up", "soft"]
    assert "cascade" not in page.text
    assert "casc|ade: tag mAP +0.012 (95 % interval 0.010 to 0.014, 3 seeds) against default: helped." in page.text
