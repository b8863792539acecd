"""The settings of one modality's extractor, checked without loading any network library."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from features.errors import SettingError
from features.extractors import EXTRACTORS
from features.extractors.bundled import BUNDLED
from features.extractors.model_folder import is_folder_name

RUNTIMES = ("auto", "torch", "openvino")
DSP_NAMES = ("logmel",)

_DEVICE = re.compile(r"auto|cpu|cuda(:\d+)?")
_TORCHVISION_NAME = re.compile(r"[a-z0-9_]+")
_HUB_ID = re.compile(r"[\w.-]+(/[\w.-]+)?")


@dataclass(frozen=True)
class ExtractConfig:
    """Which features one modality gets.

    Attributes:
        modality: ``frames``, ``cover``, ``audio`` or ``text``.
        backbone: ``source:name``, such as ``bundled:efficientnet_lite0``, ``torchvision:convnext_tiny``,
            ``transformers:google/siglip-base-patch16-224``, ``transformers:/models/my-bert`` or
            ``dsp:logmel``.
        revision: Branch, tag or commit of a model on the hub; used by ``transformers:`` with a hub id.
        window_seconds: Length of an analysis window of sound.
        hop_seconds: Distance between the starts of two windows; at most ``window_seconds``.
        max_tokens: Longest text, in tokens; what follows is cut off.
        batch_size: Frames or texts that the network sees at once, gathered across clips.
        device: ``auto`` (the first GPU, else the CPU), ``cpu``, ``cuda`` or ``cuda:N``.
        runtime: ``auto`` (OpenVINO on a CPU where it is installed, else torch), ``torch`` or ``openvino``.
        num_threads: Threads of the network on a CPU; ``None`` leaves it to the runtime.
    """

    modality: str
    backbone: str
    revision: str = "main"
    window_seconds: float = 1.0
    hop_seconds: float = 0.5
    max_tokens: int = 128
    batch_size: int = 16
    device: str = "auto"
    runtime: str = "auto"
    num_threads: int | None = None

    def __post_init__(self) -> None:
        _check_backbone(self.modality, self.backbone)
        self._check_numbers()
        if not self.revision:
            raise SettingError("revision is empty: name a branch, tag or commit, such as 'main'")
        if not _DEVICE.fullmatch(self.device):
            raise SettingError(f"unknown device {self.device!r}: expected auto, cpu, cuda or cuda:N")
        if self.runtime not in RUNTIMES:
            raise SettingError(f"unknown runtime {self.runtime!r}: expected one of {', '.join(RUNTIMES)}")
        if self.runtime == "openvino" and self.device.startswith("cuda"):
            raise SettingError(
                f"runtime 'openvino' does not run on {self.device!r}: set device to cpu, or runtime to torch"
            )

    @property
    def source(self) -> str:
        """Where the backbone comes from: the part before the colon."""
        return self.backbone.partition(":")[0]

    @property
    def name(self) -> str:
        """What the source calls the backbone: the part after the first colon."""
        return self.backbone.partition(":")[2]

    def unused_fields(self) -> frozenset[str]:
        """Settings that this backbone does not look at, so that changing them changes nothing."""
        unused = {"window_seconds", "hop_seconds"} if self.modality != "audio" else {"max_tokens"}
        if self.modality != "text":
            unused.add("max_tokens")
        if self.source != "transformers" or is_folder_name(self.name):
            unused.add("revision")
        return frozenset(unused)

    def _check_numbers(self) -> None:
        if not 0 < self.window_seconds < math.inf:
            raise SettingError(f"window_seconds {self.window_seconds} must be above 0 and finite")
        if not 0 < self.hop_seconds <= self.window_seconds:
            raise SettingError(
                f"hop_seconds {self.hop_seconds} must be above 0 and at most {self.window_seconds}, the window"
            )
        counts = {"max_tokens": self.max_tokens, "batch_size": self.batch_size}
        if self.num_threads is not None:
            counts["num_threads"] = self.num_threads
        for key, count in counts.items():
            if count < 1:
                raise SettingError(f"{key} {count} must be at least 1")


def _check_backbone(modality: str, backbone: str) -> None:
    if modality not in EXTRACTORS:
        raise SettingError(f"unknown modality {modality!r}: expected one of {', '.join(EXTRACTORS)}")
    source, colon, name = backbone.partition(":")
    if not colon or not source or not name.strip():
        raise SettingError(
            f"backbone {backbone!r} of {modality} must be written source:name, such as {_example(modality)}"
        )
    sources = EXTRACTORS[modality]
    if source not in sources:
        raise SettingError(
            f"backbone {backbone!r}: source {source!r} has nothing for {modality}; expected one of "
            f"{', '.join(sources)}, such as {_example(modality)}"
        )
    _check_name(modality, source, name)


def _check_name(modality: str, source: str, name: str) -> None:
    if source == "bundled":
        _check_one_of(f"bundled {modality} backbone", name, sorted(BUNDLED[modality]))
    elif source == "dsp":
        _check_one_of("dsp backbone", name, list(DSP_NAMES))
    elif source == "torchvision" and not _TORCHVISION_NAME.fullmatch(name):
        raise SettingError(
            f"torchvision name {name!r} may hold small letters, digits and _ only, such as convnext_tiny"
        )
    elif source == "transformers" and not is_folder_name(name) and not _HUB_ID.fullmatch(name):
        raise SettingError(
            f"transformers name {name!r} is neither a hub id (owner/name) nor a folder (/..., ./... or ~/...)"
        )


def _check_one_of(what: str, name: str, names: list[str]) -> None:
    if name not in names:
        raise SettingError(f"unknown {what} {name!r}: expected one of {', '.join(names)}")


def _example(modality: str) -> str:
    return {"audio": "dsp:logmel", "text": "bundled:all-minilm-l6-v2"}.get(modality, "bundled:efficientnet_lite0")
