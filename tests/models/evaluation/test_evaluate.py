"""The two blocks of the public contract, and what is left out of them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pytest
from sklearn.metrics import precision_recall_fscore_support

from features.base.errors import DataError
from tests.models.evaluation.scored import evaluate_arrays

if TYPE_CHECKING:
    from models.evaluation.evaluate import Evaluation

CATEGORIES = ("cat", "dog", "猫")
TAGS = ("pan-left", "fade")
CATEGORY_SCORES = np.array([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.6, 0.3, 0.1], [0.0, 0.0, 1.0]])
CATEGORY = np.array([0, 1, 1, -1])
TAG_SCORES = np.array([[0.9, 0.1], [0.6, 0.2], [0.2, 0.5], [0.9, 0.9]])
TAGS_TRUE = np.array([[True, False], [False, False], [False, True], [False, True]])
TAGS_KNOWN = np.array([True, True, True, False])


def evaluate_all(tag_thresholds: npt.NDArray[np.float64] | None = None) -> Evaluation:
    return evaluate_arrays(
        CATEGORY_SCORES,
        CATEGORY,
        TAG_SCORES,
        TAGS_TRUE,
        TAGS_KNOWN,
        category_names=CATEGORIES,
        tag_names=TAGS,
        tag_thresholds=tag_thresholds,
    )


def test_blocks_hold_the_contracts_keys_and_hand_counted_numbers() -> None:
    result = evaluate_all()
    # The clip of unknown category, row 3, would be a miss: 2 of the other 3 are right.
    assert dict(result["category"] or {}) == {
        "accuracy": pytest.approx(2 / 3),
        # Of the categories cat and dog, which occur or are predicted; each is right once.
        "macro_precision": pytest.approx((1 / 2 + 1) / 2),
        "macro_recall": pytest.approx((1 + 1 / 2) / 2),
        "macro_f1": pytest.approx((2 / 3 + 2 / 3) / 2),
        # 0.8 hit, 0.7 hit, 0.6 miss, 0.3 hit: (1 + 1 + 3/4) / 3
        "gap_at_20": pytest.approx((1 + 1 + 3 / 4) / 3),
        "map": pytest.approx((1.0 + 1.0) / 2),
    }
    assert dict(result["tags"] or {}) == {
        # 0.9 hit, 0.6 miss, 0.5 hit: (1 + 2/3) / 2
        "gap_at_20": pytest.approx((1 + 2 / 3) / 2),
        "map": pytest.approx(1.0),
        "micro_precision": pytest.approx(2 / 3),
        "micro_recall": pytest.approx(1.0),
        "micro_f1": pytest.approx(0.8),
        "macro_precision_all_tags": pytest.approx((1 / 2 + 1) / 2),
        "macro_recall_all_tags": pytest.approx(1.0),
        "macro_f1_all_tags": pytest.approx((2 / 3 + 1) / 2),
    }
    assert result["num_evaluated"] == {"category": 3, "tags": 3}
    assert result["confusion"] == [[1, 0, 0], [1, 1, 0], [0, 0, 0]]


def test_each_tag_is_given_from_its_own_threshold_on() -> None:
    result = evaluate_all(np.array([0.7, 0.2]))
    block = dict(result["tags"] or {})
    # pan-left: 0.9 alone, right. fade: 0.2 wrong and 0.5 right.
    assert block["micro_precision"] == pytest.approx(2 / 3)
    assert block["macro_precision_all_tags"] == pytest.approx((1 + 1 / 2) / 2)
    assert block["macro_f1_all_tags"] == pytest.approx((1 + 2 / 3) / 2)
    assert [row["threshold"] for row in result["per_class"]["tags"]] == [0.7, 0.2]
    # What is ranked stays as it was.
    assert block["map"] == dict(evaluate_all()["tags"] or {})["map"]


def test_macro_and_micro_numbers_are_scikit_learns() -> None:
    generator = np.random.default_rng(0)
    category_scores, category = generator.random((50, 6)), generator.integers(0, 4, 50)
    tag_scores, tags = generator.random((50, 5)).astype(np.float32), generator.random((50, 5)) < 0.3
    thresholds = generator.random(5)
    result = evaluate_arrays(
        category_scores,
        category,
        tag_scores,
        tags,
        np.ones(50, bool),
        category_names=tuple("abcdef"),
        tag_names=tuple("abcde"),
        tag_thresholds=thresholds,
    )
    predicted = category_scores.argmax(axis=1)
    expected = precision_recall_fscore_support(category, predicted, average="macro", zero_division=0)
    found = dict(result["category"] or {})
    assert [found[f"macro_{name}"] for name in ("precision", "recall", "f1")] == pytest.approx(expected[:3])
    found = dict(result["tags"] or {})
    for average, suffix in (("micro", ""), ("macro", "_all_tags")):
        expected = precision_recall_fscore_support(tags, tag_scores >= thresholds, average=average, zero_division=0)
        names = [f"{average}_{name}{suffix}" for name in ("precision", "recall", "f1")]
        assert [found[name] for name in names] == pytest.approx(expected[:3])


def test_thresholds_of_another_label_space_are_refused() -> None:
    with pytest.raises(DataError, match=r"tag thresholds have shape \(3,\): give \(2,\)"):
        evaluate_all(np.full(3, 0.5))


def test_per_class_rows_name_support_and_chance() -> None:
    rows = evaluate_all()["per_class"]
    assert rows["category"][2] == {
        "name": "猫",
        "num_positives": 0,
        "average_precision": None,
        "chance": 0.0,
        "threshold": None,
    }
    assert rows["tags"][0] == {
        "name": "pan-left",
        "num_positives": 1,
        "average_precision": 1.0,
        "chance": pytest.approx(1 / 3),
        "threshold": 0.5,
    }


def test_the_result_is_strict_json() -> None:
    text = json.dumps(evaluate_all(), allow_nan=False)
    assert json.loads(text)["category"]["accuracy"] == pytest.approx(2 / 3)


@pytest.mark.parametrize("has_scores", [False, True])
def test_a_missing_head_or_one_without_known_clips_is_null(has_scores: bool) -> None:
    result = evaluate_arrays(
        CATEGORY_SCORES if has_scores else None,
        np.full(4, -1),
        TAG_SCORES if has_scores else None,
        TAGS_TRUE,
        np.zeros(4, dtype=bool),
        category_names=CATEGORIES,
        tag_names=TAGS,
    )
    assert result["category"] is None
    assert result["tags"] is None
    assert result["per_class"] == {"category": [], "tags": []}
    assert result["num_evaluated"] == {"category": 0, "tags": 0}


def test_a_head_without_classes_is_null() -> None:
    result = evaluate_arrays(
        None,
        np.full(4, -1),
        np.zeros((4, 0)),
        np.zeros((4, 0), dtype=bool),
        TAGS_KNOWN,
        category_names=(),
        tag_names=(),
    )
    assert result["tags"] is None


def test_scores_of_another_label_space_are_refused() -> None:
    with pytest.raises(DataError, match=r"tag scores have shape \(4, 3\): give \(4, 2\)"):
        evaluate_arrays(
            None,
            CATEGORY,
            np.zeros((4, 3)),
            TAGS_TRUE,
            TAGS_KNOWN,
            category_names=CATEGORIES,
            tag_names=TAGS,
        )
