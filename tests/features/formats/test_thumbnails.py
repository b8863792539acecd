from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from features.decoding.config import DecodeConfig
from features.formats.tar_shard import open_tar_shard
from features.formats.thumbnails import PICTURE_PIXELS, clip_pictures
from tests.features.media import decode_to, downloaded, render, render_picture

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def decoded(media: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    # One second each of red, green and blue; the middle is green.
    colours = "color=red:{0}[a];color=0x00C000:{0}[b];color=blue:{0}[c];[a][b][c]concat=n=3"
    source = colours.format("size=640x320:rate=4:duration=1")
    clips = [
        downloaded(render(folder / "colours.mp4", [source], "-c:v", "libx264"), media / "cover.jpg", clip_id="colours"),
        downloaded(media / "sound.mp4", render_picture(folder / "wide.png", size="480x120"), clip_id="cover"),
        downloaded(media / "empty.mp4", clip_id="nothing"),
        downloaded(media / "both.mp4", clip_id="not asked for"),
    ]
    decode_to(folder / "a.tar", clips, DecodeConfig(workers=1))
    return folder / "a.tar"


def test_a_clip_is_shown_by_its_middle_frame_or_its_cover(decoded: Path) -> None:
    pictures = clip_pictures(open_tar_shard(decoded), {"colours", "cover", "nothing", "nobody"})
    assert sorted(pictures) == ["colours", "cover"]
    with Image.open(io.BytesIO(pictures["colours"])) as picture:
        assert (picture.format, picture.size) == ("JPEG", (PICTURE_PIXELS, PICTURE_PIXELS // 2))
        red, green, blue = np.asarray(picture).mean(axis=(0, 1))
    assert green > 150
    assert max(red, blue) < 40
    with Image.open(io.BytesIO(pictures["cover"])) as picture:
        assert picture.size == (PICTURE_PIXELS, PICTURE_PIXELS // 4)


def test_nothing_asked_is_nothing_shown(decoded: Path) -> None:
    assert clip_pictures(open_tar_shard(decoded), ()) == {}
