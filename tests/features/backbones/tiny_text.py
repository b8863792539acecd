"""Small text models of several architectures with random weights, each with a tokenizer trained here."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# What the tokenizers know: some English, some Chinese.
LINES = [
    "a dog runs on the beach at night while the cat sleeps",
    "the city at night, seen from above: slow pan to the left",
    "subscribe now! episode 12 of 2024",
    "海边跑步的短视频",
    "城市夜景 慢镜头",
    "一个人在海边跑步 小狗在沙滩上睡觉",
]
VOCABULARY = 200
WIDTH = 32
MAX_TOKENS = 48


def save_bert(folder: Path) -> str:
    """Save a BERT of 3 layers with WordPiece, Chinese characters apart."""
    tokenizer = Tokenizer(models.WordPiece())
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    trainer = trainers.WordPieceTrainer(vocab_size=VOCABULARY, special_tokens=special, show_progress=False)
    tokenizer.train_from_iterator(LINES, trainer)
    _wrap(tokenizer, "[CLS]", "[SEP]")
    _save_tokenizer(tokenizer, folder, pad="[PAD]", unk="[UNK]", cls="[CLS]", sep="[SEP]")
    with _seeded():
        config = transformers.BertConfig(
            vocab_size=tokenizer.get_vocab_size(), **_sizes(), max_position_embeddings=MAX_TOKENS
        )
        transformers.BertModel(config).save_pretrained(folder)
    return f"transformers:{folder}"


def save_xlm_roberta(folder: Path) -> str:
    """Save an XLM-RoBERTa with a unigram tokenizer; positions begin behind the padding's id, 1."""
    tokenizer = _unigram(["<s>", "<pad>", "</s>", "<unk>"])
    _wrap(tokenizer, "<s>", "</s>")
    _save_tokenizer(tokenizer, folder, pad="<pad>", unk="<unk>", cls="<s>", sep="</s>", bos="<s>", eos="</s>")
    with _seeded():
        config = transformers.XLMRobertaConfig(
            vocab_size=tokenizer.get_vocab_size(), **_sizes(), max_position_embeddings=MAX_TOKENS + 2, pad_token_id=1
        )
        transformers.XLMRobertaModel(config).save_pretrained(folder)
    return f"transformers:{folder}"


def save_t5(folder: Path) -> str:
    """Save a T5 with its decoder, which texts do not need."""
    tokenizer = _unigram(["<pad>", "</s>", "<unk>"])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", tokenizer.token_to_id("</s>"))]
    )
    _save_tokenizer(tokenizer, folder, pad="<pad>", unk="<unk>", eos="</s>")
    with _seeded():
        transformers.T5Model(t5_config(tokenizer.get_vocab_size())).save_pretrained(folder)
    return f"transformers:{folder}"


def t5_config(vocabulary: int) -> transformers.T5Config:
    """Return the sizes of a T5 of 3 + 3 layers."""
    return transformers.T5Config(vocab_size=vocabulary, d_model=WIDTH, d_kv=8, d_ff=48, num_layers=3, num_heads=4)


def save_gpt2(folder: Path) -> str:
    """Save a GPT-2 with byte-level BPE and no padding token."""
    tokenizer = _byte_level(["<|endoftext|>"])
    _save_tokenizer(tokenizer, folder, bos="<|endoftext|>", eos="<|endoftext|>", unk="<|endoftext|>")
    with _seeded():
        config = transformers.GPT2Config(
            vocab_size=tokenizer.get_vocab_size(),
            n_embd=WIDTH,
            n_layer=3,
            n_head=4,
            n_positions=MAX_TOKENS,
            bos_token_id=0,
            eos_token_id=0,
        )
        transformers.GPT2Model(config).save_pretrained(folder)
    return f"transformers:{folder}"


def save_clip(folder: Path) -> str:
    """Save a CLIP, pictures' tower included; padding and the end of a text are one token."""
    tokenizer = _byte_level(["<|startoftext|>", "<|endoftext|>"])
    _wrap(tokenizer, "<|startoftext|>", "<|endoftext|>")
    end = "<|endoftext|>"
    _save_tokenizer(tokenizer, folder, bos="<|startoftext|>", eos=end, pad=end, unk=end)
    tower: dict[str, Any] = _sizes()
    text = tower | {"vocab_size": tokenizer.get_vocab_size(), "max_position_embeddings": MAX_TOKENS}
    with _seeded():
        config = transformers.CLIPConfig(
            text_config=text | {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1},
            vision_config=tower | {"image_size": 32, "patch_size": 8},
            projection_dim=16,
        )
        transformers.CLIPModel(config).save_pretrained(folder)
    return f"transformers:{folder}"


def _sizes() -> dict[str, Any]:
    return {"hidden_size": WIDTH, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 48}


def _unigram(special: list[str]) -> Tokenizer:
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=VOCABULARY,
        special_tokens=special,
        unk_token="<unk>",  # noqa: S106 - no password
        show_progress=False,
    )
    tokenizer.train_from_iterator(LINES, trainer)
    return tokenizer


def _byte_level(special: list[str]) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=2 * VOCABULARY,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(LINES, trainer)
    return tokenizer


def _wrap(tokenizer: Tokenizer, first: str, last: str) -> None:
    ids = [(token, tokenizer.token_to_id(token)) for token in (first, last)]
    tokenizer.post_processor = processors.TemplateProcessing(single=f"{first} $A {last}", special_tokens=ids)


def _save_tokenizer(tokenizer: Tokenizer, folder: Path, **special: str) -> None:
    # Any: the class has no types.
    tokenizer_class: Any = transformers.PreTrainedTokenizerFast
    names = {f"{name}_token": token for name, token in special.items()}
    tokenizer_class(tokenizer_object=tokenizer, **names).save_pretrained(folder)


@contextmanager
def _seeded() -> Iterator[None]:
    """Draw weights from seed 0 and leave the global generator as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield
