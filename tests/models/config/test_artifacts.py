from __future__ import annotations

import json

import pytest

from models.config.artifacts import recipe_difference

TRAINED = {"decode": {"fps": 2.0, "side": 256}, "extract": {"backbone": "a", "layers": [1, 2]}}


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({**TRAINED, "decode": {"fps": 1.0, "side": 256}}, "decode.fps is 1.0 instead of 2.0"),
        ({**TRAINED, "decode": {"fps": 2.0}}, "decode.side is not set instead of 256"),
        (
            {"decode": TRAINED["decode"], "extract": {"backbone": "b", "layers": [2, 1], "new": None}},
            (
                "extract.backbone is 'b' instead of 'a', extract.layers is [2, 1] instead of [1, 2], "
                "extract.new is None instead of not set"
            ),
        ),
        (TRAINED, ""),
    ],
)
def test_the_settings_that_differ_are_named_with_both_values(given: object, told: str) -> None:
    assert recipe_difference(json.dumps(TRAINED), json.dumps(given)) == told


def test_no_more_than_four_are_named() -> None:
    trained, given = ({str(number): value for number in range(9)} for value in (0, 1))
    assert recipe_difference(json.dumps(trained), json.dumps(given)).endswith("3 is 1 instead of 0, and 5 more")


@pytest.mark.parametrize("text", ["no json", "[1, 2]", "7"])
def test_other_texts_are_told_whole(text: str) -> None:
    assert recipe_difference(text, json.dumps(TRAINED)) == f"{json.dumps(TRAINED)!r} instead of {text!r}"


def test_a_group_that_one_of_them_lacks_is_named_once() -> None:
    given = {**TRAINED, "recognize-ocr": {"backbone": "x", "decode": {"fps": 1}}}
    assert recipe_difference(json.dumps(TRAINED), json.dumps(given)) == "recognize-ocr is 'set' instead of not set"
    assert recipe_difference(json.dumps(given), json.dumps(TRAINED)) == "recognize-ocr is not set instead of 'set'"
