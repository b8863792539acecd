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
        "bundled": "features.backbones.image.efficientnet_lite:load",
        "torchvision": "features.backbones.image.torchvision_images:load",
        "transformers": "features.backbones.image.transformers_images:load",
    }
)
_MOTION = MappingProxyType({"torchvision": "features.backbones.video.torchvision_videos:load"})
_AUDIO = MappingProxyType(
    {
        "dsp": "features.backbones.audio.logmel_extractor:load",
        "transformers": "features.backbones.audio.audio_extractor:load",
    }
)
_TEXT = MappingProxyType(
    {
        "bundled": "features.backbones.text.text_extractor:load",
        "transformers": "features.backbones.text.text_extractor:load",
    }
)
EXTRACTORS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {"frames": _VISUAL, "motion": _MOTION, "cover": _VISUAL, "audio": _AUDIO, "text": _TEXT}
)
