"""The start of the chain: whose corpus it is, what of it is identity, and what is published of it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from features.base.errors import SourceError
from features.manifests.corpus import build_corpus
from features.sample.config import MANIFEST_NAME
from tasks.config.run import forget_run, settings
from tasks.stages import manifest as manifest_module
from tasks.stages.manifest import Manifest, ManifestFile, SampleCorpus
from tests.tasks.stages.small import CLIPS, ROWS, publish_manifest, sections_of, write_manifest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from features.manifests.config import CorpusConfig, ManifestConfig
    from features.manifests.corpus import CorpusSummary
    from tests.tasks.stages.small import Configure

pytestmark = pytest.mark.usefixtures("in_this_process")


def test_without_a_manifest_the_corpus_is_the_embedded_one(configure: Configure) -> None:
    stage = Manifest()

    assert stage.uses_sample()
    assert list(stage.inputs()) == ["sample"]
    assert stage.requires() == [SampleCorpus()]
    assert stage.source() == SampleCorpus().folder / MANIFEST_NAME
    assert stage.media_folder() == SampleCorpus().folder
    assert "manifest_sha256" not in stage.identity()


def test_a_manifest_of_the_user_is_an_external_file(configure: Configure, tmp_path: Path) -> None:
    path = write_manifest(tmp_path / "corpus")
    configure(sections_of(path))
    stage = Manifest()

    assert not stage.uses_sample()
    assert stage.inputs() == {}
    assert stage.requires() == [ManifestFile(path=str(path))]
    assert stage.source() == path
    assert stage.media_folder() == path.parent
    assert len(str(stage.identity()["manifest_sha256"])) == 64


def test_a_link_to_a_manifest_is_not_followed(
    configure: Configure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_manifest(tmp_path / "corpus")
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "link.jsonl").symlink_to(path)
    monkeypatch.chdir(tmp_path / "here")
    configure(sections_of(Path("link.jsonl")))

    # Media lie beside the link, as they would beside a file.
    assert Manifest().source() == tmp_path / "here" / "link.jsonl"
    assert Manifest().media_folder() == tmp_path / "here"


def test_the_content_is_identity_and_the_place_is_not(configure: Configure, tmp_path: Path) -> None:
    def fingerprint(path: Path, **sections: dict[str, str]) -> str:
        configure(sections_of(path, **sections))
        return Manifest().fingerprint

    here, there = write_manifest(tmp_path / "here"), write_manifest(tmp_path / "there")
    shorter = write_manifest(tmp_path / "shorter", ROWS[:4])

    assert fingerprint(here) == fingerprint(there)
    assert fingerprint(shorter) != fingerprint(here)
    assert fingerprint(here, manifest={"clips_per_shard": "3"}) != fingerprint(here)
    assert fingerprint(here, corpus={"manifest": str(here), "tag_separator": ";"}) != fingerprint(here)
    assert fingerprint(here, corpus={"manifest": str(here), "max_manifest_bytes": "9999"}) == fingerprint(here)


def test_the_digest_is_computed_again_when_the_file_was_written_again(
    configure: Configure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_manifest(tmp_path)
    configure(sections_of(path))
    digested: list[Path] = []

    def digest(path: Path, config: CorpusConfig) -> str:
        digested.append(path)
        return str(len(digested))

    monkeypatch.setattr(manifest_module, "manifest_digest", digest)

    first = Manifest().identity()["manifest_sha256"]
    assert Manifest().identity()["manifest_sha256"] == first
    assert digested == [path]
    os.utime(path, (1, 1))
    assert Manifest().identity()["manifest_sha256"] != first


def test_a_manifest_that_is_not_there_is_named(
    configure: Configure, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "nowhere.jsonl"
    configure(sections_of(path))

    assert not ManifestFile(path=str(path)).complete()

    told = capsys.readouterr().err
    assert told.startswith("error: cannot read the manifest")
    assert str(path) in told
    assert told.count("\n") == 1
    assert not Manifest().complete()
    with pytest.raises(SourceError, match="cannot read the manifest"):
        assert Manifest().fingerprint
    write_manifest(tmp_path).rename(path)
    assert ManifestFile(path=str(path)).complete()
    assert ManifestFile(path=str(path)).output().path == str(path)


def test_the_corpus_is_published_with_its_facts(configure: Configure, tmp_path: Path) -> None:
    rows: list[Mapping[str, object]] = [
        *ROWS,
        {**ROWS[0], "tags": ["r"]},
        {"video": "z.mp4", "cover": "z.jpg", "id": ""},
    ]
    stage = publish_manifest(configure, write_manifest(tmp_path / "corpus", rows))
    found = stage.published_success()

    assert found.file_names(".jsonl") == ["shard-00000.jsonl", "shard-00001.jsonl", "shard-00002.jsonl"]
    assert [item.rows for item in found.files[:3]] == [2, 2, 1]
    assert {item.name for item in found.files[3:]} == {"labels.json", "rejected.jsonl", "splits.jsonl"}
    assert (found.facts["rows"], found.facts["clips"], found.facts["merged"]) == (7, 5, 1)
    assert sum(found.facts["splits"].values()) == len(CLIPS)
    assert sum(found.facts["rejected"].values()) >= 1
    params = json.loads((stage.folder / "params.json").read_text(encoding="utf-8"))
    assert params["manifest_sha256"] == stage.identity()["manifest_sha256"]
    # Where the manifest lies is not among what was hashed.
    assert str(tmp_path) not in json.dumps(params)
    assert stage.complete()


def test_a_manifest_that_changes_while_it_is_read_is_no_corpus(
    configure: Configure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_manifest(tmp_path / "corpus")
    configure(sections_of(path))

    def change_meanwhile(source: Path, corpus: CorpusConfig, config: ManifestConfig, folder: Path) -> CorpusSummary:
        summary = build_corpus(source, corpus, config, folder)
        write_manifest(path.parent, ROWS[:3])
        return summary

    monkeypatch.setattr(manifest_module, "build_corpus", change_meanwhile)
    stage = Manifest()
    assert stage.fingerprint
    # The moment of the change may be the same as far as the clock can tell.
    monkeypatch.setattr(manifest_module, "_digest", lambda *_: "as it was")

    with pytest.raises(SourceError, match="was changed while it was read: run the same command again"):
        stage.run()

    assert stage.success() is None


def test_appended_rows_leave_the_shards_before_them_as_they_are(configure: Configure, tmp_path: Path) -> None:
    first = publish_manifest(configure, write_manifest(tmp_path / "corpus", ROWS[:4]))
    before = [item.sha256 for item in first.published_success().files if item.name.startswith("shard-")]
    folder = first.folder
    second = publish_manifest(configure, write_manifest(tmp_path / "corpus"))

    assert second.folder != folder
    after = [item.sha256 for item in second.published_success().files if item.name.startswith("shard-")]
    assert after[:2] == before
    assert len(after) == 3


def test_the_embedded_corpus_is_rendered_with_the_settings_of_the_run(
    configure: Configure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure({"sample": {"num_clips": "24", "seed": "3"}, "decode": {"ffmpeg": "/my/ffmpeg"}})
    monkeypatch.setattr(manifest_module, "find_ffmpeg", lambda name: f"found {name}")
    seen: dict[str, object] = {}

    def render(config: object, folder: Path, *, ffmpeg: object, workers: int, on_clip: Callable[[], None]) -> int:
        seen.update(config=config, ffmpeg=ffmpeg)
        assert not list((folder / "media").glob(".tmp-*"))
        for name in ("b.mp4", "a.mp4", "a.jpg", ".tmp-1-c.mp4"):
            (folder / "media" / name).write_text(name, encoding="utf-8")
            on_clip()
        (folder / MANIFEST_NAME).write_text("rows", encoding="utf-8")
        return 24

    monkeypatch.setattr("features.sample.render.render_corpus", render)
    stage = SampleCorpus()
    (stage.folder / "media").mkdir(parents=True)
    (stage.folder / "media" / ".tmp-999999999-old.mp4").touch()

    stage.run()

    assert seen == {"config": settings().sample, "ffmpeg": "found /my/ffmpeg"}
    assert stage.stage_name == "sample"
    found = stage.published_success()
    assert [item.name for item in found.files] == [MANIFEST_NAME, "media/a.jpg", "media/a.mp4", "media/b.mp4"]
    assert found.facts == {"clips": 24}
    (stage.folder / "media" / "b.mp4").unlink()
    assert not stage.complete()


def test_the_embedded_corpus_above_decides_the_identity(configure: Configure) -> None:
    before = Manifest().fingerprint
    configure({"sample": {"seed": "99"}})
    assert Manifest().fingerprint != before
    assert Manifest().identity()["inputs"] == {"sample": SampleCorpus().fingerprint}
    configure({})
    forget_run()
    assert Manifest().fingerprint == before
