from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from features.decoding.ffmpeg import DecodeConfig
from features.extraction import ClipInput, extract_shard, media_inputs, text_inputs
from features.extractors.protocol import ClipFeatures, ImageSequence, Waveform
from features.outcomes import Outcome
from features.records import ClipRecord
from features.shards import ShardReader
from tests.features.media import decode_to, downloaded

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path


class Lengths:
    """An extractor whose features of a text are its length, one row a letter; it looks ahead as batches do."""

    dim = 3
    provenance: Mapping[str, str] = {}

    def __init__(self, ahead: int = 4) -> None:
        self.ahead = ahead

    def extract(self, clips: Iterable[str | None]) -> Iterator[ClipFeatures]:
        waiting: list[str | None] = []
        for clip in clips:
            waiting.append(clip)
            if len(waiting) == self.ahead:
                yield from map(self._features, waiting)
                waiting = []
        yield from map(self._features, waiting)

    def _features(self, text: str | None) -> ClipFeatures:
        count = len(text or "")
        features = np.full((count, self.dim), count, np.float32)
        if text == "wild":
            features[-1, -1] = np.nan
        if text == "huge":
            features[0, 0] = 1e6
        return ClipFeatures(features, np.zeros(count, np.float32), np.arange(count, dtype=np.int32))


RECORDS = [
    ClipRecord("a", title="four"),
    ClipRecord("b"),
    ClipRecord("c", title="wild"),
    ClipRecord("d", title=" ", asr="a", ocr="b"),
    ClipRecord("e", title="huge"),
    ClipRecord("f", title="一只猫"),
]


@pytest.mark.parametrize("ahead", [1, 4, 100])
def test_every_clip_has_its_own_rows_and_outcome(tmp_path: Path, ahead: int) -> None:
    ticks: list[None] = []
    done = extract_shard(
        text_inputs(RECORDS), Lengths(ahead), tmp_path / "a.h5", {"modality": "text"}, lambda: ticks.append(None)
    )
    assert [(outcome.clip_id, outcome.status, outcome.code) for outcome in done.outcomes] == [
        ("a", "ok", ""),
        ("b", "ok", "no_text"),
        ("c", "failed", "non_finite_features"),
        ("d", "ok", ""),
        ("e", "failed", "non_finite_features"),
        ("f", "ok", ""),
    ]
    assert len(ticks) == 6
    assert 0 <= done.input_seconds <= done.total_seconds
    reader = ShardReader(tmp_path / "a.h5")
    assert [len(features) for features in (reader[index] for index in range(6))] == [4, 0, 0, 3, 0, 3]
    assert reader.column("token_id", 5).tolist() == [0, 1, 2]
    assert (reader[5] == 3).all()
    assert reader.expected.tolist() == [4, 0, 0, 3, 0, 3]
    assert [replace(outcome, detail="") for outcome in done.outcomes] == reader.outcomes


def test_expected_rows_are_those_of_a_whole_clip(tmp_path: Path) -> None:
    clips = [ClipInput(Outcome("a", "partial", "truncated"), "ab", 20), ClipInput(Outcome("b", "ok"), "ab")]
    extract_shard(clips, Lengths(), tmp_path / "a.h5", {"modality": "frames"})
    reader = ShardReader(tmp_path / "a.h5")
    assert reader.expected.tolist() == [20, 2]
    assert "/token_id" not in [name for name, _, _ in reader.datasets()]


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
    def size(value: object) -> object:
        if isinstance(value, ImageSequence):
            return len(value.images)
        return round(len(value.samples) / 16000, 1) if isinstance(value, Waveform) else value

    return [(clip.outcome.clip_id, clip.outcome.status, clip.outcome.code, size(clip.value)) for clip in clips]


def test_frames_of_a_decoded_shard(decoded: Path) -> None:
    assert account(media_inputs(decoded, "frames")) == [
        ("whole", "ok", "", 4),
        ("silent", "ok", "", 4),
        ("sound", "failed", "no_video_stream", None),
        ("cut", "partial", "truncated", 3),
        ("nothing", "failed", "invalid_data", None),
        ("cover", "ok", "", 4),
    ]
    assert [clip.expected for clip in media_inputs(decoded, "frames")] == [4, 4, 4, 6, 0, 4]


def test_sound_of_a_decoded_shard(decoded: Path) -> None:
    assert account(media_inputs(decoded, "audio")) == [
        ("whole", "ok", "", 2.0),
        ("silent", "ok", "no_audio", None),
        ("sound", "ok", "", 2.0),
        ("cut", "ok", "", 1.5),
        ("nothing", "failed", "invalid_data", None),
        ("cover", "ok", "", 2.0),
    ]


def test_covers_of_a_decoded_shard(decoded: Path) -> None:
    found = account(media_inputs(decoded, "cover"))
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
