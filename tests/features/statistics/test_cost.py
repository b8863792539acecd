from __future__ import annotations

import math
import statistics
from typing import TYPE_CHECKING

import numpy as np
import pytest

from features.formats.records import ClipRecord
from features.statistics.cost import MIN_MEASURED_FILES, download_cost
from features.statistics.media import MediaColumns
from tests.features.corpora import published_columns

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from features.statistics.columns import Columns


def _corpus(folder: Path, videos: Sequence[str], covers: Sequence[str] = ()) -> Columns:
    covers = [*covers, *[""] * (len(videos) - len(covers))]
    records = [ClipRecord(str(n), video=v, cover=c) for n, (v, c) in enumerate(zip(videos, covers, strict=True))]
    return published_columns(folder, records, ["train"] * len(records), per_shard=1000)


def _media(num_clips: int, videos: Sequence[int] = (), covers: Sequence[int] = ()) -> MediaColumns:
    """Return what was found of the first clips, -1 where it failed."""
    sizes = {}
    for kind, found in (("video", videos), ("cover", covers)):
        sizes[kind] = np.array([*found, *[-1] * (num_clips - len(found))], np.int64)
    return MediaColumns(np.arange(num_clips) < len(videos), sizes)


def test_a_url_on_several_clips_is_fetched_once(tmp_path: Path) -> None:
    videos = ["http://a.org/1", "http://a.org/1", "http://B.org/2", "beside.mp4", "http://["]
    cost = download_cost(_corpus(tmp_path, videos, ["https://a.org/c"]), _media(5), 2.0)

    assert [(kind.urls, kind.remaining) for kind in cost.kinds] == [(3, 3), (1, 1)]
    assert [(row.host, row.urls) for row in cost.hosts] == [("a.org", 2), ("", 1), ("b.org", 1)]
    assert cost.remaining_urls == 4
    assert cost.polite_seconds == 1.0


def test_before_anything_is_fetched_the_published_figure_stands(tmp_path: Path) -> None:
    cost = download_cost(_corpus(tmp_path, [f"http://a.org/{n}" for n in range(100)]), _media(100), 0.0)

    assert cost.basis == "published"
    assert cost.expected_bytes == pytest.approx(153.82e6, rel=1e-4)  # 100 * 865 GB / 562,342
    assert (cost.low_bytes, cost.high_bytes, cost.polite_seconds) == (None, None, 0.0)
    assert [row.seconds for row in cost.times] == pytest.approx([153.82, 15.382, 1.5382], rel=1e-4)


def test_the_mean_of_the_fetched_files_stands_for_the_rest(tmp_path: Path) -> None:
    sizes = [1000 + 10 * n for n in range(MIN_MEASURED_FILES)]
    columns = _corpus(tmp_path, [f"http://a.org/{n}" for n in range(100)])
    cost = download_cost(columns, _media(100, [*sizes, -1]), 10.0)

    video = cost.kinds[0]
    assert (video.fetched, video.failed, video.remaining) == (30, 1, 69)
    margin = 1.96 * statistics.stdev(sizes) / math.sqrt(30) * 69
    assert cost.basis == "measured"
    assert cost.expected_bytes == pytest.approx(69 * statistics.mean(sizes))
    assert (cost.low_bytes, cost.high_bytes) == pytest.approx(
        (cost.expected_bytes - margin, cost.expected_bytes + margin)
    )


def test_few_files_give_a_mean_without_an_interval(tmp_path: Path) -> None:
    columns = _corpus(tmp_path, [f"http://a.org/{n}" for n in range(4)])
    cost = download_cost(columns, _media(4, [100, 300]), 10.0)

    assert (cost.expected_bytes, cost.low_bytes) == (400.0, None)


def test_nothing_remains_of_local_files_and_of_a_download_that_is_done(tmp_path: Path) -> None:
    local = download_cost(_corpus(tmp_path / "a", ["a.mp4"]), _media(1), 10.0)
    done = download_cost(_corpus(tmp_path / "b", ["http://a.org/1"] * 2), _media(2, [5, -1]), 10.0)

    for cost in (local, done):
        assert (cost.basis, cost.remaining_urls, cost.expected_bytes) == ("nothing remains", 0, 0.0)
        assert (cost.low_bytes, cost.high_bytes) == (0.0, 0.0)
    # One of the clips got the file, so the URL was no failure.
    assert (done.kinds[0].fetched, done.kinds[0].failed) == (1, 0)
