"""Text models of several architectures against what transformers gives for one text at a time."""

from __future__ import annotations

import itertools
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
import transformers

from features.backbones.extractor.extract_config import ExtractConfig
from features.backbones.text.text_extractor import load
from features.base.errors import SettingError
from tests.features.backbones import tiny_text
from tests.features.backbones.tiny_text import MAX_TOKENS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from features.backbones.text.text_extractor import TextExtractor

TEXTS = [
    "a dog runs on the beach",
    "海边跑步的短视频",
    "The city 城市 at night!",
    "🎉 zebra \u0007 \u202eabc",
    "שלום עולם مرحبا",
    "episode 12 of 2024 " * 20,
    "海" * 200,
]
NUM_LAYERS = 3


@dataclass(frozen=True)
class Model:
    """A saved model, and the part of it that embeds texts as transformers' own class loads it."""

    backbone: str
    tokenizer: Any
    encoder: Any

    def config(self, **changes: str | int) -> ExtractConfig:
        settings: dict[str, Any] = {"runtime": "torch", "device": "cpu", "num_threads": 1, "max_tokens": 24}
        return ExtractConfig("text", self.backbone, batch_size=3, **settings | changes)

    def ids(self, text: str) -> list[int]:
        ids: list[int] = self.tokenizer(text, truncation=True, max_length=24)["input_ids"]
        return ids

    def expected(self, text: str, layer: int) -> npt.NDArray[np.float32]:
        with torch.inference_mode():
            output = self.encoder(input_ids=torch.tensor([self.ids(text)]), output_hidden_states=True)
        hidden = output.last_hidden_state if layer == -1 else output.hidden_states[layer]
        result: npt.NDArray[np.float32] = hidden[0].numpy()
        return result


# Any: transformers' models have no common type.
def _clip_text(folder: Path) -> Any:  # noqa: ANN401
    model: Any = transformers.CLIPModel.from_pretrained(folder)
    return model.text_model


# name -> how it is saved, and how transformers itself loads the part for texts
MODELS: dict[str, tuple[Callable[[Path], str], Callable[[Path], Any]]] = {
    "bert": (tiny_text.save_bert, transformers.BertModel.from_pretrained),
    "xlm-roberta": (tiny_text.save_xlm_roberta, transformers.XLMRobertaModel.from_pretrained),
    "t5": (tiny_text.save_t5, transformers.T5EncoderModel.from_pretrained),
    "gpt2": (tiny_text.save_gpt2, transformers.GPT2Model.from_pretrained),
    "clip": (tiny_text.save_clip, _clip_text),
}


@pytest.fixture(scope="module", params=list(MODELS))
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Model:
    return _saved(request.param, tmp_path_factory.mktemp("model"))


def _saved(name: str, folder: Path) -> Model:
    save, load_plainly = MODELS[name]
    backbone = save(folder)
    # Any: the class has no types.
    tokenizers: Any = transformers.AutoTokenizer
    return Model(backbone, tokenizers.from_pretrained(folder), load_plainly(folder).eval())


@pytest.mark.parametrize("layer", [-1, 0, 1, NUM_LAYERS, -2, -NUM_LAYERS - 1])
def test_features_are_the_hidden_states_of_the_layer(model: Model, layer: int) -> None:
    extractor = load(model.config(layer=layer))
    clips = [{"title": text} for text in TEXTS]
    for found, text in zip(extractor.extract(clips), TEXTS, strict=True):
        assert found.token_id is not None
        assert found.token_id.tolist() == model.ids(text)
        np.testing.assert_allclose(found.features, model.expected(text, layer), rtol=1e-4, atol=2e-5)


def test_layers_differ(model: Model) -> None:
    """Else the comparison above could not tell one from another."""
    layers = [model.expected(TEXTS[0], layer) for layer in range(NUM_LAYERS + 1)]
    for one, other in itertools.pairwise(layers):
        assert np.abs(one - other).max() > 1e-3


def test_openvino_agrees_with_torch_on_an_inner_layer(tmp_path: Path) -> None:
    pytest.importorskip("openvino", reason="compares it with torch")
    # One architecture: each conversion takes seconds, and every load compares the runtimes anyway.
    model = _saved("bert", tmp_path)
    extractor = load(model.config(layer=1, runtime="openvino"))
    for found, text in zip(extractor.extract([{"ocr": text} for text in TEXTS]), TEXTS, strict=True):
        np.testing.assert_allclose(found.features, model.expected(text, 1), rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize("layer", [NUM_LAYERS + 1, -NUM_LAYERS - 2])
def test_a_layer_that_is_not_there_is_refused_with_the_range(model: Model, layer: int) -> None:
    with pytest.raises(SettingError, match=rf"layer {layer} .* has 3 layers: .* 0 .* to 3, or to -1 .* to -4"):
        load(model.config(layer=layer))


def test_layers_behind_the_one_wanted_are_taken_away(model: Model) -> None:
    deep, shallow = (load(model.config(layer=layer)) for layer in (-1, 1))
    assert _num_weights(shallow) < _num_weights(deep)


def test_more_tokens_than_the_model_takes_are_refused_where_it_has_a_limit(model: Model) -> None:
    # Positions of a T5 are relative.
    if isinstance(model.encoder, transformers.T5EncoderModel):
        load(model.config(max_tokens=2 * MAX_TOKENS))
        return
    load(model.config(max_tokens=MAX_TOKENS))
    with pytest.raises(SettingError, match=rf"max_tokens 90 is more than .* takes: set it to {MAX_TOKENS} or less"):
        load(model.config(max_tokens=90))


def test_the_encoder_of_a_t5_alone_gives_what_it_gives_with_its_decoder(tmp_path: Path) -> None:
    whole, alone = tmp_path / "whole", tmp_path / "alone"
    tiny_text.save_t5(whole)
    shutil.copytree(whole, alone)
    # Any: its types are not checked.
    encoder: Any = transformers.T5EncoderModel.from_pretrained(whole)
    encoder.save_pretrained(alone)
    configs = [ExtractConfig("text", f"transformers:{name}", runtime="torch", device="cpu") for name in (whole, alone)]
    found = [next(load(config).extract([{"title": TEXTS[0]}])) for config in configs]
    assert found[0].features.size
    np.testing.assert_array_equal(found[0].features, found[1].features)


def _num_weights(extractor: TextExtractor) -> int:
    # Any: how a runner holds its network is its own affair.
    runner: Any = extractor._runner
    return sum(weight.numel() for weight in runner._network.parameters())
