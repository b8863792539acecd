"""The sound of a clip: its samples lie at their times, it is as loud as its stereo mix, and what is lost is said."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import av
import numpy as np
import pytest

from features.decoding.messages import plain_log
from features.decoding.sound import SoundPlan, SoundReport, lost_sound, revised_sound, sound_filters, sound_report
from tests.features.decoding.test_clip_rules import TONE, X264, decode, raw, sound_of, times_of
from tests.features.media import ClipParts, render

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy.typing as npt

PICTURE = "testsrc2=size=64x64:rate=4:duration={seconds}"
# A click of 5 ms each half second, and a quiet tone, which is never 0 for long.
CLICKS = "aevalsrc=0.8*between(mod(t\\,0.5)\\,0.1\\,0.105)+0.05*sin(2*PI*300*t):s={hz}:d={seconds}"
SECONDS = 3.0
# Of these a file has a click in its last part.
LAST_CLICK_SECONDS = 2.6


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clips of 3 s with clicks: packets of 10 ms in Matroska, MP2 in MPEG-TS, MP3 in AVI, and their like."""
    path = tmp_path_factory.mktemp("sound")
    inputs = [PICTURE.format(seconds=SECONDS), CLICKS.format(hz=48000, seconds=SECONDS)]
    render(path / "a.mkv", inputs, *X264, "-af", "asetnsamples=480", "-c:a", "pcm_s16le")
    for name, codec in (("a.ts", "mp2"), ("a.mp4", "aac"), ("opus.mkv", "libopus")):
        raw("-i", path / "a.mkv", "-c:v", "copy", "-c:a", codec, path / name)
    raw("-i", path / "a.mkv", "-c:v", "copy", "-ar", "44100", "-c:a", "aac", path / "a.flv")
    raw("-i", path / "a.mkv", "-c:v", "mpeg4", "-c:a", "libmp3lame", "-b:a", "64k", path / "a.avi")
    return path


def changed(source: Path, target: Path, new_seconds: Callable[[float], float | None]) -> Path:
    """Copy a clip with other times for the packets of its sound, counted from its start; ``None`` leaves one out."""
    with av.open(str(source)) as old, av.open(str(target), "w") as new:
        start = min(stream.start_time * stream.time_base for stream in old.streams if stream.start_time is not None)
        streams = {stream.index: new.add_stream_from_template(stream) for stream in old.streams}
        for packet in old.demux():
            if packet.pts is None:
                continue
            if packet.stream.type == "audio":
                seconds = new_seconds(float(packet.pts * packet.time_base - start))
                if seconds is None:
                    continue
                packet.pts = packet.dts = round((seconds + start) / packet.time_base)
            packet.stream = streams[packet.stream.index]
            new.mux(packet)
    return target


def clicks_of(clip: ClipParts) -> list[float]:
    """Return the times of the clicks, in seconds."""
    start, samples = sound_of(clip)
    loud = np.flatnonzero(np.abs(samples) > 0.35) / 16000 + start
    return [float(second) for place, second in enumerate(loud) if not place or second - loud[place - 1] > 0.1]


def num_zeros(clip: ClipParts) -> int:
    """Return how many samples are 0 together with those around them."""
    silent = sound_of(clip)[1] == 0
    return int(np.convolve(silent, np.ones(8), "valid").astype(int).tolist().count(8))


def samples_of_ffmpeg(path: Path, tmp_path: Path, filters: str = "aresample=16000") -> npt.NDArray[np.int16]:
    """Return the sound as ffmpeg gives it where no time is looked at."""
    raw("-i", path, "-map", "0:a", "-af", filters, "-ac", "1", "-f", "s16le", tmp_path / "sound.raw")
    return np.fromfile(tmp_path / "sound.raw", np.int16)


@pytest.mark.parametrize("name", ["a.mkv", "a.ts", "a.mp4", "a.flv", "a.avi", "opus.mkv"])
def test_the_samples_of_a_whole_clip_are_those_of_a_plain_conversion(folder: Path, tmp_path: Path, name: str) -> None:
    _, samples = sound_of(decode(folder / name))
    np.testing.assert_array_equal(samples * 32768, samples_of_ffmpeg(folder / name, tmp_path))


