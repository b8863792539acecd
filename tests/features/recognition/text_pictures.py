"""Pictures with text for the recogniser of on-screen text."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from features.formats.clip_data import DecodedPicture

if TYPE_CHECKING:
    from collections.abc import Sequence

    from features.formats.clip_data import UInt8

# Two lines, 256 x 84 pixels, black and white: drawn with Pillow 12 in Noto Sans CJK SC Regular (SIL Open Font License)
# at 26 pixels and cut at grey 110. A picture, because no package brings a font with these letters.
CHINESE_LINES = ("海边跑步的短视频", "城市夜景")
_CHINESE_PNG = (
    "iVBORw0KGgoAAAANSUhEUgAAAQAAAABUAQAAAABFYdSeAAAC5klEQVR42u2VsW8URxSHv5kd7k7R2jflgazbNenRGbmwJQsvqenI"
    "H3AIJVUKglJQRNxYRnKkBJEWCTAlpQuK0KA9iwg6rJBIKZJojY2Mogj2iKPsWbs3KXbPRso4nZvIr5nVe5/e+83bNzNwbEdgHYdP"
    "olso4irqCVMDYqjtAz5I8PIOjdJVt8l9m9IcVcCfIUUZ0c0UIAcNXT3OkNXtyIAOUsCTRvwlwrV+JPrrFTAEgsUYAwM9n9gGeL8A"
    "yTgD08IaEP2o9BRf2xgfG+0DBjb7EAMMlhVQaKC5MAaCEcC769W+fAT++334PAZghNh5nlMjBUDc/lVXwNOrjcBQfPjEAmgyoAVV"
    "TSTbGARAKmYUrwiuQYSdCMclUhttl3SNsGkMgHlfwy4GhAcRaIhefmVFA7rdMSCePzISpqBGNOiFgFQHjVLlYiQL93yuxBgKUf+k"
    "S5UAxYnZF8UN2IZwmIAmWjrx20fvDjTwxlAHvjdzMoY1puVerkU/HgO1xYhJgCRVBhJ5KzJgZdWHUsPUOSgi2oBXxBch3Pvig954"
    "5IJ5fk5MG00bwHutYA61+3EF5OB3NnlMQzykaSBbhZS6/LYCwqWJiTXUNkxuANTS+4guZ9SD/VnPpxbtDjaz0GE01bTJ5ZUsbftV"
    "hoQ832CIyYYAoz8Avsw2Tu0dXxTHdiTm8xk1ELE7LMsTDhYWbfpvQAFDciBkIDruDDmYug2yBpFTQ8+uWrtlbeosIau1ODmjByJy"
    "ApuXLikRAoeU6CUhHnR6yWEljAaI0P1p7QJuBp6XW9LzV3DEx7ccLL0VFitdwEtQCPmsByP3Nj1AqtlECOUEJIBaGRLYxK2hAdjR"
    "ncD5NxVl5b1dj6HougBRff14t+WeiOZWy/M8um23Bknnm9CUj1bqnqj5XgQLcJq/z4Yu4MEP5QP0yLSIXSIT8VNBH/F7N/vOOXJi"
    "fR1gcvXkNS64VIjlOh58ylw/9f/7hBx2NP4H9g/68PRE1sDA6AAAAABJRU5ErkJggg=="
)


def chinese() -> UInt8:
    """Return the picture of ``CHINESE_LINES``, ``(84, 256, 3)``."""
    with Image.open(io.BytesIO(base64.b64decode(_CHINESE_PNG))) as image:
        return np.asarray(image.convert("RGB"))


def drawn(*lines: tuple[int, int, str], height: int = 256, width: int = 455, size: int = 24) -> UInt8:
    """Return a picture with each text at its place (left, top), in Pillow's own font."""
    image = Image.new("RGB", (width, height), (40, 60, 90))
    for left, top, text in lines:
        ImageDraw.Draw(image).text((left, top), text, font=ImageFont.load_default(size))
    return np.asarray(image)


def clip(pictures: Sequence[UInt8], frames_per_second: float = 1.0) -> list[DecodedPicture]:
    """Return pictures at even distances, the first at 0 seconds."""
    return [DecodedPicture(pixels, number / frames_per_second) for number, pixels in enumerate(pictures)]
