"""Settings of the embedded sample corpus."""

from __future__ import annotations

from dataclasses import dataclass

from features.base.errors import SettingError

# Every special clip (three damaged videos, a damaged cover, two unlabelled clips, a repeated title, a
# series) needs a clip of its own.
MIN_CLIPS = 24
# The manifest in the folder of a rendered corpus.
MANIFEST_NAME = "manifest.jsonl"


@dataclass(frozen=True)
class SampleConfig:
    """What to render.

    Attributes:
        num_clips: Rows of the manifest, at least 24; the damaged clips count.
        seed: Non-negative; another seed gives another corpus of the same kind.
        width: Of a frame in pixels, even.
        height: Of a frame in pixels, even.
        frames_per_second: Even, so that sampling at 2 frames a second meets whole frames.

    Raises:
        SettingError: A value breaks one of these rules.
    """

    num_clips: int = 240
    seed: int = 7
    width: int = 208
    height: int = 156
    frames_per_second: int = 10

    def __post_init__(self) -> None:
        _require_between("num_clips", self.num_clips, MIN_CLIPS, 10_000)
        _require_between("seed", self.seed, 0, 2**32 - 1)
        for name, pixels in (("width", self.width), ("height", self.height)):
            _require_between(name, pixels, 64, 1920)
            _require_even(name, pixels)
        _require_between("frames_per_second", self.frames_per_second, 4, 60)
        _require_even("frames_per_second", self.frames_per_second)


def _require_between(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise SettingError(f"{name} = {value} of the sample corpus is out of range; use {low} to {high}")


def _require_even(name: str, value: int) -> None:
    if value % 2:
        raise SettingError(f"{name} = {value} of the sample corpus is odd; use {value - 1} or {value + 1}")
