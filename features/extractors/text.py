"""Token embeddings of texts: the last hidden states of a bundled or any other transformers encoder."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
import transformers
from torch import nn

from features.errors import SettingError, SourceError
from features.extractors.batching import BatchRule, run_in_batches
from features.extractors.bundled import BUNDLED
from features.extractors.pretrained import Pretrained, quiet
from features.extractors.protocol import ClipFeatures, Float32, Int32
from features.extractors.versions import tool_versions
from features.runtime import Runner, RuntimeSettings, load_runner

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from features.extractors.config import ExtractConfig

# Texts that may wait for others of like length, in batches.
MAX_HELD_BATCHES = 16
# Texts are filled up to a multiple of this, so that few shapes occur and little is wasted.
LENGTH_STEP = 8
# transformers gives tokenizers that know no limit one of 1e30.
NO_LIMIT = 1_000_000
# Two batches of unlike size and length, in the two scripts that titles have.
PROBES = (
    ("a dog runs on the beach", "运动"),
    ("slow pan to the left over a city at night, then a fade out", "2024", "一个人在海边跑步的短视频"),
)


class TextExtractor:
    """One embedding for each token of each text, with the token's id.

    The special tokens of the model (``[CLS]``, ``[SEP]``, ...) are part of the result, so the mean over T is
    what sentence encoders such as MiniLM were trained for; they count towards ``max_tokens``. A text that is
    empty, blank, or has special tokens only gives T = 0. Texts wait in a bounded window for others whose
    length, rounded up to a multiple of 8, is the same; each batch has ``batch_size`` rows, a smaller rest
    being filled up with copies, so that a text's embedding does not depend on the texts around it.
    """

    def __init__(self, config: ExtractConfig, pretrained: Pretrained) -> None:
        self._tokens = _Tokens(config, pretrained)
        network, _ = pretrained.network()
        settings = RuntimeSettings(config.device, config.runtime, config.num_threads)
        examples = [self._tokens.batch([self._tokens.ids(text) for text in texts]) for texts in PROBES]
        try:
            self._runner: Runner = load_runner(HiddenStates(network), examples, settings)
        except (TypeError, ValueError, AttributeError, IndexError, RuntimeError) as error:
            raise SourceError(
                f"{type(network).__name__} of {config.name!r} does not run on text alone ({error}): "
                "choose a text encoder"
            ) from error
        self._batch_size = config.batch_size
        self._dim: int = self._runner(*examples[0]).shape[-1]
        self._provenance = {
            "backbone": config.backbone,
            "weights_sha256": pretrained.digest(),
            "preprocessing": (
                f"{self._tokens.describe()}; last hidden state of every token, special tokens included; "
                "blank text gives no token"
            ),
            "runtime": self._runner.name,
            "versions": tool_versions("transformers", "tokenizers", "torch", self._runner.name.split(maxsplit=1)[0]),
        }

    @property
    def dim(self) -> int:
        """Width D of the embeddings."""
        return self._dim

    @property
    def provenance(self) -> Mapping[str, str]:
        """How the features come about, one line for each of ``PROVENANCE_KEYS``."""
        return MappingProxyType(self._provenance)

    def extract(self, clips: Iterable[str | None]) -> Iterator[ClipFeatures]:
        """Yield ``(T, D)`` token embeddings per text, in order, with token ids; times are zeros."""
        ids_per_clip: deque[Int32] = deque()

        def texts() -> Iterator[list[Int32]]:
            for text in clips:
                ids = self._tokens.ids(text or "")
                ids_per_clip.append(ids)
                yield [ids] if ids.size else []

        rule = BatchRule[Int32](
            key=lambda ids: self._tokens.padded_length(ids.size),
            batch_size=self._batch_size,
            max_held=MAX_HELD_BATCHES * self._batch_size,
        )
        for found in run_in_batches(texts(), self._run, rule):
            ids = ids_per_clip.popleft()
            features = found[0] if found else np.zeros((0, self._dim), np.float32)
            yield ClipFeatures(features, np.zeros(ids.size, np.float32), ids)

    def _run(self, texts: list[Int32]) -> list[Float32]:
        padding = [texts[-1]] * (self._batch_size - len(texts))
        hidden = self._runner(*self._tokens.batch(texts + padding))  # (batch_size, L, D)
        return [rows[: ids.size].copy() for rows, ids in zip(hidden, texts, strict=False)]


class HiddenStates(nn.Module):
    """``(B, L)`` token ids and mask to ``(B, L, D)`` last hidden states, zero where the mask is 0."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        # Any: transformers' models have no common type.
        config: Any = model.config
        config.use_cache = False
        encoder_decoder = getattr(config, "is_encoder_decoder", False)
        # Any: as above.
        whole: Any = model
        self.encoder = whole.get_encoder() if encoder_decoder else whole

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Return the hidden states."""
        hidden: torch.Tensor = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        return hidden.masked_fill(attention_mask.unsqueeze(-1) == 0, 0.0)


@dataclass(frozen=True)
class _Limits:
    max_tokens: int
    pad_id: int


class _Tokens:
    """Turns text into token ids, and ids into padded batches."""

    def __init__(self, config: ExtractConfig, pretrained: Pretrained) -> None:
        self._tokenizer = pretrained.part(transformers.AutoTokenizer.from_pretrained, "tokenizer")
        if len(self._tokenizer) <= len(self._tokenizer.all_special_ids):
            # Without its files, transformers makes up a tokenizer that knows no word.
            raise SourceError(
                f"model {config.name!r} has no tokenizer: give a folder that also holds the files written by the "
                "tokenizer's save_pretrained"
            )
        limit = self._tokenizer.model_max_length
        if limit < NO_LIMIT and config.max_tokens > limit:
            raise SettingError(
                f"max_tokens {config.max_tokens} is more than {config.backbone!r} takes: set it to {limit} or less"
            )
        self._limits = _Limits(config.max_tokens, self._tokenizer.pad_token_id or 0)

    def ids(self, text: str) -> Int32:
        """Return ``(T,)`` token ids, at most ``max_tokens``; none for text without any token of its own."""
        if not text.strip():
            return np.zeros(0, np.int32)
        encoded = self._tokenizer(
            text,
            truncation=True,
            max_length=self._limits.max_tokens,
            padding=False,
            return_special_tokens_mask=True,
        )
        if all(encoded["special_tokens_mask"]):
            return np.zeros(0, np.int32)
        return np.array(encoded["input_ids"], np.int32)

    def padded_length(self, num_tokens: int) -> int:
        """Return the length to which a text of ``num_tokens`` is filled up."""
        return min(-(-num_tokens // LENGTH_STEP) * LENGTH_STEP, self._limits.max_tokens)

    def batch(self, texts: list[Int32]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Return ``(B, L)`` token ids and ``(B, L)`` mask, 1 for tokens and 0 for padding at the end."""
        length = self.padded_length(max(ids.size for ids in texts))
        input_ids = np.full((len(texts), length), self._limits.pad_id, np.int64)
        mask = np.zeros((len(texts), length), np.int64)
        for row, ids in enumerate(texts):
            input_ids[row, : ids.size] = ids
            mask[row, : ids.size] = 1
        return input_ids, mask

    def describe(self) -> str:
        """Return the tokenizer in words."""
        return f"{type(self._tokenizer).__name__} of the model, cut off after {self._limits.max_tokens} tokens"


def load(config: ExtractConfig) -> TextExtractor:
    """Return the extractor that ``bundled:`` or ``transformers:`` names.

    Raises:
        ToolError: The package with the bundled weights is not installed.
        SourceError: The model or its tokenizer is missing, damaged, or of no use for text.
        SettingError: ``max_tokens`` is more than the model takes.
    """
    if config.source == "bundled":
        model = BUNDLED[config.modality][config.name]
        pretrained = Pretrained(str(model.verified_folder()), pinned_sha256=model.weights_sha256)
    else:
        pretrained = Pretrained(config.name, config.revision)
    with quiet():
        return TextExtractor(config, pretrained)
