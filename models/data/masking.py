"""Arithmetic over the valid steps of padded sequences.

Everywhere ``features`` is ``(B, T, D)`` float and ``mask`` is ``(B, T)`` bool, False for padding. Values under a
False mask, even infinity or NaN, have no influence. No function writes into its arguments. For operations on single
steps, ``valid_rows`` and ``place_rows`` leave the padding out of the computation.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.data.distributed import all_reduce_scalar, all_reduce_sum, is_shared

if TYPE_CHECKING:
    from collections.abc import Iterator

# A variance needs two rows.
_MIN_ROWS = 2


def zero_padding(features: Tensor, mask: Tensor) -> Tensor:
    """Return a copy of ``features`` with zeros under the False steps of ``mask``."""
    return features.masked_fill(~mask.unsqueeze(-1), 0.0)


def masked_mean(features: Tensor, mask: Tensor) -> Tensor:
    """Return the mean over the valid steps, ``(B, D)``; zeros for a row without a valid step."""
    lengths = mask.sum(dim=1, keepdim=True).clamp(min=1)
    return zero_padding(features, mask).sum(dim=1) / lengths


def masked_max(features: Tensor, mask: Tensor) -> Tensor:
    """Return the largest value over the valid steps, ``(B, D)``; zeros for a row without a valid step."""
    largest = features.masked_fill(~mask.unsqueeze(-1), -torch.inf).amax(dim=1)
    return largest.masked_fill(~mask.any(dim=1, keepdim=True), 0.0)


def masked_softmax(scores: Tensor, mask: Tensor) -> Tensor:
    """Return the softmax of ``scores`` ``(B, T)`` over the valid steps; 0 under the mask and in an empty row."""
    lowest = torch.finfo(scores.dtype).min
    weights = torch.softmax(scores.masked_fill(~mask, lowest), dim=1)
    return weights.masked_fill(~mask, 0.0)


def compact(features: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Return the valid steps of each row moved to its front, in order, and cut to the longest row.

    Returns:
        Features ``(B, L, D)`` with zeros after each row's valid steps, and their mask ``(B, L)``, where L is the
        largest number of valid steps and at least 1.
    """
    lengths = mask.sum(dim=1)
    longest = max(1, int(lengths.max())) if len(lengths) else 1
    front = torch.arange(longest, device=mask.device) < lengths.unsqueeze(1)  # (B, L)
    packed = features.new_zeros(features.shape[0], longest, features.shape[2])
    # Both masks list a row's valid steps in order, and have as many of them.
    packed[front] = features[mask]
    return packed, front


class MaskedBatchNorm(nn.BatchNorm1d):
    """Batch normalisation whose statistics come from the valid rows only, of all processes that share the batch.

    Ioffe and Szegedy 2015, arXiv 1502.03167. In training, a batch with fewer than two valid rows is normalised
    by the running statistics and does not change them. ``momentum=None`` makes the running statistics the
    plain mean over all batches so far, for an input whose distribution does not change.

    Attributes:
        is_frozen: Whether training leaves the running statistics as they are, as in ``frozen_statistics``.
    """

    is_frozen = False

    def forward(self, features: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return the normalised features, zeros under the mask.

        Args:
            features: ``(..., D)``.
            mask: ``(...)`` bool; None means that every row is valid.
        """
        if mask is None:
            return self._normalise(features.flatten(0, -2)).view(features.shape)
        output = torch.zeros_like(features)
        output[mask] = self._normalise(features[mask]).to(output.dtype)
        return output

    def _normalise(self, rows: Tensor) -> Tensor:
        """Return rows ``(N, D)`` normalised by the batch's statistics, or by the running ones."""
        use_batch = self.training and all_reduce_scalar(len(rows)) >= _MIN_ROWS
        if use_batch and is_shared():
            return self._normalise_together(rows)
        learns = use_batch and not self.is_frozen
        return functional.batch_norm(
            rows,
            self.running_mean if learns or not use_batch else None,
            self.running_var if learns or not use_batch else None,
            self.weight,
            self.bias,
            training=use_batch,
            momentum=self._next_momentum() if learns else 0.0,
            eps=self.eps,
        )

    def _normalise_together(self, rows: Tensor) -> Tensor:
        """Return rows ``(N, D)`` normalised by the statistics of the rows of all processes, in float32."""
        rows, num_rows = rows.float(), all_reduce_scalar(len(rows))
        mean = all_reduce_sum(rows.sum(dim=0)) / num_rows
        # In two passes: a mean of squares less a squared mean would lose the digits of a small variance.
        variance = all_reduce_sum((rows - mean).square().sum(dim=0)) / num_rows
        if not self.is_frozen and self.running_mean is not None and self.running_var is not None:
            momentum = self._next_momentum()
            self.running_mean.lerp_(mean.detach(), momentum)
            self.running_var.lerp_(variance.detach() * num_rows / (num_rows - 1), momentum)
        normalised = (rows - mean) * torch.rsqrt(variance + self.eps)
        # ``weight`` and ``bias`` are None without an affine map, which torch's types hide.
        return normalised * self.weight + self.bias if self.affine else normalised

    def _next_momentum(self) -> float:
        """Return the momentum of this batch's statistics, and count the batch."""
        if self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
        return self.momentum if self.momentum is not None else 1 / max(1, int(self.num_batches_tracked or 0))


@contextmanager
def frozen_statistics(network: nn.Module) -> Iterator[None]:
    """Keep the running statistics of every batch normalisation of ``network`` as they are, in training mode, too."""
    norms = [module for module in network.modules() if isinstance(module, MaskedBatchNorm)]
    before = [norm.is_frozen for norm in norms]
    for norm in norms:
        norm.is_frozen = True
    try:
        yield
    finally:
        for norm, was_frozen in zip(norms, before, strict=True):
            norm.is_frozen = was_frozen


def valid_rows(features: Tensor, mask: Tensor) -> Tensor:
    """Return the valid steps of ``(B, T, D)`` as ``(rows, D)``, without a copy where all are valid."""
    return features.flatten(0, 1) if bool(mask.all()) else features[mask]


def place_rows(rows: Tensor, mask: Tensor) -> Tensor:
    """Return rows ``(rows, D)`` at the valid steps of ``mask`` ``(B, T)``, with zeros elsewhere, ``(B, T, D)``."""
    if len(rows) == mask.numel():
        return rows.view(*mask.shape, rows.shape[1])
    placed = rows.new_zeros(*mask.shape, rows.shape[1])
    placed[mask] = rows
    return placed
