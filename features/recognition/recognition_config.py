"""The settings of recognizers and the identity of their weights, without loading any network library."""

from __future__ import annotations

import math
from dataclasses import dataclass

from features.backbones.pretrained.model_files import RAPIDOCR, is_folder_name, is_hub_id, transformers_identity
from features.base.errors import SettingError
from features.base.settings import check_device, setting

OCR_BACKBONES = ("rapidocr:PP-OCRv6",)
# The detector works in steps of 32 pixels, and its memory grows with the square.
MIN_LONGEST_SIDE = 64
MAX_LONGEST_SIDE = 4096


@dataclass(frozen=True)
class OcrConfig:
    """How on-screen text is read from the frames of a clip.

    Attributes:
        backbone: ``""`` for none, or ``rapidocr:PP-OCRv6``.
        interval_seconds: Pictures read are at least this far apart; 0 = every stored frame.
        min_confidence: Lines of which the model is less sure are dropped, 0 to 1.
        longest_side: Pictures whose longer side has more pixels are made smaller before text is looked for.
        num_threads: Threads of the networks; ``None`` leaves it to the runtime.
    """

    backbone: str = ""
    interval_seconds: float = 1.0
    min_confidence: float = 0.8
    longest_side: int = 960
    num_threads: int | None = setting(None, identity=False)

    def __post_init__(self) -> None:
        if self.backbone and self.backbone not in OCR_BACKBONES:
            raise SettingError(
                f"unknown ocr backbone {self.backbone!r}: expected one of {', '.join(OCR_BACKBONES)}, or nothing"
            )
        if not 0 <= self.interval_seconds < math.inf:
            raise SettingError(f"interval_seconds {self.interval_seconds} must be 0 or more, and finite")
        if not 0 <= self.min_confidence <= 1:
            raise SettingError(f"min_confidence {self.min_confidence} must be between 0 and 1")
        if not MIN_LONGEST_SIDE <= self.longest_side <= MAX_LONGEST_SIDE:
            raise SettingError(
                f"longest_side {self.longest_side} must be between {MIN_LONGEST_SIDE} and {MAX_LONGEST_SIDE} pixels"
            )
        if self.num_threads is not None and self.num_threads < 1:
            raise SettingError(f"num_threads {self.num_threads} must be at least 1")


@dataclass(frozen=True)
class AsrConfig:
    """How speech is written down from the sound of a clip.

    Attributes:
        backbone: ``""`` for none, or ``transformers:`` with the hub id or the folder of a Whisper, such as
            ``transformers:openai/whisper-small``.
        revision: Branch, tag or commit of a model on the hub.
        language: What is spoken, as a code or an English name (``zh``, ``chinese``); ``""`` lets the model detect
            it in each segment.
        max_new_tokens: Longest text of a segment of 30 seconds, in tokens.
        batch_size: Segments in a batch of the network, gathered across clips.
        device: ``auto`` (the first GPU, else the CPU), ``cpu``, ``cuda`` or ``cuda:N``.
        num_threads: Threads of the network on a CPU; ``None`` leaves it to the runtime.
    """

    backbone: str = ""
    revision: str = "main"
    language: str = ""
    max_new_tokens: int = 224
    batch_size: int = setting(8, identity=False)
    device: str = setting("auto", identity=False)
    num_threads: int | None = setting(None, identity=False)

    def __post_init__(self) -> None:
        source, _, name = self.backbone.partition(":")
        if self.backbone and (source != "transformers" or not (is_folder_name(name) or is_hub_id(name))):
            raise SettingError(
                f"unknown asr backbone {self.backbone!r}: write transformers:ID or transformers:/folder, such as "
                "transformers:openai/whisper-small, or nothing"
            )
        if not self.revision:
            raise SettingError("revision is empty: name a branch, tag or commit, such as 'main'")
        check_device("device", self.device)
        for key, count in (("max_new_tokens", self.max_new_tokens), ("batch_size", self.batch_size)):
            if count < 1:
                raise SettingError(f"{key} {count} must be at least 1")
        if self.num_threads is not None and self.num_threads < 1:
            raise SettingError(f"num_threads {self.num_threads} must be at least 1")


def recognizer_identity(config: AsrConfig | OcrConfig) -> str:
    """Return a text that changes when the weights that ``config`` names change.

    Raises:
        SourceError: A model folder does not exist or has no ``config.json``.
    """
    if isinstance(config, OcrConfig):
        return RAPIDOCR.files_sha256
    return transformers_identity(config.backbone.partition(":")[2], config.revision)
