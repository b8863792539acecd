"""Media of every clip: what decides them, and what is kept, fetched again and attempted again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from features.base.errors import StageFailedError
from features.base.settings import identity_values
from features.downloads.download_rows import read_downloaded
from tasks.config.run import settings
from tasks.config.schema import SECTIONS
from tasks.core.receipts import read_receipt
from tasks.core.stage import root_folder
from tasks.stages import download as download_module
from tasks.stages.download import Download, media_folders
from tasks.stages.manifest import Manifest
from tests.tasks.stages.small import CLIPS, MP4, no_progress, publish_manifest, sections_of, write_manifest

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