@pytest.mark.parametrize(
    ("name", "gaps", "silence"),
    [
        ("a.mkv", [(0.5, 0.53)], 0.03), ("a.mkv", [(0.5, 0.56), (1.0, 1.06), (1.5, 1.56)], 0.18),
        ("a.mkv", [(0.5, 1.5)], 1.0), ("a.ts", [(0.5, 0.59)], 0.096), ("a.mp4", [(0.5, 0.52)], 0.021),
    ],
)  # fmt: skip
def test_behind_a_gap_a_sample_lies_at_its_time(
    folder: Path, tmp_path: Path, name: str, gaps: list[tuple[float, float]], silence: float
) -> None:
    def kept(seconds: float) -> float | None:
        return None if any(start - 1e-6 <= seconds < end - 1e-6 for start, end in gaps) else seconds

    clip = decode(changed(folder / name, tmp_path / name, kept))
    assert clip.outcome.status == "ok"
    # MP2 has a delay of 481 samples that nothing states.
    assert clicks_of(clip)[-1] == pytest.approx(LAST_CLICK_SECONDS, abs=0.011)
    assert num_zeros(clip) / 16000 == pytest.approx(silence, abs=0.008)


@pytest.mark.parametrize(("name", "speed"), [("a.mkv", 1.008), ("a.mkv", 0.992), ("opus.mkv", 1.008)])
def test_a_clock_that_runs_slow_or_fast_is_followed_without_a_hole(
    folder: Path, tmp_path: Path, name: str, speed: float
) -> None:
    clip = decode(changed(folder / name, tmp_path / name, lambda seconds: seconds * speed))
    assert clip.outcome.status == "ok"
    found = clicks_of(clip)
    assert len(found) == 6
    np.testing.assert_allclose(found, (np.arange(6) / 2 + 0.1) * speed, atol=0.011)
    assert num_zeros(clip) == 0


def test_a_long_pause_of_the_sound_alone_is_no_new_clock(folder: Path, tmp_path: Path) -> None:
    picture = render(tmp_path / "p.ts", [PICTURE.format(seconds=16)], *X264)
    raw("-i", picture, "-i", folder / "a.ts", "-map", "0:v", "-map", "1:a", "-c", "copy", tmp_path / "a.ts")
    pause_seconds = 12.0
    paused = changed(tmp_path / "a.ts", tmp_path / "b.ts", lambda s: s + pause_seconds if s > 1.0 else s)
    clip = decode(paused)
    assert clip.outcome.status == "ok"
    due = np.arange(6) / 2 + 0.1 + pause_seconds * (np.arange(6) > 1)
    np.testing.assert_allclose(clicks_of(clip), due, atol=0.02)
    assert times_of(clip)[-1] == 15.5


@pytest.mark.parametrize("second", [1.05, 1.3, 0.96])
def test_where_rate_and_channels_change_a_sample_lies_at_its_time(tmp_path: Path, second: float) -> None:
    parts = []
    for start, hz, channels in ((0, 48000, "1"), (second, 44100, "2")):
        inputs = [PICTURE.format(seconds=1), CLICKS.format(hz=hz, seconds=1)]
        options = ("-c:a", "mp2", "-ac", channels, "-output_ts_offset", str(start))
        parts.append(render(tmp_path / f"{hz}.ts", inputs, *X264, *options).read_bytes())
    (tmp_path / "a.ts").write_bytes(b"".join(parts))
    clip = decode(tmp_path / "a.ts")
    assert clip.outcome.status == "ok"
    # The first part is written 481 samples later, since its sound would begin before 0 with the encoder's delay.
    delay = 481 / 48000
    np.testing.assert_allclose(clicks_of(clip), [0.1 + delay, 0.6 + delay, second + 0.1, second + 0.6], atol=0.005)
    assert decode(tmp_path / "a.ts").matroska == clip.matroska


def test_sound_in_packets_of_some_samples_is_kept(tmp_path: Path) -> None:
    # ffmpeg's FLAC encoder refuses a first frame below 16 samples, and then the picture is lost, too.
    inputs = [PICTURE.format(seconds=1), CLICKS.format(hz=16000, seconds=1) + ",asetnsamples=7"]
    clip = decode(render(tmp_path / "a.mkv", inputs, *X264, "-c:a", "pcm_s16le"))
    assert (clip.outcome.status, clip.outcome.code, times_of(clip)) == ("ok", "", [0.0, 0.5])
    assert sound_of(clip)[1].size == pytest.approx(16000, abs=7)
    samples = surround(tmp_path / "b.mkv", "3.0", {"FL": 0.3}, "-af", "asetnsamples=7", "-c:a", "pcm_s16le")
    assert np.abs(samples).max() == pytest.approx(0.15, abs=0.002)


