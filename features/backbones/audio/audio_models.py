"""How each kind of transformers model takes a window of sound, and what of its output is the embedding.

The embedding of a window is, by the first rule that fits:

1. CLAP: ``get_audio_features``, the one that can be compared with the text tower. A window is shorter than
   what the model takes, so random cropping never applies, and the branch for longer sound is not used;
2. AST: ``pooler_output``;
3. Whisper: the mean of the encoder's last hidden state over the steps that the window covers, not over its
   filling up to 30 s;
4. wav2vec2, HuBERT, WavLM, data2vec and their like: the mean of the last hidden state over the steps that
   hold sound, with an attention mask where the model was trained with one;
5. any other: ``pooler_output`` if there is one, else the mean of the last hidden state over the share of its
   steps that holds sound.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
import transformers
from scipy.signal import firwin, resample_poly
from torch import nn

from features.base.errors import SourceError, one_line
from features.formats.tar_shard import SAMPLE_RATE_HZ

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from features.formats.clip_data import Float32

HIDDEN_NDIM = 3
# AST's spectrum covers 25 ms every 10 ms, whatever its settings.
AST_FRAME_SAMPLES = 400
AST_FRAMES_PER_SECOND = 100
# Zero crossings of the low-pass filter on each side of its centre, and the shape of its Kaiser window: what
# is 10 % above the lower of the two Nyquist frequencies is 80 dB down.
FILTER_CROSSINGS = 32
KAISER_BETA = 9.0
# What a model raises for arrays that it cannot use.
RUN_ERRORS = (TypeError, ValueError, RuntimeError, AttributeError, KeyError, IndexError)


@dataclass(frozen=True)
class SoundModel:
    """A network with its preprocessing.

    Attributes:
        network: The arrays of a batch of windows in, ``(B, D)`` out.
        prepare: ``(S,)`` samples at 16 kHz in, S from 1 to the window; the network's arrays out, without the
            batch dimension, of the same shapes whatever S is. Any thread may call it.
        rule: What the embedding is, in words.
    """

    network: nn.Module
    prepare: Callable[[Float32], tuple[npt.NDArray[Any], ...]]
    rule: str


# Any, here and below: transformers' models and feature extractors have no common type.
def longest_window_seconds(extractor: Any) -> float:  # noqa: ANN401
    """Return how much sound the model takes at once; infinite where it states no limit."""
    if isinstance(extractor, transformers.ClapFeatureExtractor):
        return float(extractor.max_length_s)
    if isinstance(extractor, transformers.ASTFeatureExtractor):
        return float(extractor.max_length / AST_FRAMES_PER_SECOND)
    if isinstance(extractor, transformers.WhisperFeatureExtractor):
        return float(extractor.chunk_length)
    return math.inf


def sound_model(model: Any, extractor: Any, window_samples: int, *, has_pooler: bool) -> SoundModel:  # noqa: ANN401
    """Return the model with the first rule that fits it, for windows of so many samples at 16 kHz.

    Raises:
        SourceError: The model cannot run on sound alone.
    """
    front = _Front(extractor)
    try:
        with torch.inference_mode():
            if isinstance(extractor, transformers.ClapFeatureExtractor):
                return _shared_space(model, front)
            if isinstance(extractor, transformers.ASTFeatureExtractor):
                return _pooled(model, "input_values", front, AST_FRAME_SAMPLES)
            if isinstance(extractor, transformers.WhisperFeatureExtractor):
                return _covered_steps(model.get_encoder(), front)
            if isinstance(extractor, transformers.Wav2Vec2FeatureExtractor) and hasattr(model.config, "conv_stride"):
                return _wave(model, front, window_samples)
            return _other(model, front, window_samples, has_pooler=has_pooler)
    except RUN_ERRORS as error:
        reason = one_line(str(error) or type(error).__name__)[:200]
        raise SourceError(
            f"{type(model).__name__} does not run on sound alone ({reason}): choose an audio encoder"
        ) from error


class _Front:
    """A feature extractor with the way to it from 16 kHz."""

    def __init__(self, extractor: Any) -> None:  # noqa: ANN401
        self.extractor = extractor
        self.rate_hz = int(extractor.sampling_rate)

    def samples_at_rate(self, num_samples: int) -> int:
        """Return how many samples at the model's rate correspond to ``num_samples`` at 16 kHz."""
        return math.ceil(num_samples * self.rate_hz / SAMPLE_RATE_HZ)

    def arrays(self, samples: Float32, **options: Any) -> dict[str, npt.NDArray[Any]]:  # noqa: ANN401
        """Return the model's inputs for samples at its rate, without the batch dimension, float32 or int64."""
        found = self.extractor(samples, sampling_rate=self.rate_hz, return_tensors="np", **options)
        return {name: _typed(np.asarray(value)[0]) for name, value in found.items()}


