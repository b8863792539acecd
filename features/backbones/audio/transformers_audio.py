"""``transformers:ID``: any audio encoder of transformers, in windows of sound."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import transformers

from features.backbones.audio.audio_models import longest_window_seconds, sound_model
from features.backbones.audio.sound_windows import Window, WindowSizes, check_sample_rate, windows
from features.backbones.extractor.extractor import Backbone, NetworkExtractor, one_step
from features.backbones.pretrained.transformers_models import Pretrained, quiet
from features.base.errors import SettingError, ShardError, SourceError
from features.formats.tar_shard import SAMPLE_RATE_HZ

if TYPE_CHECKING:
    from collections.abc import Iterator

    from features.backbones.extractor.extract_config import ExtractConfig
    from features.backbones.extractor.extractor import StepLabels
    from features.backbones.extractor.streaming import Item, Piece
    from features.backbones.runtime.runner import Inputs
    from features.formats.clip_data import Float32, Sound


class SoundExtractor(NetworkExtractor["Sound"]):
    """One embedding for each window of sound.

    Windows begin every ``hop_seconds`` until every sample is covered. The last one may be shorter than the
    others, and sound shorter than a window gives one window over what there is: the model's own feature
    extractor fills it up, and what is filled up has no part in a mean over steps. The time of a window is its
    centre. Silence is embedded as any other sound. A sample that is not finite makes the clip a problem.
    """

    step = "window"
    advice = "an audio encoder"

    def __init__(self, config: ExtractConfig, backbone: Backbone) -> None:
        self._sizes = WindowSizes.of_seconds(config.window_seconds, config.hop_seconds)
        examples = [_batch(backbone, sounds) for sounds in _probe_sounds(self._sizes.window)]
        super().__init__(config, backbone, examples, checks_full_batch=False)

    def pieces(self, clip: Sound) -> Iterator[Piece[StepLabels, Float32]]:
        """Yield a call for each window.

        Raises:
            SettingError: The sound has another sample rate than 16 kHz.
        """
        check_sample_rate(clip, self.provenance["backbone"])
        for window in windows(clip, self._sizes):
            yield partial(self._items, window, clip.start_seconds)

    def _items(self, window: Window, start_seconds: float) -> list[Item[StepLabels]]:
        if not np.isfinite(window.samples).all():
            raise ShardError(
                f"sound has samples that are not finite, about {window.centre_seconds:.1f} s after its start: "
                "decode the clip again"
            )
        time_seconds = window.centre_seconds + start_seconds
        return [one_step(*self.prepare(window.samples), time_seconds=time_seconds)]


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
        sound = sound_model(model.eval(), extractor, window, has_pooler=has_pooler)
        return SoundExtractor(
            config,
            Backbone(
                network=sound.network,
                prepare=sound.prepare,
                preprocessing=_preprocessing(extractor, sound.rule, config),
                weights_sha256=pretrained.digest(),
                packages=("transformers", "torchaudio", "scipy", "numpy"),
            ),
        )


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


def _preprocessing(extractor: Any, rule: str, config: ExtractConfig) -> str:  # noqa: ANN401
    settings = extractor.to_dict()
    plain = {key: value for key, value in settings.items() if isinstance(value, (bool, int, float, str))}
    plain.pop("feature_extractor_type", None)
    rate_hz = extractor.sampling_rate
    resampled = "" if rate_hz == SAMPLE_RATE_HZ else f" resampled to {rate_hz} Hz (nothing above 8000 Hz)"
    return (
        f"mono 16 kHz in windows of {config.window_seconds:g} s every {config.hop_seconds:g} s{resampled}; "
        f"{type(extractor).__name__} {json.dumps(plain, sort_keys=True)}; {rule}; "
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


def _batch(backbone: Backbone, sounds: list[Float32]) -> Inputs:
    columns = zip(*(backbone.prepare(samples) for samples in sounds), strict=True)
    return tuple(np.stack(column) for column in columns)