@pytest.mark.parametrize("jitter_seconds", [0.008, 0.02])
def test_times_that_jitter_change_no_sample(folder: Path, tmp_path: Path, jitter_seconds: float) -> None:
    random = np.random.default_rng(1)
    last = [0.0]

    def jittered(seconds: float) -> float:
        last[0] = max(last[0] + 0.0011, seconds + random.uniform(-jitter_seconds, jitter_seconds))
        return last[0]

    clip = decode(changed(folder / "a.mkv", tmp_path / "a.mkv", jittered))
    assert clip.outcome.status == "ok"
    np.testing.assert_array_equal(sound_of(clip)[1] * 32768, samples_of_ffmpeg(folder / "a.mkv", tmp_path))


# What writers of AVI put for MP3: (scale, rate, bytes of a sample, alignment, bytes a second), of 64,000 bit/s.
@pytest.mark.parametrize(
    "header",
    [
        (1, 8000, 1, 1, 8000), (1, 44100, 1, 1, 8000), (1, 44100, 0, 1152, 8000), (576, 48000, 0, 576, 8000),
        (1152, 8000, 0, 1152, 8000), (24, 1000, 0, 1, 8000),
    ],
)  # fmt: skip
def test_mp3_in_avi_keeps_its_sound_whatever_its_header(
    folder: Path, tmp_path: Path, header: tuple[int, int, int, int, int]
) -> None:
    scale, rate, sample_bytes, alignment, bytes_per_second = header
    data = bytearray((folder / "a.avi").read_bytes())
    stream = data.index(b"auds") - 8
    layout = data.index(b"strf", stream)
    struct.pack_into("<II", data, stream + 28, scale, rate)
    struct.pack_into("<I", data, stream + 52, sample_bytes)
    struct.pack_into("<IH", data, layout + 16, bytes_per_second, alignment)
    (tmp_path / "a.avi").write_bytes(data)
    clip = decode(tmp_path / "a.avi")
    assert (clip.outcome.status, clip.outcome.code) == ("ok", "")
    # The encoder's delay, which AVI does not state, comes first.
    np.testing.assert_allclose(clicks_of(clip), np.arange(6) / 2 + 0.1 + 1105 / 48000, atol=0.003)
    assert clip.about["num_frames"] >= 2 * SECONDS


def test_what_is_lost_of_the_sound_is_said(folder: Path, tmp_path: Path) -> None:
    for share, code in ((50, ""), (8, "sound_lost")):
        with av.open(str(folder / "a.mp4")) as old, av.open(str(tmp_path / "a.mp4"), "w") as new:
            streams = {stream.index: new.add_stream_from_template(stream) for stream in old.streams}
            for position, packet in enumerate(old.demux()):
                if packet.pts is None:
                    continue
                packet.stream = streams[packet.stream.index]
                if packet.stream.type == "audio" and position % share == 0:
                    packet.update(np.random.default_rng(position).bytes(packet.size))
                new.mux(packet)
        clip = decode(tmp_path / "a.mp4")
        assert clip.outcome.code == code
        assert clip.outcome.status == ("partial" if code else "ok")
        assert len(times_of(clip)) == 2 * SECONDS
    assert "packets of the sound cannot be decoded" in clip.outcome.detail


def test_sound_that_starts_late_keeps_its_place_and_its_end(folder: Path, tmp_path: Path) -> None:
    sound = ("-itsoffset", "1.75", "-i", folder / "a.mkv")
    raw("-i", folder / "a.mkv", *sound, "-map", "0:v", "-map", "1:a", "-c", "copy", tmp_path / "a.mkv")
    for max_seconds, end in ((300.0, 4.75), (4.0, 4.0)):
        clip = decode(tmp_path / "a.mkv", max_seconds=max_seconds)
        start, samples = sound_of(clip)
        assert clip.outcome.status == "ok"
        assert start == pytest.approx(1.75, abs=0.001)
        assert times_of(clip) == [0.0, 0.5, 1.0, 1.5, 2.0, 2.5]
        assert start + samples.size / 16000 == pytest.approx(end, abs=0.001)
        assert clicks_of(clip)[0] == pytest.approx(1.85, abs=0.001)


ITU_STEREO = {"FL": 0.5, "FR": 0.5, "FC": 0.707, "BL": 0.354, "BR": 0.354, "SL": 0.354, "SR": 0.354, "LFE": 0.0}
LAYOUTS = {
    "5.1": "FL FR FC LFE BL BR", "5.1(side)": "FL FR FC LFE SL SR", "7.1": "FL FR FC LFE BL BR SL SR",
    "quad": "FL FR BL BR", "3.0": "FL FR FC",
}  # fmt: skip


