"""How each kind of transformers model listens to a window of sound, and what of its output is the embedding.

The embedding of a window is, by the first rule that fits:

1. CLAP: ``get_audio_features``, the one that can be compared with the text tower. A window is shorter than
   what the model takes, so nothing of it is cut out at random, and the branch for longer sound is not used;
2. AST: ``pooler_output``;
3. Whisper: the mean of the encoder's last hidden state over the steps that the window covers, not over its
   filling up to 30 s;
4. wav2vec2, HuBERT, WavLM, data2vec and their like: the mean of the last hidden state over the steps that
   hold sound, with an attention mask where the model was trained with one;
5. any other: ``pooler_output`` if there is one, else the mean of the last hidden state over the share of its
   steps that holds sound.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
import transformers

from features.backbones.audio.audio_networks import MeanOverSound, PooledSound, SharedSpace
from features.backbones.audio.logmel import SAMPLE_RATE_HZ
from features.backbones.audio.resampling import resample
from features.base.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn

    from features.formats.clip_data import Float32

HIDDEN_NDIM = 3
# AST looks at 25 ms every 10 ms, whatever its settings.
AST_FRAME_SAMPLES = 400
AST_FRAMES_PER_SECOND = 100
# What a model raises that cannot do with the arrays it is given.
RUN_ERRORS = (TypeError, ValueError, RuntimeError, AttributeError, KeyError, IndexError)


@dataclass(frozen=True)
class SoundBackbone:
    """A network with what it wants to hear.

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
    """Return how much sound the model takes at once; infinite where nothing in it says so."""
    if isinstance(extractor, transformers.ClapFeatureExtractor):
        return float(extractor.max_length_s)
    if isinstance(extractor, transformers.ASTFeatureExtractor):
        return float(extractor.max_length / AST_FRAMES_PER_SECOND)
    if isinstance(extractor, transformers.WhisperFeatureExtractor):
        return float(extractor.chunk_length)
    return math.inf


def sound_backbone(model: Any, extractor: Any, window_samples: int, *, has_pooler: bool) -> SoundBackbone:  # noqa: ANN401
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
                return _pooled(model, front, AST_FRAME_SAMPLES)
            if isinstance(extractor, transformers.WhisperFeatureExtractor):
                return _covered_steps(model.get_encoder(), front)
            if isinstance(extractor, transformers.Wav2Vec2FeatureExtractor) and hasattr(model.config, "conv_stride"):
                return _wave(model, front, window_samples)
            return _other(model, front, window_samples, has_pooler=has_pooler)
    except RUN_ERRORS as error:
        reason = " ".join((str(error) or type(error).__name__).split())[:200]
        raise SourceError(
            f"{type(model).__name__} does not run on sound alone ({reason}): choose an audio encoder"
        ) from error


class _Front:
    """A feature extractor with the way to it from 16 kHz."""

    def __init__(self, extractor: Any) -> None:  # noqa: ANN401
        self.extractor = extractor
        self.rate_hz = int(extractor.sampling_rate)

    def samples_at_rate(self, num_samples: int) -> int:
        """Return how many samples at the model's rate stand for ``num_samples`` at 16 kHz."""
        return math.ceil(num_samples * self.rate_hz / SAMPLE_RATE_HZ)

    def arrays(self, samples: Float32, **options: Any) -> dict[str, npt.NDArray[Any]]:  # noqa: ANN401
        """Return the model's inputs for samples at its rate, without the batch dimension, float32 or int64."""
        found = self.extractor(samples, sampling_rate=self.rate_hz, return_tensors="np", **options)
        return {name: _typed(np.asarray(value)[0]) for name, value in found.items()}


def _shared_space(model: Any, front: _Front) -> SoundBackbone:  # noqa: ANN401
    def prepare(samples: Float32) -> tuple[npt.NDArray[Any], ...]:
        return (front.arrays(resample(samples, front.rate_hz))["input_features"],)

    return SoundBackbone(SharedSpace(model), prepare, "audio features of the shared space")


