"""Dense layers for many rows, computed by oneDNN on a CPU, which torch ships beside MKL.

Torch computes float32 products of ordinary tensors with MKL, which does not use the whole width of the vector units
of every processor. On an AMD EPYC (Zen 5) oneDNN takes half the time, forward and backward: 58 ms instead of 120
for 2,048 rows from 1,280 to 2,560 units. Both compute in float32; only the order of their sums differs.

Torch uses oneDNN for a tensor in oneDNN's own layout. The change of layout is a copy, so rows that pass through
several layers stay in it: ``fast_layout``, then ``functional.linear`` as often as needed, then ``plain_layout``.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

# Multiplications below which the change of layout costs more than it saves (measured: about 5 million).
_MIN_PRODUCTS = 1 << 24


def dense(rows: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return ``rows`` times the transposed ``weight``, plus ``bias``, ``(N, D_out)``.

    Args:
        rows: ``(N, D_in)``.
        weight: ``(D_out, D_in)``.
        bias: ``(D_out,)``.
    """
    return plain_layout(functional.linear(fast_layout(rows, len(weight)), weight, bias))


def fast_layout(rows: Tensor, num_outputs: int) -> Tensor:
    """Return ``rows`` ``(N, D)``, in oneDNN's layout where that speeds up a dense layer of ``num_outputs``."""
    is_fast = (
        rows.device.type == "cpu"
        and rows.dtype == torch.float32
        and rows.numel() * num_outputs >= _MIN_PRODUCTS
        and torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
        # Autocast would compute in bfloat16.
        and not torch.is_autocast_enabled("cpu")
    )
    return rows.to_mkldnn() if is_fast else rows


def plain_layout(rows: Tensor) -> Tensor:
    """Return ``rows`` in the layout that every operation reads."""
    return rows.to_dense() if rows.is_mkldnn else rows
