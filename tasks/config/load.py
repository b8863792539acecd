"""The sections of ``luigi.cfg`` -> frozen dataclasses, every key checked.

Each section is a dataclass that stands beside the code it steers. A ``luigi.Config`` class is made of it, so
that Luigi reads ``luigi.cfg`` and ``LUIGI_CONFIG_PATH`` and takes ``--decode-frames-per-second 4`` as well.
"""

from __future__ import annotations

import math
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any, TypeVar

import luigi
import luigi.configuration
from luigi.task_register import Register

from features.base.errors import PipelineError, SettingError
from features.decoding.config import DecodeConfig
from features.downloads.config import DownloadConfig
from models.config.network import NetworkConfig
from tasks.config.keys import check_keys
from tasks.config.schema import SECTIONS, Section
from tasks.config.task_settings import (
    MODALITIES,
    EnsembleConfig,
    EvaluateConfig,
    FeaturesConfig,
    PredictConfig,
    PresetConfig,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

Settings = TypeVar("Settings")
# Text of a setting that nobody has set, where a preset says its value.
OF_PRESET = "(preset)"
# Key of a change that names a preset.
PRESET_KEY = "network.preset"


def _config_class(name: str, section: Section) -> type[luigi.Config]:
    """Return a Luigi config class whose parameters are texts; ``load`` turns them into values."""
    defaults = {key: "" if default is None else str(default) for key, default in section.names().items()}
    defaults |= dict.fromkeys(section.preset_values(PresetConfig.preset), OF_PRESET)
    parameters = {key: luigi.Parameter(default=default, significant=False) for key, default in defaults.items()}
    namespace = {"__doc__": section.kind.__doc__, "__module__": __name__, **parameters}
    return Register(name, (luigi.Config,), namespace)  # type: ignore[return-value]  # Luigi's metaclass


_CONFIG_CLASSES = {name: _config_class(name, section) for name, section in SECTIONS.items()}


def load(name: str, kind: type[Settings], changes: Mapping[str, str] | None = None) -> Settings:
    """Return one section as its dataclass ``kind``.

    Args:
        name: Of the section.
        kind: Its dataclass.
        changes: ``section.key`` -> text that stands in for what is configured; of any sections. Where it names a
            preset, nothing else that is configured stands over that preset, but for the seed and for what decides
            how a result is reached, not which.

    Raises:
        SettingError: An unknown key, or a value of the wrong type or out of range; the message names the
            section and the key.
    """
    result = _load(name, changes or {})
    if not isinstance(result, kind):
        raise TypeError(f"section {name} is a {type(result).__name__}")
    return result


def _load(name: str, changes: Mapping[str, str]) -> Any:  # noqa: ANN401 - the kind differs by section; load() checks it
    section = SECTIONS[name]
    check_keys()
    values = {**section.preset_values(_preset(changes)), **_given_values(name, changes)}
    own = {item.name for item in fields(section.kind)}
    return _made(name, section.kind, {**section.fixed, **{key: values[key] for key in values if key in own}})


def _preset(changes: Mapping[str, str]) -> str:
    """Return the name of the preset that [network] and [train] start from."""
    text = changes.get(PRESET_KEY, _texts("network")["preset"])
    preset: PresetConfig = _made("network", PresetConfig, {"preset": text.strip()})
    return preset.preset


def _given_values(name: str, changes: Mapping[str, str]) -> dict[str, object]:
    """Return setting -> value, without those that a preset is to say."""
    section = SECTIONS[name]
    texts, hints = _texts(name), section.hints()
    if PRESET_KEY in changes and section.preset_part:
        texts = {key: text if key in section.beside_presets else OF_PRESET for key, text in texts.items()}
    texts |= {key: changes[f"{name}.{key}"] for key in texts if f"{name}.{key}" in changes}
    return {key: _value(name, key, text, hints[key]) for key, text in texts.items() if text != OF_PRESET}


def _texts(name: str) -> dict[str, str]:
    """Return setting -> its text in the configuration or on the command line."""
    try:
        found = vars(_CONFIG_CLASSES[name]())
    except ValueError as error:
        raise SettingError(
            f"[{name}] cannot be read: {error.__cause__ or error}; write %% for a per cent sign"
        ) from error
    return {key: found[key] for key in SECTIONS[name].names()}


def _made(name: str, kind: type[Any], values: Mapping[str, object]) -> Any:  # noqa: ANN401 - whatever ``kind`` makes
    try:
        return kind(**values)
    except PipelineError as error:
        raise SettingError(f"[{name}] {error}") from error


def check_sections() -> None:
    """Read every section.

    Raises:
        SettingError: Naming the first setting that cannot be used.
    """
    for name in SECTIONS:
        _load(name, {})
    if not load("decode", DecodeConfig).store and not load("download", DownloadConfig).keep_media:
        raise SettingError(
            "[decode] store = false needs [download] keep_media = true: with nothing decoded on the disk, every stage"
            " reads the media again"
        )
    check_modalities(load("network", NetworkConfig))
    _check_scored_split()


def _check_scored_split() -> None:
    """Refuse to score clips that some networks of an ensemble were trained on.

    Raises:
        SettingError: It is an ensemble of folds, and the split that is evaluated is in the folds.
    """
    folds, split = load("ensemble", EnsembleConfig).folds, load("evaluate", EvaluateConfig).split
    if folds and split != "test" and not load("predict", PredictConfig).checkpoint:
        raise SettingError(
            f"[evaluate] split is {split!r} with [ensemble] folds = {folds}: each of those clips was learnt by all"
            " networks but one; set [evaluate] split = test, or [ensemble] folds = 0, or run CrossValidate"
        )


def check_modalities(network: NetworkConfig) -> None:
    """Compare the modalities that a network names with those that are extracted.

    Raises:
        SettingError: One of them is not.
    """
    unknown = [name for name in network.modality_names() if name not in MODALITIES]
    if unknown:
        raise SettingError(
            f"[network] modalities is {network.modalities!r}: unknown modality {unknown[0]!r}, list some of"
            f" {', '.join(MODALITIES)}, separated by commas"
        )
    extracted = load("features", FeaturesConfig).names()
    missing = [name for name in network.modality_names() if name not in extracted]
    if missing:
        raise SettingError(
            f"[network] modalities is {network.modalities!r}, of which [features] modalities leaves out"
            f" {', '.join(missing)}: add it there, or name others of {', '.join(extracted)}"
        )


def significant(name: str) -> dict[str, object]:
    """Return the settings of a section that change what a stage writes."""
    return significant_of(name, _load(name, {}))


def significant_of(name: str, settings: Any) -> dict[str, object]:  # noqa: ANN401 - the dataclass of any section
    """Return those of ``settings``, of section ``name``, that change what a stage writes."""
    return {key: value for key, value in asdict(settings).items() if key not in SECTIONS[name].free}


def _value(section: str, key: str, text: str, hint: object) -> object:
    try:
        if hint is bool:
            return {"true": True, "false": False}[text.strip().lower()]
        if hint is int:
            return int(text)
        if hint is float:
            return _finite(text)
    except (ValueError, KeyError) as error:
        wanted = {bool: "true or false", int: "a whole number", float: "a number"}[hint]  # type: ignore[index]
        raise SettingError(f"[{section}] {key} is {text!r}: expected {wanted}") from error
    if hint == int | None:
        return int(text) if text.strip() else None
    return text.strip()


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value