def _pooled(model: nn.Module, front: _Front, least_samples: int) -> SoundBackbone:
    def prepare(samples: Float32) -> tuple[npt.NDArray[Any], ...]:
        return (front.arrays(_filled(resample(samples, front.rate_hz), least_samples))["input_values"],)

    return SoundBackbone(PooledSound(model, "input_values"), prepare, "pooler output")


def _covered_steps(encoder: Any, front: _Front) -> SoundBackbone:  # noqa: ANN401
    num_steps = int(encoder.config.max_source_positions)
    total_samples = int(front.extractor.n_samples)

    def prepare(samples: Float32) -> tuple[npt.NDArray[Any], ...]:
        resampled = resample(samples, front.rate_hz)
        covered = math.ceil(num_steps * resampled.size / total_samples)
        return front.arrays(resampled)["input_features"], _weights(covered, num_steps)

    rule = "mean of the encoder's last hidden state over the steps that the window covers"
    return SoundBackbone(MeanOverSound(encoder, ("input_features",)), prepare, rule)


def _wave(model: Any, front: _Front, window_samples: int) -> SoundBackbone:  # noqa: ANN401
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

    def prepare(samples: Float32) -> tuple[npt.NDArray[Any], ...]:
        sound = _filled(resample(samples, front.rate_hz), least)
        # The mask makes the extractor normalise the sound alone, and fill up with zeros behind it.
        arrays = front.arrays(sound, padding="max_length", max_length=full, return_attention_mask=True)
        return (*(arrays[name] for name in names), _weights(steps_of(sound.size), steps_of(full)))

    with_mask = "with an attention mask" if masked else "filled up with zeros, without an attention mask"
    rule = f"mean of the last hidden state over the steps that hold sound, {with_mask}"
    return SoundBackbone(MeanOverSound(model, names), prepare, rule)


def _other(model: Any, front: _Front, window_samples: int, *, has_pooler: bool) -> SoundBackbone:  # noqa: ANN401
    network = model.get_encoder() if getattr(model.config, "is_encoder_decoder", False) else model
    full = front.samples_at_rate(window_samples)
    inputs = front.arrays(np.random.default_rng(0).uniform(-0.5, 0.5, full).astype(np.float32))
    names = tuple(name for name in front.extractor.model_input_names if name in inputs)
    output = network(**{name: torch.from_numpy(inputs[name])[None] for name in names})
    pooled = getattr(output, "pooler_output", None)
    if has_pooler and pooled is not None and len(names) == 1:

        def prepare_pooled(samples: Float32) -> tuple[npt.NDArray[Any], ...]:
            return (front.arrays(_filled(resample(samples, front.rate_hz), full))[names[0]],)

        return SoundBackbone(PooledSound(network, names[0]), prepare_pooled, "pooler output")
    hidden = output.last_hidden_state
    if hidden.ndim != HIDDEN_NDIM:
        raise ValueError(f"its last hidden state has shape {tuple(hidden.shape)}, not (B, L, D)")
    num_steps = hidden.shape[1]

    def prepare(samples: Float32) -> tuple[npt.NDArray[Any], ...]:
        sound = resample(samples, front.rate_hz)
        arrays = front.arrays(_filled(sound, full))
        covered = math.ceil(num_steps * sound.size / full)
        return (*(arrays[name] for name in names), _weights(covered, num_steps))

    rule = "mean of the last hidden state over the share of its steps that holds sound"
    return SoundBackbone(MeanOverSound(network, names), prepare, rule)


def _filled(samples: Float32, least: int) -> Float32:
    """Return the samples with zeros behind them up to ``least``."""
    return np.pad(samples, (0, max(0, least - samples.size)))


def _weights(covered: int, num_steps: int) -> Float32:
    """Return ``(L,)`` ones for the covered steps, and zeros."""
    return (np.arange(num_steps) < covered).astype(np.float32)


def _typed(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return array.astype(np.float32 if array.dtype.kind == "f" else np.int64)
