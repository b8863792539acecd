"""Which sections the configuration has, and the dataclass that each becomes."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, get_type_hints

from features.decoding.ffmpeg import DecodeConfig
from features.downloads.download import DownloadConfig
from features.extractors.config import ONLY_FOR, ExtractConfig
from features.manifests.config import CorpusConfig, ManifestConfig
from features.recognition.config import AsrConfig, OcrConfig
from features.sample.config import SampleConfig
from models.config import NetworkConfig
from models.presets import PRESETS
from models.train_config import FREE_SETTINGS, TrainConfig
from tasks.configs import (
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
        free: Settings that change no byte of the output, so that changing them re-runs nothing.
        preset_part: Field of ``Preset`` that gives what is not set; empty where no preset does.
        beside: A second dataclass whose fields are keys of the section too.
    """

    kind: type[Any]
    fixed: Mapping[str, object] = field(default_factory=dict)
    defaults: Mapping[str, object] = field(default_factory=dict)
    free: frozenset[str] = frozenset()
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

    def hints(self) -> dict[str, Any]:
        """Return setting -> its type."""
        return {**(get_type_hints(self.beside) if self.beside else {}), **get_type_hints(self.kind)}


def _extract_section(modality: str, backbone: str) -> Section:
    others = {name for other, names in ONLY_FOR.items() if other != modality for name in names}
    not_ours = {item.name: item.default for item in fields(ExtractConfig) if item.name in others}
    return Section(
        ExtractConfig,
        fixed={"modality": modality, **not_ours},
        defaults={"backbone": backbone},
        free=frozenset({"batch_size", "device", "runtime", "num_threads", "workers"}),
    )


# What may be taken, and from where, decides which clips fail for good; how long to try does not: what fails of
# that is tried again.
_FREE_OF_DOWNLOAD = frozenset(
    {"workers", "keep_media", "max_failed_fraction", "max_attempts", "timeout_seconds", "max_seconds",
     "min_bytes_per_second", "speed_window_seconds", "connections_per_host", "requests_per_second_per_host",
     "max_retry_after_seconds", "user_agent"}
)  # fmt: skip
_FREE_OF_DECODE = frozenset(
    {
        "ffmpeg",
        "workers",
        "store",
        "memory_megabytes",
        "max_process_megabytes",
        "max_failed_fraction",
        "timeout_seconds",
    }
)

SECTIONS: dict[str, Section] = {
    "paths": Section(PathsConfig, free=frozenset({"root"})),
    # Not the manifest's path but its content and its folder are hashed.
    "corpus": Section(CorpusConfig, free=frozenset({"manifest", "max_manifest_bytes"})),
    "sample": Section(SampleConfig),
    "manifest": Section(ManifestConfig),
    "download": Section(DownloadConfig, free=_FREE_OF_DOWNLOAD),
    "decode": Section(DecodeConfig, free=_FREE_OF_DECODE),
    "features": Section(FeaturesConfig, free=frozenset({"max_failed_fraction"})),
    "extract_frames": _extract_section("frames", "bundled:efficientnet_lite0"),
    "extract_motion": _extract_section("motion", "torchvision:r3d_18"),
    "extract_audio": _extract_section("audio", "dsp:logmel"),
    "extract_cover": _extract_section("cover", "bundled:efficientnet_lite0"),
    "extract_text": _extract_section("text", "bundled:all-minilm-l6-v2"),
    "ocr": Section(OcrConfig, free=frozenset({"num_threads"})),
    "asr": Section(AsrConfig, free=frozenset({"batch_size", "device", "num_threads"})),
    "network": Section(NetworkConfig, preset_part="network", beside=PresetConfig),
    "train": Section(TrainConfig, free=FREE_SETTINGS, preset_part="train"),
    "ensemble": Section(EnsembleConfig),
    "predict": Section(PredictConfig, free=frozenset({"checkpoint", "batch_size", "device"})),
    "ablation": Section(AblationConfig, free=frozenset({"variants", "workers"})),
    "evaluate": Section(EvaluateConfig),
}
