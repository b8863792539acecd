from __future__ import annotations

import hashlib
import io
import json
import tarfile
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.base.errors import ShardError
from features.base.outcomes import Outcome
from features.formats.tar_shard import TarShardWriter, index_tar_shard, member_key, open_tar_shard
from tests.features.media import ClipParts, add_parts, read_parts

if TYPE_CHECKING:
    from pathlib import Path

CLIPS = [
    ClipParts(Outcome("plain-id_7", "ok"), b"\x1a\x45" * 700, b"\xff\xd8cover", {"num_frames": 4, "codes": []}),
    ClipParts(Outcome("../../etc/passwd", "failed", "http_404", "the server answered 404"), None, None, {}),
    ClipParts(Outcome("猫 / 视频.mp4", "partial", "no_video_stream"), b"", None, {"duration_seconds": None}),
    ClipParts(Outcome("é" * 512, "ok"), b"x" * 512, b"y" * 1024, {}),
]


def write(path: Path, clips: list[ClipParts] = CLIPS) -> Path:
    with TarShardWriter(path) as writer:
        for clip in clips:
            add_parts(writer, clip)
    return path


def test_clips_come_back_in_order(tmp_path: Path) -> None:
    assert list(read_parts(write(tmp_path / "a.tar"))) == CLIPS
    assert list(read_parts(write(tmp_path / "none.tar", []))) == []


