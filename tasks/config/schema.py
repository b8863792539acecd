"""The sections of ``luigi.cfg``: which there are, and the dataclass that each becomes."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, get_type_hints

from features.backbones.extractor.extract_config import ONLY_FOR, ExtractConfig
from features.base.errors import SettingError
from features.base.modalities import MODALITIES
from features.base.settings import is_from_preset, is_identity
from features.decoding.config import DecodeConfig
from features.downloads.config import DownloadConfig
from features.manifests.config import CorpusConfig, ManifestConfig
from features.recognition.recognition_config import AsrConfig, OcrConfig
from features.sample.config import SampleConfig
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
        """Return setting -> default. A section with presets uses the preset ``default``."""
        own = {item.name: item.default for item in fields(self.kind) if item.name not in self.fixed}
        beside = {item.name: item.default for item in fields(self.beside)} if self.beside else {}
        return {**beside, **own, **self.preset_values(PresetConfig.preset), **self.defaults}

    def preset_values(self, preset: str) -> dict[str, object]:
        """Return setting -> value of a preset; nothing where presets do not apply."""
        return dict(vars(getattr(PRESETS[preset], self.preset_part))) if self.preset_part else {}

    def non_identity_settings(self) -> frozenset[str]:
        """Return the settings that change no byte of the output, so that changing them re-runs nothing."""
        return frozenset(item.name for item in fields(self.kind) if not is_identity(item))

    def settings_beside_presets(self) -> frozenset[str]:
        """Return the settings that a named preset does not replace."""
        return frozenset(item.name for item in fields(self.kind) if not is_from_preset(item))

    def hints(self) -> dict[str, Any]:
        """Return setting -> its type."""
        return {**(get_type_hints(self.beside) if self.beside else {}), **get_type_hints(self.kind)}


def extract_section(modality: str) -> str:
    """Return the name of the section that configures the extractor of a modality."""
    return f"extract_{modality}"


def _extract_section(modality: str) -> Section:
    defaults = {item.name: item.default for item in fields(ExtractConfig)}
    others = {name: defaults[name] for name, modalities in ONLY_FOR.items() if modality not in modalities}
    backbone = MODALITIES[modality].backbone
    return Section(ExtractConfig, fixed={"modality": modality, **others}, defaults={"backbone": backbone})


# The order is that of docs/settings.md.
SECTIONS: Mapping[str, Section] = MappingProxyType(
    {
        "paths": Section(PathsConfig),
        "corpus": Section(CorpusConfig),
        "sample": Section(SampleConfig),
        "manifest": Section(ManifestConfig),
        "download": Section(DownloadConfig),
        "decode": Section(DecodeConfig),
        "features": Section(FeaturesConfig),
        **{extract_section(name): _extract_section(name) for name in MODALITIES},
        "ocr": Section(OcrConfig),
        "asr": Section(AsrConfig),
        "network": Section(NetworkConfig, preset_part="network", beside=PresetConfig),
        "train": Section(TrainConfig, preset_part="train"),
        "ensemble": Section(EnsembleConfig),
        "predict": Section(PredictConfig),
        "ablation": Section(AblationConfig),
        "evaluate": Section(EvaluateConfig),
    }
)


@dataclass(frozen=True)
class Settings:
    """All settings of a run, one dataclass a section; [extract_*] by modality."""

    paths: PathsConfig
    corpus: CorpusConfig
    sample: SampleConfig
    manifest: ManifestConfig
    download: DownloadConfig
    decode: DecodeConfig
    features: FeaturesConfig
    extract: Mapping[str, ExtractConfig]
    ocr: OcrConfig
    asr: AsrConfig
    network: NetworkConfig
    train: TrainConfig
    ensemble: EnsembleConfig
    predict: PredictConfig
    ablation: AblationConfig
    evaluate: EvaluateConfig

    @classmethod
    def of(cls, sections: Mapping[str, Any]) -> Settings:
        """Return the settings made of section name -> its dataclass, after checks that concern several sections.

        Raises:
            SettingError: Two sections contradict each other.
        """
        extract = {name: sections[extract_section(name)] for name in MODALITIES}
        rest = {item.name: sections[item.name] for item in fields(cls) if item.name != "extract"}
        result = cls(**rest, extract=extract)
        if not result.decode.store and not result.download.keep_media:
            raise SettingError(
                "[decode] store = false needs [download] keep_media = true: with nothing decoded on the disk, every"
                " stage reads the media again"
            )
        result.check_modalities(result.network)
        result.check_scored_split()
        return result

    def sections(self) -> dict[str, Any]:
        """Return section name -> its dataclass, in the order of ``SECTIONS``."""
        extract = {extract_section(name): config for name, config in self.extract.items()}
        return {name: extract[name] if name in extract else getattr(self, name) for name in SECTIONS}

    def check_modalities(self, network: NetworkConfig) -> None:
        """Compare the modalities of a network with those that are extracted.

        Raises:
            SettingError: One of them is not extracted.
        """
        unknown = [name for name in network.modality_names() if name not in MODALITIES]
        if unknown:
            raise SettingError(
                f"[network] modalities is {network.modalities!r}: unknown modality {unknown[0]!r}, list some of"
                f" {', '.join(MODALITIES)}, separated by commas"
            )
        extracted = self.features.names()
        missing = [name for name in network.modality_names() if name not in extracted]
        if missing:
            raise SettingError(
                f"[network] modalities is {network.modalities!r}, of which [features] modalities leaves out"
                f" {', '.join(missing)}: add it there, or name others of {', '.join(extracted)}"
            )

    def check_scored_split(self) -> None:
        """Refuse to score clips that some networks of an ensemble were trained on.

        Raises:
            SettingError: The networks are an ensemble of folds, and the evaluated split is in the folds.
        """
        folds, split = self.ensemble.folds, self.evaluate.split
        if folds and split != "test" and not self.predict.checkpoint:
            raise SettingError(
                f"[evaluate] split is {split!r} with [ensemble] folds = {folds}: each of those clips was learnt by all"
                " networks but one; set [evaluate] split = test, or [ensemble] folds = 0, or run CrossValidate"
            )
