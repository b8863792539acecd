from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from features.backbones.extractor.extract_config import ExtractConfig
from features.backbones.extractor.extractor import Backbone
from features.backbones.vision.preprocess import FromPixels
from features.backbones.vision.video_extractor import VideoExtractor, windows
from features.base.errors import ShardError, SourceError
from tests.features.backbones.tiny_motion import film

if TYPE_CHECKING:
    from collections.abc import Sequence

    from features.formats.clip_data import ClipFeatures, UInt8


class FirstAndLast(nn.Module):
    """The mean of a window's first picture, of its last one, and of all."""

    def forward(self, volumes: torch.Tensor) -> torch.Tensor:
        per_picture = volumes.mean(dim=(1, 3, 4))  # (B, T)
        return torch.stack([per_picture[:, 0], per_picture[:, -1], per_picture.mean(dim=1)], dim=1)


@dataclass
class Counted:
    """A picture that counts how often it is decoded."""

    level: int
    time_seconds: float
    size: int = 8
    num_decoded: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def pixels(self) -> UInt8:
        with self.lock:
            self.num_decoded += 1
        return np.full((self.size, self.size, 3), self.level, np.uint8)


def as_it_is(image: UInt8) -> UInt8:
    return image


def to_eight(image: UInt8) -> UInt8:
    return np.ascontiguousarray(image[:8, :8])


def extractor(window_frames: int, hop_frames: int, network: nn.Module | None = None) -> VideoExtractor:
    config = ExtractConfig(
        "motion", "torchvision:r3d_18", window_frames=window_frames, hop_frames=hop_frames, batch_size=3,
        runtime="torch", device="cpu", workers=2,
    )  # fmt: skip
    inside = FromPixels(network or FirstAndLast(), (0.0,), (1.0,), windows=True)
    return VideoExtractor(config, Backbone(inside, to_eight, "none", "0" * 64, ("torch",)))


def grey(num_frames: int) -> list[Counted]:
    return [Counted(level, level / 10) for level in range(num_frames)]


def first_last_time(found: ClipFeatures) -> list[tuple[float, float, float]]:
    rows = np.column_stack([found.features[:, :2], found.time_seconds]).astype(np.float64).round(3).tolist()
    return [(first, last, seconds) for first, last, seconds in rows]


@pytest.mark.parametrize(
    ("num_frames", "expected"),
    [
        # First and last picture, and the time of the middle, of windows of 16 every 16 at 10 a second.
        (0, []),
        (1, [(0, 0, 0.0)]),
        (15, [(0, 14, 0.7)]),
        (16, [(0, 15, 0.75)]),
        (17, [(0, 15, 0.75), (1, 16, 0.85)]),
        (40, [(0, 15, 0.75), (16, 31, 2.35), (24, 39, 3.15)]),
    ],
)
def test_windows_by_hand(num_frames: int, expected: list[tuple[int, int, float]]) -> None:
    (found,) = extractor(16, 16).extract([grey(num_frames)])
    assert first_last_time(found) == expected
    assert found.features.shape == (len(expected), 3)


def test_windows_overlap_where_the_hop_is_shorter() -> None:
    (found,) = extractor(8, 4).extract([grey(18)])
    assert [row[:2] for row in first_last_time(found)] == [(0, 7), (4, 11), (8, 15), (10, 17)]


def test_the_last_picture_of_a_short_clip_stands_in_for_those_that_it_lacks() -> None:
    (found,) = extractor(8, 8).extract([grey(3)])
    np.testing.assert_allclose(found.features[0], [0, 2, (0 + 1 + 2 * 6) / 8], atol=1e-5)
    assert found.time_seconds.tolist() == pytest.approx([0.1])


@given(st.integers(0, 60), st.integers(1, 20), st.data())
def test_every_picture_is_in_a_window_and_windows_are_a_hop_apart(
    num_frames: int, window_frames: int, data: st.DataObject
) -> None:
    hop_frames = data.draw(st.integers(1, window_frames))
    places = list(windows(range(num_frames), window_frames, hop_frames))
    assert {place for window in places for place in window} == set(range(num_frames))
    assert all(len(window) == window_frames for window in places)
    if num_frames >= window_frames:
        assert all(window == list(range(window[0], window[0] + window_frames)) for window in places)
        starts = [window[0] for window in places]
        whole = list(range(0, num_frames - window_frames + 1, hop_frames))
        rest = [] if whole[-1] + window_frames == num_frames else [num_frames - window_frames]
        assert starts == whole + rest


def test_the_order_of_the_frames_matters() -> None:
    (forwards,) = extractor(8, 8).extract([grey(8)])
    (backwards,) = extractor(8, 8).extract([grey(8)[::-1]])
    np.testing.assert_allclose(forwards.features[0, :2], backwards.features[0, :2][::-1])
    assert forwards.features[0, 0] != backwards.features[0, 0]


def test_a_picture_is_decoded_once_however_many_windows_have_it() -> None:
    pictures = grey(20)
    (found,) = extractor(8, 2).extract([pictures])
    assert len(found.features) == 7
    assert [picture.num_decoded for picture in pictures] == [1] * 20


def test_batches_reach_across_clips_and_clips_may_have_other_sizes() -> None:
    large = [Counted(100 + place, float(place), size=16) for place in range(9)]
    found = list(extractor(8, 8).extract([grey(8), None, large, grey(0), grey(10)]))
    assert [result.features[:, 0].tolist() for result in found] == [[0], [], [100, 101], [], [0, 2]]


def test_a_clip_that_cannot_be_read_has_a_problem_and_the_others_have_none() -> None:
    class Damaged(Counted):
        def pixels(self) -> UInt8:
            raise ShardError("a stored frame cannot be decoded")

    pictures: Sequence[Counted] = [*grey(3), Damaged(3, 0.3), *grey(2)]
    found = list(extractor(4, 4).extract([grey(4), pictures, grey(5)]))
    assert [result.problem for result in found] == ["", "a stored frame cannot be decoded", ""]
    assert [len(result.features) for result in found] == [1, 0, 2]


def test_clips_are_read_as_windows_are_needed() -> None:
    num_read = 0

    def endless() -> object:
        nonlocal num_read
        while True:
            num_read += 1
            yield Counted(1, 0.0)

    def one_then_endless() -> object:
        yield grey(8)
        yield endless()

    found = extractor(8, 8).extract(one_then_endless())  # type: ignore[arg-type] # generators
    assert len(next(found).features) == 1
    found.close()  # type: ignore[attr-defined] # a generator
    assert num_read < 8 * 100


def test_bytes_are_normalised_inside_the_network() -> None:
    clip = film(4, seed=1)
    inside = FromPixels(nn.Flatten(), (102.0, 127.5, 76.5), (51.0, 76.5, 63.75), windows=True)
    got = inside(torch.from_numpy(clip.images[None])).reshape(3, 4, 48, 64).numpy()
    expected = (clip.images / 255 - [0.4, 0.5, 0.3]) / [0.2, 0.3, 0.25]
    np.testing.assert_allclose(got, expected.transpose(3, 0, 1, 2), atol=1e-5)


def test_a_network_without_one_vector_a_window_is_refused() -> None:
    with pytest.raises(SourceError, match=r"gives shape \(1, 3, 8, 8, 8\), not one embedding \(D,\) for each window"):
        extractor(8, 8, nn.Identity())
