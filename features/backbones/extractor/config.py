"""The settings of one modality's extractor, checked without loading any network library."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, fields

from features.backbones import EXTRACTORS
from features.backbones.pretrained.bundled_weights import BUNDLED
from features.backbones.pretrained.model_folder import is_folder_name
from features.base.checks import check_device
from features.base.errors import SettingError
from features.base.settings import modalities_of, setting

RUNTIMES = ("auto", "torch", "openvino")
DSP_NAMES = ("logmel",)
# Texts of a clip that are embedded, each by itself; a position here is a step's ``field_id``.
TEXT_FIELDS = ("title", "asr", "ocr")

_TORCHVISION_NAME = re.compile(r"[a-z0-9_]+(\.[A-Z0-9_]+)?")
_HUB_ID = re.compile(r"[\w.-]+(/[\w.-]+)?")


@dataclass(frozen=True)
class ExtractConfig:
    """Which features one modality gets.

    Attributes:
        modality: ``frames``, ``motion``, ``cover``, ``audio`` or ``text``.
        backbone: ``source:name``, such as ``bundled:efficientnet_lite0``, ``torchvision:convnext_tiny`` (its
            default weights), ``torchvision:resnet50.IMAGENET1K_V1`` (others),
            ``transformers:google/siglip-base-patch16-224``, ``transformers:/models/my-bert`` or
            ``dsp:logmel``.
        revision: Branch, tag or commit of a model on the hub; used by ``transformers:`` with a hub id.
        window_seconds: Length of an analysis window of sound.
        hop_seconds: Distance between the starts of two windows; at most ``window_seconds``.
        window_frames: Successive pictures in a window of motion; a clip with fewer repeats its last one.
        hop_frames: Distance between the first pictures of two windows; at most ``window_frames``.
        fields: Text fields that are embedded, each by itself: some of title, asr, ocr.
        layer: Hidden layer of a text encoder: 0 is the token embeddings, -1 the last layer, -2 the one before.
        max_tokens: Longest text of a field, in tokens; what follows is cut off.
        batch_size: Pictures, windows or texts that the network sees at once, gathered across clips.
        device: ``auto`` (the first GPU, else the CPU), ``cpu``, ``cuda`` or ``cuda:N``.
        runtime: ``auto`` (OpenVINO on a CPU where it is installed, else torch), ``torch`` or ``openvino``.
        num_threads: Threads of the network on a CPU; ``None`` leaves it to the runtime.
        workers: Threads that decode and preprocess; 0 = one per CPU.
    """

    modality: str
    backbone: str
    revision: str = "main"
    window_seconds: float = setting(1.0, modalities=("audio",))
    hop_seconds: float = setting(0.5, modalities=("audio",))
    window_frames: int = setting(16, modalities=("motion",))
    hop_frames: int = setting(16, modalities=("motion",))
    fields: str = setting(", ".join(TEXT_FIELDS), modalities=("text",))
    layer: int = setting(-1, modalities=("text",))
    max_tokens: int = setting(128, modalities=("text",))
    batch_size: int = setting(16, identity=False)
    device: str = setting("auto", identity=False)
    runtime: str = setting("auto", identity=False)
    num_threads: int | None = setting(None, identity=False)
    workers: int = setting(0, identity=False)

    def __post_init__(self) -> None:
        _check_backbone(self.modality, self.backbone)
        self._check_numbers()
        if not self.revision:
            raise SettingError("revision is empty: name a branch, tag or commit, such as 'main'")
        check_device(self.device)
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

    @property
    def weights_name(self) -> str:
        """Name of the weights of a torchvision network, ``DEFAULT`` where the backbone names none."""
        return self.name.partition(".")[2] or "DEFAULT"

    @property
    def network_name(self) -> str:
        """Name of a torchvision network without that of its weights."""
        return self.name.partition(".")[0]

    def text_fields(self) -> tuple[str, ...]:
        """Return the names in ``fields``, in the order of ``TEXT_FIELDS``."""
        named = {part.strip() for part in self.fields.split(",") if part.strip()}
        return tuple(name for name in TEXT_FIELDS if name in named)

    def unused_fields(self) -> frozenset[str]:
        """Settings that this backbone does not look at, so that changing them changes nothing."""
        unused = {name for name, modalities in ONLY_FOR.items() if self.modality not in modalities}
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
        if not 1 <= self.hop_frames <= self.window_frames:
            raise SettingError(
                f"hop_frames {self.hop_frames} must be at least 1 and at most {self.window_frames}, the window"
            )
        names = [part.strip() for part in self.fields.split(",") if part.strip()]
        if not names or len(names) != len(self.text_fields()):
            raise SettingError(
                f"fields is {self.fields!r}: list each of {', '.join(TEXT_FIELDS)} at most once, at least one"
            )
        if self.workers < 0:
            raise SettingError(f"workers is {self.workers}: give 0 (one per CPU) or more")
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
            f"torchvision name {name!r} may hold small letters, digits and _ only, such as convnext_tiny, and after a"
            " dot the name of other weights than the default ones, such as resnet50.IMAGENET1K_V1"
        )
    elif source == "transformers" and not is_folder_name(name) and not _HUB_ID.fullmatch(name):
        raise SettingError(
            f"transformers name {name!r} is neither a hub id (owner/name) nor a folder (/..., ./... or ~/...)"
        )


def _check_one_of(what: str, name: str, names: list[str]) -> None:
    if name not in names:
        raise SettingError(f"unknown {what} {name!r}: expected one of {', '.join(names)}")


def _example(modality: str) -> str:
    examples = {"audio": "dsp:logmel", "text": "bundled:all-minilm-l6-v2", "motion": "torchvision:r3d_18"}
    return examples.get(modality, "bundled:efficientnet_lite0")


# Settings that only some modalities have -> those modalities.
ONLY_FOR = {item.name: found for item in fields(ExtractConfig) if (found := modalities_of(item)) is not None}
