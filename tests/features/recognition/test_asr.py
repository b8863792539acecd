from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from features.backbones.extractor.extractor import PROVENANCE_KEYS
from features.backbones.pretrained.model_files import sha256_of_model
from features.base.errors import SettingError, ShardError, SourceError
from features.formats.clip_data import Sound, Waveform
from features.recognition.asr import SILENCE_RMS, SpeechRecognizer, load_asr
from features.recognition.recognition_config import AsrConfig
from features.recognition.recognizer import Recognition
from tests.features.backbones import tiny_audio, tiny_models
from tests.features.backbones.tiny_audio import LIBRARY

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from features.formats.clip_data import Float32

# The tiny model hears 2 s at once, so 70 s are 35 segments.
SEGMENT = 32_000


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("speech")
    tiny_audio.save_speech(path)
    return path


@pytest.fixture(scope="module")
def recognizer(folder: Path) -> SpeechRecognizer:
    return load_asr(_config(folder))


def _config(folder: Path, language: str = "", max_new_tokens: int = 10, batch_size: int = 3) -> AsrConfig:
    return AsrConfig(
        f"transformers:{folder}",
        language=language,
        max_new_tokens=max_new_tokens,
        batch_size=batch_size,
        device="cpu",
        num_threads=1,
    )


def _clip(num_samples: int, seed: int) -> Waveform:
    """Noise with a tone, so that clips sound unlike."""
    noise = tiny_models.sound(num_samples, seed)
    tone = 0.4 * np.sin(2 * np.pi * 150 * (seed + 1) * np.arange(num_samples) / 16_000)
    return Waveform((0.2 * noise.samples + tone).astype(np.float32), 16_000)


def _recognize(recognizer: SpeechRecognizer, *clips: Waveform | None) -> list[Recognition]:
    return list(recognizer.recognize([None if clip is None else clip.sound() for clip in clips]))


def _plainly(folder: Path, samples: Float32, **options: str) -> str:
    """What the model's own generate writes of one segment, by itself."""
    model = LIBRARY.WhisperForConditionalGeneration.from_pretrained(folder).eval()
    extractor = LIBRARY.WhisperFeatureExtractor.from_pretrained(folder)
    tokenizer = LIBRARY.WhisperTokenizer.from_pretrained(folder)
    spectrum = extractor(samples, sampling_rate=16_000, return_tensors="pt").input_features
    with torch.inference_mode():
        tokens = model.generate(spectrum, max_new_tokens=10, do_sample=False, num_beams=1, **options)
    text: str = tokenizer.batch_decode(tokens, skip_special_tokens=True)[0]
    return " ".join(text.split())


def test_each_segment_of_70_seconds_says_what_generate_says(folder: Path, recognizer: SpeechRecognizer) -> None:
    clip = Waveform(np.concatenate([_clip(SEGMENT, seed).samples for seed in range(35)])[: 69 * 16_000], 16_000)
    (found,) = _recognize(recognizer, clip)
    found_at = {segment.start_seconds: segment for segment in found.segments}
    assert set(found_at) <= {2.0 * position for position in range(35)}
    for position in (0, 1, 17, 25, 33, 34):
        samples = clip.samples[SEGMENT * position : SEGMENT * (position + 1)]
        expected = _plainly(folder, samples, task="transcribe")
        segment = found_at.get(2.0 * position)
        # Where the model finds no word there is no segment.
        assert ("" if segment is None else segment.text) == expected
        if segment is not None:
            assert segment.end_seconds == min(2.0 * position + 2.0, 69.0)
            assert segment.confidence is None
    assert len({segment.text for segment in found.segments}) > 5
    assert found.text == " ".join(segment.text for segment in found.segments)


def test_clips_share_batches_and_come_back_in_order(recognizer: SpeechRecognizer) -> None:
    clips = [_clip(50_000, 1), None, _clip(20_000, 2), _clip(0, 3), _clip(100_000, 4), _clip(1_000, 5)]
    together = _recognize(recognizer, *clips)
    assert [len(found.segments) for found in together] == [2, 0, 1, 0, 4, 1]
    assert together == [_recognize(recognizer, clip)[0] for clip in clips]
    assert together == _recognize(recognizer, *clips)


