from features.formats.records import ClipRecord
from features.splits.label_space import LabelSpace, build_label_space

RECORDS = [
    ClipRecord("1", category="猫", tags=("x", "y")),
    ClipRecord("2", category="dog", tags=("x",)),
    ClipRecord("3", category="猫", tags=()),
    ClipRecord("4"),
    ClipRecord("5", category="dog", tags=("y", "rare")),
    ClipRecord("6", category="once"),
]
LINES = [1, 2, 4, 5, 6, 9]


def test_names_are_sorted_and_rare_ones_get_a_reason_with_the_line_of_their_first_clip() -> None:
    labels, rejections = build_label_space(RECORDS, LINES, 2)
    assert labels == LabelSpace(("dog", "猫"), ("x", "y"))
    assert [(row.line, row.code, row.clip_id) for row in rejections] == [
        (9, "rare_category", "6"),
        (6, "rare_tag", "5"),
    ]
    assert "'once' occurs on 1 clip(s), fewer than min_clips_per_label = 2" in rejections[0].detail


def test_the_bound_is_the_first_number_that_is_enough() -> None:
    assert build_label_space(RECORDS, LINES, 1)[0] == LabelSpace(("dog", "once", "猫"), ("rare", "x", "y"))
    assert build_label_space(RECORDS, LINES, 3)[0] == LabelSpace((), ())


def test_no_label_at_all_is_no_problem() -> None:
    assert build_label_space([ClipRecord("1")], [1], 2) == (LabelSpace((), ()), [])


def test_json_and_back() -> None:
    labels = LabelSpace(("a", "猫"), ())
    assert LabelSpace.from_json(labels.to_json()) == labels
