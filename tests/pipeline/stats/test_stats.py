"""The statistics of a corpus of three clips: as numbers, as text, and as a page."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

from features.base.errors import ShardError, SourceError
from features.base.text import display_width
from pipeline.stats.collect import read_corpus, read_stats
from pipeline.stats.covers import contact_sheet
from pipeline.stats.formatting import bytes_text, time_text
from pipeline.stats.page import stats_page, write_stats_page
from pipeline.stats.text import render_stats
from tasks.stages.decode import Decode
from tasks.stages.download import Download
from tasks.stages.manifest import Manifest
from tests.features.media import render_clip, render_picture

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from tasks.core.stage import Stage

    Configure = Callable[[Mapping[str, Mapping[str, str]]], None]

ROWS = [
    {"id": "a", "video": "a.mp4", "cover": "a.png", "text": "海滩日落<b>", "category": "Beach", "tags": ["sun", "sea"]},
    {"id": "b", "video": "a.mp4", "text": "b", "category": "Beach", "tags": ["sun", "sea"], "duration_seconds": 75},
    {"id": "b", "video": "a.mp4"},
    {"id": "c", "video": "gone.mp4", "text": "c", "category": "City", "tags": ["sun"]},
    {"id": "d", "video": "http://127.0.0.1:9/d.mp4", "cover": "http://127.0.0.1:9/d.jpg", "category": "City"},
    {"no": "id"},
]  # fmt: skip


@pytest.fixture
def corpus_folder(tmp_path: Path, configure: Configure) -> Path:
    """Return the folder of a manifest, its media beside it, that the configuration names."""
    folder = tmp_path / "corpus"
    folder.mkdir()
    manifest = folder / "manifest.jsonl"
    manifest.write_text("".join(json.dumps(row) + "\n" for row in ROWS), encoding="utf-8")
    configure({
        "corpus": {"manifest": str(manifest)},
        # Two clips a shard: c and d stand in the second.
        "manifest": {"clips_per_shard": "2"},
        "download": {"max_failed_fraction": "1", "max_attempts": "1"},
        "decode": {"max_failed_fraction": "1"},
    })  # fmt: skip
    return folder


def _publish(*stages: Stage) -> None:
    for stage in stages:
        stage._build_and_publish()


def test_without_the_manifest_stage_the_command_to_run_is_named(corpus_folder: Path) -> None:
    with pytest.raises(SourceError, match="is not complete: run `luigi --module pipeline Manifest` first"):
        read_corpus()


def test_the_numbers_of_a_corpus(corpus_folder: Path) -> None:
    _publish(Manifest())

    stats = read_stats(read_corpus())

    assert (stats.rows, stats.corpus.clips, stats.merged, sum(stats.rejected.values())) == (6, 4, 1, 1)
    assert stats.other_names == {"Beach": "海滩", "City": "城市"}
    assert [(row.name, row.clips) for row in stats.corpus.tags] == [("sun", 3), ("sea", 2)]
    assert stats.corpus.durations.total_hours == 75 / 3600
    assert [row.stage for row in stats.outcomes][:2] == ["download", "decode"]
    assert {(row.shards, row.of_shards) for row in stats.outcomes} == {(0, 2)}
    assert (stats.files_found, stats.decoded) == ({}, None)
    assert (stats.cost.basis, stats.cost.remaining_urls) == ("published", 2)
    assert [row.stage for row in stats.disk] == ["manifest"]


def test_json_holds_everything(corpus_folder: Path) -> None:
    _publish(Manifest())

    row = json.loads(json.dumps(read_stats(read_corpus()).to_json(), allow_nan=False))

    assert row["corpus"]["categories"][0] == {
        "name": "Beach", "clips": 2, "splits": row["corpus"]["categories"][0]["splits"],
    }  # fmt: skip
    assert row["together"]["pairs"] == [{"first": "sun", "second": "sea", "clips": 2, "lift": 4 * 2 / (3 * 2)}]


def test_the_text_fits_100_columns_and_is_straight(corpus_folder: Path) -> None:
    _publish(Manifest())

    text = render_stats(read_stats(read_corpus()))
    table = re.search(r"categories: 2.*?\n\n", text, re.DOTALL)

    assert table is not None
    names, rule, first, second = table[0].splitlines()[1:5]
    # "Beach (海滩)" takes 12 columns: its numbers end where the rule of their column ends.
    for line in (first, second):
        assert display_width(line) == len(rule) == len(names)
    assert "Beach (海滩)      2  50.0%" in first
    for line in text.splitlines():
        assert display_width(line) <= 100 or str(corpus_folder.parent) in line
        assert line == line.rstrip()


def test_covers_come_from_the_files_and_then_from_the_decoded_shards(corpus_folder: Path) -> None:
    render_clip(corpus_folder / "a.mp4")
    render_picture(corpus_folder / "a.png", size="64x48")
    _publish(Manifest())
    before = contact_sheet(read_corpus(), None, 5)
    _publish(Download())
    fetched = contact_sheet(read_corpus(), None, 5)
    _publish(Decode())
    (corpus_folder / "a.png").unlink()
    decoded = contact_sheet(read_corpus(), "beach", 1)

    assert before is not None
    assert fetched is not None
    assert decoded is not None
    assert (before.category, before.num_clips) == ("Beach", 2)
    assert [(clip.clip_id, clip.picture) for clip in before.clips] == [("a", None), ("b", None)]
    assert all(clip.picture is not None and clip.picture.startswith(b"\xff\xd8\xff") for clip in fetched.clips)
    assert [clip.clip_id for clip in decoded.clips] == ["a"]
    assert decoded.clips[0].picture is not None
    stats = read_stats(read_corpus())
    assert stats.files_found == {"video": 2, "cover": 1}
    assert stats.decoded is not None
    assert stats.decoded.durations.known == 2
    assert stats.outcomes[0].counts["failed"] == 2


def test_a_category_is_found_by_either_name(corpus_folder: Path) -> None:
    _publish(Manifest())
    corpus = read_corpus()

    for name in ("City", "城市", "city"):
        sheet = contact_sheet(corpus, name, 1)
        assert sheet is not None
        assert sheet.category == "City"
    with pytest.raises(SourceError, match=r"unknown category 'Moon': expected one of Beach, City$"):
        contact_sheet(corpus, "Moon", 1)


def test_the_page_needs_nothing_else_and_escapes_titles(corpus_folder: Path, tmp_path: Path) -> None:
    render_clip(corpus_folder / "a.mp4")
    _publish(Manifest(), Download())
    corpus = read_corpus()
    write_stats_page(tmp_path / "stats.html", read_stats(corpus), contact_sheet(corpus, None, 4))
    page = (tmp_path / "stats.html").read_text(encoding="utf-8")

    assert page.startswith("<!DOCTYPE html>")
    assert "海滩日落&lt;b&gt;" in page
    assert "<script" not in page
    assert not re.search(r"(src|href)=\"(?!data:)", page)
    assert 'src="data:image/jpeg;base64,' in page
    for heading in ("2 categories", "Covers of Beach (海滩)", "2 tags", "Label co-occurrence", "Durations", "Titles",
                    "Modalities", "Outcomes", "Download", "Disk"):  # fmt: skip
        assert f"<h2>{heading}</h2>" in page


def test_a_page_without_labels_and_pictures(tmp_path: Path, configure: Configure) -> None:
    (tmp_path / "clips.jsonl").write_text('{"id": "a", "video": "a.mp4"}\n')
    configure({"corpus": {"manifest": str(tmp_path / "clips.jsonl")}})
    _publish(Manifest())
    corpus = read_corpus()
    stats = read_stats(corpus)

    assert contact_sheet(corpus, None, 4) is None
    page = stats_page(stats, None)
    assert "Label co-occurrence" not in page
    assert "nothing is downloaded" in page
    assert "tag co-occurrence: no clip has two tags" in render_stats(stats)


def test_a_page_that_cannot_be_written(corpus_folder: Path, tmp_path: Path) -> None:
    _publish(Manifest())

    with pytest.raises(SourceError, match=r"cannot write the page to .*nowhere.*; name a file in a folder that exists"):
        write_stats_page(tmp_path / "nowhere" / "stats.html", read_stats(read_corpus()), None)


@pytest.mark.parametrize(
    ("size", "text"),
    [(None, "–"), (0, "0 bytes"), (999, "999 bytes"), (999.7, "1 kB"), (1_538_209, "1.54 MB"), (865e9, "865 GB"),
     (999_700_000, "1 GB"), (12_345e12, "12,345 TB")],
)  # fmt: skip
def test_sizes_in_words(size: float | None, text: str) -> None:
    assert bytes_text(size) == text


def test_a_damaged_row_of_download_is_named(corpus_folder: Path) -> None:
    _publish(Manifest(), Download())
    path = Download().folder / "shard-00001.jsonl"
    lines = path.read_text(encoding="utf-8")
    path.write_text("x" * len(lines), encoding="utf-8")

    with pytest.raises(ShardError, match=r"shard-00001.jsonl is damaged .*: delete it and run again"):
        read_stats(read_corpus())


def test_days_in_words() -> None:
    assert [time_text(seconds) for seconds in (75, 86_400, 864_000)] == ["75 s", "24 h 00 min", "10.0 days"]
