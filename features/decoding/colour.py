"""The filters that give every stored picture one size, one shape of pixels and one meaning of its colours.

Stored pictures are BT.601, H.264 tagged with BT.709's primaries and transfer: JPEG (JFIF) has no other matrix, and
readers that ignore the tags of H.264 take BT.601 for small pictures. The scaler converts from the tags of each frame.
Where the stream's tags ask for more than the scaler does (HDR, a matrix that it lacks, no tags at all on a large
picture), :func:`colours_of` says so from ffmpeg's log.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from features.decoding.input_streams import END_OF_INPUT

if TYPE_CHECKING:
    from features.decoding.mp4_boxes import PictureEntry

# Kinds in which transparency is common.
TRANSPARENT_KINDS = frozenset({"gif", "webp", "png"})
# Colours over white, before the picture is scaled: a scaler that ignores transparency mixes the colours that
# transparent pixels hide into the edges. The steps change no value of an opaque picture.
ON_WHITE = ("format=gbrap", "negate", "premultiply=inplace=1", "negate")
HDR_TRANSFERS = {"smpte2084": "pq", "arib-std-b67": "hlg"}
# Linear light 1.0, the white of a page in HDR (ITU-R BT.2408): 203 cd/m2. PQ ends at 10,000.
REFERENCE_WHITE = 203
TONE_MAPPING = "reinhard"
_PEAK = 10_000 / REFERENCE_WHITE
# Matrices that libswscale converts from.
_SCALER_MATRICES = frozenset(
    {"bt709", "fcc", "bt470bg", "smpte170m", "smpte240m", "bt2020nc", "gbr", "unknown", "reserved"}
)
# Those that zscale adds.
_ZSCALE_MATRICES = frozenset({"ycgco", "bt2020c", "ictcp", "chroma-derived-nc", "chroma-derived-c"})
# A conversion between two matrices goes through RGB, by default with half the colours and rounded down: up to 5 levels
# off for BT.709, with these 3.
SCALER_FLAGS = "bicubic+accurate_rnd+full_chroma_int"
# Codec -> range of stored values: JPEG has 0 to 255. H.264 has 16 to 235, which readers that ignore the tags expect.
_RANGES = {"mjpeg": "pc", "lossless": "tv"}
_STORED_TAGS = "colorspace=smpte170m:color_primaries=bt709:color_trc=bt709"
_KNOWN_MATRICES = (_SCALER_MATRICES | _ZSCALE_MATRICES) - {"unknown", "reserved"}
# What zscale takes; in place of others the usual one of the range counts.
_PRIMARIES = {
    1: "bt709", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 9: "bt2020", 11: "smpte431", 12: "smpte432",
}  # fmt: skip
_PRIMARY_NAMES = frozenset(_PRIMARIES.values())
_TRANSFERS = frozenset({"bt709", "smpte170m", "bt2020-10", "bt2020-12", "iec61966-2-1", "smpte2084", "arib-std-b67"})
# Numbers of ITU-T H.273 in the header of an MP4.
_MATRICES = {
    0: "gbr", 1: "bt709", 4: "fcc", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 9: "bt2020nc", 10: "bt2020c",
    14: "ictcp",
}  # fmt: skip
_HDR_CODES = {16: "smpte2084", 18: "arib-std-b67"}
# Those of other codecs have tags of their own.
_GUESSED_CODECS = frozenset({b"avc1", b"avc3", b"hvc1", b"hev1", b"mp4v"})
# Its complaint about tags that do not go together.
ZSCALE_REFUSED = re.compile(r"^\[Parsed_zscale_[^\]\n]*\] .*(?:code \d+|no path between colorspaces)", re.MULTILINE)
_ZSCALE = frozenset({"zscale"})
_TONE_MAPPING_FILTERS = frozenset({"zscale", "tonemap"})
# From this size on players take a picture without tags for HD (mpv, libplacebo; VLC and Chromium nearly so).
HD_WIDTH_PIXELS = 1280
LARGEST_SD_HEIGHT_PIXELS = 576
# VP8 itself has BT.601 alone, and its frames say so whatever the container states, whose tags count for players.
_TAGS_OF_VP8 = frozenset({"bt709", "smpte240m", "bt2020nc"})
# Two spaces, as lines of metadata have more; `(attached pic)` is in the line of a cover.
_VIDEO_LINE = re.compile(r"^  Stream #0:(?P<number>\d+).*?: Video: (?P<about>.*)$", re.MULTILINE)
_PICTURE = re.compile(
    r", (?P<pixels>[a-z0-9]+)(?:\((?P<tags>(?:[^()]|\([^()]*\))*)\))?, (?P<width>\d+)x(?P<height>\d+)"
)
_TAG = r"[a-z0-9-]+"
_THREE_TAGS = re.compile(rf"(?P<matrix>{_TAG})/(?P<primaries>{_TAG})/(?P<transfer>{_TAG})")


@dataclass(frozen=True)
class Colours:
    """What is known of the colours of a file's picture and differs from what each frame says.

    Attributes:
        matrix: Matrix of all frames, ``""`` = as each frame says.
        primaries: Likewise, where ``matrix`` is set.
        transfer: Likewise, where ``matrix`` is set.
        hdr: ``pq`` or ``hlg`` for a picture of high dynamic range, else ``""``.
    """

    matrix: str = ""
    primaries: str = "bt709"
    transfer: str = "bt709"
    hdr: str = ""

    def needed_filters(self) -> frozenset[str]:
        """Return the names of the filters that not every ffmpeg has."""
        if self.hdr:
            return _TONE_MAPPING_FILTERS
        return _ZSCALE if self.matrix in _ZSCALE_MATRICES else frozenset()

    def nearest(self) -> Colours:
        """Return the same with a common matrix, where an ffmpeg may not convert this one."""
        if not self.needed_filters():
            return self
        return replace(self, matrix="bt2020nc" if self.hdr else "bt709")


def colours_of(log: str, untagged_matrix: str, guess: Colours = Colours()) -> Colours:
    """Return what ffmpeg's log says of the colours of the first picture.

    Args:
        log: ffmpeg's log, or its beginning, as ``features.decoding.messages.plain_log`` returns it.
        untagged_matrix: As ``DecodeConfig.untagged_matrix``.
        guess: Returned where it gives the same pictures.
    """
    listed = _VIDEO_LINE.finditer(END_OF_INPUT.split(log, maxsplit=1)[0])
    matches = (match for match in listed if "(attached pic)" not in match[0])
    first = min(matches, key=lambda match: int(match["number"]), default=None)
    found = None if first is None else _PICTURE.search(first["about"])
    if found is None:
        return Colours()
    tags = _tags(found["tags"] or "")
    colours = _colours(found["pixels"], tags, (int(found["width"]), int(found["height"])), untagged_matrix)
    if found.string.startswith("vp8") and tags[0] in _TAGS_OF_VP8:
        return Colours(tags[0])
    is_stated = tags[0] == guess.matrix == "bt709"
    return guess if is_stated and colours == Colours() and guess == Colours("bt709") else colours


def guessed_colours(entry: PictureEntry | None, untagged_matrix: str) -> Colours:
    """Return what ffmpeg's log will say of the colours of an MP4, as far as its header tells.

    A wrong guess costs the start of another command. The stream can have tags that its header lacks; those of HD are
    most often BT.709.
    """
    if entry is None or entry.codec not in _GUESSED_CODECS:
        return Colours()
    primaries, transfer, matrix = entry.colour or (2, 2, 2)
    names = (
        _MATRICES.get(matrix, "unknown"),
        _PRIMARIES.get(primaries, "unknown"),
        _HDR_CODES.get(transfer, "unknown"),
    )
    return _colours("gbrp" if names[0] == "gbr" else "yuv420p", names, (entry.width, entry.height), untagged_matrix)


def _colours(pixels: str, tags: tuple[str, str, str], size: tuple[int, int], untagged_matrix: str) -> Colours:
    """Return the colours of a picture by pixel format, tags (matrix, primaries, transfer), and width and height."""
    matrix, primaries, transfer = tags
    if transfer in HDR_TRANSFERS:
        # BT.2100 has these matrices and primaries for both transfers.
        if pixels.startswith(("gbr", "rgb", "bgr")):
            matrix = "gbr"
        elif matrix not in _KNOWN_MATRICES:
            matrix = "bt2020nc"
        return Colours(
            matrix, primaries if primaries in _PRIMARY_NAMES else "bt2020", transfer, HDR_TRANSFERS[transfer]
        )
    if matrix in _ZSCALE_MATRICES:
        primaries = primaries if primaries in _PRIMARY_NAMES else "bt709"
        return Colours(matrix, primaries, transfer if transfer in _TRANSFERS else "bt709")
    if matrix not in _SCALER_MATRICES:
        return Colours("bt709")
    is_untagged = matrix == "unknown" and re.match(r"yuv(?!j)|nv|p0|y2", pixels)
    is_hd = size[0] >= HD_WIDTH_PIXELS or size[1] > LARGEST_SD_HEIGHT_PIXELS
    if is_untagged and (untagged_matrix == "bt709" or (untagged_matrix == "auto" and is_hd)):
        return Colours("bt709")
    return Colours()


def _tags(words: str) -> tuple[str, str, str]:
    """Return matrix, primaries and transfer of ``tv, bt709, progressive``: one name stands for three equal ones."""
    for word in words.split(", "):
        three = _THREE_TAGS.fullmatch(word)
        if three is not None:
            return three["matrix"], three["primaries"], three["transfer"]
        if word in _SCALER_MATRICES | _ZSCALE_MATRICES:
            return word, word, word
    return "unknown", "unknown", "unknown"


def picture_filters(
    kind: str,
    short_side_pixels: int,
    codec: str,
    *,
    colours: Colours = Colours(),
    filters: frozenset[str] = frozenset(),
) -> list[str]:
    """Return the filters from a decoded picture to the one that is stored.

    Args:
        kind: Kind of the file.
        short_side_pixels: Short side of the result, see :func:`_sides`.
        codec: As ``DecodeConfig.codec``.
        colours: What the log says of the picture's colours.
        filters: Those of ``colours.needed_filters()`` that the ffmpeg at hand has.
    """
    size, values = _sides(short_side_pixels), _RANGES[codec]
    white = list(ON_WHITE) if kind in TRANSPARENT_KINDS else []
    is_converted = _uses_zscale(colours, filters)
    if is_converted:
        steps = _by_zscale(size, values, colours)
    else:
        steps = [f"scale={size}:out_color_matrix=bt601:out_range={values}:flags={SCALER_FLAGS}"]
    # JPEG has no place for other tags, and each filter takes a sixtieth of Decode on short clips.
    is_tagged = is_converted or codec == "lossless"
    tags = [f"setparams=range={values}:{_STORED_TAGS}"] if is_tagged else []
    return [*white, *steps, "setsar=1", *tags]


def source_tags(colours: Colours, filters: frozenset[str]) -> list[str]:
    """Return the filter that gives decoded pictures the tags with which the other filters treat them as they should.

    The filters that change size and form refuse the matrices that the scaler lacks; :func:`picture_filters` gives those
    tags back. Where the ffmpeg at hand has no filter for a matrix, BT.709 is an approximation.

    Args:
        colours: What the log says of the picture's colours.
        filters: Those of ``colours.needed_filters()`` that the ffmpeg at hand has.
    """
    if _uses_zscale(colours, filters):
        is_rgb = colours.matrix == "gbr"
        return [] if is_rgb else ["setparams=colorspace=bt709:color_primaries=bt709:color_trc=bt709"]
    matrix = colours.matrix if colours.matrix in _SCALER_MATRICES else "bt709"
    return [f"setparams=colorspace={matrix}"] if colours.matrix else []


def _uses_zscale(colours: Colours, filters: frozenset[str]) -> bool:
    needed = colours.needed_filters()
    return bool(needed) and needed <= filters


def _by_zscale(size: str, values: str, colours: Colours) -> list[str]:
    """Return filters that convert what libswscale cannot."""
    is_rgb = colours.matrix == "gbr"
    known = f"setparams=colorspace={colours.matrix}:color_primaries={colours.primaries}:color_trc={colours.transfer}"
    resized = [f"scale={size}", f"format={'gbrp12le' if is_rgb else 'yuv444p12le'}", known]
    if not colours.hdr:
        return [*resized, f"zscale=m=170m:r={values}", "format=yuv444p"]
    linear = [f"zscale=t=linear:npl={REFERENCE_WHITE}", "format=gbrpf32le", "zscale=p=bt709"]
    # Versions differ in what desat does to grey.
    mapped = [f"tonemap={TONE_MAPPING}:peak={_PEAK:.2f}:desat=0", f"zscale=t=bt709:m=170m:r={values}"]
    return [*resized, *linear, *mapped, "format=yuv444p"]


def _sides(short_side_pixels: int) -> str:
    """Return the size as options of ``scale``: square pixels, the short side as set, both even, none enlarged.

    A picture of pixels that are wider than high loses height, one of narrow pixels loses width.
    """
    width, height = "iw*min(1,sar)", "ih/max(1,sar)"
    short = f"max(2,2*trunc(min({short_side_pixels},min({width},{height}))/2))"

    def side(own: str, other: str, stored: str) -> str:
        long = f"max(2,min(2*trunc(({stored}+1)/2),2*round({short}*({own})/({other})/2)))"
        return f"if(gt({own},{other}),{long},{short})"

    return f"w='{side(width, height, 'iw')}':h='{side(height, width, 'ih')}'"


def picture_codec(codec: str) -> dict[str, object]:
    """Return the options of the encoder for ``DecodeConfig.codec``."""
    if codec == "lossless":
        return {
            "c:v": "libx264",
            "qp": 0,
            "preset": "ultrafast",
            # Each frame is coded by itself, so that any of them can be dropped.
            "g": 1,
            "pix_fmt": "yuv420p",
            "flags:v": "+bitexact",
        }
    return {"c:v": "mjpeg", "qmin": 1, "q:v": 1, "pix_fmt": "yuvj420p", "flags:v": "+bitexact"}
