"""Fetched media go when nobody needs them, and not a moment earlier."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest

from features.base.outcomes import Outcome
from features.downloads.download_rows import FROM_MANIFEST, FROM_STORE, DownloadedClip, MediaFile
from features.downloads.store import MediaCollector

if TYPE_CHECKING:
    from pathlib import Path


def _file(store: Path, content: bytes) -> MediaFile:
    digest = hashlib.sha256(content).hexdigest()
    path = store / digest[:2] / f"{digest}.mp4"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return MediaFile(FROM_STORE, f"{digest[:2]}/{digest}.mp4", "mp4", len(content), digest, "http://a.example/")


def _rows(path: Path, clips: dict[str, MediaFile]) -> Path:
    lines = [DownloadedClip(Outcome(clip_id, "ok"), file).to_line() for clip_id, file in clips.items()]
    path.write_text("".join(lines), encoding="utf-8")
    return path


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "media"


def test_a_file_of_two_shards_goes_with_the_last(store: Path, tmp_path: Path) -> None:
    both, one = _file(store, b"both"), _file(store, b"one")
    first = _rows(tmp_path / "first", {"a": both, "b": one})
    second = _rows(tmp_path / "second", {"c": both})
    collector = MediaCollector(store, {"first": first, "second": second})

    collector.shard_done("first", keep=set(), hold=set())
    assert [(store / file.path).exists() for file in (both, one)] == [True, False]
    collector.shard_done("second", keep=set(), hold=set())
    assert not (store / both.path).exists()


def test_what_is_tried_again_stays_and_what_failed_stays_until_the_stage_has_not(store: Path, tmp_path: Path) -> None:
    good, failed, tried = (_file(store, name) for name in (b"good", b"failed", b"tried"))
    rows = _rows(tmp_path / "rows", {"good": good, "failed": failed, "tried": tried})
    collector = MediaCollector(store, {"rows": rows})

    collector.shard_done("rows", keep={"tried"}, hold={"failed", "tried"})
    assert [(store / file.path).exists() for file in (good, failed, tried)] == [False, True, True]
    collector.finish()
    assert [(store / file.path).exists() for file in (good, failed, tried)] == [False, False, True]


def test_files_of_the_user_are_never_deleted(store: Path, tmp_path: Path) -> None:
    own = tmp_path / "own.mp4"
    own.write_bytes(b"own")
    file = MediaFile(FROM_MANIFEST, "own.mp4", "mp4", 3, hashlib.sha256(b"own").hexdigest())
    collector = MediaCollector(store, {"rows": _rows(tmp_path / "rows", {"a": file})})

    collector.shard_done("rows", keep=set(), hold=set())
    collector.finish()

    assert own.exists()
