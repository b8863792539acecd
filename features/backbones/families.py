"""Families of backbones: one entry for each ``source:`` of each kind of input.

Checks of settings, identities of weights, error messages and loading are derived from the entries. A new family is a
module whose ``load`` takes an ``ExtractConfig`` and returns an ``Extractor``, and an entry here. Modules that load a
network library are named by ``module:function`` and imported when they are needed, so that reading settings loads none.
"""

from __future__ import annotations

import importlib
import re
from dataclasses import dataclass, field
from importlib.metadata import version
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from features.backbones.pretrained.model_files import (
    BUNDLED_IMAGES,
    BUNDLED_TEXTS,
    is_folder_name,
    is_hub_id,
    transformers_identity,
)
from features.base.errors import SettingError
from features.base.modalities import MODALITIES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from features.backbones.pretrained.model_files import BundledModel

# The last number counts up whenever the features that ``features.backbones.audio.logmel_extractor`` computes change.
_LOGMEL = MappingProxyType({"logmel": "dsp:logmel:1"})

_TORCHVISION_NAME = re.compile(r"[a-z0-9_]+(\.[A-Z0-9_]+)?")


@dataclass(frozen=True)
class Family:
    """Backbones of one source for one kind of input; this one has a fixed list of names.

    Attributes:
        kind: The kind of input, as ``Modality.kind`` has it.
        source: The part of ``source:name`` before the colon.
        loader: ``module:function`` of ``(ExtractConfig) -> Extractor``.
        names: Name -> identity of its weights; empty where names follow a rule.
    """

    kind: str
    source: str
    loader: str
    names: Mapping[str, str] = field(default_factory=dict)

    def check_name(self, name: str, modality: str) -> None:
        """Check a name as far as that is possible without a network library.

        Raises:
            SettingError: No backbone of the family can have that name.
        """
        if name not in self.names:
            what = f"{self.source} {modality} backbone"
            raise SettingError(f"unknown {what} {name!r}: expected one of {', '.join(sorted(self.names))}")

    def check_exists(self, name: str, modality: str) -> None:
        """Check a name whose check loads a network library.

        Raises:
            SettingError: The library has no such backbone.
        """

    def identity(self, name: str, revision: str) -> str:  # noqa: ARG002 - of some families
        """Return a text that changes when the weights change.

        Raises:
            SourceError: A model folder does not exist or has no ``config.json``.
        """
        return self.names[name]

    def has_revisions(self, name: str) -> bool:  # noqa: ARG002 - of some families
        """Return whether the setting ``revision`` decides which weights a name has."""
        return False


@dataclass(frozen=True)
class TorchvisionFamily(Family):
    """Networks of torchvision: ``NAME`` with its default weights, or ``NAME.WEIGHTS``.

    Attributes:
        checker: ``module:function`` of ``(name, modality) -> None``, which raises where torchvision lacks the name.
    """

    checker: str = "features.backbones.vision.torchvision_images:check_exists"

    def check_name(self, name: str, modality: str) -> None:  # noqa: ARG002 - as above
        """Check the form of a name."""
        if not _TORCHVISION_NAME.fullmatch(name):
            raise SettingError(
                f"torchvision name {name!r} may hold small letters, digits and _ only, such as convnext_tiny, and after"
                " a dot the name of other weights than the default ones, such as resnet50.IMAGENET1K_V1"
            )

    def check_exists(self, name: str, modality: str) -> None:
        """Check that torchvision has the network and the weights."""
        load_function(self.checker)(name, modality)

    def identity(self, name: str, revision: str) -> str:  # noqa: ARG002 - as above
        """Return the name, and for default weights the version of torchvision, which decides what these are."""
        network, weights = torchvision_parts(name)
        suffix = f" of torchvision {version('torchvision')}" if weights == "DEFAULT" else ""
        return f"torchvision:{network}:{weights}{suffix}"


@dataclass(frozen=True)
class TransformersFamily(Family):
    """Models of transformers: a hub id, or a folder."""

    def check_name(self, name: str, modality: str) -> None:  # noqa: ARG002 - as above
        """Check the form of a name."""
        if not is_folder_name(name) and not is_hub_id(name):
            raise SettingError(
                f"transformers name {name!r} is neither a hub id (owner/name) nor a folder (/..., ./... or ~/...)"
            )

    def identity(self, name: str, revision: str) -> str:
        """Return the sha256 over a folder's files, or ``transformers:ID@REVISION`` for a hub id."""
        return transformers_identity(name, revision)

    def has_revisions(self, name: str) -> bool:
        """Return whether the name is a hub id."""
        return not is_folder_name(name)


def _pinned(models: Mapping[str, BundledModel]) -> Mapping[str, str]:
    return MappingProxyType({name: model.weights_sha256 for name, model in models.items()})


FAMILIES = (
    Family("image", "bundled", "features.backbones.vision.efficientnet_lite:load", _pinned(BUNDLED_IMAGES)),
    TorchvisionFamily("image", "torchvision", "features.backbones.vision.torchvision_images:load"),
    TransformersFamily("image", "transformers", "features.backbones.vision.transformers_images:load"),
    TorchvisionFamily("video", "torchvision", "features.backbones.vision.torchvision_videos:load"),
    Family("sound", "dsp", "features.backbones.audio.logmel_extractor:load", _LOGMEL),
    TransformersFamily("sound", "transformers", "features.backbones.audio.transformers_audio:load"),
    Family("text", "bundled", "features.backbones.text.text_extractor:load", _pinned(BUNDLED_TEXTS)),
    TransformersFamily("text", "transformers", "features.backbones.text.text_extractor:load"),
)


def family_of(modality: str, backbone: str) -> Family:
    """Return the family of ``source:name`` for a modality, after checking the name's form.

    Raises:
        SettingError: The modality is not known, or has no such backbone.
    """
    if modality not in MODALITIES:
        raise SettingError(f"unknown modality {modality!r}: expected one of {', '.join(MODALITIES)}")
    entry = MODALITIES[modality]
    source, colon, name = backbone.partition(":")
    if not colon or not source or not name.strip():
        raise SettingError(f"backbone {backbone!r} of {modality} must be written source:name, such as {entry.backbone}")
    families = {family.source: family for family in FAMILIES if family.kind == entry.kind}
    if source not in families:
        raise SettingError(
            f"backbone {backbone!r}: source {source!r} has nothing for {modality}; expected one of "
            f"{', '.join(families)}, such as {entry.backbone}"
        )
    families[source].check_name(name, modality)
    return families[source]


def torchvision_parts(name: str) -> tuple[str, str]:
    """Return the names of a torchvision network and of its weights, ``DEFAULT`` where the backbone names none."""
    network, _, weights = name.partition(".")
    return network, weights or "DEFAULT"


def load_function(path: str) -> Any:  # noqa: ANN401 - whatever function is named
    """Return the function that ``module:function`` names."""
    module, _, function = path.partition(":")
    return getattr(importlib.import_module(module), function)
