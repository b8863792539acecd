"""Colours of stored frames: painted by formula, read back with our own reader, with PyAV and with Pillow."""

from __future__ import annotations

import io
import subprocess
from typing import TYPE_CHECKING, Any

import av
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from features.base import process
from features.decoding.colour import Colours, colours_of, picture_filters
from features.decoding.config import DecodeConfig
from features.decoding.mp4_boxes import PictureEntry, picture_entry
from features.decoding.plan import Attempt, Plan, header_asks_for_more, revised_plan
from tests.features.media import ClipParts, decode_row, downloaded, ffmpeg, read_frames, render

if TYPE_CHECKING:
    from pathlib import Path

    from features.base.process import Completed

Floats = npt.NDArray[np.float64]
PATCH = 24
# Red, green, blue, skin; the corners of the cube lie beyond what 4:2:0 and JPEG keep within 4 levels.
PAINT = np.array([(200, 30, 30), (30, 200, 30), (30, 30, 200), (224, 172, 105), (128, 128, 128), (240, 240, 240)])
# Weights of red and blue in luma: ITU-R BT.601, BT.709, BT.2020.
WEIGHTS = {"smpte170m": (0.299, 0.114), "bt709": (0.2126, 0.0722), "bt2020nc": (0.2627, 0.0593)}


def as_yuv(rgb: Floats, matrix: str, *, full: bool, bits: int) -> Floats:
    """Return ``(3, N)`` values of luma and both colours for ``(N, 3)`` RGB from 0 to 1."""
    red, blue = WEIGHTS[matrix]
    luma = rgb @ [red, 1 - red - blue, blue]
    colours = [(rgb[:, 2] - luma) / (2 - 2 * blue), (rgb[:, 0] - luma) / (2 - 2 * red)]
    top, step = 2**bits - 1, 2 ** (bits - 8)
    if full:
        return np.stack([luma * top, *(colour * top + (top + 1) / 2 for colour in colours)])
    return np.stack([(16 + 219 * luma) * step, *((128 + 224 * colour) * step for colour in colours)])


