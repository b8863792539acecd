"""Arithmetic over the valid steps of padded sequences.

Everywhere `features` is `(B, T, D)` float and `mask` is `(B, T)` bool, False for padding. What stands under
a False mask, even infinity or NaN, has no influence; no function writes into its arguments.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

_MIN_ROWS = 2
"""A variance needs two rows."""


def zero_padding(features: Tensor, mask: Tensor) -> Tensor:
    """A copy of `features` with zeros under the False steps of `mask`."""
    return features.masked_fill(~mask.unsqueeze(-1), 0.0)


def masked_mean(features: Tensor, mask: Tensor) -> Tensor:
    """Mean over the valid steps, `(B, D)`; zeros for a row without a valid step."""
    lengths = mask.sum(dim=1, keepdim=True).clamp(min=1)
    return zero_padding(features, mask).sum(dim=1) / lengths


def masked_max(features: Tensor, mask: Tensor) -> Tensor:
    """Largest value over the valid steps, `(B, D)`; zeros for a row without a valid step."""
    largest = features.masked_fill(~mask.unsqueeze(-1), -torch.inf).amax(dim=1)
    return largest.masked_fill(~mask.any(dim=1, keepdim=True), 0.0)


def masked_softmax(scores: Tensor, mask: Tensor) -> Tensor:
    """Softmax of `scores` `(B, T)` over the valid steps, `(B, T)`; 0 under the mask and in an empty row."""
    lowest = torch.finfo(scores.dtype).min
    weights = torch.softmax(scores.masked_fill(~mask, lowest), dim=1)
    return weights.masked_fill(~mask, 0.0)


def compact(features: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """The valid steps of each row moved to its front, in order, and cut to the longest row.

    Returns:
        Features `(B, L, D)` with zeros after each row's valid steps, and their mask `(B, L)`, where L is the
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
    """Batch normalisation whose statistics come from the valid rows only.

    Ioffe and Szegedy 2015, arXiv 1502.03167. In training a batch with fewer than two valid rows is normalised
    by the running statistics, and leaves them as they are. `momentum=None` makes the running statistics the
    plain mean over all batches so far, for an input whose distribution does not move.
    """

    def forward(self, features: Tensor, mask: Tensor | None = None) -> Tensor:
        """Normalised features, zeros under the mask.

        Args:
            features: `(..., D)`.
            mask: `(...)` bool; None means that every row is valid.
        """
        if mask is None:
            mask = features.new_ones(features.shape[:-1], dtype=torch.bool)
        valid = features[mask]  # (rows, D)
        use_batch = self.training and len(valid) >= _MIN_ROWS
        momentum = self.momentum
        if use_batch and self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
        if momentum is None:
            momentum = 1 / max(1, int(self.num_batches_tracked or 0))
        normalised = functional.batch_norm(
            valid,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            training=use_batch,
            momentum=momentum,
            eps=self.eps,
        )
        output = torch.zeros_like(features)
        output[mask] = normalised
        return output
