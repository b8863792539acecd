"""Damage is found wherever a run has published something, and taken away for the next run to mend."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from features.base.errors import SourceError
from features.base.outcomes import Outcome, Tally
from features.downloads.download_rows import FROM_MANIFEST, DownloadedClip, MediaFile
from pipeline.commands.verify import Verification, render_verification, verify
from tasks.config.run import forget_run
from tasks.core.receipts import FileReceipt, Success, receipt_path, write_receipt, write_success
from tasks.stages.download import Download
from tests.tasks.stages.small import publish_manifest, write_manifest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    Configure = Callable[[Mapping[str, Mapping[str, str]]], None]


@pytest.fixture
def stage(configure: Configure, tmp_path: Path) -> Path:
    """A complete stage with one shard and one other file."""
    configure({})
    return _publish(tmp_path / "root" / "extract-frames" / "aaaaaaaaaaaa")


def _publish(folder: Path, shard_name: str = "shard-00000.h5") -> Path:
    folder.mkdir(parents=True)
    (folder / shard_name).write_bytes(b"features")
    (folder / "labels.json").write_bytes(b"{}")
    tally = Tally.of([Outcome("a", "ok")])
    shard = FileReceipt.of_shard(folder / shard_name, shard_name, "key", tally)
    write_receipt(folder, shard)
    files = (replace(shard, problems=()), FileReceipt.of(folder, "labels.json", 1))
    (folder / "params.json").write_text("{}", encoding="utf-8")
    write_success(folder, Success("extract-frames", folder.name, {}, files, {"ok": 1}, {}, "2026-01-01", 1.0, 1))
    return folder


def _found(found: Verification) -> list[tuple[str, str, bool]]:
    return [(item.path, item.problem, item.removed) for item in found.damages]


def test_what_is_as_it_was_published_is_good(stage: Path) -> None:
    found = verify(media=False, dry_run=False)

    assert (found.num_files, found.num_bytes, found.damages) == (2, 10, ())
    assert render_verification(found) == "2 files, 0.0 MB: every one is as it was published"


@pytest.mark.parametrize("name", ["shard-00000.h5", "labels.json"])
def test_a_flipped_bit_is_found_and_the_file_removed(stage: Path, name: str) -> None:
    content = bytearray((stage / name).read_bytes())
    content[0] ^= 1
    (stage / name).write_bytes(content)

    found = verify(media=False, dry_run=False)

    assert _found(found) == [(f"extract-frames/aaaaaaaaaaaa/{name}", "content", True)]
    assert not (stage / name).exists()
    assert "1 damaged, 1 removed" in render_verification(found)


def test_a_truncated_shard_is_found(stage: Path) -> None:
    os.truncate(stage / "shard-00000.h5", 3)

    assert _found(verify(media=False, dry_run=False)) == [("extract-frames/aaaaaaaaaaaa/shard-00000.h5", "size", True)]


def test_a_missing_file_of_a_complete_stage_is_found(stage: Path) -> None:
    (stage / "labels.json").unlink()

    assert [item.problem for item in verify(media=False, dry_run=False).damages] == ["missing"]


@pytest.mark.parametrize("name", ["_SUCCESS.json", "shard-00000.receipt.json"])
def test_an_account_that_cannot_be_read_is_found(stage: Path, name: str) -> None:
    (stage / name).write_text("{", encoding="utf-8")

    assert _found(verify(media=False, dry_run=False)) == [(f"extract-frames/aaaaaaaaaaaa/{name}", "unreadable", True)]
    assert not (stage / name).exists()


def test_a_dry_run_removes_nothing(stage: Path) -> None:
    (stage / "labels.json").write_bytes(b"[]")
    (stage / "shard-00000.receipt.json").write_text("{", encoding="utf-8")

    found = verify(media=False, dry_run=True)

    assert [item.removed for item in found.damages] == [False, False]
    assert (stage / "labels.json").read_bytes() == b"[]"
    assert "nothing was removed" in render_verification(found)


def test_damage_is_found_through_every_hard_link(stage: Path) -> None:
    other = stage.with_name("bbbbbbbbbbbb")
    other.mkdir()
    (other / "params.json").write_text("{}", encoding="utf-8")
    os.link(stage / "shard-00000.h5", other / "shard-00000.h5")
    receipt = FileReceipt.of_shard(other / "shard-00000.h5", "shard-00000.h5", "key", Tally.of([Outcome("a", "ok")]))
    write_receipt(other, receipt)
    (stage / "shard-00000.h5").write_bytes(b"Features")

    found = verify(media=False, dry_run=False)

    assert [path for path, _, _ in _found(found)] == [
        "extract-frames/aaaaaaaaaaaa/shard-00000.h5",
        "extract-frames/bbbbbbbbbbbb/shard-00000.h5",
    ]


def test_in_an_unfinished_stage_a_shard_that_is_yet_to_come_is_no_damage(stage: Path) -> None:
    (stage / "_SUCCESS.json").unlink()
    (stage / "shard-00000.h5").unlink()

    assert receipt_path(stage, "shard-00000.h5").exists()
    assert verify(media=False, dry_run=False).damages == ()


def test_media_are_read_when_asked_for_and_files_of_the_user_stay(configure: Configure, tmp_path: Path) -> None:
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips" / "own.mp4").write_bytes(b"own")
    manifest = tmp_path / "clips" / "clips.jsonl"
    manifest.write_text(json.dumps({"id": "a", "video": "own.mp4"}) + "\n", encoding="utf-8")
    configure({"corpus": {"manifest": str(manifest)}})
    file = MediaFile(FROM_MANIFEST, "own.mp4", "mp4", 3, hashlib.sha256(b"OWN").hexdigest())
    download = Download()
    download.folder.mkdir(parents=True)
    row = DownloadedClip(Outcome("a", "ok"), file).to_line()
    (download.folder / "shard-00000.jsonl").write_text(row, encoding="utf-8")
    digest = hashlib.sha256(b"fetched").hexdigest()
    stored = tmp_path / "root" / "media" / digest[:2] / f"{digest}.mp4"
    stored.parent.mkdir(parents=True)
    stored.write_bytes(b"Fetched")

    assert verify(media=False, dry_run=False).damages == ()
    found = verify(media=True, dry_run=False)

    assert _found(found) == [
        (f"media/{digest[:2]}/{stored.name}", "content", True),
        (str(tmp_path / "clips" / "own.mp4"), "content", False),
    ]
    assert (tmp_path / "clips" / "own.mp4").exists()
    assert not stored.exists()


def test_a_local_file_that_changed_in_secret_is_read_by_the_next_run(
    configure: Configure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.core.stage.die_with_parent", lambda: None)
    manifest = write_manifest(tmp_path / "clips")
    publish_manifest(configure, manifest)
    Download().run()
    path = tmp_path / "clips" / "c.mp4"
    before = path.stat()
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    forget_run()
    assert Download().complete()

    assert _found(verify(media=True, dry_run=True)) == [(str(path), "content", False)]
    forget_run()
    assert Download().complete()
    found = verify(media=True, dry_run=False)

    assert "the next `luigi --module pipeline RunAll` reads them again" in render_verification(found)
    assert "nothing was removed" not in render_verification(found)
    forget_run()
    assert not Download().complete()
    Download().run()
    assert verify(media=True, dry_run=False).damages == ()
    path.unlink()
    assert "cannot be read: restore them" in render_verification(verify(media=True, dry_run=False))


def test_files_of_the_user_below_the_root_are_not_looked_at(configure: Configure, tmp_path: Path) -> None:
    configure({})
    own = tmp_path / "root" / "media" / "01" / "holiday.mp4"
    own.parent.mkdir(parents=True)
    own.write_bytes(b"ours")
    notes = tmp_path / "root" / "train" / "notes"
    notes.mkdir(parents=True)
    (notes / "_SUCCESS.json").write_text("{", encoding="utf-8")

    assert verify(media=True, dry_run=False) == Verification(0, 0, ())
    assert own.exists()


def test_without_the_manifest_that_names_the_media_nothing_is_removed(stage: Path, configure: Configure) -> None:
    (stage / "labels.json").write_bytes(b"[]")
    configure({"corpus": {"manifest": "/nowhere/clips.jsonl"}})

    with pytest.raises(SourceError, match="cannot read the manifest"):
        verify(media=True, dry_run=False)

    assert (stage / "labels.json").exists()


def test_a_damaged_shard_of_download_does_not_keep_the_media_from_being_read(
    configure: Configure, tmp_path: Path
) -> None:
    configure({})
    download = Download()
    folder = _publish(download.folder, "shard-00000.jsonl")
    (folder / "shard-00000.jsonl").write_bytes(b"{rubbish")
    stored = tmp_path / "root" / "media" / "00" / ("0" * 64 + ".mp4")
    stored.parent.mkdir(parents=True)
    stored.write_bytes(b"fetched")

    found = verify(media=True, dry_run=False)

    assert [item.problem for item in found.damages] == ["content", "content"]
    assert not (folder / "shard-00000.jsonl").exists()
