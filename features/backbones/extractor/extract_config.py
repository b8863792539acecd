"""The settings of one modality's extractor, checked without loading any network library."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from features.backbones.families import Family, family_of
from features.base.errors import SettingError
from features.base.modalities import TEXT, names_of_kind
from features.base.settings import check_device, modalities_of, setting

RUNTIMES = ("auto", "torch", "openvino")
# Texts of a clip that are embedded, each by itself; a position here is a step's ``field_id``.
TEXT_FIELDS = ("title", "asr", "ocr")


@dataclass(frozen=True)
class ExtractConfig:
    """Which features one modality gets.

    Attributes:
        modality: One of ``features.base.modalities``.
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
        batch_size: Pictures, windows or texts in a batch of the network, gathered across clips.
        device: ``auto`` (the first GPU, else the CPU), ``cpu``, ``cuda`` or ``cuda:N``.
        runtime: ``auto`` (OpenVINO on a CPU where it is installed, else torch), ``torch`` or ``openvino``.
        num_threads: Threads of the network on a CPU; ``None`` leaves it to the runtime.
        workers: Threads that decode and preprocess; 0 = one per CPU.
    """

    modality: str
    backbone: str
    revision: str = "main"
    window_seconds: float = setting(1.0, modalities=names_of_kind("sound"))
    hop_seconds: float = setting(0.5, modalities=names_of_kind("sound"))
    window_frames: int = setting(16, modalities=names_of_kind("video"))
    hop_frames: int = setting(16, modalities=names_of_kind("video"))
    fields: str = setting(", ".join(TEXT_FIELDS), modalities=(TEXT,))
    layer: int = setting(-1, modalities=(TEXT,))
    max_tokens: int = setting(128, modalities=(TEXT,))
    batch_size: int = setting(16, identity=False)
    device: str = setting("auto", identity=False)
    runtime: str = setting("auto", identity=False)
    num_threads: int | None = setting(None, identity=False)
    workers: int = setting(0, identity=False)

    def __post_init__(self) -> None:
        family_of(self.modality, self.backbone)
        self._check_numbers()
        if not self.revision:
            raise SettingError("revision is empty: name a branch, tag or commit, such as 'main'")
        check_device("device", self.device)
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
    def family(self) -> Family:
        """The family of the backbone."""
        return family_of(self.modality, self.backbone)

    def weights_identity(self) -> str:
        """Return a text that changes when the weights change.

        ``bundled``: the pinned sha256. ``torchvision``: the name, and the version that decides which weights are its
        default. ``transformers``: the sha256 over a folder's files, or ``transformers:ID@REVISION`` for a hub id.
        ``dsp``: the version of the computation.

        Raises:
            SourceError: A model folder does not exist or has no ``config.json``.
        """
        return self.family.identity(self.name, self.revision)

    def check_backbone_exists(self) -> None:
        """Check a name that only a network library can check, which takes seconds and so is not done with the settings.

        Raises:
            SettingError: The library has no such backbone.
        """
        self.family.check_exists(self.name, self.modality)

    def text_fields(self) -> tuple[str, ...]:
        """Return the names in ``fields``, in the order of ``TEXT_FIELDS``."""
        named = {part.strip() for part in self.fields.split(",") if part.strip()}
        return tuple(name for name in TEXT_FIELDS if name in named)

    def unused_fields(self) -> frozenset[str]:
        """Return the settings that this backbone does not use, so that changing them changes nothing."""
        unused = {name for name, modalities in ONLY_FOR.items() if self.modality not in modalities}
        if not self.family.has_revisions(self.name):
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


# Settings that only some modalities have -> those modalities.
ONLY_FOR = {item.name: found for item in fields(ExtractConfig) if (found := modalities_of(item)) is not None}
