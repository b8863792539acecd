"""Extract and Recognize: what a shard is stamped with, what is taken over, and what the recipe holds."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from features.backbones.extractor.clip_inputs import media_inputs
from features.backbones.extractor.extract_config import ExtractConfig
from features.backbones.extractor.shard_loop import ShardRun
from features.base.errors import SettingError
from features.base.files import sha256_of_json
from features.base.outcomes import Outcome
from features.formats.reuse import ReusableShard
from tasks.config.run import settings
from tasks.core.receipts import read_receipt
from tasks.stages.decode import Decode, decode_settings_of
from tasks.stages.download import Download
from tasks.stages.extract import Extract
from tasks.stages.manifest import Manifest
from tasks.stages.recognize import FIELD_SOURCES, Recognize, recognized_fields
from tests.tasks.stages.small import (
    CLIPS,
    publish,
    publish_decoded,
    publish_manifest,
    sections_of,
    shards,
    write_manifest,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from features.backbones.extractor.clip_inputs import ClipInput
    from tests.tasks.stages.small import Configure

pytestmark = pytest.mark.usefixtures("in_this_process")

OCR = {"backbone": "rapidocr:PP-OCRv6"}
ASR = {"backbone": "transformers:a/b", "revision": "r1"}
PROVENANCE = {"backbone": "fake", "weights_sha256": "abc"}


@pytest.fixture
def manifest(configure: Configure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A corpus of five clips with decoded shards, and a run in which only the networks are missing."""
    monkeypatch.setattr(Decode, "ffmpeg_version", lambda _: "7.0.2")
    path = write_manifest(tmp_path / "corpus")
    publish_manifest(configure, path)
    Download().run()
    publish_decoded(Decode())
    return path


