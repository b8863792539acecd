"""The numbers of small corpora that can be counted by hand, and of random ones against plain loops."""

from __future__ import annotations

import statistics
import tempfile
from collections import Counter
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.base.errors import SourceError
from features.formats.records import SPLITS, ClipRecord
from features.statistics.columns import read_columns, script_of
from features.statistics.counts import corpus_statistics
from features.statistics.pairs import MAX_PAIRED_TAGS, co_occurrence
from tests.features.corpora import published_columns

RECORDS = [
    ClipRecord("a", video="a.mp4", cover="a.jpg", title="The Beach", category="Beach", tags=("Beach", "Sea"),
               duration_seconds=0.5),
    ClipRecord("b", video="b.mp4", title="the  beach", category="Beach", tags=("Beach",), duration_seconds=2.0),
    ClipRecord("c", title="海滩日落", category="Sea", tags=("Sea", "Beach", "Sun"), duration_seconds=4000.0),
    ClipRecord("d", video="d.mp4", asr="hello", category="Sun", tags=()),
    ClipRecord("e", video="e.mp4", title="4K 海", ocr="x"),
]  # fmt: skip
SPLIT_NAMES = ["train", "train", "test", "validation", "train"]


def test_a_corpus_counted_by_hand(tmp_path: Path) -> None:
    found = corpus_statistics(published_columns(tmp_path, RECORDS, SPLIT_NAMES))

    assert found.clips == 5
    assert found.splits == {"train": 3, "validation": 1, "test": 1}
    assert [(row.name, row.clips) for row in found.categories] == [("Beach", 2), ("Sea", 1), ("Sun", 1)]
    assert found.categories[0].splits == {"train": 2, "validation": 0, "test": 0}
    assert found.without_category == 1
    assert [(row.name, row.clips) for row in found.tags] == [("Beach", 3), ("Sea", 2), ("Sun", 1)]
    assert found.tags[0].splits == {"train": 2, "validation": 0, "test": 1}
    assert (found.untagged, found.tags_unknown) == (1, 1)
    assert found.modalities["video"] == {"all": 4, "train": 3, "validation": 1, "test": 0}
    assert {name: counts["all"] for name, counts in found.modalities.items()} == {
        "video": 4, "cover": 1, "title": 4, "asr": 1, "ocr": 1,
    }  # fmt: skip


def test_durations_counted_by_hand(tmp_path: Path) -> None:
    found = corpus_statistics(published_columns(tmp_path, RECORDS, SPLIT_NAMES)).durations

    assert (found.known, found.missing) == (3, 2)
    assert found.total_hours == pytest.approx(4002.5 / 3600)
    assert (found.median_seconds, found.longest_seconds) == (2.0, 4000.0)
    assert {(one.low, one.high) for one in found.bins if one.clips} == {(0, 1), (2, 5), (3600, None)}


def test_titles_counted_by_hand(tmp_path: Path) -> None:
    found = corpus_statistics(published_columns(tmp_path, RECORDS, SPLIT_NAMES)).titles

    # "The Beach" and "the  beach" are one title to the splits.
    assert (found.present, found.distinct, found.longest_characters) == (4, 3, 10)
    assert found.mean_characters == (9 + 10 + 4 + 4) / 4
    assert found.scripts == {"none": 1, "chinese": 1, "latin": 2, "chinese and latin": 1, "other": 0}
    assert {(one.low, one.clips) for one in found.bins if one.clips} == {(0, 1), (1, 2), (6, 2)}


@pytest.mark.parametrize(
    ("title", "script"),
    [("", "none"), ("  ", "none"), ("Café", "latin"), ("4K!", "latin"), ("2024", "other"), ("Пляж", "other"),
     ("海", "chinese"), ("海 VR", "chinese and latin"), ("𠀀", "chinese"), ("×÷", "other"), ("かな", "other")],
)  # fmt: skip
def test_scripts(title: str, script: str) -> None:
    assert script_of(title) == script


def test_a_corpus_without_labels_durations_and_titles(tmp_path: Path) -> None:
    columns = published_columns(tmp_path, [ClipRecord("a")], ["train"])
    found = corpus_statistics(columns)
    together = co_occurrence(columns, num_pairs=5, matrix_size=5)

    assert (found.categories, found.tags, found.without_category, found.tags_unknown) == ((), (), 1, 1)
    assert (found.durations.mean_seconds, found.durations.total_hours) == (None, 0.0)
    assert (found.titles.mean_characters, found.titles.distinct) == (None, 0)
    assert (together.pairs, together.tags.counts, together.categories.counts) == ((), (), ())


