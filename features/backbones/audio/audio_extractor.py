"""``transformers:ID``: any audio encoder of transformers, in windows of sound."""

from __future__ import annotations

import json
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import transformers

from features.backbones.audio.audio_models import SoundBackbone, longest_window_seconds, sound_backbone
from features.backbones.audio.logmel import SAMPLE_RATE_HZ
from features.backbones.audio.sound_windows import Window, WindowSizes, check_sample_rate, windows
from features.backbones.extractor.streaming import BatchSettings, Item, embed_clips
from features.backbones.pretrained.transformers_models import Pretrained, quiet
from features.backbones.runtime.runner import RuntimeSettings, load_runner
from features.base.errors import SettingError, ShardError, SourceError
from features.base.parallel import num_cpus
from features.base.versions import tool_versions

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from features.backbones.extractor.config import ExtractConfig
    from features.backbones.extractor.streaming import Piece
    from features.backbones.runtime.runner import Inputs, Runner
    from features.formats.clip_data import ClipFeatures, Float32, Sound

EMBEDDING_NDIM = 2


class SoundExtractor:
    """One embedding for each window of sound.

    Windows begin every ``hop_seconds`` until every sample is covered. The last one may be shorter than the
    others, and sound shorter than a window gives one window over what there is: the model's own feature
    extractor fills it up, and what is filled up has no part in a mean over steps. The time of a window is its
    centre. Silence is embedded as any other sound. A sample that is not finite makes the clip a problem.
    """

    def __init__(self, config: ExtractConfig, backbone: SoundBackbone, told: Mapping[str, str]) -> None:
        self._sizes = WindowSizes.of_seconds(config.window_seconds, config.hop_seconds)
        self._prepare = backbone.prepare
        examples = [_batch(backbone, sounds) for sounds in _probe_sounds(self._sizes.window)]
        settings = RuntimeSettings(config.device, config.runtime, config.num_threads)
        self._runner: Runner = load_runner(backbone.network, examples, settings)
        self._dim = _width(config.backbone, self._runner(*examples[0]))
        self._batches = BatchSettings(config.batch_size, config.workers or num_cpus())
        self._provenance = {
            **told,
            "backbone": config.backbone,
            "runtime": self._runner.name,
            "versions": tool_versions(
                *("transformers", "torchaudio", "scipy", "numpy", "torch"),
                self._runner.name.split(maxsplit=1)[0],
            ),
        }

    @property
    def dim(self) -> int:
        """Width D of the embeddings."""
        return self._dim

    @property
    def provenance(self) -> Mapping[str, str]:
        """How the features come about, one line for each of ``PROVENANCE_KEYS``."""
        return MappingProxyType(self._provenance)

    def extract(self, clips: Iterable[Sound | None]) -> Iterator[ClipFeatures]:
        """Yield ``(T, D)`` embeddings per clip, in order.

        Raises:
            SettingError: The sound has another sample rate than 16 kHz.
        """
        return embed_clips(clips, self._pieces, self._runner, self._dim, self._batches)

    def _pieces(self, sound: Sound) -> Iterator[Piece]:
        check_sample_rate(sound, self._provenance["backbone"])
        for window in windows(sound, self._sizes):
            yield partial(self._items, window, sound.start_seconds)

    def _items(self, window: Window, start_seconds: float) -> list[Item]:
        if not np.isfinite(window.samples).all():
            raise ShardError(
                f"sound has samples that are not finite, about {window.centre_seconds:.1f} s after its start: "
                "decode the clip again"
            )
        time_seconds = window.centre_seconds + start_seconds
        return [Item.of_one_step(*self._prepare(window.samples), time_seconds=time_seconds)]


def load(config: ExtractConfig) -> SoundExtractor:
    """Return the extractor with the model's own feature extractor.

    Raises:
        SettingError: The window is longer than what the model takes at once.
        SourceError: The model or its feature extractor is missing, damaged, or of no use for sound.
    """
    pretrained = Pretrained(config.name, config.revision)
    with quiet():
        extractor = pretrained.part(transformers.AutoFeatureExtractor.from_pretrained, "audio feature extractor")
        _check(extractor, config)
        model, lacking = pretrained.network()
        has_pooler = not any("pooler." in name for name in lacking)
        window = WindowSizes.of_seconds(config.window_seconds, config.hop_seconds).window
        backbone = sound_backbone(model.eval(), extractor, window, has_pooler=has_pooler)
        told = {"weights_sha256": pretrained.digest(), "preprocessing": _preprocessing(extractor, backbone, config)}
        return SoundExtractor(config, backbone, told)


# Any, here and below: transformers' feature extractors have no common type.
def _check(extractor: Any, config: ExtractConfig) -> None:  # noqa: ANN401
    if not isinstance(extractor, transformers.SequenceFeatureExtractor):
        raise SourceError(
            f"model {config.name!r} has a {type(extractor).__name__}, which takes no sound: choose an audio encoder"
        )
    limit = longest_window_seconds(extractor)
    if config.window_seconds > limit:
        raise SettingError(
            f"window_seconds {config.window_seconds:g} is too long for {config.backbone}: "
            f"the model takes at most {limit:g} seconds at once"
        )


def _preprocessing(extractor: Any, backbone: SoundBackbone, config: ExtractConfig) -> str:  # noqa: ANN401
    settings = extractor.to_dict()
    told = {key: value for key, value in settings.items() if isinstance(value, (bool, int, float, str))}
    told.pop("feature_extractor_type", None)
    rate_hz = extractor.sampling_rate
    resampled = "" if rate_hz == SAMPLE_RATE_HZ else f" resampled to {rate_hz} Hz (nothing above 8000 Hz)"
    return (
        f"mono 16 kHz in windows of {config.window_seconds:g} s every {config.hop_seconds:g} s{resampled}; "
        f"{type(extractor).__name__} {json.dumps(told, sort_keys=True)}; {backbone.rule}; "
        "time is the window's centre"
    )


def _probe_sounds(window_samples: int) -> list[list[Float32]]:
    """Return batches of two and of three unlike windows, two of them short, always the same."""
    seconds = np.arange(window_samples) / SAMPLE_RATE_HZ
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, window_samples)
    tone = 0.4 * np.sin(2 * np.pi * 440 * seconds)
    sweep = 0.3 * np.sin(2 * np.pi * (200 + 900 * seconds) * seconds)
    short = noise[: max(1, window_samples * 2 // 3)]
    shorter = tone[: max(1, window_samples // 4)]
    return [[sound.astype(np.float32) for sound in batch] for batch in ((noise, short), (tone, sweep, shorter))]


def _batch(backbone: SoundBackbone, sounds: list[Float32]) -> Inputs:
    columns = zip(*(backbone.prepare(samples) for samples in sounds), strict=True)
    return tuple(np.stack(column) for column in columns)


def _width(backbone: str, embeddings: Float32) -> int:
    if embeddings.ndim != EMBEDDING_NDIM:
        raise SourceError(
            f"backbone {backbone!r} gives shape {embeddings.shape}, not one embedding (D,) for each window: "
            "choose an audio encoder"
        )
    width: int = embeddings.shape[1]
    return width
