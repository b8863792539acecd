from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from features.downloads.local_files import (
    ABSENT,
    UNKNOWN,
    Changes,
    find_changes,
    is_below,
    list_path,
    mark_unknown,
    read_stamps,
    stamp_of,
    write_stamps,
)

if TYPE_CHECKING:
    from pathlib import Path

SHARD = "shard-00000.jsonl"


@pytest.fixture
def media(tmp_path: Path) -> Path:
    folder = tmp_path / "media"
    folder.mkdir()
    for name in ("a", "b", "c"):
        (folder / name).write_text(name, encoding="utf-8")
        os.utime(folder / name, ns=(0, 1_000_000_007))
    return folder


def test_a_stamp_is_size_and_time(media: Path) -> None:
    assert stamp_of(str(media), "a") == (1, 1_000_000_007)
    os.utime(media / "a", ns=(0, -5))
    assert stamp_of(str(media), "a") == (1, -5)
    (media / "link").symlink_to("b")
    assert stamp_of(str(media), "link") == stamp_of(str(media), "b")
    for name in ("no", "a/below", "x\0y", "x" * 5000):
        assert stamp_of(str(media), name) == ABSENT


def test_size_or_time_is_a_change_and_a_file_that_left_is_none(media: Path) -> None:
    stamps = {name: stamp_of(str(media), name) for name in ("a", "b", "c", "d")}
    assert find_changes(stamps, media) == Changes()
    (media / "a").unlink()
    os.utime(media / "b", ns=(0, 1_000_000_008))
    (media / "c").write_text("cc", encoding="utf-8")
    os.utime(media / "c", ns=(0, 1_000_000_007))
    (media / "d").write_text("new", encoding="utf-8")
    assert find_changes(stamps, media) == Changes(frozenset("bcd"), frozenset("a"))


def test_what_is_written_is_read(media: Path, tmp_path: Path) -> None:
    stamps = {name: stamp_of(str(media), name) for name in ("猫", "a", "b")}
    write_stamps(tmp_path, SHARD, "digest", stamps)
    assert list_path(tmp_path, SHARD).name == "shard-00000.local.json"
    assert read_stamps(tmp_path, SHARD, "digest") == stamps
    write_stamps(tmp_path, SHARD, "digest", {})
    assert read_stamps(tmp_path, SHARD, "digest") is None
    assert not list_path(tmp_path, SHARD).exists()


def test_the_list_of_another_content_says_nothing_about_the_files(media: Path, tmp_path: Path) -> None:
    write_stamps(tmp_path, SHARD, "digest", {"a": stamp_of(str(media), "a")})
    assert read_stamps(tmp_path, SHARD, "another") == {"a": UNKNOWN}
    assert find_changes({"a": UNKNOWN}, media).changed == {"a"}


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"shard_sha256": "digest", "paths": ["a"]}'])
def test_a_damaged_list_is_none_of_files(tmp_path: Path, content: str) -> None:
    list_path(tmp_path, SHARD).write_text(content, encoding="utf-8")
    assert read_stamps(tmp_path, SHARD, "digest") == {}


def test_a_file_is_marked_by_every_path_that_leads_to_it(media: Path) -> None:
    (media / "link").symlink_to("b")
    stamps = {name: stamp_of(str(media), name) for name in ("a", "./b", "link")}
    assert mark_unknown(stamps, media, "b") == {"a": stamps["a"], "./b": UNKNOWN, "link": UNKNOWN}
    assert mark_unknown({}, media, "b") == {"b": UNKNOWN}


def test_paths_that_lead_out_are_not_listed() -> None:
    assert [is_below(path) for path in ("a", "a/b..c", "./a", "../a", "a/../b", "/a", "..")] == [
        True, True, True, False, False, False, False,
    ]  # fmt: skip
