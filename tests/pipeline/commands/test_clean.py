"""Only what the configured run has no use for is named, and only with ``--yes`` deleted."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from pipeline.commands.clean import clean, render_unused
from pipeline.commands.cli import main
from tasks.stages.decode import Decode

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    Configure = Callable[[Mapping[str, Mapping[str, str]]], None]


@pytest.fixture
def root(configure: Configure, tmp_path: Path) -> Path:
    """A root with a configured and an older run of Decode, a leftover, and a file of the user."""
    configure({})
    root = tmp_path / "root"
    used = Decode().folder
    other = used.with_name("000000000000")
    for folder in (used, other):
        folder.mkdir(parents=True)
        (folder / "shard-00000.tar").write_bytes(b"x" * 97)
        (folder / "params.json").write_bytes(b"{}\n")
    (used / ".tmp-1-shard-00001.tar").write_bytes(b"x" * 7)
    (root / "notes").mkdir()
    (root / "notes" / "mine.txt").write_text("keep", encoding="utf-8")
    (used.parent / "latest").symlink_to(used.name)
    return root


def test_without_yes_it_only_tells(root: Path) -> None:
    found = clean(delete=False)

    assert [(item.path, item.reason, item.bytes) for item in found] == [
        ("decode/000000000000", "another fingerprint", 100),
        (str((Decode().folder / ".tmp-1-shard-00001.tar").relative_to(root)), "left by a killed run", 7),
    ]
    assert (root / "decode" / "000000000000").exists()
    assert "can be freed" in render_unused(found, deleted=False)


def test_with_yes_it_deletes_that_and_nothing_else(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["clean", "--yes"]) == 0

    assert "0.0 MB freed" in capsys.readouterr().out
    assert not (root / "decode" / "000000000000").exists()
    assert sorted(path.name for path in Decode().folder.iterdir()) == ["params.json", "shard-00000.tar"]
    assert (root / "notes" / "mine.txt").exists()
    assert (root / "decode" / "latest" / "shard-00000.tar").exists()
    assert clean(delete=False) == []


def test_a_shard_that_is_linked_from_the_configured_run_frees_nothing(root: Path) -> None:
    target = root / "decode" / "000000000000" / "shard-00000.tar"
    target.unlink()
    os.link(Decode().folder / "shard-00000.tar", target)

    assert clean(delete=False)[0].bytes == len(b"{}\n")


def test_what_only_looks_like_ours_stays(root: Path) -> None:
    (root / "train" / "notes").mkdir(parents=True)
    (root / "media" / "01").mkdir(parents=True)
    (root / "media" / "01" / "holiday.mp4").write_bytes(b"ours")
    (root / ".tmp-mine").write_bytes(b"ours")
    clean(delete=True)

    assert (root / "train" / "notes").exists()
    assert (root / "media" / "01" / "holiday.mp4").exists()
    assert (root / ".tmp-mine").exists()