def test_times_begin_where_the_sound_begins(recognizer: SpeechRecognizer) -> None:
    late = Waveform(_clip(40_000, 1).samples, 16_000, start_seconds=1.25)
    (found,) = _recognize(recognizer, late)
    assert [(segment.start_seconds, segment.end_seconds) for segment in found.segments] == [(1.25, 3.25), (3.25, 3.75)]


def test_silent_segments_are_left_out(recognizer: SpeechRecognizer) -> None:
    whole = _clip(3 * SEGMENT, 6).samples
    whole[SEGMENT : 2 * SEGMENT] *= 0.9 * SILENCE_RMS / np.sqrt(np.mean(whole[SEGMENT : 2 * SEGMENT] ** 2))
    (found,) = _recognize(recognizer, Waveform(whole, 16_000))
    assert [segment.start_seconds for segment in found.segments] == [0.0, 4.0]
    whole[SEGMENT : 2 * SEGMENT] *= 1.2
    assert len(_recognize(recognizer, Waveform(whole, 16_000))[0].segments) == 3
    assert _recognize(recognizer, Waveform(np.zeros(5 * SEGMENT, np.float32), 16_000)) == [Recognition("", ())]


def test_one_sample_is_a_segment(recognizer: SpeechRecognizer) -> None:
    (found,) = _recognize(recognizer, Waveform(np.full(1, 0.5, np.float32), 16_000))
    assert not found.problem


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_sample_that_is_not_finite_spoils_its_clip_alone(recognizer: SpeechRecognizer, bad: float) -> None:
    spoilt = _clip(3 * SEGMENT, 7)
    spoilt.samples[SEGMENT + 5] = bad
    before, found, after = _recognize(recognizer, _clip(SEGMENT, 8), spoilt, _clip(SEGMENT, 8))
    problem = "sound has samples that are not finite, about 3.0 s after its start: decode the clip again"
    assert found == Recognition("", (), problem)
    assert before == after
    assert before.text


def test_sound_that_cannot_be_read_is_a_problem_of_its_clip(recognizer: SpeechRecognizer) -> None:
    def broken() -> Iterator[Float32]:
        yield _clip(SEGMENT, 9).samples
        raise ShardError("stored sound cannot be read (bad)")

    good = _clip(SEGMENT, 8)
    found = list(recognizer.recognize([Sound(broken(), 16_000), good.sound()]))
    assert found[0] == Recognition("", (), "stored sound cannot be read (bad)")
    assert found[1] == _recognize(recognizer, good)[0]


def test_clips_are_taken_as_they_are_needed(recognizer: SpeechRecognizer) -> None:
    num_taken = 0

    def endless() -> Iterator[Sound | None]:
        nonlocal num_taken
        yield _clip(SEGMENT, 1).sound()
        while True:
            num_taken += 1
            yield None

    # The first clip alone never fills a batch.
    assert next(recognizer.recognize(endless())).text
    # Held for a batch, waiting for the thread, and read ahead of the network.
    assert num_taken <= 16 * 3 + 10


def test_the_language_that_is_set_is_the_one_that_is_used(folder: Path) -> None:
    clip = _clip(SEGMENT, 0)
    texts = {}
    for language, code in (("en", "en"), ("Chinese", "zh"), ("ZH", "zh")):
        (found,) = _recognize(load_asr(_config(folder, language)), clip)
        assert found.text == _plainly(folder, clip.samples, task="transcribe", language=code)
        texts[code] = found.text
    assert texts["en"] != texts["zh"]


def test_an_unknown_language_is_refused(folder: Path) -> None:
    with pytest.raises(SettingError, match=r"unknown language 'klingon' of .*: expected one of en, zh, or nothing"):
        load_asr(_config(folder, "klingon"))


