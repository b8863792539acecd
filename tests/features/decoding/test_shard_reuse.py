from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from features.base.errors import ClipError
from features.base.parallel import WorkerPool
from features.decoding.config import DecodeConfig
from features.decoding.shard import Decoding, decode_shard
from features.formats.tar_shard import TarShardWriter
from tests.features.media import ClipParts, add_parts, decode_to, downloaded, locate, read_parts

if TYPE_CHECKING:
    from features.downloads.download_rows import DownloadedClip, MediaFile


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def shard(media: Path) -> list[DownloadedClip]:
    names = ("both.mp4", "half.mp4", "page.mp4", "silent.mp4")
    clips = [downloaded(media / name, media / "cover.jpg", clip_id=f"猫/{name}") for name in names]
    lost = replace(downloaded(None, clip_id="lost"), problems=(("http_404", "the server answered 404"),))
    return [*clips, lost]


def again(
    clips: list[DownloadedClip], path: Path, previous: Path | None, forbidden: frozenset[str] = frozenset()
) -> tuple[Decoding, list[str]]:
    """Decode; return the account and the names of the files that were asked for."""
    asked: list[str] = []

    def note(file: MediaFile) -> Path:
        asked.append(Path(file.path).name)
        if asked[-1] in forbidden:
            raise ClipError("timeout", "no answer")
        return locate(file)

    with WorkerPool(1) as pool:
        return decode_shard(clips, DecodeConfig(), note, path, pool, previous=previous), asked


def test_nothing_is_decoded_again_and_the_bytes_are_the_same(media: Path, tmp_path: Path) -> None:
    clips = shard(media)
    first, asked = again(clips, tmp_path / "a.tar", None)
    assert len(asked) == 8
    assert first.cpu_seconds > 0.01
    second, asked = again(clips, tmp_path / "b.tar", tmp_path / "a.tar")
    assert asked == []
    assert second == Decoding(first.outcomes, 0.0)
    assert digest(tmp_path / "a.tar") == digest(tmp_path / "b.tar")


def test_what_may_pass_now_is_tried_again(media: Path, tmp_path: Path) -> None:
    clips = shard(media)
    broken, _ = again(clips, tmp_path / "a.tar", None, frozenset({"silent.mp4"}))
    assert broken.outcomes[3].code == "timeout"
    mended, asked = again(clips, tmp_path / "b.tar", tmp_path / "a.tar")
    assert asked == ["silent.mp4", "cover.jpg"]
    assert mended.outcomes[3].status == "ok"
    again(clips, tmp_path / "c.tar", None)
    assert digest(tmp_path / "b.tar") == digest(tmp_path / "c.tar")


def test_other_files_other_problems_and_other_clips_are_decoded(media: Path, tmp_path: Path) -> None:
    clips = shard(media)
    again(clips, tmp_path / "a.tar", None)
    changed = [
        downloaded(media / "silent.mp4", media / "cover.jpg", clip_id=clips[0].outcome.clip_id),
        downloaded(media / "half.mp4", media / "cover.png", clip_id=clips[1].outcome.clip_id),
        downloaded(media / "page.mp4", clip_id=clips[2].outcome.clip_id),
        downloaded(media / "silent.mp4", media / "cover.jpg", clip_id="new"),
        replace(clips[4], problems=(("http_410", "the server answered 410"),)),
    ]
    account, asked = again(changed, tmp_path / "b.tar", tmp_path / "a.tar")
    assert len(asked) == 7
    again(changed, tmp_path / "c.tar", None)
    assert digest(tmp_path / "b.tar") == digest(tmp_path / "c.tar")
    assert account.outcomes[4].code == "http_410"


def test_clips_may_stand_in_another_order(media: Path, tmp_path: Path) -> None:
    clips = shard(media)
    again(clips, tmp_path / "a.tar", None)
    account, asked = again(clips[::-1], tmp_path / "b.tar", tmp_path / "a.tar")
    assert asked == []
    stored = list(read_parts(tmp_path / "a.tar"))
    assert list(read_parts(tmp_path / "b.tar")) == stored[::-1]
    assert [outcome.clip_id for outcome in account.outcomes] == [clip.outcome.clip_id for clip in clips[::-1]]


@pytest.mark.parametrize("damage", ["missing", "cut", "older"])
def test_a_shard_that_cannot_be_used_costs_nothing_but_time(media: Path, tmp_path: Path, damage: str) -> None:
    clips = shard(media)
    again(clips, tmp_path / "a.tar", None)
    previous = tmp_path / "old.tar"
    if damage == "cut":
        previous.write_bytes((tmp_path / "a.tar").read_bytes()[:5000])
    if damage == "older":
        # Rows of before sources were noted.
        with TarShardWriter(previous) as writer:
            for clip in read_parts(tmp_path / "a.tar"):
                add_parts(writer, ClipParts(clip.outcome, clip.matroska, clip.cover, {"codes": []}))
    again(clips, tmp_path / "b.tar", previous)
    assert digest(tmp_path / "a.tar") == digest(tmp_path / "b.tar")


def test_results_that_wait_in_files_are_the_same_and_leave_nothing(media: Path, tmp_path: Path) -> None:
    clips = [downloaded(media / "large.mp4", clip_id=str(index)) for index in range(9)]
    config = DecodeConfig(frames_per_second=25.0, memory_megabytes=1)
    decode_to(tmp_path / "files.tar", clips, config, workers=3)
    decode_to(tmp_path / "memory.tar", clips, DecodeConfig(frames_per_second=25.0), workers=3)
    assert digest(tmp_path / "files.tar") == digest(tmp_path / "memory.tar")
    assert (tmp_path / "files.tar").stat().st_size > 9 * (1 << 20) // 12
    assert sorted(path.name for path in tmp_path.iterdir()) == ["files.tar", "memory.tar"]
