"""Empty edits in the middle of a presentation: found, shown as the last picture and as silence, and bounded."""

from __future__ import annotations

import io
import struct
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.decoding.config import DecodeConfig
from features.decoding.edit_lists import MAX_INTERVALS, EmptyEdits, empty_edits
from features.formats.matroska import read_waveform
from tests.features.decoding.test_clip_times import TONE, X264, numbered, shown
from tests.features.media import decode_row, downloaded, render

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

SCALE = 1000
# Seconds, and second of the media or nothing.
Edit = tuple[float, float | None]
HOLE: list[Edit] = [(1, 1), (0.5, None), (1, 3)]


def box(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(content), name) + content


def edit_list(edits: Sequence[Edit], media_scale: int, *, is_long: bool = False) -> bytes:
    form = ">QqI" if is_long else ">IiI"
    rows = [
        struct.pack(form, int(seconds * SCALE), -1 if at is None else int(at * media_scale), 1 << 16)
        for seconds, at in edits
    ]
    head = struct.pack(">II", (1 << 24) if is_long else 0, len(rows))
    return box(b"edts", box(b"elst", head + b"".join(rows)))


def movie(tracks: Sequence[tuple[bytes, bytes]], more: bytes = b"") -> bytes:
    """Return a movie's box with tracks of a handler and an edit list each, and nothing that can be decoded."""
    header = box(b"mvhd", struct.pack(">IIIII", 0, 0, 0, SCALE, 0) + bytes(80))
    media = box(b"mdhd", struct.pack(">IIIII", 0, 0, 0, SCALE, 0) + bytes(4))
    handlers = [box(b"mdia", media + box(b"hdlr", bytes(8) + name + bytes(12))) for name, _ in tracks]
    traks = [box(b"trak", edits + handler) for (_, edits), handler in zip(tracks, handlers, strict=True)]
    return box(b"ftyp", b"qt  ") + box(b"moov", header + b"".join(traks) + more)


def edited(path: Path, edits: Sequence[Edit], handlers: Sequence[bytes] = (b"vide", b"soun")) -> Path:
    """Return a copy of a file of ffmpeg, whose movie box comes last, with another edit list in its tracks."""
    data = path.read_bytes()
    moov = data.rindex(b"moov") - 4
    rest, content = data[moov + 8 :], b""
    while rest:
        size, name = struct.unpack(">I4s", rest[:8])
        one, rest = rest[:size], rest[size:]
        if name == b"trak" and any(b"mhlr" + handler in one for handler in handlers):
            mdhd = one.index(b"mdhd")
            own = edit_list(edits, int.from_bytes(one[mdhd + 16 : mdhd + 20], "big"))
            start = one.index(b"edts") - 4
            one = box(b"trak", one[8:start] + own + one[start + int.from_bytes(one[start : start + 4], "big") :])
        content += one
    target = path.with_name("edited.mov")
    target.write_bytes(data[:moov] + box(b"moov", content))
    return target


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    # One tone a second: 300, 500, 700, 900 Hz.
    tones = "aevalsrc='0.5*sin(2*PI*(300+200*floor(t))*t)':s=16000:d=4"
    options = (*X264, "-g", "1", "-c:a", "pcm_s16le", "-movie_timescale", SCALE)
    return render(tmp_path_factory.mktemp("media") / "a.mov", [numbered(10, 4), tones], *map(str, options))


