"""A corpus on a web server: what fails for a while is tried again, what is gone stays gone, nothing comes twice."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.features.media import render_clip
from tests.features.server import Site, serve

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from tests.end_to_end.run import Workplace

MP4 = b"\0\0\0\x18ftypmp42"


@pytest.fixture
def site() -> Iterator[Site]:
    with serve() as found:
        yield found


def _write_manifest(workplace: Workplace, urls: Sequence[str], **settings: str) -> None:
    rows = [{"id": f"clip-{number}", "video": url, "category": "a"} for number, url in enumerate(urls)]
    path = workplace.folder / "clips.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    workplace.configure(
        {
            "corpus": {"manifest": str(path)},
            "manifest": {"clips_per_shard": "2"},
            "download": {
                "allow_private_addresses": "true",
                "max_attempts": "1",
                "max_failed_fraction": "1",
                **settings,
            },
        }
    )


def _codes(workplace: Workplace, stage: str = "download") -> list[str]:
    paths = sorted((workplace.root / stage / "latest").glob("shard-*.jsonl"))
    rows = [json.loads(line) for path in paths for line in path.read_text(encoding="utf-8").splitlines()]
    return [row["outcome"]["code"] for row in rows]


def test_retry_attempts_only_what_may_pass(workplace: Workplace, site: Site) -> None:
    urls = [
        site.add("/a.mp4", MP4 + b"a"),
        site.add_series("/b.mp4", (503, b"", {}), (200, MP4 + b"b", {})),
        site.url("/c.mp4"),
        site.add("/d.mp4", MP4 + b"d"),
        "e.mp4",
    ]
    local = workplace.folder / "e.mp4"
    local.write_bytes(b"half of it is not there yet")
    _write_manifest(workplace, urls)
    assert workplace.luigi("Download").returncode == 0
    assert _codes(workplace) == ["", "http_503", "http_404", "", "not_a_video"]
    site.asked.clear()
    local.write_bytes(MP4 + b"e")

    done = workplace.pipeline("retry")

    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert site.paths() == ["/b.mp4"]
    assert _codes(workplace) == ["", "", "http_404", "", ""]
    assert "1 http_503, 1 not_a_video" in done.stdout
    assert "1 http_404" in done.stdout
    assert done.stdout.count("not_a_video") == 1
    assert "2 recovered" in done.stdout

    again = workplace.pipeline("retry", "--json")

    assert site.paths() == ["/b.mp4"]
    assert json.loads(again.stdout)["stages"][0] == {
        "stage": "download",
        "before": {},
        "after": {},
        "permanent": {"http_404": 1},
    }


def test_a_stage_that_failed_asks_again_only_for_what_it_has_not(workplace: Workplace, site: Site) -> None:
    urls = [
        site.add("/a.mp4", MP4 + b"a"),
        site.add_series("/b.mp4", (503, b"", {}), (200, MP4 + b"b", {})),
        site.add_series("/c.mp4", (503, b"", {}), (200, MP4 + b"c", {})),
    ]
    _write_manifest(workplace, urls, max_failed_fraction="0.5")
    failed = workplace.luigi("Download")
    site.asked.clear()

    done = workplace.luigi("Download")

    assert failed.returncode == 30, failed.stdout
    assert done.returncode == 0, done.stdout
    assert sorted(site.paths()) == ["/b.mp4", "/c.mp4"]
    assert _codes(workplace) == ["", "", ""]


def test_what_was_fetched_is_not_fetched_again_for_an_appended_manifest(workplace: Workplace, site: Site) -> None:
    urls = [site.add(f"/{number}.mp4", MP4 + bytes([number])) for number in range(4)]
    _write_manifest(workplace, urls[:3])
    assert workplace.luigi("Download").returncode == 0
    site.asked.clear()
    _write_manifest(workplace, urls)

    done = workplace.luigi("Download")

    assert done.returncode == 0, done.stdout
    assert site.paths() == ["/3.mp4"]


def test_media_that_need_not_be_kept_go_and_come_back_when_they_are_needed(
    workplace: Workplace, site: Site, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("media")
    for name, size in (("a", "64x48"), ("b", "80x48")):
        render_clip(folder / f"{name}.mp4", seconds=1, size=size)
    films = {name: (folder / f"{name}.mp4").read_bytes() for name in "ab"}
    # The first and the third clip are one film under two URLs, in two shards.
    urls = [site.add("/1.mp4", films["a"]), site.add("/2.mp4", films["b"]), site.add("/3.mp4", films["a"])]
    _write_manifest(workplace, urls, keep_media="false")
    assert workplace.luigi("Download").returncode == 0
    assert len(_media(workplace)) == 2

    done = workplace.luigi("Decode")

    assert done.returncode == 0, done.stdout
    assert "3 ok" in done.stdout
    assert _media(workplace) == []
    first = (workplace.root / "decode" / "latest" / "shard-00000.tar").read_bytes()
    (workplace.root / "decode" / "latest" / "shard-00000.tar").unlink()
    site.asked.clear()

    again = workplace.luigi("Decode")

    assert again.returncode == 0, again.stdout
    assert sorted(site.paths()) == ["/1.mp4", "/2.mp4"]
    assert (workplace.root / "decode" / "latest" / "shard-00000.tar").read_bytes() == first
    assert _media(workplace) == []


def _media(workplace: Workplace) -> list[Path]:
    return sorted((workplace.root / "media").glob("??/*"))
