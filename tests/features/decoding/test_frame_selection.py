from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.base.errors import ShardError
from features.base.process import Limits, run
from features.decoding.commands import clip_command
from features.decoding.config import DecodeConfig
from features.decoding.edit_lists import stated_picture_seconds
from features.decoding.frame_selection import (
    CANDIDATES_PER_SECOND,
    FINENESS,
    choose_positions,
    max_candidates,
    on_screen,
    select_frames,
    times_below,
)
from features.decoding.plan import first_plan
from features.formats.matroska import read_waveform
from tests.features.media import decode_row, downloaded, ffmpeg, read_frames, render, render_clip

if TYPE_CHECKING:
    from pathlib import Path


def candidates(path: Path, **settings: Any) -> bytes:  # noqa: ANN401 - of any type
    return run(clip_command(ffmpeg(), str(path), "mp4", DecodeConfig(**settings)), Limits(30)).stdout


def times(matroska: bytes) -> np.ndarray[Any, np.dtype[np.float64]]:
    with av.open(io.BytesIO(matroska)) as container:
        return np.array([float(packet.pts * packet.time_base) for packet in container.demux(video=0) if packet.size])


def distances(num_frames: int, end_seconds: float) -> list[float]:
    """Return the times of candidates by the rule in words, apart from ffmpeg."""
    slot = 1 / CANDIDATES_PER_SECOND
    found = [0.0]
    for index in range(1, round(end_seconds * CANDIDATES_PER_SECOND)):
        if index * slot - found[-1] >= max(slot, found[-1] / (FINENESS * num_frames)) - 0.9 * slot:
            found.append(index * slot)
    return found


@pytest.mark.parametrize(("num_frames", "seconds"), [(1, 3.0), (4, 9.0), (16, 9.0), (8, 0.3)])
def test_candidates_stand_the_further_apart_the_later_they_are(tmp_path: Path, num_frames: int, seconds: float) -> None:
    path = render_clip(tmp_path / "a.mp4", seconds=seconds, rate=20, size="32x32", sound=False)
    config = DecodeConfig(num_frames=num_frames)
    found = times(candidates(path, num_frames=num_frames))
    np.testing.assert_allclose(found, distances(num_frames, seconds), atol=1.1e-3)
    assert len(found) <= max_candidates(config)


@given(st.integers(1, 64), st.floats(0.05, 20000))
def test_no_clip_has_more_candidates_than_are_let_through(num_frames: int, seconds: float) -> None:
    config = DecodeConfig(num_frames=num_frames, max_seconds=seconds)
    time, count = 0.0, 0
    while time < seconds:
        # Distances round down to whole slots.
        slots = max(1.0, time / (FINENESS * num_frames) * CANDIDATES_PER_SECOND - 0.9)
        time, count = time + np.ceil(slots) / CANDIDATES_PER_SECOND, count + 1
    assert count <= max_candidates(config)


@given(st.integers(1, 40), st.lists(st.floats(0.001, 5.0), min_size=1, max_size=80))
def test_chosen_positions_rise_and_are_as_many_as_wanted(num_frames: int, steps: list[float]) -> None:
    seconds = list(np.cumsum(steps))
    positions = choose_positions(seconds, num_frames, seconds[-1] + 0.5)
    assert len(positions) == min(num_frames, len(seconds))
    assert positions == sorted(set(positions))
    assert all(0 <= position < len(seconds) for position in positions)


def test_even_candidates_give_the_middles_of_equal_parts() -> None:
    assert choose_positions([float(second) for second in range(12)], 4, 12.0) == [2, 5, 8, 11]
    assert choose_positions([second / 10 for second in range(100)], 5, 10.0) == [10, 30, 50, 70, 90]
    assert choose_positions([second / 10 for second in range(100)], 5, 9.6) == [10, 29, 48, 67, 86]
    assert choose_positions([0.0, 1.0], 5, 2.0) == [0, 1]
    assert choose_positions([], 3, 0.0) == []


@pytest.mark.parametrize(
    ("rate", "seconds", "name"), [(25, 0.84, "a.mp4"), (7, 3.0, "a.mkv"), (0.5, 6.0, "a.avi"), (5, 20.6, "a.ts")]
)
def test_every_frame_lies_near_the_middle_of_its_part(tmp_path: Path, rate: float, seconds: float, name: str) -> None:
    source = f"testsrc2=size=32x32:rate={rate}:duration={seconds}"
    path = render(tmp_path / name, [source], "-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p")
    for num_frames in (1, 3, 8):
        matroska = decode_row(downloaded(path), DecodeConfig(num_frames=num_frames)).matroska
        assert matroska is not None
        wanted = (np.arange(num_frames) + 0.5) * seconds / num_frames
        # A quarter of a part or half a slot, and the milliseconds of the file; the last frame lasts as long as all.
        bound = max(seconds / (2 * FINENESS * num_frames), 0.5 / CANDIDATES_PER_SECOND) + 0.001
        assert np.abs(times(matroska) - wanted).max() <= bound


@pytest.mark.parametrize("codec", ["mjpeg", "lossless"])
def test_pictures_and_sound_are_copied_as_they_are(tmp_path: Path, codec: str) -> None:
    path = render_clip(tmp_path / "a.mp4", seconds=2.0)
    whole = candidates(path, num_frames=3, codec=codec)
    results = []
    for _ in range(2):
        thinned = io.BytesIO()
        select_frames(io.BytesIO(whole), thinned, [[(place, float(times(whole)[place])) for place in (1, 4, 9)]])
        results.append(thinned.getvalue())
    assert results[0] == results[1]
    before, after = read_frames(whole), read_frames(results[0])
    assert before is not None
    assert after is not None
    places = [1, 4, 9]
    np.testing.assert_array_equal(after.images, before.images[places])
    np.testing.assert_allclose(after.time_seconds, before.time_seconds[places], atol=1e-6)
    old_sound, new_sound = read_waveform(whole), read_waveform(results[0])
    assert old_sound is not None
    assert new_sound is not None
    np.testing.assert_array_equal(new_sound.samples, old_sound.samples)
    assert new_sound.start_seconds == old_sound.start_seconds


@pytest.mark.parametrize("num_frames", [1, 5, 16, 63])
def test_with_a_stated_duration_the_nearest_slots_alone_are_stored(tmp_path: Path, num_frames: int) -> None:
    path = render_clip(tmp_path / "a.mp4", seconds=6.3, rate=10, size="32x32", sound=False)
    config = DecodeConfig(num_frames=num_frames)
    command = clip_command(ffmpeg(), str(path), "mp4", config, first_plan(config, stated_seconds=6.3))
    wanted = (np.arange(num_frames) + 0.5) * 6.3 / num_frames
    found = times(run(command, Limits(30)).stdout)
    assert len(found) == num_frames
    assert np.abs(found - wanted).max() <= 0.5 / CANDIDATES_PER_SECOND + 0.001


def test_a_stated_duration_that_is_wrong_is_not_followed(tmp_path: Path) -> None:
    path = render_clip(tmp_path / "a.mp4", seconds=3.0, rate=10, size="32x32", sound=False)
    data = bytearray(path.read_bytes())
    # The edit list, of one edit in milliseconds, states twice the duration of the media.
    place = data.index(b"elst") + 12
    data[place : place + 4] = (6000).to_bytes(4, "big")
    path.write_bytes(data)
    with path.open("rb") as file:
        assert stated_picture_seconds(file) == 6.0
    matroska = decode_row(downloaded(path), DecodeConfig(num_frames=3)).matroska
    assert matroska is not None
    np.testing.assert_allclose(times(matroska), [0.5, 1.5, 2.5], atol=0.26)


def test_the_frame_on_screen_is_the_last_one_that_started() -> None:
    assert on_screen([0.1, 0.45, 0.5, 1.2], [0.0, 0.5, 1.0, 1.5]) == [(2, 0.5), (2, 1.0), (3, 1.5)]
    assert on_screen([0.333], [0.0, 1 / 3]) == [(0, 1 / 3)]
    assert on_screen([0.7], [0.0, 0.5]) == [(0, 0.7)]


def test_times_end_before_the_end() -> None:
    assert times_below(1.5, 2.0, 9) == [0.0, 0.5, 1.0]
    assert times_below(1.51, 2.0, 9) == [0.0, 0.5, 1.0, 1.5]
    assert times_below(9.0, 2.0, 2) == [0.0, 0.5]


def test_frames_are_repeated_where_the_clip_stands_still(tmp_path: Path) -> None:
    path = render(tmp_path / "still.mp4", ["color=red:size=32x32:rate=1:duration=2"], "-c:v", "libx264")
    assert len(times(candidates(path, num_frames=8))) > 8


def test_bytes_that_are_no_clip_are_an_error() -> None:
    with pytest.raises(ShardError, match="stored streams cannot be read"):
        select_frames(io.BytesIO(b"rubbish" * 100), io.BytesIO(), [[(0, 0.0)]])
