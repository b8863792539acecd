"""Small models of sound with random weights, saved the way transformers saves them."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
import transformers

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Any: half of its classes have no types.
LIBRARY: Any = transformers
# A network, 24 wide, of two layers.
LAYERS: dict[str, Any] = {
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
}
# The front of wav2vec2: one step every 320 samples, of 400 samples, as in the published models.
WAVE: dict[str, Any] = LAYERS | {
    "conv_dim": (16,) * 7,
    "num_feat_extract_layers": 7,
    "num_conv_pos_embeddings": 8,
    "num_conv_pos_embedding_groups": 2,
}


def save_ast(folder: Path) -> str:
    """Save an AST, 24 wide, over 128 frames (1.28 s) of 32 bands."""
    with _seeded():
        config = LIBRARY.ASTConfig(
            **LAYERS, max_length=128, num_mel_bins=32, patch_size=16, frequency_stride=10, time_stride=10
        )
        LIBRARY.ASTModel(config).save_pretrained(folder)
    LIBRARY.ASTFeatureExtractor(max_length=128, num_mel_bins=32).save_pretrained(folder)
    return f"transformers:{folder}"


def save_clap(folder: Path, *, fused: bool = False) -> str:
    """Save a CLAP whose shared space is 16 wide, over 2 s at 48 kHz."""
    tower: dict[str, Any] = {
        "patch_embeds_hidden_size": 16,
        "hidden_size": 32,
        "depths": [1, 1],
        "num_attention_heads": [2, 2],
        "spec_size": 64,
        "num_mel_bins": 16,
        "window_size": 4,
        "patch_size": 4,
        "patch_stride": [4, 4],
        "enable_fusion": fused,
        "projection_dim": 16,
        "num_classes": 3,
    }
    text = LAYERS | {"vocab_size": 20, "max_position_embeddings": 16, "projection_dim": 16}
    with _seeded():
        config = LIBRARY.ClapConfig(text_config=text, audio_config=tower, projection_dim=16)
        LIBRARY.ClapModel(config).save_pretrained(folder)
    LIBRARY.ClapFeatureExtractor(
        feature_size=16, max_length_s=2, truncation="fusion" if fused else "rand_trunc"
    ).save_pretrained(folder)
    return f"transformers:{folder}"


def save_fused_clap(folder: Path) -> str:
    """Save a CLAP with the branch for sound that is longer than its window."""
    return save_clap(folder, fused=True)


def save_wav2vec2(folder: Path) -> str:
    """Save a wav2vec2 with layer normalisation, trained with an attention mask."""
    with _seeded():
        config = LIBRARY.Wav2Vec2Config(**WAVE, feat_extract_norm="layer", do_stable_layer_norm=True)
        LIBRARY.Wav2Vec2Model(config).save_pretrained(folder)
    LIBRARY.Wav2Vec2FeatureExtractor(return_attention_mask=True).save_pretrained(folder)
    return f"transformers:{folder}"


def save_hubert(folder: Path) -> str:
    """Save a HuBERT with group normalisation, trained without an attention mask."""
    with _seeded():
        LIBRARY.HubertModel(LIBRARY.HubertConfig(**WAVE)).save_pretrained(folder)
    LIBRARY.Wav2Vec2FeatureExtractor(return_attention_mask=False).save_pretrained(folder)
    return f"transformers:{folder}"


def save_wavlm(folder: Path) -> str:
    """Save a WavLM with layer normalisation, as the large one has."""
    with _seeded():
        config = LIBRARY.WavLMConfig(**WAVE, feat_extract_norm="layer", do_stable_layer_norm=True)
        LIBRARY.WavLMModel(config).save_pretrained(folder)
    LIBRARY.Wav2Vec2FeatureExtractor(return_attention_mask=True).save_pretrained(folder)
    return f"transformers:{folder}"


def save_wav2vec2_bert(folder: Path) -> str:
    """Save a wav2vec2-BERT, which looks at a spectrum."""
    with _seeded():
        config = LIBRARY.Wav2Vec2BertConfig(**LAYERS, feature_projection_input_dim=32, conv_depthwise_kernel_size=5)
        LIBRARY.Wav2Vec2BertModel(config).save_pretrained(folder)
    LIBRARY.SeamlessM4TFeatureExtractor(feature_size=16, num_mel_bins=16).save_pretrained(folder)
    return f"transformers:{folder}"


def whisper_config(vocab_size: int = 40) -> transformers.WhisperConfig:
    """Return the sizes of a Whisper, 24 wide, over 2 s of sound."""
    config: transformers.WhisperConfig = LIBRARY.WhisperConfig(
        vocab_size=vocab_size,
        num_mel_bins=16,
        d_model=24,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=32,
        decoder_ffn_dim=32,
        max_source_positions=100,
        max_target_positions=48,
        pad_token_id=1,
        bos_token_id=1,
        eos_token_id=1,
        decoder_start_token_id=2,
        suppress_tokens=None,
        begin_suppress_tokens=None,
    )
    return config


def save_whisper(folder: Path) -> str:
    """Save a Whisper without a tokenizer."""
    with _seeded():
        LIBRARY.WhisperForConditionalGeneration(whisper_config()).save_pretrained(folder)
    LIBRARY.WhisperFeatureExtractor(feature_size=16, chunk_length=2).save_pretrained(folder)
    return f"transformers:{folder}"


# What a tiny Whisper can write: one token each, and the special tokens behind them ("\u0120" is a space).
LETTERS = [*"abcdefghijklmnopqrstuvwxyz", "\u0120"]
SPECIAL_TOKENS = [
    *("<|endoftext|>", "<|startoftranscript|>", "<|en|>", "<|zh|>"),
    *("<|translate|>", "<|transcribe|>", "<|notimestamps|>"),
]


def save_speech(folder: Path, *, multilingual: bool = True) -> str:
    """Save a Whisper over 2 s of sound that writes letters; its weights are large, so that texts differ."""
    ids = {token: position for position, token in enumerate(LETTERS + SPECIAL_TOKENS)}
    end, start = ids["<|endoftext|>"], ids["<|startoftranscript|>"]
    config = whisper_config(len(ids))
    config.update({"pad_token_id": end, "bos_token_id": end, "eos_token_id": end, "decoder_start_token_id": start})
    config.init_std = 0.6
    with _seeded():
        model = LIBRARY.WhisperForConditionalGeneration(config)
    languages: dict[str, Any] = {
        "lang_to_id": {token: ids[token] for token in ("<|en|>", "<|zh|>")},
        "task_to_id": {task: ids[f"<|{task}|>"] for task in ("translate", "transcribe")},
    }
    model.generation_config = LIBRARY.GenerationConfig(
        pad_token_id=end,
        bos_token_id=end,
        eos_token_id=end,
        decoder_start_token_id=start,
        no_timestamps_token_id=ids["<|notimestamps|>"],
        is_multilingual=multilingual,
        **(languages if multilingual else {}),
    )
    model.save_pretrained(folder)
    LIBRARY.WhisperFeatureExtractor(feature_size=16, chunk_length=2).save_pretrained(folder)
    tokenizer = LIBRARY.WhisperTokenizer(vocab={letter: ids[letter] for letter in LETTERS}, merges=[])
    tokenizer.add_special_tokens({"additional_special_tokens": SPECIAL_TOKENS})
    tokenizer.save_pretrained(folder)
    return f"transformers:{folder}"


@contextmanager
def _seeded() -> Iterator[None]:
    """Draw weights from seed 0 and leave the global generator as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield
