from __future__ import annotations

import logging
import math
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from features.backbones.audio.transformers_audio import SoundExtractor, load
from features.backbones.extractor.extract_config import ExtractConfig
from features.base.errors import SettingError, SourceError
from features.formats.clip_data import ClipFeatures, Float32, Sound, Waveform
from tests.features.backbones import tiny_audio, tiny_models
from tests.features.backbones.tiny_audio import LIBRARY

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

WINDOW = 16_000
# A clip of one whole window and one of 0.44 s, which begins 0.56 s after the first.
CLIP = tiny_models.sound(16_000, seed=7)
TAIL = 7_040

# WavLM gives torch a mask of numbers beside one of truth values.
wavlm_masks = pytest.mark.filterwarnings("ignore:Support for mismatched key_padding_mask:UserWarning")


# Any: settings of several types.
def _config(backbone: str, **options: Any) -> ExtractConfig:  # noqa: ANN401
    chosen: dict[str, Any] = {
        "batch_size": 3,
        "runtime": "torch",
        "device": "cpu",
        "num_threads": 1,
        "workers": 1,
    } | options
    return ExtractConfig("audio", backbone, **chosen)


def _features(extractor: SoundExtractor, *clips: Waveform | None) -> list[ClipFeatures]:
    return list(extractor.extract([None if clip is None else clip.sound() for clip in clips]))


# What follows is the plain way of transformers: one window, no batch, no padding that the model does not need.


def _plain_ast(folder: Path, samples: Float32) -> torch.Tensor:
    model = LIBRARY.ASTModel.from_pretrained(folder).eval()
    extractor = LIBRARY.ASTFeatureExtractor.from_pretrained(folder)
    pooled: torch.Tensor = model(**extractor(samples, sampling_rate=16_000, return_tensors="pt")).pooler_output[0]
    return pooled


def _plain_clap(folder: Path, samples: Float32) -> torch.Tensor:
    model = LIBRARY.ClapModel.from_pretrained(folder).eval()
    extractor = LIBRARY.ClapFeatureExtractor.from_pretrained(folder)
    # Two zeros behind each sample, and a low-pass filter over them: a sinc of 32 crossings on each side under a
    # Kaiser window. CLAP takes the logarithm of bands that hold nothing, so the filter itself is heard.
    stuffed = np.zeros(3 * samples.size)
    stuffed[::3] = samples
    taps = np.sinc(np.arange(-96, 97) / 3) * np.kaiser(193, 9.0)
    resampled = np.convolve(stuffed, 3 * taps / taps.sum())[96:-96]
    inputs = extractor(resampled.astype(np.float32), sampling_rate=48_000, return_tensors="pt")
    inputs["is_longer"] = torch.tensor([[False]])
    output = model.get_audio_features(**inputs)
    features: torch.Tensor = getattr(output, "pooler_output", output)[0]
    return features


def _plain_masked_wave(folder: Path, samples: Float32) -> torch.Tensor:
    """Without filling up: what a mask should be equal to."""
    model = LIBRARY.AutoModel.from_pretrained(folder).eval()
    extractor = LIBRARY.Wav2Vec2FeatureExtractor.from_pretrained(folder)
    values = extractor(samples, sampling_rate=16_000, return_tensors="pt").input_values
    mean: torch.Tensor = model(values).last_hidden_state[0].mean(dim=0)
    return mean


def _plain_hubert(folder: Path, samples: Float32) -> torch.Tensor:
    """Normalised, filled up with zeros to the window, and no mask."""
    model = LIBRARY.HubertModel.from_pretrained(folder).eval()
    values = (samples - samples.mean()) / math.sqrt(samples.var() + 1e-7)
    values = np.pad(values, (0, WINDOW - values.size))
    num_steps = samples.size
    for kernel, stride in ((10, 5), (3, 2), (3, 2), (3, 2), (3, 2), (2, 2), (2, 2)):
        num_steps = (num_steps - kernel) // stride + 1
    mean: torch.Tensor = (
        model(torch.from_numpy(values.astype(np.float32))[None]).last_hidden_state[0, :num_steps].mean(dim=0)
    )
    return mean


def _plain_whisper(folder: Path, samples: Float32) -> torch.Tensor:
    model = LIBRARY.WhisperForConditionalGeneration.from_pretrained(folder).eval()
    extractor = LIBRARY.WhisperFeatureExtractor.from_pretrained(folder)
    spectrum = extractor(samples, sampling_rate=16_000, return_tensors="pt").input_features
    # One step of the encoder is 20 ms.
    num_steps = math.ceil(samples.size / 320)
    mean: torch.Tensor = model.model.encoder(spectrum).last_hidden_state[0, :num_steps].mean(dim=0)
    return mean