def test_splits_of_another_corpus_are_refused(tmp_path: Path) -> None:
    published_columns(tmp_path, RECORDS, SPLIT_NAMES)
    (tmp_path / "splits.jsonl").write_text('{"clip_id": "z", "split": "train"}\n')

    with pytest.raises(SourceError, match=r"differ at clip a: delete the folder and run Manifest again"):
        read_columns(tmp_path, ["shard-00000.jsonl"])


def test_pairs_counted_by_hand(tmp_path: Path) -> None:
    columns = published_columns(tmp_path, RECORDS, SPLIT_NAMES)
    found = co_occurrence(columns, num_pairs=2, matrix_size=2)

    assert [(pair.first, pair.second, pair.clips) for pair in found.pairs] == [("Beach", "Sea", 2), ("Beach", "Sun", 1)]
    # 2 clips with both; by chance 5 * 3/5 * 2/5 = 1.2
    assert found.pairs[0].lift == pytest.approx(2 / 1.2)
    assert found.tags.rows == ("Beach", "Sea")
    assert found.tags.counts == ((3, 2), (2, 2))
    assert found.categories.rows == ("Beach", "Sea")
    assert found.categories.counts == ((2, 1), (1, 1))


labels = st.sampled_from([f"t{number}" for number in range(8)])
clips = st.lists(
    st.builds(
        ClipRecord,
        clip_id=st.just(""),
        title=st.text(max_size=12),
        category=st.none() | labels,
        tags=st.none() | st.lists(labels, unique=True).map(tuple),
        duration_seconds=st.none() | st.floats(0, 1e5, width=32),
    ),
    min_size=1,
    max_size=12,
)


@given(clips)
def test_any_corpus_against_plain_loops(records: list[ClipRecord]) -> None:
    records = [replace(record, clip_id=str(number)) for number, record in enumerate(records)]
    splits = [SPLITS[number % len(SPLITS)] for number in range(len(records))]
    with tempfile.TemporaryDirectory() as folder:
        columns = published_columns(Path(folder), records, splits, per_shard=5)
    found = corpus_statistics(columns)
    together = co_occurrence(columns, num_pairs=100, matrix_size=8)

    tags = Counter((tag, split) for record, split in zip(records, splits, strict=True) for tag in record.tags or ())
    assert {(row.name, split): n for row in found.tags for split, n in row.splits.items() if n} == dict(tags)
    pairs = Counter(frozenset(pair) for record in records for pair in combinations(record.tags or (), 2))
    assert {frozenset((pair.first, pair.second)): pair.clips for pair in together.pairs} == dict(pairs)
    cells = Counter((record.category, tag) for record in records if record.category for tag in record.tags or ())
    matrix = together.categories
    assert {
        (row, column): matrix.counts[i][j]
        for i, row in enumerate(matrix.rows)
        for j, column in enumerate(matrix.columns)
        if matrix.counts[i][j]
    } == dict(cells)
    seconds = [record.duration_seconds for record in records if record.duration_seconds is not None]
    assert sum(one.clips for one in found.durations.bins) == len(seconds) == found.durations.known
    assert found.durations.median_seconds == (pytest.approx(statistics.median(seconds)) if seconds else None)
    for one in found.durations.bins:
        high = float("inf") if one.high is None else one.high
        assert one.clips == sum(one.low <= value < high for value in seconds)
    assert sum(one.clips for one in found.titles.bins) == len(records)


def test_only_the_most_frequent_tags_are_paired(tmp_path: Path) -> None:
    many = tuple(f"tag {number:03d}" for number in range(MAX_PAIRED_TAGS + 1))
    records = [ClipRecord("a", tags=many), ClipRecord("b", tags=many[1:])]
    found = co_occurrence(published_columns(tmp_path, records, ["train"] * 2), num_pairs=100_000, matrix_size=3)

    assert found.num_paired_tags == MAX_PAIRED_TAGS
    assert len(found.pairs) == MAX_PAIRED_TAGS * (MAX_PAIRED_TAGS - 1) // 2
    assert not any("tag 000" in (pair.first, pair.second) for pair in found.pairs)
