"""The protocol of extractors, the base class of those in this package, and how one is loaded.

An extractor takes the clips of one modality as they come and yields one ``ClipFeatures`` for each of them, in
the same order. A clip that lacks the modality is ``None`` and gives a ``ClipFeatures`` without steps.

========  =========================  ==========================================================
modality  one clip is                one step of its features is
========  =========================  ==========================================================
frames    ``Iterable[Picture]``      one picture
cover     ``Iterable[Picture]``      the one picture
motion    ``Iterable[Picture]``      a window of successive pictures
audio     ``Sound``                  a window of sound
text      ``Mapping[str, str]``      one token of one field (title, asr, ocr: field -> its text)
========  =========================  ==========================================================
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections import OrderedDict
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from features.backbones.extractor.streaming import BatchSettings, Item, stream_clips
from features.backbones.families import load_function
from features.base.errors import SourceError, ToolError
from features.base.machine import tool_versions
from features.base.modalities import MODALITIES
from features.base.parallel import num_cpus
from features.formats.clip_data import ClipFeatures, Float32, Int32, UInt8

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from torch import nn

    from features.backbones.extractor.extract_config import ExtractConfig
    from features.backbones.extractor.streaming import Piece, StreamedClip
    from features.backbones.runtime.runner import Inputs, Runner

InputT = TypeVar("InputT")
InputT_contra = TypeVar("InputT_contra", contravariant=True)

# The keys that every extractor's provenance has; all values are text of one line.
PROVENANCE_KEYS = ("backbone", "weights_sha256", "preprocessing", "runtime", "versions")
# Extractors that are kept for the next caller: those of frames and cover, for example, are mostly the same.
MAX_KEPT_EXTRACTORS = 2
# Where the libraries look for weights that a setting names.
_WEIGHT_FOLDERS = ("TORCH_HOME", "HF_HOME", "HF_HUB_CACHE")
ROWS_NDIM = 2


class Extractor(Protocol[InputT_contra]):
    """A frozen backbone, ready to run: pictures, sound or text in, ``ClipFeatures`` out."""

    @property
    def dim(self) -> int:
        """Width D of the features."""
        ...

    @property
    def provenance(self) -> Mapping[str, str]:
        """How the features come about, one line for each of ``PROVENANCE_KEYS``."""
        ...

    @property
    def network_seconds(self) -> float:
        """Wall time in which the network ran since it was loaded; 0 where there is none."""
        ...

    def extract(self, clips: Iterable[InputT_contra | None]) -> Iterator[ClipFeatures]:
        """Yield the features of each clip, one for each and in the same order.

        ``None`` and an empty clip give T = 0; a ``ShardError`` while a clip is read becomes its ``problem``.
        ``clips`` is consumed in another thread as batches fill, never as a whole, and a clip is done with
        when the next one is asked for; the same clips and settings give the same bytes.
        """
        ...


@dataclass(frozen=True)
class StepLabels:
    """Labels of the n steps of a clip's features that come of one item.

    Attributes:
        time_seconds: ``(n,)`` their times; the network gives at least n rows for the item, or, where its
            output has no dimension for steps, one.
        token_id: ``(n,)`` token of each step, ``None`` where steps are no tokens.
        field_id: ``(n,)`` text field of each step, ``None`` where steps are no tokens.
    """

    time_seconds: Float32
    token_id: Int32 | None = None
    field_id: UInt8 | None = None


@dataclass(frozen=True)
class Backbone:
    """A network with its preprocessing.

    Attributes:
        network: The arrays of an item in, each with a batch dimension; ``(B, D)`` out, or ``(B, L, D)`` for text.
        prepare: Returns arrays that the network takes; its argument depends on the kind. Any thread may call it.
        preprocessing: The same in words, on one line.
        weights_sha256: Digest of the weights.
        packages: Installed packages whose version matters, torch and the runtime's apart.
    """

    network: nn.Module
    prepare: Callable[[Any], Any]
    preprocessing: str
    weights_sha256: str
    packages: tuple[str, ...]


class BatchedExtractor(ABC, Generic[InputT]):
    """An extractor that streams clips through batches; a modality adds how a clip becomes items.

    Args:
        config: The settings.
        dim: Width D of the features.
        provenance: As :class:`Extractor` has it.
        runner: The network; ``None`` for features that are computed while they are prepared.
    """

    def __init__(
        self, config: ExtractConfig, dim: int, provenance: Mapping[str, str], runner: Runner | None = None
    ) -> None:
        self.dim = dim
        self.provenance = MappingProxyType(dict(provenance))
        self._runner = runner
        self._batches = BatchSettings(config.batch_size, config.workers or num_cpus())

    @property
    def network_seconds(self) -> float:
        """Wall time in which the network ran since it was loaded; 0 where there is none."""
        return 0.0 if self._runner is None else self._runner.busy.seconds

    @abstractmethod
    def pieces(self, clip: InputT) -> Iterator[Piece[StepLabels, Float32]]:
        """Yield calls that return the items of a part of a clip."""

    def extract(self, clips: Iterable[InputT | None]) -> Iterator[ClipFeatures]:
        """Yield the features of each clip, ``(T, D)``, in order."""
        return embed_clips(clips, self.pieces, self._runner, self.dim, self._batches)


class NetworkExtractor(BatchedExtractor[InputT]):
    """A batched extractor with a network, which is compared with plain torch when it is loaded.

    Args:
        config: The settings.
        backbone: The network.
        examples: Inputs of the network that differ in every dimension that may differ later; the last is run once more.
        checks_full_batch: Whether a batch of ``batch_size`` is part of the comparison.

    Raises:
        SourceError: The output has another number of dimensions than ``output_ndim``.
        SettingError, ToolError: As ``load_runner``.
    """

    # Dimensions of the network's output, what one vector of it represents, and what to choose where it has others.
    output_ndim: ClassVar[int] = ROWS_NDIM
    step: ClassVar[str]
    advice: ClassVar[str]

    def __init__(
        self, config: ExtractConfig, backbone: Backbone, examples: Sequence[Inputs], *, checks_full_batch: bool
    ) -> None:
        from features.backbones.runtime.runner import load_runner  # noqa: PLC0415 - loads torch

        runner = load_runner(
            backbone.network,
            examples,
            device=config.device,
            runtime=config.runtime,
            num_threads=config.num_threads,
            batch_size=config.batch_size if checks_full_batch else None,
        )
        shape = runner.start(*examples[-1])().shape
        if len(shape) != self.output_ndim:
            raise SourceError(
                f"backbone {config.backbone!r} gives shape {shape}, not one embedding (D,) for each {self.step}: "
                f"choose {self.advice}"
            )
        provenance = {
            "backbone": config.backbone,
            "weights_sha256": backbone.weights_sha256,
            "preprocessing": backbone.preprocessing,
            "runtime": runner.name,
            "versions": tool_versions(*backbone.packages, "torch", runner.name.split(maxsplit=1)[0]),
        }
        super().__init__(config, shape[-1], provenance, runner)
        self.prepare = backbone.prepare


def embed_clips(
    clips: Iterable[InputT | None],
    pieces: Callable[[InputT], Iterable[Piece[StepLabels, Float32]]],
    runner: Runner | None,
    dim: int,
    settings: BatchSettings,
) -> Iterator[ClipFeatures]:
    """Yield the features of each clip, in order; see :func:`stream_clips`.

    The network of ``runner`` gives ``(B, D)`` or ``(B, L, D)`` for a batch of B items.
    """
    model = None if runner is None else _FeatureModel(runner)
    for clip in stream_clips(clips, pieces, model, settings):
        yield _features(clip, dim)


class _FeatureModel:
    """A runner as :func:`stream_clips` takes it: one array of rows for each item."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self.max_in_flight = runner.max_in_flight

    def start(
        self, arrays: tuple[npt.NDArray[Any], ...], marks: Sequence[StepLabels]
    ) -> Callable[[], Sequence[Float32]]:
        result = self._runner.start(*arrays)
        return lambda: _rows(result(), marks)