def _plain_wav2vec2_bert(folder: Path, samples: Float32) -> torch.Tensor:
    model = LIBRARY.Wav2Vec2BertModel.from_pretrained(folder).eval()
    extractor = LIBRARY.SeamlessM4TFeatureExtractor.from_pretrained(folder)
    whole = np.pad(samples, (0, WINDOW - samples.size))
    hidden = model(**extractor(whole, sampling_rate=16_000, return_tensors="pt")).last_hidden_state[0]
    mean: torch.Tensor = hidden[: math.ceil(hidden.shape[0] * samples.size / WINDOW)].mean(dim=0)
    return mean


@dataclass(frozen=True)
class Model:
    """A kind of model: how it is saved, and what it gives for a window when called plainly."""

    save: Callable[[Path], str]
    plain: Callable[[Path, Float32], torch.Tensor]


MODELS = {
    "ast": Model(tiny_audio.save_ast, _plain_ast),
    "clap": Model(tiny_audio.save_clap, _plain_clap),
    "fused clap": Model(tiny_audio.save_fused_clap, _plain_clap),
    "wav2vec2": Model(tiny_audio.save_wav2vec2, _plain_masked_wave),
    "hubert": Model(tiny_audio.save_hubert, _plain_hubert),
    "whisper": Model(tiny_audio.save_whisper, _plain_whisper),
    "wav2vec2-bert": Model(tiny_audio.save_wav2vec2_bert, _plain_wav2vec2_bert),
}


@pytest.fixture(scope="module", params=list(MODELS))
def kind(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Model, Path]:
    model = MODELS[request.param]
    folder = tmp_path_factory.mktemp("model")
    model.save(folder)
    return model, folder


@pytest.fixture(scope="module")
def whisper(tmp_path_factory: pytest.TempPathFactory) -> SoundExtractor:
    return load(_config(tiny_audio.save_whisper(tmp_path_factory.mktemp("whisper"))))


