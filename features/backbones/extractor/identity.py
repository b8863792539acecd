"""Which weights a configuration stands for, told without loading a network library."""

from __future__ import annotations

import difflib
from importlib.metadata import version
from typing import TYPE_CHECKING

from features.backbones.audio.logmel import LOGMEL_VERSION
from features.backbones.pretrained.bundled_weights import BUNDLED
from features.backbones.pretrained.model_folder import is_folder_name, model_folder
from features.backbones.pretrained.weights_digest import sha256_of_model
from features.base.errors import SettingError

if TYPE_CHECKING:
    from features.backbones.extractor.config import ExtractConfig


def weights_identity(config: ExtractConfig) -> str:
    """Return a text that changes when the weights that ``config`` names change.

    ``bundled``: the pinned sha256. ``torchvision``: the name, and the version that says which weights are its
    default. ``transformers``: the sha256 over a folder's files, or ``transformers:ID@REVISION`` for a hub id.
    ``dsp``: the version of the computation.

    Raises:
        SourceError: A model folder does not exist or has no ``config.json``.
    """
    name = config.name
    if config.source == "bundled":
        return BUNDLED[config.modality][name].weights_sha256
    if config.source == "torchvision":
        # Which weights are the default ones is the library's decision.
        weights = config.weights_name
        return f"torchvision:{config.network_name}:{weights}" + (
            f" of torchvision {version('torchvision')}" if weights == "DEFAULT" else ""
        )
    if config.source == "dsp":
        return f"dsp:{name}:{LOGMEL_VERSION}"
    return transformers_identity(name, config.revision)


def transformers_identity(name: str, revision: str) -> str:
    """Return the sha256 over a folder's files, or ``transformers:ID@REVISION`` for a hub id.

    Raises:
        SourceError: A model folder does not exist or has no ``config.json``.
    """
    if is_folder_name(name):
        return sha256_of_model(model_folder(name))
    return f"transformers:{name}@{revision}"


def check_backbone_exists(config: ExtractConfig) -> None:
    """Check a ``torchvision:`` name, which takes loading that library and so is not done with the settings.

    Raises:
        SettingError: torchvision has no classifier of that name, of pictures or, for motion, of videos; or no
            such weights of it.
    """
    if config.source != "torchvision":
        return
    from torchvision import models  # noqa: PLC0415 - takes seconds

    known = models.list_models(module=models.video if config.modality == "motion" else models)
    name = config.network_name
    if name not in known:
        near = difflib.get_close_matches(name, known, n=3)
        hint = f"did you mean {' or '.join(near)}?" if near else "see torchvision.models.list_models()"
        raise SettingError(f"[extract_{config.modality}] unknown torchvision backbone {name!r}: {hint}")
    weights = models.get_model_weights(name).__members__
    if config.weights_name not in weights:
        raise SettingError(
            f"[extract_{config.modality}] torchvision:{name} has no weights {config.weights_name!r}: expected one of"
            f" {', '.join(weights)}"
        )
