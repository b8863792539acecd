"""The tokens of the texts of a clip: their text, and a plot of their norms and cosines to the mean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from features.backbones.extractor.extract_config import TEXT_FIELDS
from features.backbones.pretrained.model_files import BUNDLED_TEXTS, is_folder_name, model_folder
from features.base.errors import PipelineError
from features.base.figures import COLOURS, new_figure, save_png
from features.inspect.similarity import unit_rows

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy.typing as npt
    import tokenizers

MAX_TOKENS = 60
TOKENIZER_NAME = "tokenizer.json"
# Decoded text of a token that is only a part of a character.
REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


@dataclass(frozen=True)
class Token:
    """One token of the texts of a clip.

    Attributes:
        field: Its text field, such as ``title``; ``""`` where the shard has none.
        token_id: Its number in the vocabulary.
        text: Its text in the tokenizer, else the number.
    """

    field: str
    token_id: int
    text: str


def read_tokens(backbone: str, ids: Sequence[int], field_ids: Sequence[int]) -> tuple[list[Token], str]:
    """Return the tokens of a clip, and the reason why they are only numbers, ``""`` when they have text."""
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


def draw_tokens(
    features: npt.NDArray[np.float32], tokens: Sequence[Token], heading: tuple[str, str], path: Path
) -> None:
    """Write norms and cosines of the first 60 of ``(T, D)`` token embeddings, T >= 1, as bars; one colour a field."""
    shown = list(tokens[:MAX_TOKENS])
    norms = np.linalg.norm(features, axis=1)[: len(shown)]
    mean = unit_rows(features.mean(axis=0, keepdims=True))
    cosines = (unit_rows(features[: len(shown)]) @ mean.T)[:, 0]
    names = list(dict.fromkeys(token.field for token in shown))
    colours = [COLOURS[names.index(token.field)] for token in shown]
    places = np.arange(len(shown))
    with new_figure(9, 1.8 + 0.2 * len(shown)) as figure:
        left, right = figure.subplots(1, 2, sharey=True)
        left.barh(places, norms, color=colours)
        right.barh(places, cosines, color=colours)
        left.set_yticks(places.tolist(), [token.text for token in shown], fontsize=9)
        left.invert_yaxis()
        left.set(xlabel="norm of the embedding", ylabel="token")
        right.set(xlabel="cosine to the mean of all tokens", xlim=(min(0.0, float(cosines.min())), 1))
        if len(names) > 1:
            figure.legend(
                [left.patches[[token.field for token in shown].index(name)] for name in names],
                names,
                loc="outside right upper",
                title="field",
                fontsize=8,
                frameon=False,
            )
        cut = f"   the first {len(shown)} of {len(tokens)} tokens" if len(shown) < len(tokens) else ""
        save_png(figure, path, heading[0], heading[1] + cut)
