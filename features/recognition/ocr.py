"""On-screen text: lines that rapidocr's PP-OCRv6 networks read in the frames of a clip."""

from __future__ import annotations

import importlib
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from features.backbones.runtime.openvino_runner import import_openvino, openvino_precisions
from features.base.errors import SettingError, ShardError, ToolError, one_line
from features.base.versions import tool_versions
from features.recognition.ocr_weights import ocr_weights_sha256, verified_weights
from features.recognition.recognizer import Recognition
from features.recognition.text_lines import Line, in_reading_order, merged_over_time

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from features.formats.clip_data import Picture, UInt8
    from features.recognition.recognition_config import OcrConfig

# Times of frames are float32 fractions of the frame rate.
TIME_TOLERANCE_SECONDS = 1e-3
PROBE_TEXT = "OCR 2024"


class OnScreenText:
    """Reads the text in the pictures of a clip, at most one every ``interval_seconds``.

    Chinese and English, printed, upright or nearly so. A picture that equals the one read before it is not read
    again.
    """

    def __init__(self, config: OcrConfig) -> None:
        self._config = config
        precision = openvino_precisions()[0]
        self._networks = _Networks(config)
        self._provenance = {
            "backbone": config.backbone,
            "weights_sha256": ocr_weights_sha256(),
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

    def recognize(self, clips: Iterable[Iterable[Picture] | None]) -> Iterator[Recognition]:
        """Yield the text of each clip, in order, a clip and a picture at a time; ``None`` gives no text."""
        for clip in clips:
            try:
                yield merged_over_time(self._lines(clip or ()))
            except ShardError as error:
                yield Recognition("", (), str(error))

    def _lines(self, clip: Iterable[Picture]) -> Iterator[tuple[float, list[Line]]]:
        before: tuple[UInt8, list[Line]] | None = None
        for picture in spaced(clip, self._config.interval_seconds):
            pixels = picture.pixels()
            if before is None or not np.array_equal(before[0], pixels):
                lines = [line for line in self._networks.read(pixels) if line.confidence >= self._config.min_confidence]
                before = pixels, in_reading_order(lines)
            yield picture.time_seconds, before[1]


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

    def __init__(self, config: OcrConfig) -> None:
        detector, reader = verified_weights()
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
            "Det.model_path": str(detector),
            "Det.limit_type": "max",
            "Det.limit_side_len": config.longest_side,
            "Rec.engine_type": engine,
            "Rec.model_path": str(reader),
            "EngineConfig.openvino.performance_hint": "LATENCY",
        }
        if config.num_threads is not None:
            settings["EngineConfig.openvino.inference_num_threads"] = config.num_threads
            _import("cv2").setNumThreads(config.num_threads)
        self._rapidocr = rapidocr.RapidOCR(params=settings)
        self._error = _import("rapidocr.inference_engine.openvino").OpenVINOError
        if not self.read(_probe()):
            raise ToolError(f"rapidocr {tool_versions('rapidocr')} reads nothing in a picture of {PROBE_TEXT!r}")

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
