"""Which sections the configuration has, and the dataclass that each becomes."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, get_type_hints

from features.backbones.extractor.config import ONLY_FOR, ExtractConfig
from features.base.settings import is_from_preset, is_identity
from features.decoding.config import DecodeConfig
from features.downloads.config import DownloadConfig
from features.manifests.config import CorpusConfig, ManifestConfig
from features.recognition.config import AsrConfig, OcrConfig
from features.sample.corpus.config import SampleConfig
from models.config.network import NetworkConfig
from models.config.presets import PRESETS
from models.config.training import TrainConfig
from tasks.config.task_settings import (
    AblationConfig,
    EnsembleConfig,
    EvaluateConfig,
    FeaturesConfig,
    PathsConfig,
    PredictConfig,
    PresetConfig,
)

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Section:
    """One section of the configuration.

    Attributes:
        kind: The dataclass it becomes.
        fixed: Fields that are no settings.
        defaults: Defaults that differ from the dataclass's.
        preset_part: Field of ``Preset`` that gives what is not set; empty where no preset does.
        beside: A second dataclass whose fields are keys of the section too.
    """

    kind: type[Any]
    fixed: Mapping[str, object] = field(default_factory=dict)
    defaults: Mapping[str, object] = field(default_factory=dict)
    preset_part: str = ""
    beside: type[Any] | None = None

    def names(self) -> dict[str, object]:
        """Return setting -> default; of a section with presets, that of the preset ``default``."""
        own = {item.name: item.default for item in fields(self.kind) if item.name not in self.fixed}
        beside = {item.name: item.default for item in fields(self.beside)} if self.beside else {}
        return {**beside, **own, **self.preset_values(PresetConfig.preset), **self.defaults}

    def preset_values(self, preset: str) -> dict[str, object]:
        """Return setting -> what a preset says; nothing where no preset says anything."""
        return dict(vars(getattr(PRESETS[preset], self.preset_part))) if self.preset_part else {}

    @property
    def free(self) -> frozenset[str]:
        """Settings that change no byte of the output, so that changing them re-runs nothing."""
        return frozenset(item.name for item in fields(self.kind) if not is_identity(item))

    @property
    def beside_presets(self) -> frozenset[str]:
        """Settings that a named preset does not replace."""
        return frozenset(item.name for item in fields(self.kind) if not is_from_preset(item))

    def hints(self) -> dict[str, Any]:
        """Return setting -> its type."""
        return {**(get_type_hints(self.beside) if self.beside else {}), **get_type_hints(self.kind)}


def _extract_section(modality: str, backbone: str) -> Section:
    others = {name for name, modalities in ONLY_FOR.items() if modality not in modalities}
    not_ours = {item.name: item.default for item in fields(ExtractConfig) if item.name in others}
    return Section(ExtractConfig, fixed={"modality": modality, **not_ours}, defaults={"backbone": backbone})


SECTIONS: dict[str, Section] = {
    "paths": Section(PathsConfig),
    # Not the manifest's path but its content and its folder are hashed.
    "corpus": Section(CorpusConfig),
    "sample": Section(SampleConfig),
    "manifest": Section(ManifestConfig),
    "download": Section(DownloadConfig),
    "decode": Section(DecodeConfig),
    "features": Section(FeaturesConfig),
    "extract_frames": _extract_section("frames", "bundled:efficientnet_lite0"),
    "extract_motion": _extract_section("motion", "torchvision:r3d_18"),
    "extract_audio": _extract_section("audio", "dsp:logmel"),
    "extract_cover": _extract_section("cover", "bundled:efficientnet_lite0"),
    "extract_text": _extract_section("text", "bundled:all-minilm-l6-v2"),
    "ocr": Section(OcrConfig),
    "asr": Section(AsrConfig),
    "network": Section(NetworkConfig, preset_part="network", beside=PresetConfig),
    "train": Section(TrainConfig, preset_part="train"),
    "ensemble": Section(EnsembleConfig),
    "predict": Section(PredictConfig),
    "ablation": Section(AblationConfig),
    "evaluate": Section(EvaluateConfig),
}
