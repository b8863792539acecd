"""Frozen networks, and plain signal processing, that turn clips into features; chosen by ``source:name``.

``EXTRACTORS`` says which sources each modality has, and where the function ``(ExtractConfig) -> Extractor``
of each one lies. The modules stand here by name, so that reading a configuration loads no network library.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_VISUAL = MappingProxyType(
    {
        "bundled": "features.extractors.visual_bundled:load",
        "torchvision": "features.extractors.visual_torchvision:load",
        "transformers": "features.extractors.visual_transformers:load",
    }
)
_MOTION = MappingProxyType({"torchvision": "features.extractors.motion_torchvision:load"})
_AUDIO = MappingProxyType(
    {
        "dsp": "features.extractors.audio:load",
        "transformers": "features.extractors.audio_transformers:load",
    }
)
_TEXT = MappingProxyType(
    {
        "bundled": "features.extractors.text:load",
        "transformers": "features.extractors.text:load",
    }
)
EXTRACTORS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {"frames": _VISUAL, "motion": _MOTION, "cover": _VISUAL, "audio": _AUDIO, "text": _TEXT}
)
