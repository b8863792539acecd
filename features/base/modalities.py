"""The modalities of a clip: one entry each, from which every list of modalities is derived."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

_DEFAULT_GROUP = "frames"
# Part of a clip -> codes of the clips that never had it; "" is the record.
_ABSENT_CODES = MappingProxyType(
    {
        "frames": ("no_video", "no_video_stream"),
        "sound": ("no_video", "no_audio", "sound_empty", "sound_not_decodable"),
        "cover": ("no_cover",),
        "": ("no_text",),
    }
)
# A clip with one of these lacks something that its maker left out, or sound that cannot be read; the rest is right.
ABSENT_CODES = frozenset(code for codes in _ABSENT_CODES.values() for code in codes)


@dataclass(frozen=True)
class Modality:
    """One kind of input of the network.

    Attributes:
        name: Its name in settings, folders and files.
        kind: ``image``, ``video`` (windows of pictures), ``sound`` or ``text``: which backbones it takes.
        stream: The part of a decoded clip that it is read from: ``frames`` (a stream of pictures of its own, stored in
            the order of this table), ``sound`` or ``cover``; ``""`` for what is read from the record.
        backbone: Default of ``[extract_NAME] backbone``.
        rate_setting: The setting of [decode] whose 0, the default, leaves out its stream of frames; empty for what is
            always stored.
        is_default: Whether ``[features] modalities`` lists it unless set.
        has_steps: Whether a clip gives a sequence of embeddings rather than one at most.
        network_group: Modalities of one group share their settings in [network] and [train]: ``GROUP_aggregator``
            and ``GROUP_rate``.
    """

    name: str
    kind: str
    stream: str
    backbone: str
    rate_setting: str = ""
    is_default: bool = True
    has_steps: bool = True
    network_group: str = _DEFAULT_GROUP

    @property
    def is_decoded(self) -> bool:
        """Whether it is read from the decoded clip rather than from its record."""
        return bool(self.stream)

    @property
    def absent_codes(self) -> tuple[str, ...]:
        """Codes of the clips that never had it."""
        return _ABSENT_CODES[self.stream]


_ALL = (
    Modality("frames", "image", "frames", "bundled:efficientnet_lite0"),
    # Motion needs a second stream of frames, which Decode stores only when it is asked to.
    Modality("motion", "video", "frames", "torchvision:r3d_18", "motion_frames_per_second", is_default=False),
    Modality("audio", "sound", "sound", "dsp:logmel", network_group="audio"),
    Modality("cover", "image", "cover", "bundled:efficientnet_lite0", has_steps=False),
    Modality("text", "text", "", "bundled:all-minilm-l6-v2", network_group="text"),
)

# Name -> entry; the order is that of every listing.
MODALITIES = MappingProxyType({modality.name: modality for modality in _ALL})


def names_of_kind(*kinds: str) -> tuple[str, ...]:
    """Return the modalities of some kinds, in the order of the table."""
    return tuple(name for name, entry in MODALITIES.items() if entry.kind in kinds)


def names_of_stream(*streams: str) -> tuple[str, ...]:
    """Return the modalities that are read from some parts of a decoded clip, in the order of the table."""
    return tuple(name for name, entry in MODALITIES.items() if entry.stream in streams)


# The one modality whose steps are tokens, with token ids; a long text is cut after its first tokens.
(TEXT,) = names_of_kind("text")


def has_steps(name: str) -> bool:
    """Return whether a clip has a sequence of embeddings of the modality; True for one outside the table."""
    return name not in MODALITIES or MODALITIES[name].has_steps


def network_group(name: str) -> str:
    """Return the group whose network settings apply to a modality; ``frames`` for one outside the table."""
    return MODALITIES[name].network_group if name in MODALITIES else _DEFAULT_GROUP
