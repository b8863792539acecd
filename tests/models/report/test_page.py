"""The report shows what it was given, from one file that asks for nothing and runs nothing."""

import base64
import re
from dataclasses import replace
from pathlib import Path

import numpy as np

from models.ablation.runs import AblationRun
from models.ablation.table import summarise
from models.evaluation.evaluate import Evaluation
from models.report.data import FailedClip, ReportData, StageSummary, WorstError
from models.report.page import render_report, write_report
from models.training.history import EpochRecord
from tests.models.evaluation.scored import evaluate_arrays
from tests.models.report.pages import ATTACK, Page

JPEG = b"\xff\xd8\xff\xe0 not really a picture"
CATEGORIES = ("forest", "城市夜景", ATTACK)
TAGS = ("pan-left", "never")


def score(category_scores: list[list[float]], tag_scores: list[list[float]]) -> Evaluation:
    return evaluate_arrays(
        np.array(category_scores),
        np.array([0, 1, 2, -1]),
        np.array(tag_scores),
        np.array([[1, 0], [0, 0], [1, 0], [0, 0]], dtype=bool),
        np.ones(4, dtype=bool),
        category_names=CATEGORIES,
        tag_names=TAGS,
    )


GOOD = score(np.eye(4, 3).tolist(), [[0.9, 0.1], [0.1, 0.1], [0.8, 0.1], [0.2, 0.1]])
CONSTANT = score([[0.5, 0.3, 0.2]] * 4, [[0.5, 0.1]] * 4)
REPORT = ReportData(
    title=f"Short videos {ATTACK}",
    corpus="12 made-up clips",
    split="test",
    split_sizes={"train": 1200, "test": 4},
    model_name="nextvlad",
    model=GOOD,
    baselines={"majority": CONSTANT},
    category_names=CATEGORIES,
    history=(
        EpochRecord(1, 1e-3, 1.0, 1.2, 0.4, None, 0.4, {}, True, 2.0),
        EpochRecord(2, 1e-3, 0.5, 0.9, 0.6, None, 0.6, {}, True, 2.0),
        EpochRecord(3, 1e-3, 0.4, 1.0, 0.5, None, 0.5, {}, False, 2.0),
    ),
    stages=(
        StageSummary("decode", 1204, 1200, 1, 3, {"truncated": 1, "no_video_stream": 3}, 75.0),
        StageSummary("train", None, 0, 0, 0, {}, None),
    ),
    failures=(FailedClip("clip-ü", "decode", "no_video_stream", ATTACK),),
    num_failures=4,
    worst_errors=(
        WorstError("clip-1", f"{ATTACK} 🎬 延时", ATTACK, "forest", 0.97, JPEG),
        WorstError("clip-2", "", "forest", "城市夜景", 0.5, None),
    ),
    settings={"train": {"epochs": "3", "note": ATTACK}},
    provenance={"weights": "5793" * 16},
)


def cells_of(page: Page, first: str) -> list[str]:
    (found,) = [row for row in page.rows if row and row[0] == first]
    return found[1:]


def test_scores_stand_beside_the_baselines_with_their_difference() -> None:
    page = Page(render_report(REPORT))
    assert cells_of(page, "Accuracy") == ["1.000", "0.333", "+0.667"]
    assert cells_of(page, "Micro F1") == ["1.000", "0.667", "+0.333"]
    best = [attributes for tag, attributes in page.tags if tag == "td" and "best" in (attributes.get("class") or "")]
    # one a metric, and both for the two recalls of the tags: 1.000 by giving every clip the tag
    assert len(best) == 14 + 2
    assert cells_of(page, "Micro recall") == ["1.000", "1.000", "±0.000"]


def test_a_worse_model_gets_a_negative_difference() -> None:
    page = Page(render_report(replace(REPORT, model=CONSTANT, baselines={"logistic": GOOD})))
    assert cells_of(page, "Accuracy") == ["0.333", "1.000", "−0.667"]


def test_the_model_is_measured_against_the_best_baseline_of_each_row() -> None:
    half = score([[1, 0, 0], [0, 1, 0], [1, 0, 0], [0, 0, 1]], [[0.5, 0.1]] * 4)
    page = Page(render_report(replace(REPORT, baselines={"majority": CONSTANT, "logistic": half})))
    assert cells_of(page, "Accuracy") == ["1.000", "0.333", "0.667", "+0.333"]
    assert "+0.333 against logistic" in page.text


def test_classes_show_support_precision_and_chance() -> None:
    content = render_report(REPORT)
    page = Page(content)
    assert cells_of(page, "pan-left") == ["2", "", "1.000", "+0.500"]
    assert cells_of(page, "never") == ["0", "", "–", "–"]
    # the row of pan-left: a full bar, chance at one half, and the constant score on it
    assert re.search(
        r'"fill" style="width:100.0%".{0,60}"chance" style="left:50.0%".{0,60}"other" style="left:50.0%"', content
    )


def test_many_classes_are_folded() -> None:
    names = tuple(f"tag-{index:03d}" for index in range(100))
    many = evaluate_arrays(
        None,
        np.full(3, -1),
        np.tile(np.linspace(0, 1, 3)[:, np.newaxis], (1, 100)),
        np.ones((3, 100), dtype=bool),
        np.ones(3, dtype=bool),
        category_names=(),
        tag_names=names,
    )
    page = Page(render_report(replace(REPORT, model=many, baselines={}, category_names=())))
    assert "60 more classes" in page.text
    assert all(name in page.text for name in names)
    assert "Confusion matrix" not in page.text


