"""The two corpora of the stress program: the embedded one, and one that is partly fetched over loopback HTTP."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from features.decoding.ffmpeg import find_ffmpeg
from features.sample.config import SampleConfig
from features.sample.render import render_corpus
from tests.features.server import answer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from http.server import BaseHTTPRequestHandler
    from pathlib import Path

    from tests.features.server import Site

    Page = Callable[[BaseHTTPRequestHandler], None]

SAMPLE = "sample"
SERVED = "served"
NUM_CLIPS = 24
# Small, and yet every stage and every network has its part.
SMALL: dict[str, dict[str, str]] = {
    "sample": {"num_clips": str(NUM_CLIPS)},
    "manifest": {"clips_per_shard": "8"},
    "decode": {"frames_per_second": "1"},
    "network": {"trn_width": "16", "nextvlad_clusters": "4", "hidden_width": "32"},
    # Files of TensorBoard are named after time and process.
    "train": {"epochs": "2", "tensorboard": "false"},
}
# A quarter of the served clips cannot be had.
TOLERANT = {"max_failed_fraction": "0.5"}


@dataclass(frozen=True)
class Corpus:
    """A corpus as the configuration names it.

    Attributes:
        name: ``sample`` or ``served``.
        sections: Settings of every run on it.
    """

    name: str
    sections: Mapping[str, Mapping[str, str]]


def sample_corpus(modalities: str) -> Corpus:
    """Return the corpus that the first stage renders."""
    return Corpus(SAMPLE, {**SMALL, "features": {"modalities": modalities}})


def served_corpus(folder: Path, site: Site, modalities: str) -> Corpus:
    """Return a corpus of files beside its manifest and of URLs, good ones and bad ones, all made now.

    Every second clip is fetched. One video stands under two URLs; one server is busy at the first request of
    each run, and one breaks off at the first; others always answer 404, 503, half a body, or an error page.
    """
    render_corpus(SampleConfig(num_clips=NUM_CLIPS), folder, ffmpeg=find_ffmpeg(""))
    manifest = folder / "manifest.jsonl"
    rows = [json.loads(line) for line in manifest.read_text(encoding="utf-8").splitlines()]
    for row in rows[::2]:
        for name in ("video", "cover"):
            if name in row:
                row[name] = site.add(f"/{row[name]}", (folder / row[name]).read_bytes())
    good = max((folder / "media").glob("*.mp4"), key=lambda path: path.stat().st_size).read_bytes()
    half = good[: len(good) // 2]
    whole = {"Content_Length": str(len(good))}
    troubled = {
        "/busy-once.mp4": _in_turn((503, b"", {}), (200, good, {})),
        "/breaks-off-once.mp4": _in_turn((200, half, whole), (200, good, {})),
        "/always-busy.mp4": _in_turn((503, b"", {})),
        "/always-half.mp4": _in_turn((200, half, whole)),
    }
    site.pages |= troubled
    site.add("/same-again.mp4", good)
    site.add("/page.mp4", b"<!DOCTYPE html><html><body>gone</body></html>")
    rows += [
        {"id": path[1:-4], "video": site.url(path), "text": f"clip {path}", "category": "traffic"}
        for path in (*troubled, "/same-again.mp4", "/page.mp4", "/not-there.mp4")
    ]
    manifest.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return Corpus(
        SERVED,
        {
            **SMALL,
            "corpus": {"manifest": str(manifest)},
            "download": {"allow_private_addresses": "true", "max_attempts": "2", **TOLERANT},
            "decode": {**SMALL["decode"], **TOLERANT},
            "features": {"modalities": modalities, **TOLERANT},
        },
    )


def of_one_run(corpus: Corpus, name: str) -> dict[str, Mapping[str, str]]:
    """Return the settings for one place: its name is what the server sees as the user agent."""
    sections = dict(corpus.sections)
    if corpus.name == SERVED:
        sections["download"] = {**sections["download"], "user_agent": f"stress-{name}"}
    return sections


def _in_turn(*answers: tuple[int, bytes, dict[str, str]]) -> Page:
    """Return a page that gives each user agent one answer after the other, the last one for ever."""
    asked: dict[str, int] = {}

    def page(request: BaseHTTPRequestHandler) -> None:
        who = request.headers.get("User-Agent", "")
        turn = asked.get(who, 0)
        asked[who] = turn + 1
        status, body, headers = answers[min(turn, len(answers) - 1)]
        answer(request, body, status, headers)

    return page