def surround(path: Path, layout: str, amplitudes: dict[str, float], *options: str) -> npt.NDArray[np.float32]:
    """Return the decoded sound of a clip with a tone of 500 Hz in some channels of a layout, without its ends."""
    channels = "|".join(f"{amplitudes.get(name, 0)}*sin(2*PI*500*t)" for name in LAYOUTS[layout].split())
    sound = f"aevalsrc={channels}:c={layout}:s=48000:d=1"
    clip = decode(render(path, [PICTURE.format(seconds=1), sound], *X264, *(options or ("-c:a", "flac"))))
    assert clip.outcome.status == "ok"
    samples = sound_of(clip)[1]
    assert samples.size == pytest.approx(16000, abs=400)
    return samples[3200:12800]


def decibels(ratio: float) -> float:
    return float(20 * np.log10(ratio))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_many_channels_are_as_loud_as_their_stereo_mix(tmp_path: Path, layout: str) -> None:
    names = [name for name in LAYOUTS[layout].split() if name != "LFE"]
    speech, music = {"FC": 0.4}, dict.fromkeys(names, 0.3)
    for amplitudes in (speech, music) if layout == "5.1" else (music,):
        expected = sum(ITU_STEREO[name] * amplitude for name, amplitude in amplitudes.items())
        found = np.abs(surround(tmp_path / "a.mkv", layout, amplitudes)).max()
        assert decibels(found / expected) == pytest.approx(0, abs=0.1)


@pytest.mark.parametrize("codec", ["pcm_s16le", "pcm_f32le", "aac"])
def test_the_mix_does_not_depend_on_the_format_of_the_samples(tmp_path: Path, codec: str) -> None:
    found = surround(tmp_path / "a.mkv", "5.1", {"FC": 0.4}, "-c:a", codec)
    # The root of the mean square, since AAC at its lowest rates adds overtones.
    assert decibels(np.sqrt((found**2).mean() * 2) / (0.707 * 0.4)) == pytest.approx(0, abs=1)


def test_a_loud_mix_is_limited_and_not_clipped(tmp_path: Path) -> None:
    # The mix has an amplitude of 2.17, which is 6.7 dB too much.
    found = surround(tmp_path / "a.mkv", "5.1", dict.fromkeys(LAYOUTS["5.1"].split(), 0.9))
    assert 0.95 < np.abs(found).max() < 0.985
    spectrum = np.abs(np.fft.rfft(found[:3200] * np.hanning(3200)))
    tone = spectrum.argmax()
    spectrum[tone - 4 : tone + 5] = 0
    # A tone that is cut to that height has overtones of 0.2.
    assert spectrum.max() < 0.001 * found.size


@pytest.mark.parametrize("codec", ["pcm_u8", "pcm_s16le", "pcm_s32le", "pcm_f32le", "pcm_f64le", "libvorbis"])
def test_two_equal_channels_keep_their_height(tmp_path: Path, codec: str) -> None:
    sound = "aevalsrc=0.9*sin(2*PI*500*t)|0.9*sin(2*PI*500*t):s=48000:d=1"
    clip = decode(render(tmp_path / "a.mkv", [PICTURE.format(seconds=1), sound], *X264, "-c:a", codec))
    assert np.abs(sound_of(clip)[1][3200:12800]).max() == pytest.approx(0.9, abs=0.02)


def test_sound_of_one_channel_keeps_its_height(tmp_path: Path) -> None:
    inputs = [PICTURE.format(seconds=1), TONE.format(seconds=1) + ",volume=4"]
    samples = sound_of(decode(render(tmp_path / "a.mkv", inputs, *X264, "-c:a", "pcm_s16le")))[1]
    assert np.abs(samples[3200:12800]).max() == pytest.approx(0.5, abs=0.005)


