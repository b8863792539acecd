from __future__ import annotations

import importlib
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from features.backbones.extractor.extractor import PROVENANCE_KEYS
from features.base.errors import SettingError, ShardError, ToolError
from features.recognition.recognition_config import OcrConfig, recognizer_identity
from tests.features.backbones.tiny_models import photo
from tests.features.recognition.text_pictures import CHINESE_LINES, chinese, clip, drawn

pytest.importorskip("rapidocr", reason="reads on-screen text")
pytest.importorskip("openvino", reason="runs the networks")
ocr = pytest.importorskip("features.recognition.ocr")

if TYPE_CHECKING:
    from collections.abc import Iterator

    from features.formats.clip_data import Picture, UInt8
    from features.recognition.ocr import OnScreenText

CONFIG = OcrConfig("rapidocr:PP-OCRv6", num_threads=1)


@pytest.fixture(scope="module")
def recognizer() -> OnScreenText:
    """The recogniser, loaded while fetching anything is an error."""

    def refuse(*_: object) -> None:
        raise AssertionError("rapidocr wants to download")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rapidocr.utils.download_file.DownloadFile.run", refuse)
        loaded: OnScreenText = ocr.load_ocr(CONFIG)
    return loaded


@dataclass(frozen=True)
class Damaged:
    time_seconds: float = 1.0

    def pixels(self) -> UInt8:
        raise ShardError("frame 1 cannot be decoded")


def test_english_lines_are_read_from_top_to_bottom(recognizer: OnScreenText) -> None:
    picture = drawn((20, 20, "Breaking News 2024"), (20, 90, "A dog runs"), (20, 170, "Subscribe now!"))
    (found,) = recognizer.recognize([clip([picture])])
    assert found.text == "Breaking News 2024\nA dog runs\nSubscribe now!"
    assert found.problem == ""
    assert [segment.text for segment in found.segments] == found.text.split("\n")
    assert all(segment.confidence is not None and segment.confidence >= 0.8 for segment in found.segments)


def test_chinese_lines_are_read(recognizer: OnScreenText) -> None:
    (found,) = recognizer.recognize([clip([chinese()])])
    assert tuple(found.text.split("\n")) == CHINESE_LINES


def test_colours_are_not_swapped(recognizer: OnScreenText, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[UInt8] = []

    def look(pixels: UInt8) -> _Nothing:
        seen.append(pixels)
        return _Nothing()

    monkeypatch.setattr(recognizer._networks, "_rapidocr", look)
    list(recognizer.recognize([clip([np.full((8, 8, 3), (1, 2, 3), np.uint8)])]))
    assert seen[0][0, 0].tolist() == [3, 2, 1]


def test_a_line_that_stays_counts_once_with_its_times(recognizer: OnScreenText) -> None:
    first = drawn((20, 20, "Breaking News"), (20, 120, "A dog runs"))
    second = drawn((24, 22, "Breaking News"), (20, 180, "Then a cat sleeps"))
    (found,) = recognizer.recognize([clip([first, first, second, second], 0.5)])
    spans = [(segment.start_seconds, segment.end_seconds, segment.text) for segment in found.segments]
    assert spans == [(0.0, 6.0, "Breaking News"), (0.0, 2.0, "A dog runs"), (4.0, 6.0, "Then a cat sleeps")]


def test_pictures_without_text_and_absent_clips_give_none(recognizer: OnScreenText) -> None:
    for found in recognizer.recognize([clip([photo(200, 300)]), None, []]):
        assert found.text == ""
        assert found.segments == ()
        assert found.problem == ""


@pytest.mark.parametrize("shape", [(1, 1), (1, 4000), (4000, 1), (12, 2000), (9, 9)])
def test_pictures_of_odd_sizes_are_no_trouble(recognizer: OnScreenText, shape: tuple[int, int]) -> None:
    (found,) = recognizer.recognize([clip([np.zeros((*shape, 3), np.uint8)])])
    assert found.text == ""


def test_a_damaged_picture_is_the_problem_of_its_clip_alone(recognizer: OnScreenText) -> None:
    good = clip([drawn((20, 20, "Hello world"))])
    damaged: list[Picture] = [good[0], Damaged()]
    results = list(recognizer.recognize([damaged, good]))
    assert [result.text for result in results] == ["", "Hello world"]
    assert results[0].problem == "frame 1 cannot be decoded"


def test_two_runs_give_the_same(recognizer: OnScreenText) -> None:
    pictures = clip([drawn((20, 20, "Hello world"), (20, 120, "again 42")), chinese()])
    assert list(recognizer.recognize([pictures])) == list(recognizer.recognize([pictures]))


def test_a_picture_that_equals_the_one_before_it_is_read_once(
    recognizer: OnScreenText, monkeypatch: pytest.MonkeyPatch
) -> None:
    num_read = 0

    def count(_: UInt8) -> list[Any]:
        nonlocal num_read
        num_read += 1
        return []

    monkeypatch.setattr(recognizer._networks, "read", count)
    taken = 0

    def pictures() -> Iterator[Picture]:
        nonlocal taken
        for picture in clip([drawn(), drawn(), chinese(), drawn()], 1.0):
            taken += 1
            yield picture

    results = list(recognizer.recognize(pictures() for _ in range(2)))
    assert len(results) == 2
    assert taken == 8
    # In each clip the second picture equals the first, and so does the last one of a clip the first of the next.
    assert num_read == 5


@pytest.mark.parametrize(
    ("interval_seconds", "expected"), [(0.0, [0, 1, 2, 3, 4, 5]), (0.5, [0, 2, 4]), (0.75, [0, 3]), (9.0, [0])]
)
def test_pictures_are_at_least_the_interval_apart(interval_seconds: float, expected: list[int]) -> None:
    pictures = clip([drawn()] * 6, 4.0)
    assert [pictures.index(picture) for picture in ocr.spaced(pictures, interval_seconds)] == expected


def test_openvino_failing_half_way_is_one_clear_error(
    recognizer: OnScreenText, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = importlib.import_module("rapidocr.inference_engine.openvino")

    def fail(_: UInt8) -> None:
        raise engine.OpenVINOError("Traceback ...\n out of memory\n")

    monkeypatch.setattr(recognizer._networks, "_rapidocr", fail)
    with pytest.raises(ToolError, match=r"^OpenVINO failed while text was read: .* out of memory$"):
        list(recognizer.recognize([clip([drawn()])]))


def test_provenance_says_how_the_text_came_about(recognizer: OnScreenText) -> None:
    assert set(recognizer.provenance) == set(PROVENANCE_KEYS)
    assert recognizer.provenance["weights_sha256"] == recognizer_identity(CONFIG)
    assert recognizer.provenance["backbone"] == CONFIG.backbone


def test_it_says_nothing_while_it_reads(recognizer: OnScreenText, capfd: pytest.CaptureFixture[str]) -> None:
    list(recognizer.recognize([clip([photo(100, 100), chinese()])]))
    assert capfd.readouterr() == ("", "")
    assert logging.getLogger("RapidOCR").level == logging.ERROR


def test_no_backbone_is_refused() -> None:
    with pytest.raises(SettingError, match="ocr has no backbone: set it to rapidocr:PP-OCRv6"):
        ocr.load_ocr(OcrConfig())


class _Nothing:
    txts = None
