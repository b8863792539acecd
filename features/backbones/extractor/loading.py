"""Loads the extractor that a configuration names."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, cast

from features.backbones import EXTRACTORS

if TYPE_CHECKING:
    from collections.abc import Callable

    from features.backbones.extractor.config import ExtractConfig
    from features.backbones.extractor.protocol import Extractor


# Any: whether pictures, sound or text go in is known at run time only.
def load_extractor(config: ExtractConfig) -> Extractor[Any]:
    """Return the extractor, its weights loaded and its runtime checked.

    What it takes for a clip depends on the modality: see :mod:`features.backbones.extractor.protocol`.

    Raises:
        SettingError: The backbone does not exist, or a setting does not suit it.
        SourceError: Its weights are missing, damaged or incomplete.
        ToolError: A package that it needs is not installed, or the runtime asked for does not work.
    """
    module, _, function = EXTRACTORS[config.modality][config.source].partition(":")
    load = cast("Callable[[ExtractConfig], Extractor[Any]]", getattr(importlib.import_module(module), function))
    return load(config)
