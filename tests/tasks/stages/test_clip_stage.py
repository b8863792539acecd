"""Where a stage that looks into clips finds them, and what that is for its identity."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from features.base.errors import SettingError, ShardError
from features.base.files import sha256_of
from features.decoding.config import DecodeConfig
from pipeline.workflow import chain
from tasks.config.run import settings
from tasks.core.sharded import ShardJob
from tasks.stages.clip_stage import stores_decoded
from tasks.stages.dataset import recognize_stages
from tasks.stages.decode import Decode
from tasks.stages.extract import Extract
from tasks.stages.recognize import Recognize, recognized_fields
from tests.features.media import decode_to, downloaded, render_clip

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    Configure = Callable[[Mapping[str, Mapping[str, str]]], None]

ONE_PASS = {"decode": {"store": "false"}}
OCR = {"ocr": {"backbone": "rapidocr:PP-OCRv6"}}


@pytest.mark.parametrize("modality", ["frames", "audio", "cover", "text"])
def test_keeping_decoded_clips_or_not_is_no_part_of_the_identity(configure: Configure, modality: str) -> None:
    configure({})
    staged = Extract(modality=modality)
    before, inputs = staged.fingerprint, set(staged.inputs())
    configure(ONE_PASS)
    one_pass = Extract(modality=modality)

    assert one_pass.fingerprint == before
    assert inputs == ({"manifest"} if modality == "text" else {"decode"})
    assert set(one_pass.inputs()) == ({"manifest"} if modality == "text" else {"download"})
    assert one_pass.can_retry == (modality != "text")


def test_without_stored_clips_no_stage_needs_decode(configure: Configure) -> None:
    configure({})
    assert "decode" in [stage.stage_name for stage in chain()]
    configure(ONE_PASS)
    stages = chain()
    assert "decode" not in [stage.stage_name for stage in stages]
    assert "decode" not in {name for stage in stages for name in stage.inputs()}


def test_a_change_of_decode_still_changes_what_is_extracted(configure: Configure) -> None:
    configure(ONE_PASS)
    stage = Extract(modality="frames")
    before, key = stage.fingerprint, stage.key_settings()
    configure({"decode": {"store": "false", "frames_per_second": "4"}})
    stage = Extract(modality="frames")
    assert stage.fingerprint != before
    assert stage.key_settings() != key


def test_a_recipe_holds_only_what_its_modality_sees(configure: Configure) -> None:
    def changed(*others: Mapping[str, Mapping[str, str]]) -> list[str]:
        recipes = []
        for rate in ("1", "4"):
            sections = {name: values for other in others for name, values in other.items()}
            configure({**sections, "decode": {"frames_per_second": rate}})
            recipes.append({name: Extract(modality=name).recipe() for name in ("frames", "audio", "cover", "text")})
        return [name for name in recipes[0] if recipes[0][name] != recipes[1][name]]

    assert changed() == ["frames"]
    # Speech is heard whatever the frame rate, text is read from the frames.
    assert changed({"asr": {"backbone": "transformers:a/b"}}) == ["frames"]
    assert changed(OCR) == ["frames", "text"]


def test_frames_for_motion_are_no_matter_of_the_others_and_their_size_none_while_they_are_off(
    configure: Configure,
) -> None:
    configure({})
    off, frames = Decode().fingerprint, Extract(modality="frames").recipe()
    configure({"decode": {"motion_short_side_pixels": "64"}})
    assert Decode().fingerprint == off
    configure({"decode": {"motion_frames_per_second": "8"}})
    on = Decode().fingerprint
    assert on != off
    assert Extract(modality="frames").recipe() == frames
    configure({"decode": {"motion_frames_per_second": "8", "motion_short_side_pixels": "64"}})
    assert Decode().fingerprint != on


def test_media_that_are_read_by_every_stage_must_be_kept(configure: Configure) -> None:
    configure({**ONE_PASS, "download": {"keep_media": "false"}})
    with pytest.raises(SettingError, match=r"store = false needs \[download\] keep_media = true"):
        settings()
    with pytest.raises(SystemExit) as stopped:
        Extract(modality="text")
    assert stopped.value.code == 40


def test_motion_needs_frames_that_decode_stores_only_when_asked(configure: Configure) -> None:
    configure({})
    with pytest.raises(SystemExit) as stopped:
        Extract(modality="motion")
    assert stopped.value.code == 40
    configure({"decode": {"motion_frames_per_second": "15"}})
    assert Extract(modality="motion").stage_name == "extract-motion"


def test_texts_are_recognised_only_where_a_backbone_is_named_and_the_field_is_used(configure: Configure) -> None:
    configure({})
    assert recognized_fields() == ()
    assert set(Extract(modality="text").inputs()) == {"manifest"}
    plain = Extract(modality="text").fingerprint

    configure(OCR)
    assert set(Extract(modality="text").inputs()) == {"manifest", "recognize-ocr"}
    assert Extract(modality="text").fingerprint != plain
    assert [stage.stage_name for stage in chain() if "recognize" in stage.stage_name] == ["recognize-ocr"]
    assert set(recognize_stages()) == {"recognize-ocr"}

    configure({**OCR, "extract_text": {"fields": "title"}})
    assert set(Extract(modality="text").inputs()) == {"manifest"}
    assert recognize_stages() == {}


@pytest.mark.parametrize("field", ["", "title", "asr"])
def test_a_field_that_nobody_reads_is_a_setting_error(configure: Configure, field: str) -> None:
    configure(OCR)
    with pytest.raises(SystemExit) as stopped:
        Recognize(field=field)
    assert stopped.value.code == 40


@pytest.mark.parametrize(
    ("section", "setting"),
    [("extract_frames", "max_tokens"), ("extract_text", "window_seconds"), ("extract_audio", "hop_frames")],
)
def test_settings_of_another_modality_are_unknown(configure: Configure, section: str, setting: str) -> None:
    configure({section: {setting: "1"}})
    with pytest.raises(SettingError, match=f"unknown setting '{setting}' in \\[{section}\\]"):
        stores_decoded()


def test_where_a_model_folder_lies_is_no_part_of_the_identity(configure: Configure, tmp_path: Path) -> None:
    fingerprints, recognized = [], []
    for name in ("here", "there"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "config.json").write_text('{"model_type": "vit"}', encoding="utf-8")
        backbone = {"backbone": f"transformers:{folder}"}
        configure({"extract_frames": backbone, "asr": backbone})
        fingerprints.append(Extract(modality="frames").fingerprint)
        recognized.append(Recognize(field="asr").fingerprint)
    assert fingerprints[0] == fingerprints[1]
    assert recognized[0] == recognized[1]


def test_nothing_is_published_of_a_decoded_shard_with_one_wrong_byte(
    configure: Configure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shard = tmp_path / "shard-00000.tar"
    decode_to(shard, [downloaded(render_clip(tmp_path / "a.mp4"))], DecodeConfig())
    configure({})
    stage = Extract(modality="audio")
    job = ShardJob(0, "shard-00000.h5", "key", 1, {"decode": shard}, {"decode": sha256_of(shard)})
    monkeypatch.setattr(Extract, "jobs", lambda _: [job])
    stage.folder.mkdir(parents=True)
    whole = shard.read_bytes()
    # In the middle of the video, and in the filling behind the last member.
    for position in (len(whole) // 3, len(whole) - 1):
        shard.write_bytes(whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :])
        with pytest.raises(ShardError, match="is damaged: its sha256 is not the one it was published with"):
            stage.build()
        assert list(stage.folder.glob("*.h5")) == list(stage.folder.glob("*.receipt.json")) == []
        assert list(stage.folder.glob(".tmp-*")) == []
    shard.write_bytes(whole)
    stage.build()
    assert (stage.folder / "shard-00000.h5").is_file()
