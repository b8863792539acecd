"""How Download handles a faulty site, and how fast it is beside ``xargs -P curl`` on a healthy one.

A server in a process of its own on the loopback interface serves 1,000 small clips rendered by ffmpeg, each with a
content of its own. First with faults: 5 % answer 503 once, 2 % are missing, 2 % break off once, 1 % stall once; every
clip is accounted for and compared byte for byte. Then without, in turns: Download (which also hashes, checks, syncs
and indexes), one curl a clip, and one curl for 50 clips, which keeps its connection. Last 50 small files of one server,
again in turns: Download, and one curl with all the URLs.
"""

from __future__ import annotations

import argparse
import functools
import json
import resource
import statistics
import subprocess
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from features.base.parallel import WorkerPool
from features.downloads.config import DownloadConfig
from features.downloads.download import Downloader, download_shard
from features.downloads.download_rows import FROM_MANIFEST, FROM_STORE, read_downloaded
from features.formats.records import ClipRecord
from tests.features.clip_site import GONE, SitePlan, clip_site
from tests.features.media import render_clip

if TYPE_CHECKING:
    from collections.abc import Callable

CLIPS_PER_CURL = 50
# A small file that passes for a video.
SMALL_FILE = b"\x00\x00\x00\x18ftypisom" + bytes(10_000)


@dataclass(frozen=True)
class Cost:
    """Seconds of the clock, and CPU seconds of the client alone."""

    wall_seconds: float
    cpu_seconds: float


def main() -> None:
    """Measure, print, and keep the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--small-rounds", type=int, default=21)
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/download_throughput.json"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rendered = render_clip(folder / "clip.mp4", size="160x120", seconds=1)
        figures = {
            "clips": options.clips,
            "workers": options.workers,
            "bytes_per_clip": len(SitePlan().body(0, rendered.read_bytes())),
            "faulty_site": _faulty(SitePlan(options.clips), rendered, folder, options.workers),
            "healthy_site": _healthy(SitePlan(options.clips, faulty=False), rendered, folder, options),
            "small_files": _small(SitePlan(CLIPS_PER_CURL, faulty=False), folder, options),
        }
    text = json.dumps(figures, indent=1) + "\n"
    print(text)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(text, encoding="utf-8")


def _faulty(plan: SitePlan, rendered: Path, folder: Path, workers: int) -> dict[str, object]:
    """Return the figures of one download from a faulty site."""
    store = folder / "faulty"
    with clip_site(plan, rendered) as address:
        cost = _measured(lambda: _download(address, plan, store, workers))
    rows = read_downloaded(store / "rows")
    faults, content = plan.faults(), rendered.read_bytes()
    assert len(rows) == plan.num_clips
    recovered: Counter[str] = Counter()
    lost: Counter[str] = Counter()
    for index, row in enumerate(rows):
        if row.video is None:
            lost[f"{faults[index]}: {row.outcome.code}"] += 1
            continue
        assert row.video.locate({FROM_STORE: store}).read_bytes() == plan.body(index, content)
        recovered[faults[index]] += 1
    assert sum(lost.values()) == Counter(faults)[GONE]
    return {"served": Counter(faults), "whole": recovered, "failed": lost, "wall_seconds": round(cost.wall_seconds, 2)}


def _healthy(plan: SitePlan, rendered: Path, folder: Path, options: argparse.Namespace) -> dict[str, object]:
    """Return the medians over interleaved rounds, and what they are in units of one curl a clip."""
    costs: dict[str, list[Cost]] = {"download": [], "curl_per_clip": [], f"curl_per_{CLIPS_PER_CURL}": []}
    with clip_site(plan, rendered) as address:
        for number in range(options.rounds):
            for client, found in costs.items():
                place = folder / f"{client}-{number}"
                place.mkdir()
                found.append(_measured(_job(client, address, plan, place, options.workers)))
    medians = {
        client: {
            "wall_seconds": round(statistics.median(cost.wall_seconds for cost in found), 3),
            "cpu_seconds": round(statistics.median(cost.cpu_seconds for cost in found), 3),
        }
        for client, found in costs.items()
    }
    ratios = [
        ours.wall_seconds / curl.wall_seconds
        for ours, curl in zip(costs["download"], costs["curl_per_clip"], strict=True)
    ]
    return {
        **medians,
        "download_over_curl_per_clip": {
            "median": round(statistics.median(ratios), 3),
            "lowest": round(min(ratios), 3),
            "highest": round(max(ratios), 3),
        },
    }


def _small(plan: SitePlan, folder: Path, options: argparse.Namespace) -> dict[str, object]:
    """Return the medians for the small files of one server, and the speed of Download in units of one curl."""
    content = folder / "small.mp4"
    content.write_bytes(SMALL_FILE)
    ours, curls = [], []
    with clip_site(plan, content) as address:
        urls = [f"{address}/{index:05d}.mp4" for index in range(plan.num_clips)]
        command = ["curl", "-s", "-S", "--fail", "--remote-name-all", *urls]
        for number in range(options.small_rounds):
            place = folder / f"small-{number}"
            place.mkdir()
            fetch = functools.partial(_download, address, plan, place / "store", options.workers)
            ours.append(_measured(fetch))
            curls.append(_measured(functools.partial(subprocess.run, command, cwd=place, check=True)))
    return {
        "files": plan.num_clips,
        "download_wall_seconds": round(statistics.median(cost.wall_seconds for cost in ours), 4),
        "one_curl_wall_seconds": round(statistics.median(cost.wall_seconds for cost in curls), 4),
        "speed_in_curls": round(
            statistics.median(curl.wall_seconds / cost.wall_seconds for cost, curl in zip(ours, curls, strict=True)),
            3,
        ),
    }


def _job(client: str, address: str, plan: SitePlan, place: Path, workers: int) -> Callable[[], None]:
    """Return what fetches every clip of a site into ``place``."""
    if client == "download":
        return lambda: _download(address, plan, place, workers)
    per_process = 1 if client == "curl_per_clip" else CLIPS_PER_CURL
    names = "".join(f"{address}/{index:05d}.mp4\n" for index in range(plan.num_clips))
    command = ["xargs", "-P", str(workers), "-n", str(per_process), "curl", "-s", "-S", "--fail", "--remote-name-all"]

    def run_curl() -> None:
        subprocess.run(command, input=names, text=True, cwd=place, check=True)

    return run_curl


def _download(address: str, plan: SitePlan, place: Path, workers: int) -> None:
    place.mkdir(exist_ok=True)
    config = DownloadConfig(
        workers=workers,
        connections_per_host=workers,
        requests_per_second_per_host=0,
        timeout_seconds=5.0,
        allow_private_addresses=True,
    )
    records = [ClipRecord(f"{index:05d}", video=f"{address}/{index:05d}.mp4") for index in range(plan.num_clips)]
    with (
        Downloader(config, {FROM_MANIFEST: place, FROM_STORE: place}) as downloader,
        WorkerPool(workers, plan.num_clips) as pool,
    ):
        download_shard(records, downloader, place / "rows", pool)


def _measured(work: Callable[[], object]) -> Cost:
    started, cpu = time.monotonic(), _client_cpu_seconds()
    work()
    return Cost(time.monotonic() - started, _client_cpu_seconds() - cpu)


def _client_cpu_seconds() -> float:
    """Return the CPU seconds of this process and of the children that have ended; the server has not."""
    total = 0.0
    for processes in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN):
        used = resource.getrusage(processes)
        total += used.ru_utime + used.ru_stime
    return total


if __name__ == "__main__":
    main()
