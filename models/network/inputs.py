"""Features made ready for the aggregators: standardised, and for text looked up in a trained table."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from features.base.errors import DataError
from models.config.network import NetworkConfig
from models.data.batching import TEXT, Batch
from models.data.masking import MaskedBatchNorm, zero_padding
from models.network.token_embedding import TextTable


class StepPreparation(nn.Module):
    """Each modality's features standardised; for text also, or instead, the rows of a trained table.

    The features are standardised each by itself over the clips, not within a step, since the level of a step
    (the loudness of a log-mel window, say) is information.

    Attributes:
        output_dims: Modality -> width of its prepared steps.
    """

    def __init__(self, config: NetworkConfig, modality_dims: Mapping[str, int], num_tokens: int) -> None:
        super().__init__()
        self.output_dims = dict(modality_dims)
        has_table = TEXT in modality_dims and config.text_embedding != "frozen"
        self.table = TextTable(num_tokens, modality_dims[TEXT]) if has_table else None
        self.standardise = nn.ModuleDict(
            {
                name: MaskedBatchNorm(width, affine=False, momentum=None)
                for name, width in modality_dims.items()
                if not (name == TEXT and config.text_embedding == "trained")
            }
        )
        if has_table and config.text_embedding == "both":
            self.output_dims[TEXT] = 2 * modality_dims[TEXT]

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Modality -> `(B, T, D)`, zeros in the padding."""
        steps: dict[str, Tensor] = {}
        for name in self.output_dims:
            parts = []
            if name in self.standardise:
                parts.append(self.standardise[name](batch.features[name], batch.masks[name]))
            if name == TEXT and self.table is not None:
                if batch.token_ids is None:
                    raise DataError(
                        "the network looks up text tokens, but the clips have no token ids: extract text again"
                    )
                parts.append(zero_padding(self.table(batch.token_ids), batch.masks[name]))
            steps[name] = parts[0] if len(parts) == 1 else torch.cat(parts, dim=2)
        return steps
