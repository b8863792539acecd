"""A trainable embedding table over token ids, for text end to end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from features.base.modalities import TEXT

if TYPE_CHECKING:
    from models.data.labels import Indices
    from models.data.sources import FeatureSource

Float64 = npt.NDArray[np.float64]

_STD_OF_START = 0.02
_CLIPS_AT_ONCE = 1000
_MIN_VARIANCE = 1e-12


class TextTable(nn.Module):
    """One trained row for each known token, and row 0 for all others.

    Args:
        num_tokens: Known tokens, V.
        width: Width D of a row.
    """

    known: Tensor

    def __init__(self, num_tokens: int, width: int) -> None:
        super().__init__()
        # Ascending ids of the tokens that have a row, (V,).
        self.register_buffer("known", torch.arange(num_tokens))
        self.embedding = nn.Embedding(num_tokens + 1, width)
        nn.init.normal_(self.embedding.weight, std=_STD_OF_START)

    def start_from(self, known: npt.NDArray[np.int64], rows: npt.NDArray[np.float32]) -> None:
        """Set the tokens ``(V,)``, ascending, and the first rows ``(V + 1, D)``, row 0 for all other tokens."""
        with torch.no_grad():
            self.known.copy_(torch.from_numpy(known))
            self.embedding.weight.copy_(torch.from_numpy(rows))

    def forward(self, token_ids: Tensor) -> Tensor:
        """Return ``(B, T, D)`` rows of the tokens ``(B, T)``."""
        if not len(self.known):
            found: Tensor = self.embedding(torch.zeros_like(token_ids))
            return found
        place = torch.searchsorted(self.known, token_ids).clamp(max=len(self.known) - 1)
        is_known = self.known[place] == token_ids
        rows: Tensor = self.embedding(torch.where(is_known, place + 1, 0))
        return rows


def mean_token_embeddings(
    source: FeatureSource, indices: Indices
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    """Return the token ids of some clips, and each token's mean stored embedding as first row of a table.

    Stored embeddings depend on their context; the mean over all occurrences of a token isolates the token itself.
    The rows are standardised by unit, as the network's other inputs are.

    Args:
        source: The clips; those without text are skipped.
        indices: ``(n,)`` positions of the training clips.

    Returns:
        Ids ``(V,)`` ascending, and rows ``(V + 1, D)``: row 0, for every other token, is zeros, the mean.
    """
    width = source.modality_dims[TEXT]
    sums: dict[int, Float64] = {}
    counts: dict[int, int] = {}
    total, squares, num_rows = np.zeros(width), np.zeros(width), 0
    for start in range(0, len(indices), _CLIPS_AT_ONCE):
        chosen = [int(index) for index in indices[start : start + _CLIPS_AT_ONCE]]
        rows = np.concatenate([source[index][TEXT] for index in chosen]).astype(np.float64)  # (S, D)
        tokens, places = np.unique(np.concatenate([source.token_ids(index) for index in chosen]), return_inverse=True)
        block = np.zeros((len(tokens), width))
        np.add.at(block, places, rows)
        for token, row, count in zip(tokens.tolist(), block, np.bincount(places).tolist(), strict=True):
            sums[token] = sums.get(token, 0.0) + row
            counts[token] = counts.get(token, 0) + count
        total += rows.sum(axis=0)
        squares += (rows**2).sum(axis=0)
        num_rows += len(rows)
    known = np.array(sorted(sums), dtype=np.int64)
    mean = total / max(1, num_rows)
    deviation = np.sqrt(np.maximum(squares / max(1, num_rows) - mean**2, _MIN_VARIANCE))
    table = np.zeros((len(known) + 1, width), np.float32)
    for place, token in enumerate(known.tolist()):
        table[place + 1] = (sums[token] / counts[token] - mean) / deviation
    return known, table
