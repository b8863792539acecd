from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from features.decoding.config import DecodeConfig
from features.inspect.inspect_hdf5 import nearest_clips, neighbour_drawings
from features.inspect.result import InspectQuery
from tests.features.inspect.published import records
from tests.features.media import decode_to, downloaded

if TYPE_CHECKING:
    from pathlib import Path

UNITS = np.array([[1, 0], [0.8, 0.6], [0.6, 0.8], [0, 1]], np.float32)
NAMES = ("both", "sound", "portrait", "gone")


@pytest.fixture(scope="module")
def decoded(media: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("neighbours") / "a.tar"
    clips = [
        downloaded(media / "both.mp4", clip_id="both"),
        downloaded(media / "sound.mp4", media / "cover.jpg", clip_id="sound"),
        downloaded(media / "portrait.mp4", clip_id="portrait"),
    ]
    decode_to(path, clips, DecodeConfig(workers=1))
    return path


def test_neighbours_are_shown_by_a_frame_a_cover_or_grey(decoded: Path, tmp_path: Path) -> None:
    query = InspectQuery(decoded=decoded, records=records(dict.fromkeys(NAMES, "猫")))
    rows = nearest_clips(NAMES, UNITS, "both", query)
    assert [(row["clip"], row["cosine"]) for row in rows] == [("sound", 0.8), ("portrait", 0.6), ("gone", 0.0)]
    (drawing,) = neighbour_drawings("both", rows, query)
    drawing.draw(tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as picture:
        pixels = np.asarray(picture)
    # Four cells as wide as the grey one, with a label of four lines each.
    assert pixels.shape == (36 + 160 + 4 * 20 + 8, 4 * 248 + 8, 3)
    columns = [pixels[36:196, 8 + 248 * number : 88 + 248 * number] for number in range(4)]
    assert [len(np.unique(column.reshape(-1, 3), axis=0)) > 100 for column in columns] == [True, True, True, False]


def test_without_a_decoded_shard_or_neighbours_nothing_is_drawn(decoded: Path) -> None:
    rows = nearest_clips(NAMES, UNITS, "both", InspectQuery())
    assert set(rows[0]) == {"clip", "cosine"}
    assert neighbour_drawings("both", rows, InspectQuery()) == []
    assert neighbour_drawings("both", [], InspectQuery(decoded=decoded)) == []
