"""Which weights a configuration stands for, told without loading a network library."""

from __future__ import annotations

from typing import TYPE_CHECKING

from features.extractors.bundled import BUNDLED
from features.extractors.digests import sha256_of_model
from features.extractors.model_folder import is_folder_name, model_folder
from features.logmel import LOGMEL_VERSION

if TYPE_CHECKING:
    from features.extractors.config import ExtractConfig


def weights_identity(config: ExtractConfig) -> str:
    """Return a text that changes when the weights that ``config`` names change.

    ``bundled``: the pinned sha256. ``torchvision``: ``torchvision:NAME:DEFAULT``. ``transformers``: the
    sha256 over a folder's files, or ``transformers:ID@REVISION`` for a hub id. ``dsp``: the version of the
    computation.

    Raises:
        SourceError: A model folder does not exist or has no ``config.json``.
    """
    name = config.name
    if config.source == "bundled":
        return BUNDLED[config.modality][name].weights_sha256
    if config.source == "torchvision":
        return f"torchvision:{name}:DEFAULT"
    if config.source == "dsp":
        return f"dsp:{name}:{LOGMEL_VERSION}"
    if is_folder_name(name):
        return sha256_of_model(model_folder(name))
    return f"transformers:{name}@{config.revision}"
