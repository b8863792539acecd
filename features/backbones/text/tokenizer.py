"""Texts to token ids, with the tokenizer that belongs to a model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import transformers

from features.base.errors import SettingError, SourceError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from features.backbones.extractor.extract_config import ExtractConfig
    from features.backbones.pretrained.transformers_models import Pretrained
    from features.formats.clip_data import Int32

Int64 = npt.NDArray[np.int64]

# Texts are filled up to a multiple of this, so that few shapes occur and little is wasted.
LENGTH_STEP = 8
# Characters that are tokenised for each token that is wanted: English has about 4 a token, Chinese 1 to 2, and the
# words of the bundled vocabulary at most 18.
CHARACTERS_PER_TOKEN = 64
# transformers gives tokenizers without a limit one of 1e30.
NO_LIMIT = 1_000_000


class Tokens:
    """Turns text into token ids, and ids into rows of one of a few lengths; for one thread at a time."""

    def __init__(self, config: ExtractConfig, pretrained: Pretrained) -> None:
        self._tokenizer = pretrained.part(transformers.AutoTokenizer.from_pretrained, "tokenizer")
        if len(self._tokenizer) <= len(self._tokenizer.all_special_ids):
            # Without its files, transformers makes up a tokenizer with an empty vocabulary.
            raise SourceError(
                f"model {config.name!r} has no tokenizer: give a folder that also holds the files written by the "
                "tokenizer's save_pretrained"
            )
        limit = self._tokenizer.model_max_length
        if limit < NO_LIMIT and config.max_tokens > limit:
            raise SettingError(
                f"max_tokens {config.max_tokens} is more than {config.backbone!r} takes: set it to {limit} or less"
            )
        self._max_tokens = config.max_tokens
        self._pad_id: int = self._tokenizer.pad_token_id or 0

    def ids(self, text: str) -> Int32:
        """Return ``(T,)`` token ids, at most ``max_tokens``; none for text without any token of its own.

        Of a text, the first 64 characters for each token wanted are tokenised; half a surrogate pair counts as
        U+FFFD.
        """
        text = _encodable(text[: CHARACTERS_PER_TOKEN * self._max_tokens])
        if not text.strip():
            return np.zeros(0, np.int32)
        encoded = self._tokenizer(
            text,
            truncation=True,
            max_length=self._max_tokens,
            padding=False,
            return_special_tokens_mask=True,
        )
        if all(encoded["special_tokens_mask"]):
            return np.zeros(0, np.int32)
        return np.array(encoded["input_ids"], np.int32)

    def padded(self, ids: Int32) -> tuple[Int64, Int64]:
        """Return ``(L,)`` token ids and ``(L,)`` mask, 1 for tokens and 0 for padding at the end.

        L is the number of ids rounded up to a multiple of 8, at most ``max_tokens``.
        """
        return self._filled_up(ids, min(-(-ids.size // LENGTH_STEP) * LENGTH_STEP, self._max_tokens))

    def batch(self, texts: Sequence[str], length: int) -> tuple[Int64, Int64]:
        """Return ``(B, L)`` token ids and ``(B, L)`` mask of some texts, cut off after L tokens.

        L is ``length``, at most ``max_tokens``.
        """
        length = min(length, self._max_tokens)
        input_ids, mask = zip(*(self._filled_up(self.ids(text)[:length], length) for text in texts), strict=True)
        return np.stack(input_ids), np.stack(mask)

    def _filled_up(self, ids: Int32, length: int) -> tuple[Int64, Int64]:
        input_ids = np.full(length, self._pad_id, np.int64)
        input_ids[: ids.size] = ids
        return input_ids, (np.arange(length) < ids.size).astype(np.int64)

    def describe(self) -> str:
        """Return the tokenizer in words."""
        return f"{type(self._tokenizer).__name__} of the model, cut off after {self._max_tokens} tokens"


def _encodable(text: str) -> str:
    """Return the text with U+FFFD for each half of a surrogate pair, which no tokenizer takes."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text
