"""The words behind token ids, read from the tokenizer of a backbone that lies on this machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from features.backbones.extractor.extract_config import TEXT_FIELDS
from features.backbones.pretrained.bundled_weights import BUNDLED_TEXTS
from features.backbones.pretrained.model_files import is_folder_name, model_folder
from features.base.errors import PipelineError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import tokenizers

TOKENIZER_NAME = "tokenizer.json"
# What a decoder makes of a token that is a part of a character.
REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


@dataclass(frozen=True)
class Token:
    """One token of a clip's texts.

    Attributes:
        field: The text field it stands in, such as ``title``; ``""`` where the shard does not tell.
        token_id: Its number in the vocabulary.
        text: As the tokenizer writes it, else the number.
    """

    field: str
    token_id: int
    text: str


def read_tokens(backbone: str, ids: Sequence[int], field_ids: Sequence[int]) -> tuple[list[Token], str]:
    """Return the tokens of a clip, and why they are numbers only, ``""`` when they are not."""
    texts, problem = _texts(backbone, ids)
    names = [TEXT_FIELDS[number] if number < len(TEXT_FIELDS) else "" for number in field_ids] or [""] * len(ids)
    rows = zip(names, ids, texts, strict=True)
    return [Token(name, number, text) for name, number, text in rows], problem


def _texts(backbone: str, ids: Sequence[int]) -> tuple[list[str], str]:
    import tokenizers  # noqa: PLC0415 - only text needs it

    numbers = [str(number) for number in ids]
    try:
        path = _tokenizer_file(backbone)
    except PipelineError as error:
        return numbers, str(error)
    if path is None:
        return numbers, f"the tokenizer of {backbone} is not in a package or folder of this machine"
    try:
        tokenizer = tokenizers.Tokenizer.from_file(str(path))
    except Exception as error:  # noqa: BLE001 - tokenizers raises nothing narrower
        return numbers, f"{path} cannot be read ({error})"
    return [_text(tokenizer, number) for number in ids], ""


def _text(tokenizer: tokenizers.Tokenizer, number: int) -> str:
    whole: str | None = tokenizer.id_to_token(number)
    if whole is None:
        return str(number)
    readable: str = tokenizer.decode([number], skip_special_tokens=False).strip()
    return readable if readable and REPLACEMENT not in readable else whole


def _tokenizer_file(backbone: str) -> Path | None:
    source, _, name = backbone.partition(":")
    if source == "bundled" and name in BUNDLED_TEXTS:
        path = BUNDLED_TEXTS[name].verified_folder() / TOKENIZER_NAME
    elif source == "transformers" and is_folder_name(name):
        path = model_folder(name) / TOKENIZER_NAME
    else:
        return None
    return path if path.is_file() else None