@dataclass(frozen=True)
class _Prepare:
    """Returns the arrays of a window: resampled, filled up with zeros, through the feature extractor.

    Attributes:
        front: The feature extractor.
        names: Which of its arrays, in the order in which the network takes them.
        least: Samples at the model's rate up to which a window is filled up.
        options: Given to the feature extractor.
        weights: Samples of a window before it was filled up -> ``(L,)`` weights of the network's steps, which come
            last; ``None`` where it takes none.
    """

    front: _Front
    names: tuple[str, ...]
    least: int = 0
    options: Mapping[str, Any] = field(default_factory=dict)
    weights: Callable[[int], Float32] | None = None

    def __call__(self, samples: Float32) -> tuple[npt.NDArray[Any], ...]:
        sound = resample(samples, self.front.rate_hz)
        arrays = self.front.arrays(_filled(sound, self.least), **self.options)
        inputs = tuple(arrays[name] for name in self.names)
        return inputs if self.weights is None else (*inputs, self.weights(sound.size))


def _shared_space(model: Any, front: _Front) -> SoundModel:  # noqa: ANN401
    return SoundModel(SharedSpace(model), _Prepare(front, ("input_features",)), "audio features of the shared space")


def _pooled(model: nn.Module, name: str, front: _Front, least: int) -> SoundModel:
    return SoundModel(PooledSound(model, name), _Prepare(front, (name,), least), "pooler output")


def _covered_steps(encoder: Any, front: _Front) -> SoundModel:  # noqa: ANN401
    names = ("input_features",)
    # Every window is filled up to 30 s by the feature extractor itself.
    weights = _by_share(int(encoder.config.max_source_positions), int(front.extractor.n_samples))
    rule = "mean of the encoder's last hidden state over the steps that the window covers"
    return SoundModel(MeanOverSound(encoder, names), _Prepare(front, names, weights=weights), rule)


def _wave(model: Any, front: _Front, window_samples: int) -> SoundModel:  # noqa: ANN401
    # The fewest samples that give a step.
    least = 1
    for kernel, stride in zip(reversed(model.config.conv_kernel), reversed(model.config.conv_stride), strict=True):
        least = (least - 1) * stride + kernel
    full = max(least, front.samples_at_rate(window_samples))
    masked = bool(getattr(front.extractor, "return_attention_mask", False))
    names = ("input_values", "attention_mask") if masked else ("input_values",)

    def steps_of(num_samples: int) -> int:
        # Without its head the model has the steps of its front, with an adapter fewer.
        return int(model._get_feat_extract_output_lengths(num_samples))  # noqa: SLF001 - the only way to ask

    def weights(num_samples: int) -> Float32:
        return _weights(steps_of(max(num_samples, least)), steps_of(full))

    # The mask makes the extractor normalise the sound alone, and fill up with zeros behind it.
    options = {"padding": "max_length", "max_length": full, "return_attention_mask": True}
    with_mask = "with an attention mask" if masked else "filled up with zeros, without an attention mask"
    rule = f"mean of the last hidden state over the steps that hold sound, {with_mask}"
    return SoundModel(MeanOverSound(model, names), _Prepare(front, names, least, options, weights), rule)


def _other(model: Any, front: _Front, window_samples: int, *, has_pooler: bool) -> SoundModel:  # noqa: ANN401
    network = model.get_encoder() if getattr(model.config, "is_encoder_decoder", False) else model
    full = front.samples_at_rate(window_samples)
    inputs = front.arrays(np.random.default_rng(0).uniform(-0.5, 0.5, full).astype(np.float32))
    names = tuple(name for name in front.extractor.model_input_names if name in inputs)
    output = network(**{name: torch.from_numpy(inputs[name])[None] for name in names})
    if has_pooler and getattr(output, "pooler_output", None) is not None and len(names) == 1:
        return _pooled(network, names[0], front, full)
    hidden = output.last_hidden_state
    if hidden.ndim != HIDDEN_NDIM:
        raise ValueError(f"its last hidden state has shape {tuple(hidden.shape)}, not (B, L, D)")
    prepare = _Prepare(front, names, full, weights=_by_share(hidden.shape[1], full))
    rule = "mean of the last hidden state over the share of its steps that holds sound"
    return SoundModel(MeanOverSound(network, names), prepare, rule)


