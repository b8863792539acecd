from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from features.base.outcomes import Tally
from features.base.parallel import WorkerPool
from features.downloads.config import DownloadConfig
from features.downloads.download import Downloader, download_shard
from features.downloads.download_rows import FROM_MANIFEST, FROM_STORE, read_downloaded
from features.formats.records import ClipRecord
from tests.features.clip_site import GONE, SitePlan, clip_site

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

CONFIG = DownloadConfig(
    workers=16,
    connections_per_host=16,
    requests_per_second_per_host=0,
    timeout_seconds=1.0,
    allow_private_addresses=True,
)


def test_a_thousand_clips_with_faults_are_all_accounted_for(
    media: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("features.downloads.fetching.FIRST_PAUSE_SECONDS", 0.1)
    plan = SitePlan()
    faults = plan.faults()
    # 5 % of 503, 2 % of 404, 2 % of truncated bodies, 1 % of stalls.
    assert Counter(faults) == {"healthy": 900, "overloaded": 50, "gone": 20, "truncated": 20, "stalled": 10}
    folders = {FROM_MANIFEST: tmp_path, FROM_STORE: tmp_path / "store"}
    with clip_site(plan, media / "both.mp4") as address:
        records = [ClipRecord(f"{index:05d}", video=f"{address}/{index:05d}.mp4") for index in range(plan.num_clips)]
        with Downloader(CONFIG, folders) as downloader, WorkerPool(CONFIG.workers, plan.num_clips) as pool:
            outcomes = download_shard(records, downloader, tmp_path / "rows", pool)
    assert [outcome.clip_id for outcome in outcomes] == [record.clip_id for record in records]
    assert [outcome.code for outcome in outcomes] == ["http_404" if fault == GONE else "" for fault in faults]
    assert Tally.of(outcomes).counts == {"ok": 980, "partial": 0, "failed": 20}
    rendered = (media / "both.mp4").read_bytes()
    for index, row in enumerate(read_downloaded(tmp_path / "rows")):
        if faults[index] != GONE:
            assert row.video is not None
            assert row.video.locate(folders).read_bytes() == plan.body(index, rendered)
    left = [path for path in (tmp_path / "store").rglob("*") if path.is_file()]
    assert len(left) == 980 + 1
    assert list((tmp_path / "store" / ".partial").iterdir()) == []
