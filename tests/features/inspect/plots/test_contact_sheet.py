from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from features.base.figures import cjk_font_file
from features.inspect.plots.contact_sheet import Cell, small_picture, write_sheet

if TYPE_CHECKING:
    from pathlib import Path

GREY = 90


def cells(count: int, width: int = 80, height: int = 60) -> list[Cell]:
    return [
        Cell(small_picture(np.full((height, width, 3), GREY + 5 * number, np.uint8)), (f"{number}.00 s",))
        for number in range(count)
    ]


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        assert picture.format == "PNG"
        return np.asarray(picture)


@pytest.mark.parametrize(
    ("shape", "size"), [((60, 80), (213, 160)), ((96, 48), (80, 160)), ((10, 200), (420, 21)), ((1, 900), (420, 1))]
)
def test_a_small_picture_keeps_its_aspect(shape: tuple[int, int], size: tuple[int, int]) -> None:
    assert small_picture(np.zeros((*shape, 3), np.uint8)).size == size


def test_pictures_stand_in_rows_in_reading_order(tmp_path: Path) -> None:
    write_sheet(cells(8), "heading", tmp_path / "a.png")
    found = pixels(tmp_path / "a.png")
    # 213 pixels and a gap of 8, six times, are the most that 1,400 hold.
    assert found.shape[1] == 6 * 221 + 8
    greys = [int(found[36 + 80 + row * 188, 8 + 100 + column * 221, 0]) for row in range(2) for column in range(6)]
    assert greys == [*range(GREY, GREY + 40, 5), 255, 255, 255, 255]


def test_labels_stand_below_and_never_on_a_picture_and_lines_are_cut(tmp_path: Path) -> None:
    narrow = Cell(small_picture(np.full((96, 48, 3), GREY, np.uint8)), ("a label far wider than its picture",))
    write_sheet([narrow, narrow], "a heading of more than the sheet has room for " * 3, tmp_path / "a.png")
    found = pixels(tmp_path / "a.png")
    dark = found.max(axis=2) < 60
    assert dark[:36].any()
    assert not dark[36 : 36 + 160].any()
    assert dark[196:, 8:88].any()
    # The first label ends before the second picture's column, the heading before the right edge.
    assert not dark[196:, 88:96].any()
    assert not dark[:36, -8:].any()


def test_a_title_of_any_length_and_script_is_drawn_soon(tmp_path: Path) -> None:
    started = time.process_time()
    for number, title in enumerate(["x" * 200, "猫" * 200, "🎬 مرحبا", ""]):
        write_sheet(cells(1), title, tmp_path / f"{number}.png")
    assert time.process_time() - started < 5


def test_chinese_is_written_where_a_font_has_it(tmp_path: Path) -> None:
    if cjk_font_file() is None:
        pytest.skip("no font with Chinese characters on this machine")
    for name in ("猫", "狗"):
        write_sheet(cells(1), name, tmp_path / f"{name}.png")
    # Boxes would be the same.
    assert (pixels(tmp_path / "猫.png") != pixels(tmp_path / "狗.png")).any()
