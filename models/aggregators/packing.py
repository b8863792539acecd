"""The valid steps of a batch as the rows of one matrix, and back.

For what is done to each step alone, padding then costs nothing and has no influence.
"""

from torch import Tensor


def valid_rows(features: Tensor, mask: Tensor) -> Tensor:
    """The steps under True, `(rows, D)`, from features `(B, T, D)` and mask `(B, T)`; no copy if all are valid."""
    return features.flatten(0, 1) if bool(mask.all()) else features[mask]


def place_rows(rows: Tensor, mask: Tensor) -> Tensor:
    """Rows `(rows, D)` back at the True steps of `mask` `(B, T)`, with zeros elsewhere, `(B, T, D)`."""
    if len(rows) == mask.numel():
        return rows.view(*mask.shape, rows.shape[1])
    placed = rows.new_zeros(*mask.shape, rows.shape[1])
    placed[mask] = rows
    return placed
