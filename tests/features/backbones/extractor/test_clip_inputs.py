from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from features.backbones.extractor.clip_inputs import ClipInput, media_inputs, text_inputs
from features.base.outcomes import Outcome
from features.decoding.config import DecodeConfig
from features.formats.clip_data import Sound
from features.formats.records import ClipRecord
from features.formats.tar_shard import OpenedClip, open_tar_shard
from tests.features.media import decode_to, downloaded

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


@pytest.fixture(scope="module")
def decoded(media: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A decoded shard: whole, without sound, without picture, cut, nothing, and a damaged cover."""
    folder = tmp_path_factory.mktemp("decoded")
    bad_cover = folder / "bad.png"
    bad_cover.write_bytes((media / "cover.png").read_bytes()[:60])
    clips = [
        downloaded(media / "both.mp4", media / "cover.jpg", clip_id="whole"),
        downloaded(media / "silent.mp4", clip_id="silent"),
        downloaded(media / "sound.mp4", clip_id="sound"),
        downloaded(media / "half.mp4", clip_id="cut"),
        downloaded(media / "empty.mp4", media / "cover.jpg", clip_id="nothing"),
        downloaded(media / "both.mp4", bad_cover, clip_id="cover"),
    ]
    decode_to(folder / "a.tar", clips, DecodeConfig(workers=1))
    return folder / "a.tar"


def account(clips: Iterable[ClipInput]) -> list[tuple[str, str, str, Any]]:
    def size(value: Any) -> object:  # noqa: ANN401 - what the modality has
        if isinstance(value, Sound):
            return round(sum(len(block) for block in value.blocks) / 16000, 1)
        return None if value is None else len(list(value))

    return [(clip.outcome.clip_id, clip.outcome.status, clip.outcome.code, size(clip.value)) for clip in clips]


def test_frames_of_a_decoded_shard(decoded: Path) -> None:
    assert account(media_inputs(open_tar_shard(decoded), "frames")) == [
        ("whole", "ok", "", 4),
        ("silent", "ok", "", 4),
        ("sound", "ok", "no_video_stream", None),
        ("cut", "partial", "truncated", 3),
        ("nothing", "failed", "invalid_data", None),
        ("cover", "ok", "", 4),
    ]
    assert [clip.expected for clip in media_inputs(open_tar_shard(decoded), "frames")] == [4, 4, 4, 6, 0, 4]


def test_sound_of_a_decoded_shard(decoded: Path) -> None:
    assert account(media_inputs(open_tar_shard(decoded), "audio")) == [
        ("whole", "ok", "", 2.0),
        ("silent", "ok", "no_audio", None),
        ("sound", "ok", "", 2.0),
        ("cut", "ok", "", 1.5),
        ("nothing", "failed", "invalid_data", None),
        ("cover", "ok", "", 2.0),
    ]


def test_covers_of_a_decoded_shard(decoded: Path) -> None:
    found = account(media_inputs(open_tar_shard(decoded), "cover"))
    code = found[-1][2]
    assert code.startswith("cover_")
    assert found == [
        ("whole", "ok", "", 1),
        ("silent", "ok", "no_cover", None),
        ("sound", "ok", "no_cover", None),
        ("cut", "ok", "no_cover", None),
        ("nothing", "ok", "", 1),
        ("cover", "failed", code, None),
    ]


def test_pictures_are_decoded_when_they_are_asked_for(decoded: Path) -> None:
    shapes = {
        clip.outcome.clip_id: [(picture.pixels().shape, picture.time_seconds) for picture in clip.value or ()]
        for clip in media_inputs(open_tar_shard(decoded), "frames")
    }
    assert [seconds for _, seconds in shapes["whole"]] == [0.0, 0.5, 1.0, 1.5]
    assert len({shape for shape, _ in shapes["whole"]}) == 1
    assert shapes["sound"] == []


def test_the_digest_follows_the_files_and_nothing_else(decoded: Path) -> None:
    frames, audio = (
        {clip.outcome.clip_id: clip.digest for clip in media_inputs(open_tar_shard(decoded), name)}
        for name in ("frames", "audio")
    )
    assert frames == audio
    # Two clips of one video file, of which one has a cover.
    assert len(set(frames.values())) == len(frames)


def test_a_clip_whose_bytes_are_no_clip_fails_alone(decoded: Path, tmp_path: Path) -> None:
    clips = list(open_tar_shard(decoded))[:2]
    torn = tmp_path / "torn"
    torn.write_bytes(b"no matroska at all" * 100)
    with torn.open("rb") as stream:
        broken = OpenedClip(clips[0].outcome, stream, None, clips[0].about)
        (found,) = media_inputs([broken], "frames")
        assert (found.outcome.status, found.outcome.code, found.value) == ("failed", "unreadable_clip", None)
        assert "cannot be opened" in found.outcome.detail


@pytest.mark.parametrize(
    ("codes", "has_clip", "frames", "audio"),
    [
        # A code that may pass leads the clip's outcome, whatever else is wrong with it.
        (["truncated", "cover_http_503"], True, ("partial", "truncated"), ("ok", "")),
        (["cover_http_503"], True, ("ok", ""), ("ok", "")),
        (["cover_invalid_data"], False, ("ok", "no_video"), ("ok", "no_video")),
        (["http_404", "cover_invalid_data"], False, ("failed", "http_404"), ("failed", "http_404")),
        ([], False, ("ok", "no_video"), ("ok", "no_video")),
    ],
)
def test_each_modality_has_the_outcome_of_what_it_is_made_of(
    decoded: Path, codes: list[str], has_clip: bool, frames: tuple[str, str], audio: tuple[str, str]
) -> None:
    clips = open_tar_shard(decoded)
    clip = next(clips)
    outcome = Outcome("a", "partial", "cover_http_503", "what is told of it")
    changed = OpenedClip(outcome, clip.matroska if has_clip else None, None, {**clip.about, "codes": codes})
    for modality, expected in (("frames", frames), ("audio", audio)):
        (found,) = media_inputs([changed], modality)
        assert (found.outcome.status, found.outcome.code) == expected


@pytest.mark.parametrize(
    ("codes", "expected"),
    [
        (["no_video_stream", "cover_http_503"], ("ok", "no_video_stream")),
        # There was a picture, and nothing of it is left.
        (["truncated"], ("failed", "truncated")),
        ([], ("failed", "no_frames")),
    ],
)
def test_a_clip_of_sound_alone_lacks_its_pictures_or_has_lost_them(
    decoded: Path, codes: list[str], expected: tuple[str, str]
) -> None:
    clips = open_tar_shard(decoded)
    clip = next(clip for clip in clips if clip.outcome.clip_id == "sound")
    changed = OpenedClip(clip.outcome, clip.matroska, None, {**clip.about, "codes": codes})
    (found,) = media_inputs([changed], "frames")
    assert (found.outcome.status, found.outcome.code, found.value) == (*expected, None)


@pytest.mark.parametrize("code", ["sound_empty", "sound_not_decodable"])
def test_sound_that_could_not_be_read_leaves_the_frames_whole(decoded: Path, code: str) -> None:
    clips = open_tar_shard(decoded)
    clip = next(clip for clip in clips if clip.outcome.clip_id == "silent")
    changed = OpenedClip(clip.outcome, clip.matroska, None, {**clip.about, "codes": [code]})
    assert account(media_inputs([changed], "frames")) == [("silent", "ok", "", 4)]
    assert account(media_inputs([changed], "audio")) == [("silent", "ok", code, None)]


def texts_of(clips: Iterable[ClipInput]) -> list[Any]:
    return [clip.value for clip in clips]


RECORDS = [ClipRecord("a", title="t", ocr="o"), ClipRecord("b", title=" \n"), ClipRecord("c", asr="said")]


def test_fields_are_kept_apart_and_blank_ones_left_out() -> None:
    assert texts_of(text_inputs(RECORDS, ("title", "asr", "ocr"))) == [
        {"title": "t", "ocr": "o"},
        None,
        {"asr": "said"},
    ]
    codes = [clip.outcome.code for clip in text_inputs(RECORDS, ("title",))]
    assert codes == ["", "no_text", "no_text"]


def test_recognised_text_fills_only_what_the_record_leaves_blank() -> None:
    recognized = {"asr": ["heard", "", "misheard"], "ocr": ["seen", "read", " "]}
    assert texts_of(text_inputs(RECORDS, ("title", "asr", "ocr"), recognized)) == [
        {"title": "t", "ocr": "o", "asr": "heard"},
        {"ocr": "read"},
        {"asr": "said"},
    ]


def test_a_text_decides_its_digest_and_a_field_that_nobody_wants_does_not() -> None:
    def digests(record: ClipRecord, *fields: str) -> bytes:
        (clip,) = text_inputs([record], fields)
        return clip.digest

    assert digests(ClipRecord("a", title="x", asr="y"), "title") == digests(ClipRecord("b", title="x"), "title")
    assert digests(ClipRecord("a", title="x"), "title") != digests(ClipRecord("a", asr="x"), "title", "asr")
    assert digests(ClipRecord("a", title="\ud800"), "title") != digests(ClipRecord("a", title="\ud801"), "title")


@pytest.mark.parametrize("modality", ["frames", "cover", "audio"])
def test_a_shard_is_never_whole_in_memory(decoded: Path, modality: str) -> None:
    first = next(media_inputs(open_tar_shard(decoded), modality))
    assert first.outcome.clip_id == "whole"
    pixels = [picture.pixels() for picture in first.value] if modality != "audio" else list(first.value.blocks)
    assert all(isinstance(part, np.ndarray) for part in pixels)
