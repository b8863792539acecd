from __future__ import annotations

import os
from typing import TYPE_CHECKING

from features.statistics.disk import STAT_BLOCK_BYTES, disk_usage

if TYPE_CHECKING:
    from pathlib import Path

OLD, NEW = "000000000000", "111111111111"


def _root(folder: Path) -> Path:
    for name in (OLD, NEW):
        (folder / "decode" / name).mkdir(parents=True)
        (folder / "decode" / name / "params.json").write_bytes(b"x" * 100)
    (folder / "decode" / OLD / "shard-00000.tar").write_bytes(b"y" * 50_000)
    os.link(folder / "decode" / OLD / "shard-00000.tar", folder / "decode" / NEW / "shard-00000.tar")
    (folder / "decode" / OLD / "shard-00001.tar").write_bytes(b"z" * 9_000)
    (folder / "decode" / "latest").symlink_to(NEW)
    (folder / "media" / "ab").mkdir(parents=True)
    (folder / "media" / "ab" / "clip.mp4").write_bytes(b"m" * 20_000)
    (folder / "media" / "ab" / "elsewhere.mp4").symlink_to("/etc/hostname")
    return folder


def _blocks(*paths: Path) -> int:
    return sum(path.stat().st_blocks for path in paths) * STAT_BLOCK_BYTES


def test_the_latest_stands_first_and_shared_files_count_once(tmp_path: Path) -> None:
    root = _root(tmp_path)
    shared, own = root / "decode" / OLD / "shard-00000.tar", root / "decode" / OLD / "shard-00001.tar"
    facts = root / "decode" / OLD / "params.json"

    newest, oldest, media = disk_usage(root)

    assert (newest.stage, newest.fingerprint, newest.is_latest, newest.files) == ("decode", NEW, True, 2)
    assert newest.own_bytes == newest.bytes == _blocks(shared, facts)
    assert (oldest.fingerprint, oldest.is_latest, oldest.files) == (OLD, False, 3)
    assert oldest.bytes == _blocks(shared, facts, own)
    assert oldest.own_bytes == _blocks(facts, own)
    assert (media.stage, media.fingerprint, media.files) == ("media", "", 1)
    assert media.own_bytes == _blocks(root / "media" / "ab" / "clip.mp4")


def test_a_root_that_is_not_there_has_no_row(tmp_path: Path) -> None:
    assert disk_usage(tmp_path / "nowhere") == ()
