"""Covers as sites and phones give them: the picture as a browser shows it, upright, in its own proportions."""

from __future__ import annotations

import io
import struct
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageOps

from features.base.errors import ClipError
from features.decoding.config import DecodeConfig
from features.decoding.covers import MAX_EXIF_BYTES, CoverForm, cover_command, cover_form
from features.formats.matroska import read_cover
from tests.features.heif import heif
from tests.features.media import ClipParts, decode_row, downloaded, fake_program

if TYPE_CHECKING:
    from pathlib import Path

RED, GREEN, BLUE = (200, 30, 30), (30, 180, 40), (40, 40, 190)


def painted() -> Image.Image:
    """Return red and green above blue, wider than high, so that each turn and mirror shows."""
    picture = Image.new("RGB", (96, 64), BLUE)
    picture.paste(RED, (0, 0, 48, 32))
    picture.paste(GREEN, (48, 0, 96, 32))
    return picture


def decoded(path: Path, program: str = "") -> ClipParts:
    return decode_row(downloaded(None, path), DecodeConfig(), program)


def quarters(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    """Return the colours in the middles of the four quarters, ``(2, 2, 3)``."""
    height, width = image.shape[:2]
    middles: npt.NDArray[np.int64] = image[height // 4 :: height // 2, width // 4 :: width // 2].astype(np.int64)
    return middles


def check(path: Path, expected: Image.Image) -> None:
    clip = decoded(path)
    assert clip.cover is not None, clip.outcome
    image = read_cover(clip.cover).images[0]
    assert image.shape[:2] == expected.size[::-1]
    np.testing.assert_allclose(quarters(image), quarters(np.asarray(expected)), atol=12)


@pytest.mark.parametrize("suffix", ["gif", "avif", "jpg", "png", "webp"])
def test_a_still_picture_is_read(tmp_path: Path, suffix: str) -> None:
    painted().save(tmp_path / f"a.{suffix}", quality=95)
    check(tmp_path / f"a.{suffix}", painted())


@pytest.mark.parametrize("suffix", ["gif", "avif", "webp"])
def test_the_first_picture_of_a_moving_one_counts(tmp_path: Path, suffix: str) -> None:
    others = [Image.new("RGB", (96, 64))]
    painted().save(tmp_path / f"a.{suffix}", save_all=True, append_images=others, duration=400, lossless=True)
    check(tmp_path / f"a.{suffix}", painted())


@pytest.mark.parametrize("density", [(72, 1), (1, 72), (300, 150)])
@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_the_density_for_printers_is_no_shape_of_pixels(tmp_path: Path, suffix: str, density: tuple[int, int]) -> None:
    painted().save(tmp_path / f"a.{suffix}", quality=95, dpi=density)
    check(tmp_path / f"a.{suffix}", painted())


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
def test_a_picture_stands_upright(tmp_path: Path, suffix: str, orientation: int) -> None:
    path = tmp_path / f"a.{suffix}"
    exif = Image.Exif()
    exif[0x112] = orientation
    painted().save(path, quality=95, exif=exif)
    check(path, ImageOps.exif_transpose(Image.open(path)).convert("RGB"))


def webp_with(chunk: bytes) -> bytes:
    """Return a WebP of 96 x 64 pixels with a further chunk."""
    still = io.BytesIO()
    painted().save(still, "WEBP", lossless=True)
    flags = b"VP8X" + struct.pack("<I", 10) + b"\x08\0\0\0" + (95).to_bytes(3, "little") + (63).to_bytes(3, "little")
    body = b"WEBP" + flags + still.getvalue()[12:] + chunk
    return b"RIFF" + struct.pack("<I", len(body)) + body


def tiff(orientation: int, order: str = ">", *, count: int = 1) -> bytes:
    head = {"<": b"II*\0", ">": b"MM\0*"}[order]
    return head + struct.pack(f"{order}IHHHIHHI", 8, 1, 0x112, 3, count, orientation, 0, 0)


def exif_chunk(content: bytes) -> bytes:
    return b"EXIF" + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)


@pytest.mark.parametrize("order", ["<", ">"])
def test_exif_of_webp_may_have_the_prefix_of_jpeg(tmp_path: Path, order: str) -> None:
    (tmp_path / "a.webp").write_bytes(webp_with(exif_chunk(b"Exif\0\0" + tiff(6, order))))
    check(tmp_path / "a.webp", painted().transpose(Image.Transpose.ROTATE_270))


@pytest.mark.parametrize(
    "content",
    [
        b"", b"Exif\0\0", b"MM\0*", tiff(6)[:17], tiff(9), tiff(6, count=2), b"MM\0*\xff\xff\xff\xff", b"nonsense" * 9,
        tiff(6) + bytes(MAX_EXIF_BYTES),
    ],
)  # fmt: skip
def test_exif_that_states_no_orientation_leaves_the_picture_as_it_is(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.webp").write_bytes(webp_with(exif_chunk(content)))
    assert cover_form(tmp_path / "a.webp", "webp") == CoverForm(orientation=1)


def test_chunks_without_end_end_the_search(tmp_path: Path) -> None:
    (tmp_path / "a.webp").write_bytes(webp_with((b"junk" + bytes(4)) * 100_000 + exif_chunk(tiff(6))))
    assert cover_form(tmp_path / "a.webp", "webp") == CoverForm(orientation=1)
    (tmp_path / "b.webp").write_bytes(webp_with(b"")[:-3])
    assert cover_form(tmp_path / "b.webp", "webp") == CoverForm(orientation=1)


@pytest.mark.parametrize(("brand", "coded"), [(b"avif", "av01"), (b"heic", "hvc1")])
def test_the_tiles_of_a_phone_s_photograph_are_joined_and_turned(tmp_path: Path, brand: bytes, coded: str) -> None:
    path = tmp_path / "a.heic"
    path.write_bytes(heif(tmp_path, ["red", "lime", "blue", "white"], brand=brand, coded=coded, turns=1))
    clip = decoded(path)
    assert clip.cover is not None, clip.outcome
    image = read_cover(clip.cover).images[0]
    assert image.shape == (128, 128, 3)
    # A quarter turn against the clock of red and lime above blue and white.
    expected = [[(0, 255, 0), (255, 255, 255)], [(255, 0, 0), (0, 0, 255)]]
    np.testing.assert_allclose(quarters(image), expected, atol=6)


def test_an_ffmpeg_that_is_too_old_for_heif_is_named(tmp_path: Path) -> None:
    old = fake_program(tmp_path / "old", "echo 'ffmpeg version 5.1.6-0+deb12u1 Copyright'")
    with pytest.raises(
        ClipError, match=r"format_not_supported: HEIF and AVIF need ffmpeg 8 or newer, this one is 5\.1"
    ):
        cover_command(old, "/a", "heif", DecodeConfig(), CoverForm())


def test_a_moving_webp_needs_a_demuxer_of_its_own() -> None:
    still, moving = (
        cover_command("ffmpeg", "/a", "webp", DecodeConfig(), CoverForm(is_moving=is_moving))
        for is_moving in (False, True)
    )
    assert "webp_pipe" in still
    assert moving.count("webp_anim") == 2, "format and white list"
    assert "webp_pipe" not in moving


def test_the_limit_of_pixels_holds_for_joined_tiles(tmp_path: Path) -> None:
    # Each tile has 4,096 pixels, all of them 16,384.
    path = tmp_path / "a.heic"
    path.write_bytes(heif(tmp_path, ["red", "lime", "blue", "white"]))
    assert decode_row(downloaded(None, path), DecodeConfig(max_pixels=16_384)).outcome.status == "ok"
    clip = decode_row(downloaded(None, path), DecodeConfig(max_pixels=16_383))
    assert (clip.outcome.code, clip.cover) == ("cover_too_many_pixels", None)
