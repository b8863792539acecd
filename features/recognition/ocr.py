"""On-screen text: lines that rapidocr's PP-OCRv6 networks read in the frames of a clip."""

from __future__ import annotations

import importlib
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from features.backbones.extractor.streaming import BatchSettings, Item, stream_clips
from features.backbones.pretrained.model_files import OCR_DETECTOR, OCR_READER, RAPIDOCR
from features.backbones.runtime.openvino_runner import import_openvino, kept_signal_stack, openvino_precisions
from features.base.errors import SettingError, ToolError, one_line
from features.base.machine import tool_versions
from features.base.parallel import BusyTime, num_cpus
from features.recognition.recognizer import Recognition
from features.recognition.text_lines import Line, in_reading_order, merged_over_time

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    import numpy.typing as npt

    from features.backbones.extractor.streaming import Piece
    from features.formats.clip_data import Picture, UInt8
    from features.recognition.recognition_config import OcrConfig

# Times of frames are float32 fractions of the frame rate.
TIME_TOLERANCE_SECONDS = 1e-3
PROBE_TEXT = "OCR 2024"


class OnScreenText:
    """Reads the text in the pictures of a clip, at most one every ``interval_seconds``.

    Chinese and English, printed, upright or nearly so. A picture that equals the one read before it is not read
    again. It takes clips of one caller at a time.
    """

    def __init__(self, config: OcrConfig) -> None:
        self._config = config
        precision = openvino_precisions()[0]
        self._networks = _Networks(config)
        # The networks take one picture at a time.
        self._batches = BatchSettings(batch_size=1, workers=num_cpus())
        self._provenance = {
            "backbone": config.backbone,
            "weights_sha256": RAPIDOCR.files_sha256,
            "preprocessing": (
                f"a picture every {config.interval_seconds:g} s, at most {config.longest_side} pixels long; lines of "
                f"confidence {config.min_confidence:g} or more, merged over successive pictures"
            ),
            "runtime": f"openvino {precision} on cpu",
            "versions": tool_versions("rapidocr", "openvino", "opencv-python-headless"),
        }

    @property
    def provenance(self) -> Mapping[str, str]:
        """How the text comes about, one line for each of the extractors' ``PROVENANCE_KEYS``."""
        return MappingProxyType(self._provenance)

    @property
    def network_seconds(self) -> float:
        """Wall time in which text was looked for and read."""
        return self._networks.busy.seconds

    def recognize(self, clips: Iterable[Iterable[Picture] | None]) -> Iterator[Recognition]:
        """Yield the text of each clip, in order; ``None`` gives no text. Pictures are decoded some ahead."""
        self._networks.latest = None
        for clip in stream_clips(clips, self._pieces, self._networks, self._batches):
            yield Recognition("", (), clip.problem) if clip.problem else merged_over_time(clip.results())

    def _pieces(self, clip: Iterable[Picture]) -> Iterator[Piece[float, list[Line]]]:
        for picture in spaced(clip, self._config.interval_seconds):
            yield partial(_items, picture)


def _items(picture: Picture) -> list[Item[float]]:
    return [Item((picture.pixels(),), picture.time_seconds)]


def spaced(pictures: Iterable[Picture], interval_seconds: float) -> Iterator[Picture]:
    """Yield the first picture, and then each one that is at least ``interval_seconds`` later than the last one."""
    last: float | None = None
    for picture in pictures:
        if last is None or picture.time_seconds - last >= interval_seconds - TIME_TOLERANCE_SECONDS:
            last = picture.time_seconds
            yield picture


def load_ocr(config: OcrConfig) -> OnScreenText:
    """Return the recognizer, its networks loaded and tried.

    Raises:
        SettingError: The settings name no backbone.
        ToolError: A package that it needs is not installed, or it does not read.
        SourceError: Its weights are missing or damaged.
    """
    if not config.backbone:
        raise SettingError("ocr has no backbone: set it to rapidocr:PP-OCRv6")
    return OnScreenText(config)


class _Networks:
    """rapidocr with the files in its package, on OpenVINO; it fetches nothing."""

    # Results are there as soon as a picture was started.
    max_in_flight = 0

    def __init__(self, config: OcrConfig) -> None:
        folder = RAPIDOCR.verified_folder()
        rapidocr = _import("rapidocr")
        # Before rapidocr does it, which would let its telemetry in.
        import_openvino()
        engine = rapidocr.EngineType.OPENVINO
        settings: dict[str, Any] = {
            # Below errors it reports every picture without text.
            "Global.log_level": "error",
            # Which of two upside-down readings is right: text in videos is upright.
            "Global.use_cls": False,
            # It would fail for pictures of a few pixels; the detector's own scaling takes all sizes.
            "Global.use_preprocess_img": False,
            "Global.text_score": 0.0,
            "Det.engine_type": engine,
            "Det.model_path": str(folder / OCR_DETECTOR),
            "Det.limit_type": "max",
            "Det.limit_side_len": config.longest_side,
            "Rec.engine_type": engine,
            "Rec.model_path": str(folder / OCR_READER),
            "EngineConfig.openvino.performance_hint": "LATENCY",
        }
        if config.num_threads is not None:
            settings["EngineConfig.openvino.inference_num_threads"] = config.num_threads
            _import("cv2").setNumThreads(config.num_threads)
        with kept_signal_stack():
            self._rapidocr = rapidocr.RapidOCR(params=settings)
        self._min_confidence = config.min_confidence
        self.latest: tuple[UInt8, list[Line]] | None = None
        self.busy = BusyTime()
        self._error = _import("rapidocr.inference_engine.openvino").OpenVINOError
        if not self.read(_probe()):
            raise ToolError(f"rapidocr {tool_versions('rapidocr')} reads nothing in a picture of {PROBE_TEXT!r}")

    def start(self, arrays: tuple[npt.NDArray[Any], ...], _marks: Sequence[float]) -> Callable[[], list[list[Line]]]:
        """Read a batch of one picture, and return the function that returns its lines; an equal one is read once."""
        pixels = arrays[0][0]
        if self.latest is None or not np.array_equal(self.latest[0], pixels):
            with self.busy.running():
                found = [line for line in self.read(pixels) if line.confidence >= self._min_confidence]
            self.latest = pixels, in_reading_order(found)
        lines = self.latest[1]
        return lambda: [lines]

    def read(self, pixels: UInt8) -> list[Line]:
        """Return the lines in a picture, ``(H, W, 3)`` RGB."""
        try:
            found = self._rapidocr(np.ascontiguousarray(pixels[:, :, ::-1]))
        except self._error as error:
            reason = one_line(error)[-300:]
            raise ToolError(f"OpenVINO failed while text was read: {reason}") from error
        if found.txts is None:
            return []
        return [
            Line(
                " ".join(text.split()),
                float(score),
                left=float(box[:, 0].min()),
                top=float(box[:, 1].min()),
                bottom=float(box[:, 1].max()),
            )
            for text, score, box in zip(found.txts, found.scores, found.boxes, strict=True)
        ]


# Any: these packages have no types.
def _import(name: str) -> Any:  # noqa: ANN401
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ToolError(f"ocr cannot start ({error}): pip install 'short-video-pipeline[ocr]'") from error


def _probe() -> UInt8:
    image = Image.new("RGB", (256, 64))
    ImageDraw.Draw(image).text((16, 12), PROBE_TEXT, font=ImageFont.load_default(32))
    return np.asarray(image)
