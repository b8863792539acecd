"""Media of every clip: what decides them, and what is kept, fetched again and attempted again."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from features.base.errors import StageFailedError
from features.base.settings import identity_values
from features.downloads.download_rows import read_downloaded
from features.downloads.local_files import read_stamps, write_stamps
from tasks.config.run import forget_run, settings
from tasks.config.schema import SECTIONS
from tasks.core.receipts import read_receipt
from tasks.core.stage import root_folder
from tasks.stages import download as download_module
from tasks.stages.download import Download, media_folders
from tasks.stages.manifest import Manifest
from tests.tasks.stages.small import CLIPS, MP4, ROWS, no_progress, publish_manifest, sections_of, write_manifest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.tasks.stages.small import Configure

pytestmark = pytest.mark.usefixtures("in_this_process")


def _shard(stage: Download, number: int) -> list[Any]:
    return read_downloaded(stage.folder / f"shard-{number:05d}.jsonl")


def test_files_of_a_manifest_are_found_beside_it_and_a_row_is_written_for_each_clip(
    configure: Configure, tmp_path: Path
) -> None:
    publish_manifest(configure, write_manifest(tmp_path / "corpus"))
    stage = Download()

    stage.run()

    found = stage.published_success()
    assert found.totals == {"ok": 5, "partial": 0, "failed": 0}
    assert found.file_names(".jsonl") == [f"shard-0000{number}.jsonl" for number in range(3)]
    rows = [row for number in range(3) for row in _shard(stage, number)]
    assert [row.outcome.clip_id for row in rows] == list(CLIPS)
    assert {row.video.where for row in rows} == {"manifest"}
    paths = [row.video.locate(media_folders(Manifest())) for row in rows]
    assert paths == [tmp_path / "corpus" / f"{clip}.mp4" for clip in CLIPS]
    assert list(found.inputs) == ["manifest"]
    # A local corpus needs no store.
    assert not (root_folder() / "media").exists()


def test_a_missing_file_is_the_outcome_of_its_clip_up_to_the_limit(configure: Configure, tmp_path: Path) -> None:
    manifest = write_manifest(tmp_path / "corpus")
    (manifest.parent / "b.mp4").unlink()
    (manifest.parent / "c.mp4").unlink()
    publish_manifest(configure, manifest, download={"max_failed_fraction": "0.4"})

    Download().run()

    assert Download().published_success().totals == {"ok": 3, "partial": 0, "failed": 2}
    configure(sections_of(manifest, download={"max_failed_fraction": "0.3"}))
    stage = Download()
    assert stage.complete()
    (stage.folder / "_SUCCESS.json").unlink()
    with pytest.raises(StageFailedError, match=r"2 of 5 clips failed \(2 file_missing\), more than .* = 0.3"):
        stage.run()


def test_only_the_shard_with_a_transient_failure_is_built_again_and_of_it_only_the_failures(
    configure: Configure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = write_manifest(tmp_path / "corpus")
    (manifest.parent / "b.mp4").unlink()
    publish_manifest(configure, manifest)
    stage = Download()
    stage.run()
    before = [row.to_line() for row in _shard(stage, 0)]
    (manifest.parent / "b.mp4").write_bytes(MP4)
    # It would be noticed, were it looked at again.
    (manifest.parent / "a.mp4").unlink()

    assert stage.mark_for_retry() == {"file_missing": 1}
    stage.run()

    rows = _shard(stage, 0)
    assert [row.outcome.status for row in rows] == ["ok", "ok"]
    assert rows[0].to_line() == before[0]
    assert rows[1].to_line() != before[1]
    assert stage.published_success().built == 1


@pytest.fixture
def downloaded(configure: Configure, tmp_path: Path) -> Path:
    """The folder of a downloaded corpus of five local clips; ``d.mp4`` is no video."""
    manifest = write_manifest(tmp_path / "corpus")
    (manifest.parent / "d.mp4").write_bytes(b"nothing")
    publish_manifest(configure, manifest)
    Download().run()
    return manifest.parent


def _next_run() -> Download:
    forget_run()
    return Download()


def test_a_local_file_that_changed_is_read_by_the_next_run_and_nothing_else(
    downloaded: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stage = _next_run()
    assert stage.complete()
    before = stage.published_success()
    rows = [row.to_line() for number in range(3) for row in _shard(stage, number)]
    # Content of the same size: only the time tells.
    (downloaded / "c.mp4").write_bytes(MP4 + b"C")
    # It would be noticed, were it read again.
    (downloaded / "e.mp4").chmod(0)
    assert stage.complete()

    stage = _next_run()
    assert not stage.complete()
    assert "local files have changed since Download read them: c.mp4; they are read again" in capsys.readouterr().err
    stage.run()

    assert stage.complete()
    after = stage.published_success()
    assert after.built == 1
    changed = [number for number in range(3) if after.files[number].sha256 != before.files[number].sha256]
    assert changed == [1]
    again = [row.to_line() for number in range(3) for row in _shard(stage, number)]
    assert [old != new for old, new in zip(rows, again, strict=True)] == [False, False, True, False, False]
    assert _next_run().complete()


def test_a_local_file_that_was_only_touched_changes_no_byte(downloaded: Path) -> None:
    before = _next_run().published_success().digest
    os.utime(downloaded / "a.jpg", ns=(0, -(10**9)))

    stage = _next_run()
    assert not stage.complete()
    stage.run()

    assert stage.published_success().digest == before
    assert _next_run().complete()


@pytest.mark.parametrize("retried", [False, True])
def test_a_local_file_that_was_mended_is_no_permanent_failure(downloaded: Path, *, retried: bool) -> None:
    stage = _next_run()
    assert stage.mark_for_retry() == {}
    (downloaded / "d.mp4").write_bytes(MP4)

    stage = _next_run()
    assert stage.inputs_changed
    if retried:
        assert stage.mark_for_retry() == {"not_a_video": 1}
    stage.run()

    assert stage.published_success().totals == {"ok": 5, "partial": 0, "failed": 0}
    assert not stage.inputs_changed


def test_a_local_file_that_appears_is_noticed_and_one_that_left_is_said(
    downloaded: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [row.to_line() for row in _shard(_next_run(), 0)]
    kept = (downloaded / "a.mp4").read_bytes()
    (downloaded / "a.mp4").unlink()

    assert _next_run().complete()
    said = "local files have gone since Download read them: a.mp4; what was made of them is kept"
    assert said in capsys.readouterr().err
    # Also where another clip of the shard is made again.
    (downloaded / "b.mp4").write_bytes(MP4 + b"other")
    stage = _next_run()
    stage.run()
    again = [row.to_line() for row in _shard(stage, 0)]
    assert again[0] == rows[0]
    assert again[1] != rows[1]
    assert _next_run().complete()

    (downloaded / "a.mp4").write_bytes(kept)
    assert not _next_run().complete()


def test_a_run_killed_between_list_and_shard_reads_the_files_again(downloaded: Path) -> None:
    stage = _next_run()
    shard = stage.published_success().files[0]
    stamps = read_stamps(stage.folder, shard.name, shard.sha256)
    assert stamps is not None
    assert sorted(stamps) == ["a.jpg", "a.mp4", "b.jpg", "b.mp4"]
    write_stamps(stage.folder, shard.name, "of the shard that was not published", stamps)

    assert not stage.complete() or not _next_run().complete()
    stage = _next_run()
    stage.run()

    assert stage.published_success().built == 1
    assert read_stamps(stage.folder, shard.name, shard.sha256) == stamps
    assert (downloaded / "a.mp4").exists()


def test_without_its_lists_a_root_of_an_earlier_version_stays_complete(downloaded: Path) -> None:
    stage = _next_run()
    for path in stage.folder.glob("*.local.json"):
        path.unlink()
    (downloaded / "b.mp4").write_bytes(MP4 + b"other")
    assert stage.complete()
    # Once a shard is built again, all of its local files are read.
    shard = stage.published_success().files[0]
    stage.read_again(shard.name, "a.mp4")

    stage = _next_run()
    assert not stage.complete()
    stage.run()

    assert stage.published_success().files[0].sha256 != shard.sha256


def test_a_shard_that_is_linked_takes_its_list_along(downloaded: Path, configure: Configure) -> None:
    before = _next_run().folder
    manifest = downloaded / "clips.jsonl"
    with manifest.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps({**ROWS[0], "id": "f"}) + "\n")
    publish_manifest(configure, manifest)
    stage = Download()
    stage.run()
    assert stage.folder != before
    assert stage.published_success().built == 1

    (downloaded / "c.mp4").write_bytes(MP4 + b"other")

    stage = _next_run()
    assert not stage.complete()
    stage.run()
    assert stage.published_success().built == 1


def test_the_place_of_media_is_identity_where_it_is_the_users(configure: Configure, tmp_path: Path) -> None:
    here, there = write_manifest(tmp_path / "here"), write_manifest(tmp_path / "there")
    configure(sections_of(here))
    first, above = Download().fingerprint, Manifest().fingerprint
    assert Download().identity_settings()["media_folder"] == str(tmp_path / "here")
    configure(sections_of(there))
    assert Manifest().fingerprint == above
    assert Download().fingerprint != first
    configure({})
    assert "media_folder" not in Download().identity_settings()


def test_only_limits_on_what_is_taken_are_identity(configure: Configure) -> None:
    identity = set(Download().identity_settings())
    assert identity == set(identity_values(settings().download))
    assert {"workers", "keep_media", "max_failed_fraction"} <= SECTIONS["download"].non_identity_settings()
    assert not identity & SECTIONS["download"].non_identity_settings()
    before = Download().fingerprint
    configure({"download": {"workers": "3", "keep_media": "false", "max_failed_fraction": "1"}})
    assert Download().fingerprint == before
    configure({"download": {"max_bytes": "12345"}})
    assert Download().fingerprint != before
    assert Download().can_retry
    assert Download().suffix == ".jsonl"


@pytest.mark.parametrize("force", ["", "Download"])
def test_what_is_forced_is_fetched_anew(
    configure: Configure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, force: str
) -> None:
    publish_manifest(configure, write_manifest(tmp_path / "corpus"), download={"workers": "3"})
    seen: dict[str, object] = {}

    class Spy:
        def __init__(self, config: object, folders: object, **options: object) -> None:
            seen.update(options, config=config, folders=folders)

        def __enter__(self) -> Spy:
            return self

        def __exit__(self, *_: object) -> None:
            seen["closed"] = True

    monkeypatch.setattr(download_module, "Downloader", Spy)
    progress = no_progress()
    with Download(force=force).shard_builder(progress):
        assert "closed" not in seen
    assert seen == {
        "config": settings().download,
        "folders": {"manifest": tmp_path / "corpus", "store": root_folder() / "media"},
        "refetch": bool(force),
        "on_bytes": progress.add_bytes,
        "closed": True,
    }


def test_rows_of_an_earlier_version_of_the_shard_are_taken_over(configure: Configure, tmp_path: Path) -> None:
    manifest = write_manifest(tmp_path / "corpus")
    publish_manifest(configure, manifest)
    stage = Download()
    stage.run()
    receipt = read_receipt(stage.folder, "shard-00000.jsonl")
    assert receipt is not None
    # Without its receipt nothing is known of the shard; with it the files need not be there.
    (manifest.parent / "a.mp4").unlink()
    (stage.folder / "shard-00000.receipt.json").unlink()
    (stage.folder / "_SUCCESS.json").unlink()
    stage.run()
    assert stage.published_success().totals["failed"] == 1