def test_many_categories_show_the_largest_in_the_confusion_matrix() -> None:
    num = 50
    true = np.concatenate([np.arange(num), np.arange(10, num)])  # 0 to 9 have one clip, the others two
    names = tuple(f"category-{index:02d}" for index in range(num))
    big = evaluate_arrays(
        np.eye(num)[true],
        true,
        None,
        np.zeros((len(true), 0), dtype=bool),
        np.zeros(len(true), dtype=bool),
        category_names=names,
        tag_names=(),
    )
    content = render_report(replace(REPORT, model=big, baselines={}, category_names=names))
    assert "The 40 categories with the most clips of 50." in content
    assert "category-10 → category-10: 2" in content
    assert "category-09 → category-09" not in content


def test_an_ablation_is_shown_before_the_training() -> None:
    runs = [
        AblationRun(variant, seed, {"tag map": 0.5 + gain + seed / 100 + (seed == 2) * gain / 50}, 10, 1.0)
        for variant, gain in (("base", 0.0), ("new", 0.1))
        for seed in (1, 2, 3)
    ]
    page = Page(render_report(replace(REPORT, ablation=summarise(runs, "base"))))
    assert "new: tag mAP +0.101 (95 % interval 0.098 to 0.104, 3 seeds) against base: helped." in page.text
    assert page.text.index("Differences to base") < page.text.index("3 epochs in 6.0 s")


def test_nothing_from_outside_becomes_markup() -> None:
    page = Page(render_report(REPORT))
    names = [tag for tag, _ in page.tags]
    assert "script" not in names
    assert [attributes.get("alt") for tag, attributes in page.tags if tag == "img"] == ["A frame of clip-1"]
    assert not any(key.startswith("on") for _, attributes in page.tags for key in attributes)
    assert page.text.count(ATTACK) >= 7  # title twice, heading, label, failure, error, setting
    assert "延时" in page.text


def test_the_page_loads_nothing() -> None:
    page = Page(render_report(REPORT))
    for tag, attributes in page.tags:
        assert tag not in {"script", "link", "iframe", "object", "embed", "a", "base"}
        for key in ("src", "href", "xlink:href", "action"):
            assert (attributes.get(key) or "data:").startswith(("data:", "#"))
    policy = next(a["content"] for tag, a in page.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert "default-src 'none'" in policy
    styles = re.findall(r"<style>(.*?)</style>", render_report(REPORT), flags=re.DOTALL)
    assert "url(" not in styles[0]
    assert "@import" not in styles[0]


def test_pictures_are_inside_and_a_missing_one_is_named() -> None:
    content = render_report(REPORT)
    assert f"data:image/jpeg;base64,{base64.b64encode(JPEG).decode()}" in content
    page = Page(content)
    assert page.text.count("no picture") == 1
    assert "predicted: forest (97%)" in page.text
    assert "no title" in page.text


def test_stages_failures_and_the_number_left_out() -> None:
    page = Page(render_report(REPORT))
    assert cells_of(page, "decode") == ["1,204", "1,200", "1", "3", "no_video_stream 3, truncated 1", "75 s"]
    assert cells_of(page, "train") == ["–", "–", "–", "–", "", "–"]
    assert cells_of(page, "clip-ü") == ["decode", "no_video_stream", ATTACK]
    assert "4 in all, failed or partial. The first 1 are listed" in page.text
    many = tuple(FailedClip(f"clip-{index}", "decode", "x", "y") for index in range(1000))
    text = Page(render_report(replace(REPORT, failures=many, num_failures=1000))).text
    assert "1,000 in all, failed or partial. The first 200 are listed" in text
    assert "clip-199" in text
    assert "clip-200" not in text


def test_the_training_marks_the_epoch_whose_weights_are_used() -> None:
    content = render_report(REPORT)
    assert "3 epochs in 6.0 s, the dashed line marks epoch 2" in content
    assert content.count("stroke-dasharray") == 2
    # three lines: loss of train and validation, mAP of the categories; the tags have no value
    assert len(re.findall(r"stroke: var\(--s\d\)", content)) == 3


def test_a_report_without_anything_optional() -> None:
    nothing = evaluate_arrays(
        None,
        np.full(2, -1),
        None,
        np.zeros((2, 0), dtype=bool),
        np.zeros(2, dtype=bool),
        category_names=(),
        tag_names=(),
    )
    bare = ReportData(
        title="Empty",
        corpus="no labels",
        split="test",
        split_sizes={"test": 2},
        model_name="mean",
        model=nothing,
        baselines={},
        category_names=(),
        history=(),
        stages=(),
        failures=(),
        num_failures=0,
        worst_errors=(),
        settings={},
        provenance={},
    )
    page = Page(render_report(bare))
    assert "No clip of this split has a known category or known tags." in page.text
    assert "No clip failed or is partial" in page.text
    for absent in ("Training", "Stages", "Settings", "Provenance", "Worst", "Network", "Ablation"):
        assert absent not in page.text


def test_the_file_is_the_page_and_the_same_data_give_the_same_bytes(tmp_path: Path) -> None:
    write_report(REPORT, tmp_path / "a.html")
    write_report(REPORT, tmp_path / "b.html")
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()
    assert (tmp_path / "a.html").read_text(encoding="utf-8") == render_report(REPORT)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.html", "b.html"]
