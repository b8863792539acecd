"""Which weights a recogniser stands for, told without loading a network library."""

from __future__ import annotations

from typing import TYPE_CHECKING

from features.backbones.pretrained.model_files import transformers_identity
from features.recognition.ocr_weights import ocr_weights_sha256
from features.recognition.recognition_config import OcrConfig

if TYPE_CHECKING:
    from features.recognition.recognition_config import AsrConfig


def recognizer_identity(config: AsrConfig | OcrConfig) -> str:
    """Return a text that changes when the weights that ``config`` names change.

    Raises:
        SourceError: A model folder does not exist or has no ``config.json``.
    """
    if isinstance(config, OcrConfig):
        return ocr_weights_sha256()
    return transformers_identity(config.backbone.partition(":")[2], config.revision)