def test_windows_give_what_a_plain_call_of_the_model_gives(kind: tuple[Model, Path]) -> None:
    model, folder = kind
    extractor = load(_config(f"transformers:{folder}", hop_seconds=0.56))
    (found,) = _features(extractor, Waveform(CLIP.samples, 16_000))
    (longer,) = _features(extractor, Waveform(np.concatenate([CLIP.samples, CLIP.samples[:400]]), 16_000))
    assert found.features.shape == (1, extractor.dim)
    assert longer.features.shape == (2, extractor.dim)
    with torch.inference_mode():
        whole = model.plain(folder, CLIP.samples).numpy()
        short = model.plain(folder, np.concatenate([CLIP.samples, CLIP.samples[:400]])[8_960:]).numpy()
    np.testing.assert_allclose(found.features[0], whole, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(longer.features, [whole, short], rtol=1e-3, atol=1e-4)
    # The two differ by far more than the tolerance, so that neither can pass for the other.
    assert np.abs(whole - short).max() > 5e-3
    np.testing.assert_allclose(longer.time_seconds, [0.5, (8_960 + 16_400) / 2 / 16_000])


def test_openvino_gives_the_same_for_whole_and_short_windows(tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    model = MODELS["wav2vec2"]
    extractor = load(_config(model.save(tmp_path), runtime="openvino"))
    assert "openvino" in extractor.provenance["runtime"]
    sounds = [CLIP.samples, CLIP.samples[:TAIL]]
    found = _features(extractor, *(Waveform(samples, 16_000) for samples in sounds))
    for features, samples in zip(found, sounds, strict=True):
        with torch.inference_mode():
            expected = model.plain(tmp_path, samples).numpy()
        row = features.features[0]
        # bf16 where the processor has it.
        assert float(row @ expected / np.linalg.norm(row) / np.linalg.norm(expected)) > 0.999


@wavlm_masks
def test_wavlm_hears_through_its_mask_what_it_hears_without_filling_up(tmp_path: Path) -> None:
    extractor = load(_config(tiny_audio.save_wavlm(tmp_path)))
    (found,) = _features(extractor, Waveform(CLIP.samples[:TAIL], 16_000))
    with torch.inference_mode():
        expected = _plain_masked_wave(tmp_path, CLIP.samples[:TAIL]).numpy()
    np.testing.assert_allclose(found.features[0], expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("num_samples", [1, 10, 399, 400, 719])
def test_the_shortest_sounds_give_one_finite_embedding(kind: tuple[Model, Path], num_samples: int) -> None:
    extractor = tiny_models.load_once(_config(f"transformers:{kind[1]}"))
    (found,) = extractor.extract([Waveform(CLIP.samples[:num_samples], 16_000, 2.0).sound()])
    assert found.features.shape == (1, extractor.dim)
    assert np.isfinite(found.features).all()
    np.testing.assert_allclose(found.time_seconds, [2.0 + num_samples / 32_000])


def test_silence_is_embedded_like_any_sound(kind: tuple[Model, Path]) -> None:
    extractor = tiny_models.load_once(_config(f"transformers:{kind[1]}"))
    (found,) = extractor.extract([Waveform(np.zeros(40_000, np.float32), 16_000).sound()])
    assert found.features.shape == (4, extractor.dim)
    assert np.isfinite(found.features).all()
    assert not found.problem


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_sample_that_is_not_finite_spoils_its_clip_alone(whisper: SoundExtractor, bad: float) -> None:
    spoilt = tiny_models.sound(40_000, seed=8)
    spoilt.samples[30_000] = bad
    before, found, after = _features(whisper, CLIP, spoilt, CLIP)
    assert found.features.shape == (0, 24)
    assert found.problem == (
        "sound has samples that are not finite, about 1.5 s after its start: decode the clip again"
    )
    assert before.features.tobytes() == after.features.tobytes()
    assert before.features.shape == (1, 24)


def test_no_sound_and_empty_sound_give_no_steps(whisper: SoundExtractor) -> None:
    for found in _features(whisper, None, tiny_models.sound(0, seed=0)):
        assert found.features.shape == (0, 24)
        assert not found.problem


def test_another_sample_rate_is_refused(whisper: SoundExtractor) -> None:
    with pytest.raises(SettingError, match=r"sound with 48000 samples a second: transformers:.* needs 16000"):
        list(whisper.extract([Sound([CLIP.samples], 48_000)]))


def test_clap_never_cuts_at_random(tmp_path: Path) -> None:
    extractor = load(_config(tiny_audio.save_fused_clap(tmp_path), window_seconds=2.0, hop_seconds=1.0))
    clip = tiny_models.sound(64_000, seed=9)
    rows = []
    for seed in (0, 1):
        np.random.seed(seed)  # noqa: NPY002 - what the feature extractor would draw from
        rows.append(_features(extractor, clip)[0].features)
    assert rows[0].shape == (3, 16)
    assert rows[0].tobytes() == rows[1].tobytes()
    np.testing.assert_allclose(np.linalg.norm(rows[0], axis=1), 1.0, rtol=1e-4)


@pytest.mark.parametrize(
    ("save", "window_seconds", "limit"),
    [(tiny_audio.save_whisper, 2.1, "2"), (tiny_audio.save_clap, 2.1, "2"), (tiny_audio.save_ast, 1.29, "1.28")],
)
def test_a_window_longer_than_the_model_takes_is_refused(
    tmp_path: Path, save: Callable[[Path], str], window_seconds: float, limit: str
) -> None:
    backbone = save(tmp_path)
    message = f"window_seconds {window_seconds:g} is too long for {backbone}: the model takes at most {limit} seconds"
    with pytest.raises(SettingError, match=message):
        load(_config(backbone, window_seconds=window_seconds))


def test_wav2vec2_takes_windows_of_any_length(tmp_path: Path) -> None:
    backbone = tiny_audio.save_wav2vec2(tmp_path)
    for window_seconds, num_windows in ((0.01, 100), (3.0, 1)):
        extractor = load(_config(backbone, window_seconds=window_seconds, hop_seconds=window_seconds))
        (found,) = _features(extractor, CLIP)
        assert found.features.shape == (num_windows, 24)
        assert np.isfinite(found.features).all()


def test_a_checkpoint_may_lack_the_mask_of_training(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    # The published wav2vec2-base-960h does.
    backbone = tiny_audio.save_wav2vec2(tmp_path)
    model = LIBRARY.Wav2Vec2Model.from_pretrained(tmp_path)
    state = {name: tensor for name, tensor in model.state_dict().items() if name != "masked_spec_embed"}
    assert len(state) < len(model.state_dict())
    model.save_pretrained(tmp_path, state_dict=state)
    with caplog.at_level(logging.WARNING):
        assert load(_config(backbone)).dim == 24


def test_a_folder_without_a_feature_extractor_is_refused(tmp_path: Path) -> None:
    backbone = tiny_audio.save_hubert(tmp_path)
    (tmp_path / "preprocessor_config.json").unlink()
    with pytest.raises(SourceError, match="cannot load the audio feature extractor of"):
        load(_config(backbone))


def test_a_text_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="cannot load the audio feature extractor of"):
        load(_config(tiny_models.save_bert(tmp_path)))


def test_a_vision_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"takes no sound|cannot load the audio feature extractor"):
        load(_config(tiny_models.save_vit(tmp_path)))


def test_a_text_model_beside_a_feature_extractor_is_refused(tmp_path: Path) -> None:
    tiny_audio.save_wav2vec2_bert(tmp_path / "audio")
    backbone = tiny_models.save_bert(tmp_path / "text")
    shutil.copy(tmp_path / "audio" / "preprocessor_config.json", tmp_path / "text")
    with pytest.raises(SourceError, match=r"BertModel does not run on sound alone .*: choose an audio encoder"):
        load(_config(backbone))


def test_provenance_tells_the_recipe(tmp_path: Path) -> None:
    provenance = load(_config(tiny_audio.save_clap(tmp_path), window_seconds=2.0)).provenance
    told = provenance["preprocessing"]
    assert "in windows of 2 s every 0.5 s resampled to 48000 Hz (nothing above 8000 Hz)" in told
    assert '"max_length_s": 2' in told
    assert "audio features of the shared space; time is the window's centre" in told
    assert "scipy" in provenance["versions"]
