"""From one vector a modality to one vector a clip; a table `FUSIONS`: name -> class.

Each is built as `FUSIONS[name](input_dims, reduction=...)` and called as `module(vectors)` with a list of
`(B, D_m)` in the order of `input_dims`; it gives `(B, module.output_dim)`.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional


class Concat(nn.Module):
    """The vectors, one after the other."""

    def __init__(self, input_dims: Sequence[int], *, reduction: int = 8) -> None:  # noqa: ARG002 - no gate
        super().__init__()
        self.output_dim = sum(input_dims)

    def forward(self, vectors: Sequence[Tensor]) -> Tensor:
        """`(B, sum of D_m)`."""
        return torch.cat(list(vectors), dim=1)


class SeGate(nn.Module):
    """Squeeze and excitation over the concatenated vector: x * sigmoid(W2 relu(W1 x)).

    Hu, Shen, Sun 2018, "Squeeze-and-Excitation Networks", arXiv 1709.01507, section 3, applied to a vector
    (there is nothing to squeeze) as in the NeXtVLAD paper, section 3.2. Every unit is weighed by what all
    modalities say.
    """

    def __init__(self, input_dims: Sequence[int], *, reduction: int = 8) -> None:
        super().__init__()
        self.output_dim = sum(input_dims)
        bottleneck = max(1, self.output_dim // reduction)
        self.squeeze = nn.Linear(self.output_dim, bottleneck)
        self.excite = nn.Linear(bottleneck, self.output_dim)

    def forward(self, vectors: Sequence[Tensor]) -> Tensor:
        """`(B, sum of D_m)`."""
        joined = torch.cat(list(vectors), dim=1)
        gate = torch.sigmoid(self.excite(functional.relu(self.squeeze(joined))))
        return joined * gate


FUSIONS: dict[str, type[Concat] | type[SeGate]] = {"concat": Concat, "se_gate": SeGate}


def drop_modalities(present: Tensor, probability: float) -> Tensor:
    """`present` `(B, M)` bool with each True turned False with `probability`, but never all of a row's.

    A row that would lose everything keeps everything. Draws from torch's default generator, like dropout.
    """
    kept = present & (torch.rand(present.shape, device=present.device) >= probability)
    return torch.where(kept.any(dim=1, keepdim=True), kept, present)
