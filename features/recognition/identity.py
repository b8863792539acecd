"""Which weights a recogniser stands for, told without loading a network library."""

from __future__ import annotations

from typing import TYPE_CHECKING

from features.backbones.extractor.identity import transformers_identity
from features.recognition.config import OcrConfig
from features.recognition.ocr_weights import ocr_weights_sha256

if TYPE_CHECKING:
    from features.recognition.config import AsrConfig


def recognizer_identity(config: AsrConfig | OcrConfig) -> str:
    """Return a text that changes when the weights that ``config`` names change.

    Raises:
        SourceError: A model folder does not exist or has no ``config.json``.
    """
    if isinstance(config, OcrConfig):
        return ocr_weights_sha256()
    return transformers_identity(config.backbone.partition(":")[2], config.revision)
