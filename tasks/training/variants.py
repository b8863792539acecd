"""The variants of an ablation: settings by name, read from a file or the usual ones, checked before anything runs."""

from __future__ import annotations

import configparser
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from features.base.errors import SettingError, one_line
from features.base.modalities import TEXT, has_steps, network_group
from models.config.presets import PRESETS
from tasks.config.load import read_section, suggestion
from tasks.config.run import settings
from tasks.config.schema import SECTIONS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from models.config.network import NetworkConfig
    from models.config.training import TrainConfig

HIDDEN_KEY = "predict.hidden"
# Rows of the table that are no networks.
BASELINES = ("majority", "logistic_regression")
_SECTIONS = ("network", "train")


@dataclass(frozen=True)
class Variant:
    """One row of an ablation.

    Attributes:
        name: Its name.
        network: Shape of its network.
        train: How it is trained; the seed is that of its first run.
        hidden: Modalities that are taken away when it is scored, not when it is trained.
    """

    name: str
    network: NetworkConfig
    train: TrainConfig
    hidden: tuple[str, ...]


def read_variants() -> tuple[Variant, ...]:
    """Return the variants that [ablation] names, in their order.

    Raises:
        SettingError: The file cannot be read, or a variant in it cannot be run; the message names it and the key.
    """
    config = settings().ablation
    modalities = settings().features.names()
    changes = _read_file(Path(config.variants).expanduser()) if config.variants else default_variants(modalities)
    where = config.variants or "the default variants"
    variants = tuple(_variant(name, own, where) for name, own in changes.items())
    names = [variant.name for variant in variants]
    if config.reference not in names:
        raise SettingError(
            f"[ablation] reference is {config.reference!r}, which is none of {where}: name one of {', '.join(names)}"
        )
    return variants


def _read_file(path: Path) -> dict[str, dict[str, str]]:
    """Return variant -> key -> text."""
    # Every section is a variant, also one called DEFAULT; keys keep their case, so that a wrong one is found.
    parser = configparser.ConfigParser(interpolation=None, delimiters=("=",), default_section="")
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # the way that configparser documents
    try:
        parser.read_string(path.read_text(encoding="utf-8"), source=str(path))
    except (OSError, UnicodeDecodeError, configparser.Error) as error:
        reason = one_line(error)
        raise SettingError(f"[ablation] variants is {str(path)!r}, which cannot be read: {reason}") from error
    if not parser.sections():
        raise SettingError(f"[ablation] variants is {str(path)!r}, which has no section: write one for each variant")
    return {name: dict(parser[name]) for name in parser.sections()}


def _variant(name: str, changes: Mapping[str, str], where: str) -> Variant:
    place = f"[{name}] of {where}"
    if name in BASELINES:
        raise SettingError(f"{place} has the name of a baseline, which every ablation has: give it another name")
    for key in changes:
        _check_key(place, key)
    try:
        network = read_section("network", changes)
        settings().check_modalities(network)
        train = read_section("train", changes)
        return Variant(name, network, train, _hidden(changes.get(HIDDEN_KEY, ""), network))
    except SettingError as error:
        raise SettingError(f"{place}: {error}") from error


def _check_key(place: str, key: str) -> None:
    section, _, setting = key.partition(".")
    if key == HIDDEN_KEY:
        return
    if section not in _SECTIONS:
        raise SettingError(f"{place} sets {key!r}: expected network.KEY, train.KEY or {HIDDEN_KEY}")
    known = list(SECTIONS[section].names())
    if setting not in known:
        raise SettingError(f"{place} sets {key!r}, and [{section}] has no {setting!r}{suggestion(setting, known)}")
    if key == "train.seed":
        raise SettingError(f"{place} sets {key!r}: every variant runs with the same seeds, as [ablation] seeds says")


def _hidden(text: str, network: NetworkConfig) -> tuple[str, ...]:
    names = tuple(part.strip() for part in text.split(",") if part.strip())
    used = network.modality_names() or settings().features.names()
    unknown = [name for name in names if name not in used]
    if unknown or len(names) == len(used):
        raise SettingError(f"{HIDDEN_KEY} is {text!r}: name some of {', '.join(used)}, and not all of them")
    # The order does not matter, and so it is not part of what is hidden.
    return tuple(name for name in used if name in names)


# Variant -> what is different in it.
_QUESTIONS: dict[str, dict[str, str]] = {
    "default": {},
    # Does a network do better than means?
    "mean_linear": {"network.preset": "mean_linear"},
    # Does the order of the frames matter?
    "frames: mean": {"network.frames_aggregator": "mean"},
    "frames: attention": {"network.frames_aggregator": "attention"},
    "frames: trn": {"network.frames_aggregator": "trn"},
    "frames: nextvlad": {"network.frames_aggregator": "nextvlad"},
    "frames: trn_x": {"network.frames_aggregator": "trn_x"},
    # How are the modalities put together?
    "fusion: concat": {"network.fusion": "concat"},
    "fusion: gate_fusion": {"network.fusion": "gate_fusion"},
    "fusion: low_rank": {"network.fusion": "low_rank"},
    "missing: masked": {"network.missing": "masked"},
    "no modality dropout": {"network.modality_dropout": "0"},
    # Do the heads help each other?
    "heads: cascade": {"network.heads": "cascade"},
    "heads: hierarchical": {"network.heads": "hierarchical"},
    "tags: moe": {"network.tag_head": "moe"},
    "heads of modalities": {"network.modality_heads": "true"},
    "mixture of 2": {"network.num_experts": "2"},
    # Does the training?
    "adversarial: fgm": {"train.adversarial": "fgm"},
    "adversarial: pgd": {"train.adversarial": "pgd"},
    "tags: asymmetric loss": {"train.tag_loss": "asymmetric"},
    "tags: focal loss": {"train.tag_loss": "focal"},
    "class weights": {"train.class_weight_power": "0.5"},
    "no label smoothing": {"train.label_smoothing": "0"},
    "no running mean": {"train.ema_decay": "0"},
}


def default_variants(modalities: Sequence[str]) -> dict[str, dict[str, str]]:
    """Return variant -> what is different in it; with several modalities also what each of them is worth."""
    has_pictures = any(network_group(name) == "frames" and has_steps(name) for name in modalities)
    found = {name: changes for name, changes in _QUESTIONS.items() if has_pictures or not name.startswith("frames:")}
    if TEXT in modalities:
        for name in ("frozen", "trained"):
            found[f"text: {name}"] = {"network.text_embedding": name}
    if set(PRESETS["seed_baseline"].network.modality_names()) <= set(modalities):
        found["seed_baseline"] = {"network.preset": "seed_baseline"}
    if len(modalities) > 1:
        for name in modalities:
            if len(modalities) > 2:  # noqa: PLR2004 - of two, one alone is without the other
                found[f"{name} alone"] = {"network.modalities": name}
            rest = ", ".join(other for other in modalities if other != name)
            found[f"without {name}"] = {"network.modalities": rest}
            found[f"{name} hidden"] = {"predict.hidden": name}
    return found