def _by_share(num_steps: int, total_samples: int) -> Callable[[int], Float32]:
    """Return the function that gives ones to the share of ``num_steps`` that some of ``total_samples`` cover."""
    return lambda num_samples: _weights(math.ceil(num_steps * num_samples / total_samples), num_steps)


def resample(samples: Float32, rate_hz: int) -> Float32:
    """Return ``(ceil(S rate / 16000),)`` samples at ``rate_hz`` of ``(S,)`` samples at 16 kHz.

    A polyphase filter with linear phase; before and after the sound there is silence. Nothing is added above
    8 kHz.
    """
    if rate_hz == SAMPLE_RATE_HZ:
        return samples
    up, down = _ratio(rate_hz)
    resampled: Float32 = resample_poly(samples.astype(np.float64), up, down, window=_low_pass(up, down)).astype(
        np.float32
    )
    return resampled


def _ratio(rate_hz: int) -> tuple[int, int]:
    common = math.gcd(rate_hz, SAMPLE_RATE_HZ)
    return rate_hz // common, SAMPLE_RATE_HZ // common


@functools.cache
def _low_pass(up: int, down: int) -> npt.NDArray[np.float64]:
    factor = max(up, down)
    taps: npt.NDArray[np.float64] = firwin(
        2 * FILTER_CROSSINGS * factor + 1, 1 / factor, window=("kaiser", KAISER_BETA)
    )
    return taps


def _filled(samples: Float32, least: int) -> Float32:
    """Return the samples with zeros behind them up to ``least``."""
    return np.pad(samples, (0, max(0, least - samples.size)))


def _weights(covered: int, num_steps: int) -> Float32:
    """Return ``(L,)`` ones for the covered steps, and zeros."""
    return (np.arange(num_steps) < covered).astype(np.float32)


def _typed(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return array.astype(np.float32 if array.dtype.kind == "f" else np.int64)


class SharedSpace(nn.Module):
    """``(B, 1 or 4, frames, bands)`` spectra to ``(B, D)`` embeddings in the space of the text tower."""

    # Any: transformers' models have no common type.
    def __init__(self, model: Any) -> None:  # noqa: ANN401
        super().__init__()
        self.model = model

    def forward(self, spectra: torch.Tensor) -> torch.Tensor:
        """Return the embeddings, of length 1."""
        is_longer = torch.zeros((spectra.shape[0], 1), dtype=torch.bool)
        features = self.model.get_audio_features(input_features=spectra, is_longer=is_longer)
        # Up to transformers 4 a tensor, from 5 on an output whose pooler_output is that tensor.
        tensor: torch.Tensor = getattr(features, "pooler_output", features)
        return tensor


class PooledSound(nn.Module):
    """``(B, ...)`` of one input to the ``(B, D)`` pooler output."""

    def __init__(self, model: nn.Module, name: str) -> None:
        super().__init__()
        self.model = model
        self.name = name

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Return the embeddings."""
        tensor: torch.Tensor = self.model(**{self.name: values}).pooler_output
        return tensor


class MeanOverSound(nn.Module):
    """Inputs and ``(B, L)`` weights, 1 where a step holds sound and else 0, to the ``(B, D)`` mean of those steps."""

    def __init__(self, model: nn.Module, names: tuple[str, ...]) -> None:
        super().__init__()
        self.model = model
        self.names = names

    def forward(self, *arrays: torch.Tensor) -> torch.Tensor:
        """Return the embeddings."""
        weights = arrays[-1][:, :, None]  # (B, L, 1)
        hidden = self.model(**dict(zip(self.names, arrays, strict=False))).last_hidden_state  # (B, L, D)
        mean: torch.Tensor = (hidden * weights).sum(dim=1) / weights.sum(dim=1)
        return mean