def test_a_model_of_one_language_is_told_none(tmp_path: Path) -> None:
    tiny_audio.save_speech(tmp_path, multilingual=False)
    clip = _clip(SEGMENT, 0)
    (found,) = _recognize(load_asr(_config(tmp_path, "en")), clip)
    assert found.text == _plainly(tmp_path, clip.samples)
    with pytest.raises(SettingError, match=r"language 'zh': .* transcribes English only"):
        load_asr(_config(tmp_path, "zh"))


def test_no_more_tokens_than_the_model_can_write(folder: Path) -> None:
    (found,) = _recognize(load_asr(_config(folder, max_new_tokens=44)), _clip(SEGMENT, 0))
    assert found.text
    with pytest.raises(SettingError, match=r"max_new_tokens 45 is too many for .*: give at most 44"):
        load_asr(_config(folder, max_new_tokens=45))


def test_another_sample_rate_is_refused(recognizer: SpeechRecognizer) -> None:
    with pytest.raises(SettingError, match="sound with 8000 samples a second"):
        list(recognizer.recognize([Sound([np.ones(8, np.float32)], 8_000)]))


def test_provenance_tells_the_recipe(folder: Path) -> None:
    provenance = load_asr(_config(folder, "zh")).provenance
    assert set(provenance) == set(PROVENANCE_KEYS)
    assert all(text and "\n" not in text for text in provenance.values())
    assert provenance["backbone"] == f"transformers:{folder}"
    assert provenance["weights_sha256"] == sha256_of_model(folder)
    assert "passages of 2 s" in provenance["preprocessing"]
    assert "language zh; greedy, at most 10 tokens" in provenance["preprocessing"]


def test_another_kind_of_model_is_refused(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(SourceError, match="cannot load the audio feature extractor"):
        load_asr(AsrConfig(tiny_models.save_bert(tmp_path / "bert")))
    other = tmp_path / "moonshine"
    config = LIBRARY.MoonshineConfig(
        vocab_size=40,
        hidden_size=24,
        intermediate_size=32,
        encoder_num_hidden_layers=1,
        decoder_num_hidden_layers=1,
        encoder_num_attention_heads=2,
        decoder_num_attention_heads=2,
    )
    LIBRARY.MoonshineForConditionalGeneration(config).save_pretrained(other)
    for name in ("preprocessor_config.json", "tokenizer.json", "tokenizer_config.json"):
        shutil.copy(folder / name, other)
    with pytest.raises(SourceError, match="is a MoonshineForConditionalGeneration: asr needs a Whisper"):
        load_asr(_config(other))


def test_a_foreign_feature_extractor_is_refused(tmp_path: Path) -> None:
    backbone = tiny_audio.save_speech(tmp_path)
    LIBRARY.Wav2Vec2FeatureExtractor().save_pretrained(tmp_path)
    with pytest.raises(SourceError, match="has a Wav2Vec2FeatureExtractor: give a folder with the Whisper's own"):
        load_asr(AsrConfig(backbone, device="cpu"))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"backbone": "whisper"}, "unknown asr backbone 'whisper': write transformers:ID"),
        ({"backbone": "torchvision:resnet18"}, "unknown asr backbone"),
        ({"backbone": "transformers:a b"}, "unknown asr backbone"),
        ({"revision": ""}, "revision is empty"),
        ({"device": "gpu"}, "unknown device 'gpu': expected auto, cpu, cuda or cuda:N"),
        ({"max_new_tokens": 0}, "max_new_tokens 0 must be at least 1"),
        ({"batch_size": 0}, "batch_size 0 must be at least 1"),
        ({"num_threads": 0}, "num_threads 0 must be at least 1"),
    ],
)
def test_settings_are_checked(settings: dict[str, str | int], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        AsrConfig(**settings)  # type: ignore[arg-type]  # each is a value of its field's type


def test_nothing_is_loaded_without_a_backbone() -> None:
    with pytest.raises(SettingError, match="asr has no backbone: name one, such as transformers:openai/whisper-small"):
        load_asr(AsrConfig())