def decode(path: Path, **settings: Any) -> tuple[dict[float, int], list[int], int]:  # noqa: ANN401 - of any type
    """Return the pictures by time, the pitch of each quarter of a second, and the number of frames for motion."""
    clip = decode_row(downloaded(path), DecodeConfig(codec="lossless", **settings))
    assert clip.outcome.status == "ok"
    assert clip.matroska is not None
    sound = read_waveform(clip.matroska)
    assert sound is not None
    pitches = []
    for part in np.array_split(sound.samples[: len(sound.samples) // 4000 * 4000], len(sound.samples) // 4000):
        power = np.abs(np.fft.rfft(part[400:3600]))
        pitches.append(int(np.argmax(power)) * 5 if np.abs(part[400:3600]).max() > 0.01 else 0)
    return shown(clip), pitches, int(clip.about.get("num_motion_frames", 0))


def test_in_an_empty_edit_the_last_picture_stands_and_the_sound_is_silent(base: Path) -> None:
    pictures, pitches, _ = decode(edited(base, HOLE))
    assert pictures == {0.0: 10, 0.5: 15, 1.0: 19, 1.5: 30, 2.0: 35}
    # Where the sound goes on, some milliseconds are made up for.
    assert pitches[:9] == pytest.approx([500, 500, 500, 500, 0, 0, 900, 900, 900], abs=15)


@pytest.mark.parametrize(("edits", "third"), [(HOLE, 19), ([(1, 1), (0.5, 2.2), (1, 3)], 22)])
def test_reordered_pictures_are_at_their_places(tmp_path: Path, edits: list[Edit], third: int) -> None:
    coding = (*X264, "-bf", "2", "-x264-params", "b-adapt=0:b-pyramid=none", "-c:a", "aac", "-movie_timescale", SCALE)
    base = render(tmp_path / "a.mov", [numbered(10, 4), TONE.format(4)], *map(str, coding))
    # One picture is held back, so that media times start with 0.1 s.
    late = [(seconds, None if at is None else at + 0.1) for seconds, at in edits]
    clip = decode_row(downloaded(edited(base, late, [b"vide"])), DecodeConfig(codec="lossless"))
    assert clip.outcome.status == "ok"
    assert {time: number for time, number in shown(clip).items() if time < 2.5} == {
        0.0: 10, 0.5: 15, 1.0: third, 1.5: 30, 2.0: 35,
    }  # fmt: skip


def test_parts_in_another_order_keep_their_order(base: Path) -> None:
    pictures, pitches, _ = decode(edited(base, [(1, 2), (0.5, None), (1, 0)]))
    assert pictures == {0.0: 20, 0.5: 25, 1.0: 29, 1.5: 0, 2.0: 5}
    assert pitches[:9] == pytest.approx([700, 700, 700, 700, 0, 0, 300, 300, 300], abs=15)


def test_frames_for_motion_and_a_fixed_number_stand_too(base: Path) -> None:
    pictures, _, motion = decode(edited(base, HOLE), num_frames=5, motion_frames_per_second=4.0)
    assert pictures == {0.25: 12, 0.75: 17, 1.25: 19, 1.75: 32, 2.25: 37}
    assert motion == 10


def test_an_empty_edit_of_the_sound_alone_is_silent(base: Path) -> None:
    pictures, pitches, _ = decode(edited(base, [(1, 0), (0.5, None), (2.5, 1.5)], [b"soun"]))
    assert pictures == {n / 2: 5 * n for n in range(8)}
    assert pitches[:8] == pytest.approx([300, 300, 300, 300, 0, 0, 500, 500], abs=15)


def test_an_empty_edit_that_delays_a_track_is_a_delay_and_no_hole(base: Path) -> None:
    pictures, _, _ = decode(edited(base, [(1, None), *HOLE], [b"vide"]))
    assert pictures == {1.0: 10, 1.5: 15, 2.0: 19, 2.5: 30, 3.0: 35}


@pytest.mark.parametrize("is_long", [False, True])
def test_the_clock_starts_with_the_first_track(is_long: bool) -> None:
    picture = (b"vide", edit_list([(1, None), (2, 0), (1, None), (1, 5)], SCALE, is_long=is_long))
    sound = (b"soun", edit_list([(0.5, None), (1, 0), (0.25, None)], SCALE, is_long=is_long))
    found = empty_edits(io.BytesIO(movie([(b"tmcd", b""), picture, sound])))
    assert (found.picture, found.sound) == (((2.5, 3.5),), ((1.0, 1.25),))
    assert (found.picture_end_seconds, found.sound_end_seconds, found.end_seconds) == (4.5, 1.25, 4.5)
    assert (found.picture_parts, found.sound_parts) == (((0.5, 0.0, 2.0), (3.5, 5.0, 1.0)), ((0.0, 0.0, 1.0),))


def test_parts_that_are_not_in_order_are_left_to_ffmpeg() -> None:
    twice = edit_list([(1, 2), (1, None), (1, 0)], SCALE)
    assert empty_edits(io.BytesIO(movie([(b"vide", twice)]))) == EmptyEdits(picture=((1.0, 2.0),))
    assert empty_edits(io.BytesIO(movie([(b"vide", edit_list([(1, 2), (1, 0)], SCALE))]))) == EmptyEdits()


def test_of_several_tracks_the_first_counts() -> None:
    plain, hole = edit_list([(4, 0)], SCALE), edit_list(HOLE, SCALE)
    assert empty_edits(io.BytesIO(movie([(b"vide", plain), (b"vide", hole), (b"soun", b"")]))) == EmptyEdits()


def test_a_fragmented_file_has_one_edit() -> None:
    whole = movie([(b"vide", edit_list(HOLE, SCALE))])
    assert empty_edits(io.BytesIO(whole)).picture == ((1.0, 1.5),)
    assert empty_edits(io.BytesIO(movie([(b"vide", edit_list(HOLE, SCALE))], box(b"mvex", b"")))) == EmptyEdits()


def test_a_file_of_many_empty_edits_gets_a_filter_of_limited_length() -> None:
    many = [(1.0, 0.0), *[(0.1, None)] * 5000]
    assert len(empty_edits(io.BytesIO(movie([(b"vide", edit_list(many, SCALE))]))).picture) == MAX_INTERVALS


@given(st.data())
def test_no_bytes_are_an_error(data: st.DataObject) -> None:
    whole = bytearray(movie([(b"vide", edit_list(HOLE, SCALE)), (b"soun", edit_list(HOLE, SCALE, is_long=True))]))
    for _ in range(data.draw(st.integers(0, 6))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    found = empty_edits(io.BytesIO(bytes(whole[: data.draw(st.integers(0, len(whole)))])))
    assert len(found.picture) <= MAX_INTERVALS