NEW_LOG = """\
[info]   Duration: 00:00:06.00, start: 0.000000, bitrate: 213 kb/s
[Parsed_aresample_0 @ 0x7f33] [verbose] ch:6 chl:5.1(side) fmt:fltp r:48000Hz -> ch:1 chl:mono fmt:s16 r:16000Hz
[Parsed_aresample_0 @ 0x7f33] [SWR @ 0x7f34] [verbose] adding 2400 audio samples of silence
[Parsed_aresample_0 @ 0x7f33] [SWR @ 0x7f34] [verbose] discarding 480 audio samples
[Parsed_aresample_0 @ 0x7f33] [SWR @ 0x7f34] [verbose] compensating audio timestamp drift:0.004021 compensation:32 in:8000
[Parsed_aresample_0 @ 0x7f33] [SWR @ 0x7f34] [verbose] compensating audio timestamp drift:-0.004021 compensation:-32 in:8000
[in#0/mov @ 0x55] [verbose]   Input stream #0:1 (audio): 281 packets read (50923 bytes); 280 frames decoded; 1 decode errors (288000 samples); 
[error] Invalid data found
"""  # noqa: E501, W291 - as ffmpeg 9.0.2 writes them
OLD_LOG = """\
[error] Error while decoding stream #0:1: Invalid data found when processing input
[verbose]   Input stream #0:1 (audio): 281 packets read (50923 bytes); 280 frames decoded (288000 samples); 
"""  # noqa: W291 - as ffmpeg 5.1 writes them


def test_the_log_tells_of_the_sound() -> None:
    report = sound_report(NEW_LOG)
    assert report == SoundReport(6, 281, 1, 6.0, 0.05, 1, 1, 1, 1, 1)
    # ffmpeg 5.1 has no number of errors.
    older = sound_report(NEW_LOG.splitlines()[1] + "\n" + OLD_LOG)
    assert older == SoundReport(6, 281, 1, 6.0, num_graphs=1)
    assert sound_report("") == sound_report(OLD_LOG) == SoundReport()


def test_a_log_without_levels_is_as_ffmpeg_writes_it_by_default() -> None:
    plain = "  Duration: 00:00:06.00, start: 0.000000, bitrate: 213 kb/s\nInvalid data found\n"
    assert plain_log(NEW_LOG) == plain_log(plain) == plain
    line = "[mov @ 0x55] [a @ 0x1f] [warning] partial file"
    assert plain_log(line) == "[mov @ 0x55] [a @ 0x1f] partial file"
    # What a file says of itself is indented.
    assert plain_log("[info]     title           : [error] no\n") == "    title           : [error] no\n"


def test_plans_follow_what_the_log_tells() -> None:
    plan = SoundPlan()
    whole = SoundReport(2, 100, 0, 10.0)
    assert revised_sound(plan, whole, 10.0, 300.0, "mp4") == plan
    assert revised_sound(plan, SoundReport(6, 100, 0, 10.0), 10.0, 300.0, "mp4") == SoundPlan("exact", surround=True)
    jitters = SoundReport(2, 100, 0, 10.0, num_late=3, num_early=3)
    assert revised_sound(plan, jitters, 10.0, 300.0, "mp4") == SoundPlan("loose")
    assert revised_sound(plan, SoundReport(2, 100, 0, 10.0, num_late=300), 10.0, 300.0, "mp4") == plan
    assert revised_sound(plan, whole, 2.0, 300.0, "mp4") == plan
    assert revised_sound(plan, whole, 2.0, 300.0, "avi") == SoundPlan("counted")
    # The clip is cut at 2 s.
    assert revised_sound(plan, whole, 2.0, 2.0, "avi") == plan
    # No plan is revised twice for one reason.
    assert revised_sound(SoundPlan("counted"), jitters, 2.0, 300.0, "avi") == SoundPlan("counted")
    assert "asetpts" not in sound_filters(plan, 300.0)
    assert "alimiter" not in sound_filters(plan, 300.0)


@pytest.mark.parametrize(
    ("report", "stored", "room", "words"),
    [
        (SoundReport(2, 100, 0, 10.0), 10.0, 300.0, ""),
        (SoundReport(2, 100, 0, 10.0), 9.51, 300.0, ""),
        (SoundReport(2, 100, 0, 10.0), 9.49, 300.0, "9.49 s of 10.00 s of the sound are kept"),
        (SoundReport(2, 100, 0, 10.0, 1.0, 1), 10.0, 300.0, "9.00 s of 10.00 s"),
        (SoundReport(2, 100, 0, 10.0), 5.0, 5.0, ""),
        (SoundReport(2, 100, 5, 10.0), 10.0, 300.0, ""),
        (SoundReport(2, 10, 1, 1.0), 1.0, 300.0, ""),
        (SoundReport(2, 100, 6, 10.0), 10.0, 300.0, "6 of 100 packets of the sound cannot be decoded"),
        (SoundReport(), 5.0, 300.0, ""),
    ],
)
def test_lost_sound_is_more_than_a_twentieth(report: SoundReport, stored: float, room: float, words: str) -> None:
    lost = lost_sound(report, stored, room)
    assert lost.startswith(words)
    assert bool(lost) == bool(words)