def test_the_index_tells_where_the_parts_stand(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tar")
    whole = path.read_bytes()
    index = index_tar_shard(path)
    assert list(index) == [clip.outcome.clip_id for clip in CLIPS]
    for clip, stored in zip(CLIPS, index.values(), strict=True):
        assert (stored.outcome, stored.about) == (clip.outcome, clip.about)
        parts = {suffix: whole[start : start + size] for suffix, (start, size) in stored.parts.items()}
        assert (parts.get("mkv"), parts.get("cover.jpg")) == (clip.matroska, clip.cover)


def test_a_clip_can_be_copied_from_another_shard(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tar")
    with path.open("rb") as shard, TarShardWriter(tmp_path / "b.tar") as writer:
        for stored in index_tar_shard(path).values():
            writer.copy(stored, shard)
    assert (tmp_path / "b.tar").read_bytes() == path.read_bytes()


def test_a_damaged_shard_has_no_index(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tar")
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(ShardError, match="delete it and run again"):
        index_tar_shard(path)


def test_equal_clips_are_equal_bytes(tmp_path: Path) -> None:
    one, two = write(tmp_path / "one.tar"), write(tmp_path / "two.tar")
    assert one.read_bytes() == two.read_bytes()


def test_members_follow_the_naming_of_webdataset(tmp_path: Path) -> None:
    with tarfile.open(write(tmp_path / "a.tar")) as tar:
        members = tar.getmembers()
        assert [member.name for member in members[:3]] == ["plain-id_7.mkv", "plain-id_7.cover.jpg", "plain-id_7.json"]
        assert {(member.mtime, member.uid, member.uname, member.isreg()) for member in members} == {(0, 0, "", True)}
        stream = tar.extractfile(members[2])
        assert stream is not None
        assert json.load(stream) == {
            "clip_id": "plain-id_7", "status": "ok", "code": "", "detail": "", "num_frames": 4, "codes": [],
        }  # fmt: skip
        for member in members:
            stem, _, suffix = member.name.partition(".")
            assert suffix in {"mkv", "cover.jpg", "json"}
            assert stem.replace("-", "").replace("_", "").isalnum()


@pytest.mark.parametrize("clip_id", ["a", "A-b_9", "x" * 64])
def test_a_safe_id_is_its_own_key(clip_id: str) -> None:
    assert member_key(clip_id) == clip_id


@pytest.mark.parametrize("clip_id", [".", "..", "a.b", "a/b", "../a", "a b", "猫", "x" * 65, "a\\b", "é"])
def test_any_other_id_gets_a_digest(clip_id: str) -> None:
    key = member_key(clip_id)
    assert key != clip_id
    assert len(key) <= 77
    assert key.isascii()
    assert not set(key) & set("./\\ ")


def test_ids_that_look_alike_keep_apart() -> None:
    ids = ["a.b", "a/b", "a b", "a_b", "猫", "犬", "x" * 100, "x" * 101]
    assert len({member_key(clip_id) for clip_id in ids}) == len(ids)


@given(st.text(st.characters(codec="utf-8"), max_size=512))
def test_every_id_gives_names_that_a_tar_can_hold(clip_id: str) -> None:
    assert len(f"{member_key(clip_id)}.cover.jpg") <= 100


@pytest.mark.parametrize("share", [0.0, 0.05, 0.3, 0.5, 0.9])
def test_a_file_that_was_cut_is_an_error(tmp_path: Path, share: float) -> None:
    whole = write(tmp_path / "a.tar").read_bytes()
    end = whole.rstrip(b"\0")
    path = tmp_path / "cut.tar"
    path.write_bytes(whole[: int(len(end) * share)])
    with pytest.raises(ShardError, match=r"cut\.tar .*delete it and run again"):
        list(read_parts(path))


def test_a_file_that_was_cut_between_two_clips_is_an_error(tmp_path: Path) -> None:
    first = write(tmp_path / "one.tar", CLIPS[:1]).read_bytes()
    # Everything of the first clip, whole blocks, and no end.
    path = tmp_path / "cut.tar"
    size = -(-len(first.rstrip(b"\0")) // 512) * 512
    path.write_bytes(write(tmp_path / "all.tar").read_bytes()[:size])
    with pytest.raises(ShardError, match="no member and no end at byte"):
        list(read_parts(path))


def test_a_damaged_header_is_an_error_wherever_it_stands(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tar")
    whole = path.read_bytes()
    with tarfile.open(path) as tar:
        starts = [member.offset for member in tar.getmembers()]
    for start in starts:
        damaged = bytearray(whole)
        damaged[start + 130] ^= 0xFF  # in the field of the size
        path.write_bytes(damaged)
        with pytest.raises(ShardError):
            list(read_parts(path))


def test_a_clip_without_its_last_member_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as tar:
        member(tar, "a.mkv", b"x")
    with pytest.raises(ShardError, match="ends in the middle of a clip"):
        list(read_parts(path))


@pytest.mark.parametrize("row", [b"", b"{", b"[]", b"{}", b'{"clip_id": "a"}', b"\xff", b'"text"', b"7"])
def test_a_row_that_is_none_is_an_error(tmp_path: Path, row: bytes) -> None:
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as tar:
        member(tar, "a.json", row)
    with pytest.raises(ShardError, match="is damaged"):
        list(read_parts(path))


def test_a_folder_or_a_link_among_the_members_is_an_error(tmp_path: Path) -> None:
    for kind in (tarfile.DIRTYPE, tarfile.SYMTYPE):
        path = tmp_path / "a.tar"
        with tarfile.open(path, "w") as tar:
            info = tarfile.TarInfo("a.mkv")
            info.type, info.linkname = kind, "/etc/passwd"
            tar.addfile(info)
        with pytest.raises(ShardError):
            list(read_parts(path))


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ShardError, match=r"none\.tar"):
        list(read_parts(tmp_path / "none.tar"))


def test_a_shard_is_compared_with_its_digest_while_it_is_read(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tar")
    whole = path.read_bytes()
    digest = hashlib.sha256(whole).hexdigest()
    assert [clip.outcome.clip_id for clip in open_tar_shard(path, digest)] == [clip.outcome.clip_id for clip in CLIPS]
    # Headers, parts, rows, the filling of blocks, and the end of the archive.
    for position in [*range(0, len(whole), 97), len(whole) - 1]:
        damaged = bytearray(whole)
        damaged[position] ^= 0x10
        path.write_bytes(damaged)
        with pytest.raises(ShardError, match=r"a\.tar is damaged: its sha256 is not the one it was published"):
            list(open_tar_shard(path, digest))


def test_the_parts_of_a_clip_can_be_read_before_the_damage_behind_it_is_found(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tar")
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + b"x")
    clips = open_tar_shard(path, hashlib.sha256(whole).hexdigest())
    first = next(clips)
    assert first.matroska is not None
    assert first.matroska.read() == CLIPS[0].matroska
    with pytest.raises(ShardError):
        list(clips)


def member(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    tar.addfile(info, io.BytesIO(data))