@pytest.fixture
def extracted(manifest: Path, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Extract without a network; return what each shard was made of."""
    found: list[dict[str, Any]] = []
    older: list[tuple[list[Path], Mapping[str, Any]]] = []

    def reusable_embeddings(paths: Iterable[Path], attributes: Mapping[str, Any]) -> ReusableShard[object]:
        older.append((list(paths), attributes))
        return ReusableShard()

    def extract_shard(
        clips: Iterable[ClipInput],
        extractor: object,
        path: Path,
        attributes: Mapping[str, Any],
        on_clip: Callable[[], None],
        reusable: ReusableShard[object],
    ) -> ShardRun:
        inputs = list(clips)
        path.write_text("\n".join(clip.outcome.clip_id for clip in inputs), encoding="utf-8")
        paths, recipe = older.pop()
        assert recipe == {**attributes, "dim": 7}
        found.append({"inputs": inputs, "attributes": attributes, "older": paths})
        return ShardRun(tuple(Outcome(clip.outcome.clip_id, "ok") for clip in inputs), 1, 2.5)

    extractor = SimpleNamespace(provenance=PROVENANCE, dim=7)
    monkeypatch.setattr("features.backbones.extractor.extraction.extract_shard", extract_shard)
    monkeypatch.setattr("features.backbones.extractor.extraction.reusable_embeddings", reusable_embeddings)
    monkeypatch.setattr("features.backbones.extractor.extractor.load_extractor", lambda _: extractor)
    return found


def test_texts_are_embedded_from_the_records(extracted: list[dict[str, Any]]) -> None:
    stage = Extract(modality="text")

    stage.run()

    values = [clip.value for shard in extracted for clip in shard["inputs"]]
    assert values == [{"title": f"title {clip}"} for clip in CLIPS]
    assert set(stage.published_success().inputs) == {"manifest"}
    assert [shard["attributes"]["modality"] for shard in extracted] == ["text"] * 3
    # No decoder has anything to do with it.
    assert "decoder" not in extracted[0]["attributes"]
    assert extracted[0]["attributes"]["stage_versions"] == f"extract {Extract.stage_version}"


def test_a_shard_is_stamped_with_what_made_it(extracted: list[dict[str, Any]]) -> None:
    stage = Extract(modality="cover")

    stage.run()

    recipe = stage.recipe()
    assert extracted[0]["attributes"] == {
        **PROVENANCE,
        "decoder": "ffmpeg 7.0.2",
        "stage": "extract-cover",
        "stage_versions": f"extract {Extract.stage_version}, decode {Decode.stage_version}",
        "modality": "cover",
        "params": json.dumps(recipe, sort_keys=True),
        "recipe": sha256_of_json(recipe)[:12],
    }
    assert recipe == {
        "decode": decode_settings_of("cover"), "extract": dict(stage.identity_settings())
    }  # fmt: skip
    assert [clip.outcome.clip_id for shard in extracted for clip in shard["inputs"]] == list(CLIPS)
    receipt = read_receipt(stage.folder, "shard-00000.h5")
    assert receipt is not None
    assert receipt.taken_over == 1
    assert receipt.timings["network_seconds"] == 2.5
    assert set(receipt.timings) == {"load_seconds", "network_seconds", "wall_seconds"}


def test_the_network_is_loaded_once_for_all_shards(
    extracted: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[ExtractConfig] = []
    extractor = SimpleNamespace(provenance=PROVENANCE, dim=7)

    def load(config: ExtractConfig) -> object:
        loaded.append(config)
        return extractor

    monkeypatch.setattr("features.backbones.extractor.extractor.load_extractor", load)

    Extract(modality="audio").run()

    assert loaded == [settings().extract["audio"]]
    assert len(extracted) == 3


def test_older_shards_are_those_of_other_settings_and_then_the_one_of_this_folder(
    configure: Configure, manifest: Path, extracted: list[dict[str, Any]]
) -> None:
    configure(sections_of(manifest, decode={"short_side_pixels": "210"}))
    publish_decoded(Decode())
    Extract(modality="cover").run()
    other = Extract(modality="cover").folder
    configure(sections_of(manifest))
    stage = Extract(modality="cover")
    stage.run()
    extracted.clear()
    _decode_anew()

    stage.run()

    assert [shard["older"] for shard in extracted] == [
        [other / "shard-00000.h5", stage.folder / "shard-00000.h5"]
    ]  # fmt: skip


def _decode_anew() -> None:
    """Change the first decoded shard, as after its media were fetched anew."""
    path = Decode().folder / "shard-00000.tar"
    path.write_bytes(path.read_bytes() + bytes(512))
    publish(Decode(), shards(".tar"))


def test_what_is_forced_reuses_nothing(extracted: list[dict[str, Any]]) -> None:
    Extract(modality="cover").run()
    extracted.clear()

    Extract(modality="cover", force="Extract-cover").run()

    assert [shard["older"] for shard in extracted] == [[], [], []]


def test_recognised_texts_stand_in_for_those_of_the_records(
    configure: Configure, manifest: Path, extracted: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(sections_of(manifest, ocr=OCR))
    monkeypatch.setattr(
        "tasks.stages.extract.read_recognized",
        lambda path: (SimpleNamespace(text=f"{path.name} {number}") for number in range(2)),
    )
    publish(Recognize(field="ocr"), shards(".jsonl"))

    Extract(modality="text").run()

    values = [clip.value for clip in extracted[0]["inputs"]]
    assert values == [
        {"title": "title a", "ocr": "shard-00000.jsonl 0"}, {"title": "title b", "ocr": "shard-00000.jsonl 1"}
    ]  # fmt: skip
    assert set(Extract(modality="text").published_success().inputs) == {"manifest", "recognize-ocr"}


def test_the_recipe_of_texts_holds_how_they_were_recognised(configure: Configure) -> None:
    configure({"ocr": OCR, "asr": ASR})
    stage = Extract(modality="text")

    assert stage.recipe() == {
        "recognize-asr": Recognize(field="asr").recipe(),
        "recognize-ocr": Recognize(field="ocr").recipe(),
        "extract": dict(stage.identity_settings()),
    }
    assert stage.upstream_fingerprints() == {
        "manifest": Manifest().fingerprint,
        "recognize-asr": Recognize(field="asr").fingerprint,
        "recognize-ocr": Recognize(field="ocr").fingerprint,
    }
    assert {name: source.suffix for name, source in stage.shard_inputs().items()} == dict.fromkeys(
        ("manifest", "recognize-asr", "recognize-ocr"), ".jsonl"
    )


@pytest.mark.parametrize(
    ("modality", "section", "changes_identity"),
    [
        ("frames", {"revision": "v2"}, False),
        ("frames", {"backbone": "transformers:a/b"}, True),
        ("audio", {"hop_seconds": "0.25"}, True),
        ("audio", {"workers": "3", "batch_size": "2", "device": "cpu", "runtime": "torch", "num_threads": "2"}, False),
        ("text", {"layer": "-2"}, True),
        ("text", {"fields": "title"}, True),
        # The same fields, in another order.
        ("text", {"fields": "ocr, title, asr"}, True),
    ],
)
def test_settings_that_a_backbone_does_not_look_at_are_no_identity(
    configure: Configure, modality: str, section: dict[str, str], changes_identity: bool
) -> None:
    before = Extract(modality=modality).fingerprint
    configure({f"extract_{modality}": section})
    assert (Extract(modality=modality).fingerprint != before) == changes_identity


def test_a_revision_counts_for_a_model_of_the_hub(configure: Configure) -> None:
    prints = []
    for revision in ("main", "v2"):
        configure({"extract_frames": {"backbone": "transformers:a/b", "revision": revision}})
        prints.append(Extract(modality="frames").fingerprint)
    assert len(set(prints)) == 2


def test_an_unknown_backbone_is_refused_before_anything_is_scheduled(
    configure: Configure, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(self: ExtractConfig) -> None:
        raise SettingError(f"[extract_{self.modality}] unknown torchvision backbone")

    stage = Extract(modality="frames")
    assert {task.stage_name for task in stage.deps()} == {"decode"}
    monkeypatch.setattr(ExtractConfig, "check_backbone_exists", refuse)
    with pytest.raises(SystemExit) as stopped:
        stage.deps()
    assert stopped.value.code == 40
    assert capsys.readouterr().err == "error: [extract_frames] unknown torchvision backbone\n"


# Recognize


@pytest.fixture
def recognized(manifest: Path, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Recognize without a network; return what each shard was made of."""
    found: list[dict[str, Any]] = []
    older: list[tuple[list[Path], Mapping[str, str]]] = []

    def reusable_texts(paths: Iterable[Path], made_by: Mapping[str, str]) -> ReusableShard[object]:
        older.append((list(paths), made_by))
        return ReusableShard()

    def recognize_shard(
        clips: Iterable[ClipInput],
        recognizer: object,
        path: Path,
        made_by: Mapping[str, str],
        on_clip: Callable[[], None],
        reusable: ReusableShard[object],
    ) -> ShardRun:
        outcomes = tuple(Outcome(clip.outcome.clip_id, "ok") for clip in clips)
        path.write_text(str(len(found)), encoding="utf-8")
        paths, recipe = older.pop()
        assert recipe == made_by
        found.append({"made_by": made_by, "older": paths, "recognizer": recognizer})
        return ShardRun(outcomes, 1, 2.5)

    def inputs(clips: Iterable[Any], modality: str) -> Iterator[ClipInput]:
        assert modality == "frames"
        return media_inputs(clips, "cover")

    monkeypatch.setattr("tasks.stages.recognize.recognize_shard", recognize_shard)
    monkeypatch.setattr("tasks.stages.recognize.reusable_texts", reusable_texts)
    monkeypatch.setattr("features.backbones.extractor.clip_inputs.media_inputs", inputs)
    monkeypatch.setattr("features.recognition.ocr.load_ocr", lambda _: SimpleNamespace(provenance=PROVENANCE))
    return found


def test_a_shard_of_text_is_stamped_with_what_made_it(
    configure: Configure, manifest: Path, recognized: list[dict[str, Any]]
) -> None:
    configure(sections_of(manifest, ocr=OCR))
    stage = Recognize(field="ocr")

    stage.run()

    assert [shard["made_by"] for shard in recognized] == [
        {
            **PROVENANCE,
            "decoder": "ffmpeg 7.0.2",
            "params": json.dumps(stage.recipe(), sort_keys=True),
            "stage_versions": f"recognize {Recognize.stage_version}, decode {Decode.stage_version}",
        }
    ] * 3
    assert len({id(shard["recognizer"]) for shard in recognized}) == 1
    found = stage.published_success()
    assert found.totals["ok"] == 5
    assert [item.taken_over for item in found.files] == [1, 1, 1]
    assert set(found.inputs) == {"decode"}


def test_older_texts_are_those_of_other_settings_and_then_those_of_this_folder(
    configure: Configure, manifest: Path, recognized: list[dict[str, Any]]
) -> None:
    configure(sections_of(manifest, ocr=OCR, decode={"frames_per_second": "1"}))
    publish_decoded(Decode())
    Recognize(field="ocr").run()
    other = Recognize(field="ocr").folder
    configure(sections_of(manifest, ocr=OCR))
    stage = Recognize(field="ocr")
    stage.run()
    recognized.clear()
    _decode_anew()

    stage.run()

    own = stage.folder / "shard-00000.jsonl"
    assert [shard["older"] for shard in recognized] == [[other / own.name, own]]


def test_a_field_is_read_from_its_stream(configure: Configure) -> None:
    configure({"ocr": OCR, "asr": ASR})

    assert recognized_fields() == ("asr", "ocr")
    assert FIELD_SOURCES == {"asr": "audio", "ocr": "frames"}
    for field, source in FIELD_SOURCES.items():
        stage = Recognize(field=field)
        assert stage.recipe() == {
            "decode": decode_settings_of(source), "recognize": dict(stage.identity_settings())
        }  # fmt: skip
        assert stage.stage_name == f"recognize-{field}"
        assert stage.max_failed_fraction() == settings().features.max_failed_fraction
    assert Recognize(field="asr").identity_settings()["weights"] == "transformers:a/b@r1"


def test_only_what_changes_the_text_is_identity(configure: Configure) -> None:
    configure({"asr": ASR})
    before = Recognize(field="asr").fingerprint
    configure({"asr": {**ASR, "batch_size": "3", "device": "cpu"}})
    assert Recognize(field="asr").fingerprint == before
    configure({"asr": {**ASR, "revision": "r2"}})
    assert Recognize(field="asr").fingerprint != before