def paint(path: Path, planes: Floats, bits: int, filters: str, *options: str, side: int = PATCH) -> Path:
    """Write two frames with one square patch for each of ``(3, N)`` values; 4:2:0."""
    rows = np.rint(planes).astype("<u2" if bits > 8 else np.uint8)
    luma = np.repeat(np.repeat(rows[:1], side, axis=0), side, axis=1)
    small = [np.repeat(np.repeat(row[None], side // 2, axis=0), side // 2, axis=1) for row in rows[1:]]
    frame = b"".join(plane.tobytes() for plane in (luma, *small))
    pixels = "yuv420p" if bits == 8 else f"yuv420p{bits}le"
    source = ("-f", "rawvideo", "-pix_fmt", pixels, "-s", f"{luma.shape[1]}x{side}", "-r", "2", "-i", "pipe:0")
    argv = [ffmpeg(), "-v", "error", "-y", *source, "-vf", filters, *options, str(path)]
    subprocess.run(argv, input=frame * 2, check=True, timeout=60)
    return path


def decoded(path: Path, **settings: Any) -> ClipParts:  # noqa: ANN401 - of any type
    clip = decode_row(downloaded(path), DecodeConfig(**settings))
    assert clip.outcome.status == "ok", clip.outcome
    return clip


def middles(image: npt.NDArray[np.uint8], count: int) -> Floats:
    """Return ``(count, 3)`` mean RGB of the middles of the patches."""
    height, width = image.shape[:2]
    patches = image[height // 4 : 3 * height // 4].reshape(-1, count, width // count, 3)
    quarter = width // count // 4
    means: Floats = patches[:, :, quarter:-quarter].mean(axis=(0, 2))
    return means


def first_frame(clip: ClipParts) -> npt.NDArray[np.uint8]:
    assert clip.matroska is not None
    frames = read_frames(clip.matroska)
    assert frames is not None
    image: npt.NDArray[np.uint8] = frames.images[0]
    return image


def readings(clip: ClipParts, codec: str) -> dict[str, npt.NDArray[np.uint8]]:
    """Return reader -> the first frame as it shows it."""
    assert clip.matroska is not None
    found = {"our own": first_frame(clip)}
    with av.open(io.BytesIO(clip.matroska)) as container:
        found["PyAV"] = next(container.decode(video=0)).to_ndarray(format="rgb24")
    if codec == "mjpeg":
        with av.open(io.BytesIO(clip.matroska)) as container:
            jpeg = bytes(next(container.demux(video=0)))
        found["Pillow"] = np.asarray(Image.open(io.BytesIO(jpeg)).convert("RGB"))
    return found


@pytest.mark.parametrize("bits", [8, 10])
@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("matrix", list(WEIGHTS))
def test_painted_colours_come_back_from_either_codec_in_every_reader(
    tmp_path: Path, matrix: str, full: bool, bits: int
) -> None:
    tags = f"setparams=colorspace={matrix}:range={'pc' if full else 'tv'}"
    # Tags of Matroska are those of the container, those of a transport stream are in the stream.
    name, codec = ("a.mkv", "ffv1") if full else ("a.ts", "libx264")
    path = paint(
        tmp_path / name, as_yuv(PAINT / 255, matrix, full=full, bits=bits), bits, tags, "-c:v", codec, "-qp", "0"
    )
    for stored in ("mjpeg", "lossless"):
        for reader, image in readings(decoded(path, codec=stored), stored).items():
            np.testing.assert_allclose(middles(image, len(PAINT)), PAINT, atol=4, err_msg=f"{stored}, {reader}")


@pytest.mark.parametrize("pixels", ["gbrp", "gbrp10le", "bgr0", "yuv444p"])
def test_other_kinds_of_pixels_keep_their_colours(tmp_path: Path, pixels: str) -> None:
    sources = ";".join(
        f"color=0x{r:02x}{g:02x}{b:02x}:size={PATCH}x{PATCH}:rate=2:duration=1,format=gbrp[c{index}]"
        for index, (r, g, b) in enumerate(PAINT)
    )
    stacked = f"{sources};{''.join(f'[c{index}]' for index in range(len(PAINT)))}hstack={len(PAINT)}"
    path = render(tmp_path / "a.mkv", [stacked], "-pix_fmt", pixels, "-c:v", "ffv1")
    np.testing.assert_allclose(middles(first_frame(decoded(path)), len(PAINT)), PAINT, atol=4)


def test_a_matrix_that_the_scaler_lacks_is_converted(tmp_path: Path) -> None:
    # ITU-T H.273: Y = G / 2 + (R + B) / 4, Cg = G / 2 - (R + B) / 4, Co = (R - B) / 2.
    rgb = PAINT / 255
    red, green, blue = rgb.T
    planes = np.stack(
        [green / 2 + (red + blue) / 4, green / 2 - (red + blue) / 4 + 128 / 255, (red - blue) / 2 + 128 / 255]
    )
    options = ("-qp", "0", "-x264-params", "colormatrix=YCgCo")
    path = paint(tmp_path / "a.mkv", planes * 255, 8, "setparams=range=pc", "-c:v", "libx264", *options)
    np.testing.assert_allclose(middles(first_frame(decoded(path)), len(PAINT)), PAINT, atol=4)


@pytest.mark.parametrize(
    ("setting", "side", "matrix"),
    [("auto", 24, "smpte170m"), ("auto", 578, "bt709"), ("bt709", 24, "bt709"), ("bt601", 578, "smpte170m")],
)
def test_a_picture_without_tags_is_taken_as_the_setting_says(
    tmp_path: Path, setting: str, side: int, matrix: str
) -> None:
    planes = as_yuv(PAINT[:2] / 255, matrix, full=False, bits=8)
    path = paint(tmp_path / "a.mkv", planes, 8, "null", "-c:v", "ffv1", side=side)
    image = first_frame(decoded(path, untagged_matrix=setting))
    np.testing.assert_allclose(middles(image, 2), PAINT[:2], atol=4)


def test_tags_count_more_than_the_setting_for_a_picture_without_tags(tmp_path: Path) -> None:
    planes = as_yuv(PAINT / 255, "smpte170m", full=False, bits=8)
    path = paint(tmp_path / "a.mkv", planes, 8, "setparams=colorspace=smpte170m", "-c:v", "ffv1")
    image = first_frame(decoded(path, untagged_matrix="bt709"))
    np.testing.assert_allclose(middles(image, len(PAINT)), PAINT, atol=4)


def pq(nits: Floats) -> Floats:
    """Return the signal from 0 to 1 for light in cd/m2: SMPTE ST 2084, equation 5.2."""
    power = (nits / 10_000) ** (2610 / 16384)
    signal: Floats = ((3424 / 4096 + 2413 / 128 * power) / (1 + 2392 / 128 * power)) ** (2523 / 32)
    return signal


def hdr_clip(path: Path, signals: Floats, transfer: str) -> Path:
    planes = np.stack([64 + 876 * signals, *([np.full(len(signals), 512.0)] * 2)])
    tags = f"setparams=colorspace=bt2020nc:color_primaries=bt2020:color_trc={transfer}:range=tv"
    return paint(path, planes, 10, tags, "-c:v", "ffv1")


@pytest.mark.parametrize("settings", [{}, {"codec": "lossless", "motion_frames_per_second": 2.0}])
def test_pq_is_mapped_to_the_range_of_a_screen(tmp_path: Path, settings: dict[str, Any]) -> None:
    nits = np.array([0.0, 1, 10, 50, 100, 203, 400, 1000, 2000, 4000])
    clip = decoded(hdr_clip(tmp_path / "a.mkv", pq(nits), "smpte2084"), **settings)
    found = middles(first_frame(clip), len(nits))
    assert np.ptp(found, axis=1).max() <= 2, "grey stays grey"
    grey = found.mean(axis=1)
    assert grey[0] <= 2
    assert np.diff(grey).min() > 2
    assert 150 < grey[5] < 200
    assert grey[7] < 250
    assert (clip.about["hdr"], clip.about["tone_mapping"]) == ("pq", "reinhard")


def test_hlg_is_mapped_likewise(tmp_path: Path) -> None:
    # ITU-R BT.2408: 75 % is the white of a page, 203 cd/m2 on a screen of 1,000.
    signals = np.array([0.0, 0.25, 0.5, 0.75, 0.9, 1.0])
    clip = decoded(hdr_clip(tmp_path / "a.mkv", signals, "arib-std-b67"))
    found = middles(first_frame(clip), len(signals))
    assert np.ptp(found, axis=1).max() <= 2
    grey = found.mean(axis=1)
    assert grey[0] <= 2
    assert 150 < grey[3] < 200
    assert np.diff(grey).min() > 5
    assert grey[-1] < 250
    assert clip.about["hdr"] == "hlg"


def test_colours_of_hdr_keep_their_hue(tmp_path: Path) -> None:
    # Pure colours of 100 cd/m2 in BT.2020 are beyond the smaller range of primaries: they become its purest ones.
    light = np.array([(1.0, 0.05, 0.05), (0.05, 1.0, 0.05), (0.05, 0.05, 1.0)]) * 100
    planes = as_yuv(pq(light), "bt2020nc", full=False, bits=10)
    tags = "setparams=colorspace=bt2020nc:color_primaries=bt2020:color_trc=smpte2084:range=tv"
    found = middles(first_frame(decoded(paint(tmp_path / "a.mkv", planes, 10, tags, "-c:v", "ffv1"))), 3)
    assert found.argmax(axis=1).tolist() == [0, 1, 2]
    assert (found.max(axis=1) > 2 * np.median(found, axis=1)).all()


X264 = ("-c:v", "libx264", "-qp", "0")
TAGS_OF_STREAM = "h264_metadata=colour_primaries=6:transfer_characteristics=6:matrix_coefficients="


@pytest.mark.parametrize(
    ("side", "matrix", "tags", "stream_tags", "num_commands"),
    [
        # Without tags, by size.
        (48, "smpte170m", "null", "", 1),
        (578, "bt709", "null", "", 1),
        # Stated by the header.
        (578, "bt709", "setparams=colorspace=bt709:color_primaries=bt709:color_trc=bt709", "", 1),
        (578, "smpte170m", "setparams=colorspace=smpte170m:color_primaries=smpte170m:color_trc=smpte170m", "", 1),
        # Stated by the stream alone.
        (578, "bt709", "null", "1", 1),
        (578, "smpte170m", "null", "6", 2),
    ],
)
def test_the_header_of_an_mp4_tells_the_first_command(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    side: int,
    matrix: str,
    tags: str,
    stream_tags: str,
    num_commands: int,
) -> None:
    path = paint(tmp_path / "a.mp4", as_yuv(PAINT[:2] / 255, matrix, full=False, bits=8), 8, tags, *X264, side=side)
    if stream_tags:
        argv = [ffmpeg(), "-v", "error", "-i", str(path), "-c", "copy", "-bsf:v", f"{TAGS_OF_STREAM}{stream_tags}"]
        path = path.with_name("b.mp4")
        subprocess.run([*argv, str(path)], check=True, timeout=60)
    commands = counted_commands(monkeypatch)
    np.testing.assert_allclose(middles(first_frame(decoded(path)), 2), PAINT[:2], atol=4)
    assert len(commands) == num_commands


def counted_commands(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Return the list to which each later start of ffmpeg by Decode is appended."""
    started: list[object] = []

    def run(command: list[str], *others: Any, **options: Any) -> Completed:  # noqa: ANN401 - passed on
        started.append(command)
        return process.run(command, *others, **options)

    monkeypatch.setattr("features.decoding.work.run", run)
    return started


def test_the_container_of_vp8_tells_its_matrix(tmp_path: Path) -> None:
    tags = "setparams=colorspace=bt709:color_primaries=bt709:color_trc=bt709:range=tv"
    lossy = ("-c:v", "libvpx", "-qmin", "0", "-qmax", "2", "-b:v", "9M", "-auto-alt-ref", "0")
    for matrix, stated in (("bt709", tags), ("smpte170m", "null")):
        painted = as_yuv(PAINT / 255, matrix, full=False, bits=8)
        clip = decoded(paint(tmp_path / f"{matrix}.webm", painted, 8, stated, *lossy))
        np.testing.assert_allclose(middles(first_frame(clip), len(PAINT)), PAINT, atol=5)


def test_hdr_that_the_header_states_takes_one_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    planes = np.stack([64 + 876 * pq(np.array([100.0, 203])), *([np.full(2, 512.0)] * 2)])
    tags = "setparams=colorspace=bt2020nc:color_primaries=bt2020:color_trc=smpte2084:range=tv"
    path = paint(tmp_path / "a.mp4", planes, 10, tags, "-c:v", "libx265", "-x265-params", "lossless=1:log-level=none")
    commands = counted_commands(monkeypatch)
    clip = decoded(path)
    assert middles(first_frame(clip), 2).mean(axis=1) == pytest.approx([162, 193], abs=2)
    assert (len(commands), clip.about["hdr"]) == (1, "pq")


@pytest.mark.parametrize("keep", [0, 8, 200, 400, 600, 800])
def test_a_header_that_is_cut_lets_nothing_be_guessed(tmp_path: Path, keep: int) -> None:
    path = paint(tmp_path / "a.mp4", as_yuv(PAINT / 255, "bt709", full=False, bits=8), 8, "null", *X264)
    data = path.read_bytes()
    start = data.index(b"moov") - 4
    entry = picture_entry(io.BytesIO(data[start:]))
    assert entry == PictureEntry(b"avc1", PATCH * len(PAINT), PATCH, None)
    for end in range(start + keep, min(start + keep + 200, len(data))):
        cut = picture_entry(io.BytesIO(data[start:end]))
        assert cut in {None, entry}


def test_an_ffmpeg_without_the_filters_gets_an_approximation() -> None:
    for colours in (Colours("bt2020nc", "bt2020", "smpte2084", "pq"), Colours("ycgco")):
        assert "zscale" in " ".join(
            picture_filters("mp4", 64, "mjpeg", colours=colours, filters=frozenset({"zscale", "tonemap"}))
        )
        words = " ".join(picture_filters("mp4", 64, "mjpeg", colours=colours))
        assert "zscale" not in words
        assert "out_color_matrix=bt601" in words


@pytest.mark.parametrize(
    ("line", "colours"),
    [
        ("h264 (High), yuv420p(progressive), 1280x720 [SAR 1:1 DAR 16:9], 25 fps", Colours("bt709")),
        ("h264 (High), yuv420p(tv), 720x576, 25 fps", Colours()),
        ("h264 (High), yuv420p(tv, bt709, progressive), 1280x720", Colours()),
        ("h264, yuv420p(tv, smpte170m/unknown/unknown), 1280x720", Colours()),
        ("mjpeg, yuvj420p(pc), 1920x1080", Colours()),
        ("ffv1, gbrp(pc, gbr/unknown/unknown), 1920x1080", Colours()),
        ("ffv1, gray10le, 1920x1080", Colours()),
        (
            "hevc (Main 10) (hvc1 / 0x31637668), yuv420p10le(tv, bt2020nc/bt2020/smpte2084, progressive), 1920x1080",
            Colours("bt2020nc", "bt2020", "smpte2084", "pq"),
        ),
        ("hevc, gbrp10le(pc, gbr/bt2020/smpte2084), 64x64", Colours("gbr", "bt2020", "smpte2084", "pq")),
        ("vp9, p010le(tv, unknown/unknown/arib-std-b67), 8x8", Colours("bt2020nc", "bt2020", "arib-std-b67", "hlg")),
        ("hevc, yuv444p(10 bpc, pc, ycgco/bt709/bt709), 64x64", Colours("ycgco")),
        ("hevc, yuv444p(pc, ipt-c2/bt709/bt709), 64x64", Colours("bt709")),
        (
            "ffv1, yuv420p10le(tv, bt2020nc/bt2020/smpte2084, top coded first (swapped)), 240x24, 2 fps",
            Colours("bt2020nc", "bt2020", "smpte2084", "pq"),
        ),
        ("hevc, yuv420p10le(tv, ycgco-re/vgamut/smpte2084), 64x64", Colours("bt2020nc", "bt2020", "smpte2084", "pq")),
        ("h264, none, 1920x1080", Colours()),
        ("wmv3", Colours()),
        ("mjpeg, yuv420p(pc, bt2020nc/bt2020/smpte2084), 64x64 (attached pic)", Colours()),
    ],
)  # fmt: skip
def test_colours_are_those_of_the_first_picture_in_the_log(line: str, colours: Colours) -> None:
    log = f"Input #0, mov\n    title : Video: x, yuv420p(tv, ycgco), 9x9\n  Stream #0:0[0x1](und): Video: {line}\n"
    assert colours_of(log, "auto") == colours


def test_tags_that_zscale_refuses_are_replaced_by_near_ones() -> None:
    # As Debian's ffmpeg 5.1 does.
    told = "hevc, yuv420p10le(tv, bt2020c/bt2020/smpte2084, progressive), 64x64"
    refused = "[Parsed_zscale_8 @ 0x5606e9925780] code 3074: invalid colorspace definition\n"
    log = f"  Stream #0:0: Video: {told}\nStream mapping:\n{refused}"
    config = DecodeConfig()
    plan: Plan | None = Plan()
    seen: list[str] = []
    while plan is not None:
        seen.append(plan.colours.matrix)
        assert header_asks_for_more(plan, config, log) == (len(seen) == 1)
        plan = revised_plan(plan, Attempt(io.BytesIO(), 1, log, None), config)
    assert seen[:3] == ["", "bt2020c", "bt2020nc"]
    assert set(seen[3:]) <= {"bt2020nc"}


@pytest.mark.parametrize("settings", [{}, {"motion_frames_per_second": 2.0}])
def test_tags_that_change_on_the_way_count_from_there_on(tmp_path: Path, settings: dict[str, Any]) -> None:
    parts = []
    for index, matrix in enumerate(["bt709", "smpte170m", "bt2020nc"]):
        planes = as_yuv(PAINT / 255, matrix, full=False, bits=8)
        options = ("-c:v", "libx264", "-qp", "0", "-output_ts_offset", str(index))
        path = paint(tmp_path / f"{index}.ts", planes, 8, f"setparams=colorspace={matrix}", *options)
        parts.append(path.read_bytes())
    (tmp_path / "a.ts").write_bytes(b"".join(parts))
    clip = decoded(tmp_path / "a.ts", **settings)
    assert clip.matroska is not None
    frames = read_frames(clip.matroska)
    assert frames is not None
    assert len(frames.images) == 6
    for image in frames.images:
        np.testing.assert_allclose(middles(image, len(PAINT)), PAINT, atol=4)
