"""What readers show of painted colours, and what Decode makes of HDR.

Twelve clips (BT.601, BT.709 and BT.2020, limited and full range, 8 and 10 bits) hold patches of known RGB. Each is
decoded with both codecs and read by this project's reader, by PyAV, by Pillow (JPEG) or ffmpeg (H.264), and by
Chromium where it is installed. The table shows the largest error of any patch in levels of 255. The second one shows a
ramp of grey and a chart of colours in PQ and HLG as Decode stores them, beside the values without a mapping.
"""

from __future__ import annotations

import argparse
import io
import json
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import av
import numpy as np
from PIL import Image

from features.decoding.config import CODECS, DecodeConfig
from features.decoding.ffmpeg import ffmpeg_version
from tests.features.decoding.test_colour import PAINT, WEIGHTS, as_yuv, first_frame, middles, paint, pq
from tests.features.media import decode_row, downloaded, ffmpeg

if TYPE_CHECKING:
    import numpy.typing as npt

    from tests.features.decoding.test_colour import Floats

NITS = [0, 1, 10, 50, 100, 203, 400, 1000, 2000, 4000, 10_000]
HLG_SIGNALS = [0.0, 0.25, 0.38, 0.5, 0.75, 0.9, 1.0]
# RGB in cd/m2 of BT.2020: red, green, blue, yellow, cyan, magenta, skin, a lamp.
CHART = [
    (100, 10, 10), (10, 100, 10), (10, 10, 100), (150, 150, 10), (10, 150, 150), (150, 10, 150), (120, 90, 70),
    (1000, 800, 400),
]  # fmt: skip
# Larger than the smallest window of a browser.
SHOWN = (600, 200)


def main() -> None:
    """Measure, print two tables, and keep the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chromium", default="chromium", help="name or path of the browser")
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/colour_table.json"))
    options = parser.parse_args()
    browser = shutil.which(options.chromium)
    with tempfile.TemporaryDirectory() as folder:
        figures = {
            "ffmpeg": ffmpeg_version(ffmpeg()),
            "largest_error": _errors(Path(folder), browser),
            "hdr": _hdr(Path(folder)),
        }
    options.output.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


def _errors(folder: Path, browser: str | None) -> dict[str, dict[str, float]]:
    """Return case and codec -> reader -> largest error of a patch."""
    table: dict[str, dict[str, float]] = {}
    for matrix in WEIGHTS:
        for full in (False, True):
            for bits in (8, 10):
                planes = as_yuv(PAINT / 255, matrix, full=full, bits=bits)
                tags = f"setparams=colorspace={matrix}:range={'pc' if full else 'tv'}"
                path = paint(folder / "a.mkv", planes, bits, tags, "-c:v", "ffv1", side=48)
                for codec in CODECS:
                    name = f"{matrix}, {'full' if full else 'limited'}, {bits} bits, {codec}"
                    table[name] = _readings(path, codec, browser)
                    print(f"{name:<40} " + "  ".join(f"{reader} {error:.1f}" for reader, error in table[name].items()))
    return table


def _readings(path: Path, codec: str, browser: str | None) -> dict[str, float]:
    clip = decode_row(downloaded(path), DecodeConfig(codec=codec))
    assert clip.matroska is not None, clip.outcome
    stored = path.with_name("stored.mkv")
    stored.write_bytes(clip.matroska)
    images = {"ours": first_frame(clip)}
    with av.open(io.BytesIO(clip.matroska)) as container:
        images["PyAV"] = next(container.decode(video=0)).to_ndarray(format="rgb24")
    shown = path.with_name("shown.jpg" if codec == "mjpeg" else "shown.mp4")
    copied = ("-frames:v", "1", "-f", "mjpeg") if codec == "mjpeg" else ()
    _ffmpeg("-i", stored, "-map", "0:v:0", "-c", "copy", *copied, shown)
    if codec == "mjpeg":
        images["Pillow"] = np.asarray(Image.open(shown).convert("RGB"))
    else:
        _ffmpeg("-i", stored, "-frames:v", "1", path.with_name("ffmpeg.png"))
        images["ffmpeg"] = np.asarray(Image.open(path.with_name("ffmpeg.png")).convert("RGB"))
    if browser:
        images["Chromium"] = _screenshot(browser, shown)
    return {
        reader: round(float(np.abs(middles(image, len(PAINT)) - PAINT).max()), 1) for reader, image in images.items()
    }


def _screenshot(browser: str, shown: Path) -> npt.NDArray[np.uint8]:
    """Return what a browser shows of a picture or a video, ``(H, W, 3)``."""
    width, height = SHOWN
    style = f"style='position:absolute;left:0;top:0;width:{width}px;height:{height}px;object-fit:fill'"
    if shown.suffix == ".jpg":
        element = f"<img src='{shown.name}' {style}>"
    else:
        element = f"<video src='{shown.name}' muted autoplay {style}></video>"
    page = shown.with_name("page.html")
    page.write_text(f"<!doctype html><body style='margin:0'>{element}", encoding="utf-8")
    picture = shown.with_name("screen.png")
    switches = ["--headless", "--no-sandbox", "--disable-gpu", "--force-color-profile=srgb", "--hide-scrollbars"]
    timing = ["--autoplay-policy=no-user-gesture-required", "--virtual-time-budget=4000"]
    size = [f"--window-size={width},{height}", f"--screenshot={picture}"]
    subprocess.run([browser, *switches, *timing, *size, page.as_uri()], check=True, capture_output=True, timeout=120)
    image: npt.NDArray[np.uint8] = np.asarray(Image.open(picture).convert("RGB"))[:height, :width]
    return image


def _hdr(folder: Path) -> dict[str, list[list[object]]]:
    """Return what is painted -> [painted, stored RGB, RGB without a mapping] for each patch."""
    ramp = np.repeat(np.array(NITS, float)[:, None], 3, axis=1)
    chart = np.array(CHART, float)
    hlg = np.repeat(np.array(HLG_SIGNALS)[:, None], 3, axis=1)
    clips: dict[str, tuple[list[object], Floats, str]] = {
        "grey in PQ, cd/m2": ([*NITS], pq(ramp), "smpte2084"),
        "colours in PQ, cd/m2": ([*CHART], pq(chart), "smpte2084"),
        "grey in HLG, signal": ([*HLG_SIGNALS], hlg, "arib-std-b67"),
    }
    table: dict[str, list[list[object]]] = {}
    for name, (painted, signals, transfer) in clips.items():
        planes = as_yuv(signals, "bt2020nc", full=False, bits=10)
        shown = []
        # Without the tag of the transfer nothing is mapped.
        for tag in (transfer, "bt2020-10"):
            tags = f"setparams=colorspace=bt2020nc:color_primaries=bt2020:color_trc={tag}:range=tv"
            path = paint(folder / "hdr.mkv", planes, 10, tags, "-c:v", "ffv1")
            shown.append(_rounded(middles(first_frame(decode_row(downloaded(path), DecodeConfig())), len(planes[0]))))
        table[name] = [list(row) for row in zip(painted, shown[0], shown[1], strict=True)]
        print(f"\n{name}")
        for row in table[name]:
            print(f"  {row[0]!s:<18} {row[1]!s:<18} without a mapping {row[2]}")
    return table


def _rounded(colours: Floats) -> list[list[int]]:
    rounded: list[list[int]] = colours.round().astype(int).tolist()
    return rounded


def _ffmpeg(*words: object) -> None:
    subprocess.run([ffmpeg(), "-v", "error", "-nostdin", "-y", *map(str, words)], check=True, timeout=60)


if __name__ == "__main__":
    main()
