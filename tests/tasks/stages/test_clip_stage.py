"""Where a stage that looks into clips finds them, and what that is for its identity."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from features.base.errors import SettingError, ShardError
from features.base.files import sha256_of
from features.base.modalities import MODALITIES
from features.decoding.clip import sources
from features.decoding.config import DecodeConfig
from features.downloads.download_rows import read_downloaded
from features.formats.reuse import ReusableShard, source_digest
from pipeline.workflow import chain
from tasks.config.run import settings
from tasks.core.sharded import ShardJob
from tasks.stages.clip_stage import some_clips, stores_decoded
from tasks.stages.dataset import recognize_stages
from tasks.stages.decode import Decode
from tasks.stages.download import Download
from tasks.stages.extract import Extract
from tasks.stages.recognize import Recognize, recognized_fields
from tests.features.media import decode_to, downloaded, render_clip
from tests.tasks.stages.small import publish_decoded, publish_manifest, sections_of, write_manifest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from features.downloads.download_rows import DownloadedClip
    from tasks.core.stage import Stage

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
def test_a_field_without_a_backbone_is_a_setting_error(configure: Configure, field: str) -> None:
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


def test_an_error_of_any_kind_out_of_a_damaged_shard_names_the_damage(
    configure: Configure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shard = tmp_path / "shard-00000.tar"
    decode_to(shard, [downloaded(render_clip(tmp_path / "a.mp4"))], DecodeConfig())
    configure({})
    stage = Extract(modality="audio")
    job = ShardJob(0, "shard-00000.h5", "key", 1, {"decode": shard}, {"decode": sha256_of(shard)})
    monkeypatch.setattr(Extract, "jobs", lambda _: [job])

    def fail(*_: object) -> None:
        raise AttributeError("no codec")

    monkeypatch.setattr(Extract, "run_model", fail)
    stage.folder.mkdir(parents=True)
    with pytest.raises(AttributeError, match="no codec"):
        stage.build()
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(ShardError, match="is damaged: its sha256 is not the one it was published with"):
        stage.build()


# Where the clips are


def _job(stage: Stage, suffix: str) -> ShardJob:
    path = stage.folder / f"shard-00000{suffix}"
    return ShardJob(0, "shard-00000.h5", "", 2, {stage.stage_name: path}, {stage.stage_name: sha256_of(path)})


@pytest.fixture
def decoded(configure: Configure, in_this_process: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Decode:
    """Decode with three small shards of five clips."""
    monkeypatch.setattr(Decode, "ffmpeg_version", lambda _: "7.0.2")
    publish_manifest(configure, write_manifest(tmp_path / "corpus"))
    Download().run()
    stage = Decode()
    publish_decoded(stage)
    return stage


def test_stored_clips_are_read_from_an_intact_shard(decoded: Decode, tmp_path: Path) -> None:
    job, nothing = _job(decoded, ".tar"), ReusableShard[object]()
    with Extract(modality="frames")._clip_opener() as opener:
        opened = opener.open(job, tmp_path, nothing)
        assert [(clip.outcome.clip_id, clip.matroska and clip.matroska.read()) for clip in opened] == [
            ("a", b"a"), ("b", b"b")
        ]  # fmt: skip
        # Nothing was decoded.
        assert opener.timings() == {}
        other = replace(job, digests={"decode": "0" * 64})
        with pytest.raises(ShardError, match=r"00000.tar is damaged: its sha256 is not .* `python -m pipeline verify`"):
            list(opener.open(other, tmp_path, nothing))


def test_media_are_decoded_on_the_way_and_known_clips_are_not(
    configure: Configure, decoded: Decode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[tuple[object, ...]] = []
    known: dict[str, bool] = {}

    class Fresh:
        cpu_seconds = 1.25

        def __init__(
            self,
            clips: Sequence[DownloadedClip],
            config: object,
            restore: object,
            beside: Path,
            pool: object,
            is_known: Callable[[DownloadedClip], bool],
        ) -> None:
            made.append((config, callable(restore), beside, pool is not None))
            known.update({clip.outcome.clip_id: is_known(clip) for clip in clips})

        def __iter__(self) -> Iterator[str]:
            return iter(["fresh"])

    monkeypatch.setattr("tasks.stages.clip_stage.OnTheFlyClips", Fresh)
    configure(sections_of(tmp_path / "corpus" / "clips.jsonl", decode={"store": "false", "workers": "2"}))
    first, second = read_downloaded(Download().folder / "shard-00000.jsonl")
    reusable = ReusableShard[object]()
    reusable.add("a", source_digest(sources(first)), "a row")
    # Of the same clip, and of other media.
    reusable.add("b", source_digest(sources(first)), "a row")
    assert sources(first) != sources(second)
    with Extract(modality="frames")._clip_opener() as opener:
        assert opener.timings() == {}
        opened = opener.open(_job(Download(), ".jsonl"), tmp_path / "beside", reusable)
        assert list(map(str, opened)) == ["fresh"]
        assert opener.timings() == {"child_cpu_seconds": 1.25}

    assert made == [(settings().decode, True, tmp_path / "beside", True)]
    assert known == {"a": True, "b": False}


@pytest.mark.parametrize(("store", "names"), [("true", ["other", "own"]), ("false", ["own"])])
def test_rows_of_other_settings_are_of_use_only_where_the_clips_were_decoded_before(
    configure: Configure, monkeypatch: pytest.MonkeyPatch, store: str, names: list[str]
) -> None:
    configure({"decode": {"store": store}})
    stage = Extract(modality="frames")
    monkeypatch.setattr(Extract, "elsewhere", lambda _, __: iter([Path("other")]))
    job = ShardJob(0, "shard-00000.h5", "", 2, {}, {}, previous=Path("own"))

    assert [path.name for path in stage.reusable_paths(job)] == names
    assert [path.name for path in stage.reusable_paths(replace(job, previous=None))] == names[:-1]


def test_some_clips_open_only_the_shards_that_hold_them(decoded: Decode, tmp_path: Path) -> None:
    (decoded.folder / "shard-00000.tar").unlink()

    with some_clips({"c", "e"}, [2, 4], tmp_path) as clips:
        found = [clip.outcome.clip_id for clip in clips]

    assert found == ["c", "d", "e"]
    with some_clips(set(), [], tmp_path) as clips:
        assert list(clips) == []


def test_some_clips_are_decoded_again_where_none_is_stored(
    configure: Configure, decoded: Decode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[list[str]] = []

    def fresh(clips: Sequence[DownloadedClip], config: object, restore: object, path: Path, pool: object) -> list[str]:
        made.append([clip.outcome.clip_id for clip in clips])
        assert path.parent == tmp_path / "work"
        return ["fresh"]

    monkeypatch.setattr("tasks.stages.clip_stage.OnTheFlyClips", fresh)
    configure(sections_of(tmp_path / "corpus" / "clips.jsonl", decode={"store": "false"}))

    with some_clips({"b", "e"}, [1, 4], tmp_path / "work") as clips:
        assert list(map(str, clips)) == ["fresh"]
    assert made == [["b", "e"]]


def test_keys_hold_the_settings_of_decode_where_the_stage_decodes_itself(configure: Configure) -> None:
    stored = Extract(modality="frames")
    # The version alone: what is read of equal bytes may differ with it.
    version = {"decode": {"stage_version": Decode.stage_version}}
    assert stored.key_settings() == {**stored.identity_settings(), **version}
    text = Extract(modality="text")
    assert text.key_settings() == text.identity_settings()
    configure(ONE_PASS)
    fresh = Extract(modality="frames")
    decode = Decode()

    assert dict(fresh.key_settings()) == {
        **fresh.identity_settings(),
        "decode": {**decode.identity_settings(), "stage_version": decode.stage_version},
    }
    # Texts come from the records, whatever is decoded.
    assert Extract(modality="text").key_settings() == Extract(modality="text").identity_settings()
    assert fresh.identity() == {**stored.identity(), "inputs": {"decode": decode.fingerprint}}


@pytest.mark.parametrize("modality", ["", "smell", "Frames"])
def test_an_unknown_modality_is_refused(
    configure: Configure, modality: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        Extract(modality=modality)
    assert stopped.value.code == 40
    assert f"unknown modality {modality!r}: expected one of {', '.join(MODALITIES)}" in capsys.readouterr().err