def _rows(output: Float32, marks: Sequence[StepLabels]) -> list[Float32]:
    sizes = [labels.time_seconds.size for labels in marks]
    longest = max(sizes)
    if len(output) < len(marks) or (1 if output.ndim == ROWS_NDIM else output.shape[1]) < longest:
        raise ToolError(
            f"a network gave an output of shape {output.shape} for {len(marks)} inputs of up to {longest} steps:"
            " set runtime to torch, and please report this"
        )
    # Copies, so that the batch's output can go. It has more rows than marks where it was filled up.
    steps = output[:, None] if output.ndim == ROWS_NDIM else output
    return [rows[:size].copy() for rows, size in zip(steps, sizes, strict=False)]


def _features(clip: StreamedClip[StepLabels, Float32], dim: int) -> ClipFeatures:
    features = [np.zeros((0, dim), np.float32)]
    times = [np.zeros(0, np.float32)]
    tokens: list[Int32] = []
    fields: list[UInt8] = []
    for labels, rows in clip.results():
        features.append(rows)
        times.append(labels.time_seconds)
        if labels.token_id is not None and labels.field_id is not None:
            tokens.append(labels.token_id)
            fields.append(labels.field_id)
    return ClipFeatures(
        np.concatenate(features),
        np.concatenate(times),
        np.concatenate(tokens) if tokens else None,
        np.concatenate(fields) if fields else None,
        problem=clip.problem,
    )


def one_step(*arrays: npt.NDArray[Any], time_seconds: float) -> Item[StepLabels]:
    """Return an item of which the network makes one row."""
    return Item(arrays, StepLabels(np.array([time_seconds], np.float32)))


# The latest extractors by what decides them, the least recently used one first.
_kept: OrderedDict[object, Extractor[Any]] = OrderedDict()


# Any: whether pictures, sound or text go in is known at run time only.
def load_extractor(config: ExtractConfig) -> Extractor[Any]:
    """Return the extractor, its weights loaded and its runtime checked; of an equal one that was loaded before, that.

    The two latest extractors of the process are kept, so that modalities with the same backbone (frames and cover)
    load it once. One extractor takes clips of one caller at a time.

    Raises:
        SettingError: The backbone does not exist, or a setting does not suit it.
        SourceError: Its weights are missing, damaged or incomplete.
        ToolError: A package that it needs is not installed, or the runtime asked for does not work.
    """
    folders = tuple(map(os.environ.get, _WEIGHT_FOLDERS))
    # Extractors of one kind differ in nothing but their settings.
    kind = MODALITIES[config.modality].kind
    alike = next(name for name, entry in MODALITIES.items() if entry.kind == kind)
    key = (replace(config, modality=alike), config.weights_identity(), folders)
    if key in _kept:
        _kept.move_to_end(key)
    else:
        extractor: Extractor[Any] = load_function(config.family.loader)(config)
        _kept[key] = extractor
        while len(_kept) > MAX_KEPT_EXTRACTORS:
            _kept.popitem(last=False)
    return _kept[key]


def forget_extractors() -> None:
    """Release the extractors that are kept for the next caller."""
    _kept.clear()
