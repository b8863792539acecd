"""The tokens of a clip's texts: how long each embedding is, and how near to their mean."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from features.analysis.similarity import unit_rows
from features.plots.colours import COLOURS
from features.plots.figures import new_figure, set_heading

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy.typing as npt

    from features.analysis.token_words import Token

MAX_TOKENS = 60


def draw_tokens(
    features: npt.NDArray[np.float32], tokens: Sequence[Token], heading: tuple[str, str], path: Path
) -> None:
    """Write ``(T, D)`` token embeddings, T >= 1, as bars, the first 60 of them; one colour a field.

    Raises:
        ToolError: matplotlib is not installed.
    """
    shown = list(tokens[:MAX_TOKENS])
    norms = np.linalg.norm(features, axis=1)[: len(shown)]
    mean = unit_rows(features.mean(axis=0, keepdims=True))
    cosines = (unit_rows(features[: len(shown)]) @ mean.T)[:, 0]
    names = list(dict.fromkeys(token.field for token in shown))
    colours = [COLOURS[names.index(token.field)] for token in shown]
    places = np.arange(len(shown))
    with new_figure(path, 9, 1.8 + 0.2 * len(shown)) as figure:
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
        set_heading(figure, heading[0], heading[1] + cut)
