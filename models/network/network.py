"""The network: one encoder a modality, their fusion, the clip's embedding, and the heads."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from features.base.errors import DataError
from models.data.masking import masked_mean
from models.data.sources import used_modalities
from models.heads.logits import HeadOutputs, Logits, Outputs
from models.network.build import build_fusion, build_heads
from models.network.encoders import ModalityEncoder, StepPreparation

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from models.config.network import NetworkConfig
    from models.data.batching import Batch


class VideoNetwork(nn.Module):
    """A network over prepared steps: one expert, or several that a gate mixes.

    Args:
        config: Sizes and names.
        modality_dims: Modality -> width of its features, in the order in which they are fused. a name
            outside ``features.base.modalities`` is encoded like ``frames``.
        num_categories: 0 leaves the category head out.
        num_tags: 0 leaves the tag head out.
        num_tokens: Rows of the trained table of text tokens, for a ``text_embedding`` that has one.
    """

    def __init__(
        self,
        config: NetworkConfig,
        modality_dims: Mapping[str, int],
        num_categories: int,
        num_tags: int,
        *,
        num_tokens: int = 0,
    ) -> None:
        super().__init__()
        self.config = config
        self.modality_dims = used_modalities(config, modality_dims)
        self.prepare = StepPreparation(config, self.modality_dims, num_tokens)
        step_dims = self.prepare.output_dims
        self.experts = nn.ModuleList(
            Expert(config, step_dims, num_categories, num_tags) for _ in range(config.num_experts)
        )
        # Source of the gate: the mean step of every modality.
        self.gate = nn.Linear(sum(step_dims.values()), config.num_experts) if config.num_experts > 1 else None

    def forward(
        self,
        batch: Batch,
        *,
        perturbations: Mapping[str, Tensor] | None = None,
        captured: dict[str, Tensor] | None = None,
    ) -> Outputs:
        """Return the outputs for each clip of ``batch``, which has all modalities of the network.

        Args:
            batch: The clips.
            perturbations: Modality -> ``(B, T, D)`` added to its prepared steps.
            captured: Filled with modality -> prepared steps ``(B, T, D)``, in whose ``grad`` a backward pass leaves
                their gradient; None captures nothing.
        """
        masks = {name: batch.masks[name] for name in self.modality_dims}
        steps = self.prepare(batch)
        if captured is not None:
            steps = {name: _capture(tensor) for name, tensor in steps.items()}
            captured.update(steps)
        for name, perturbation in (perturbations or {}).items():
            steps[name] = steps[name] + perturbation
        present = torch.stack([mask.any(dim=1) for mask in masks.values()], dim=1)  # (B, M)
        if self.training:
            present = drop_modalities(present, self.config.modality_dropout)
        outputs = [expert(steps, masks, present) for expert in self.experts]
        return outputs[0] if self.gate is None else mix_experts(self._weights(steps, masks, present), outputs)

    def _weights(self, steps: Mapping[str, Tensor], masks: Mapping[str, Tensor], present: Tensor) -> Tensor:
        """Return the weight of each expert for each clip, ``(B, experts)``, adding up to 1."""
        if self.gate is None:
            raise DataError("a network of one expert has no gate")
        means = [masked_mean(steps[name], masks[name] & present[:, i, None]) for i, name in enumerate(steps)]
        return torch.softmax(self.gate(torch.cat(means, dim=1)), dim=1)


class Expert(nn.Module):
    """One whole network over prepared steps."""

    def __init__(self, config: NetworkConfig, step_dims: Mapping[str, int], num_categories: int, num_tags: int) -> None:
        super().__init__()
        self.names = tuple(step_dims)
        encoders = {name: ModalityEncoder(name, width, config) for name, width in step_dims.items()}
        self.encoders = nn.ModuleDict(encoders)
        widths = [encoder.output_dim for encoder in encoders.values()]
        self.fusion = build_fusion(widths, config)
        self.dropout = nn.Dropout(config.dropout)
        self.hidden = nn.Linear(self.fusion.output_dim, config.hidden_width) if config.hidden_width else None
        self.embed = nn.Linear(config.hidden_width or self.fusion.output_dim, config.embedding_width)
        self.heads = build_heads(config.heads, config.embedding_width, num_categories, num_tags, config)
        own_heads = zip(self.names, widths, strict=True) if config.modality_heads else ()
        self.modality_heads = nn.ModuleDict(
            {name: build_heads("independent", width, num_categories, num_tags, config) for name, width in own_heads}
        )

    def forward(self, steps: Mapping[str, Tensor], masks: Mapping[str, Tensor], present: Tensor) -> Outputs:
        """Return the expert's outputs; ``present`` ``(B, M)`` is False for a missing or dropped modality."""
        vectors = {
            name: encoder(steps[name], masks[name], present[:, column])
            for column, (name, encoder) in enumerate(self.encoders.items())
        }
        fused = self.dropout(self.fusion(list(vectors.values()), present))
        hidden = fused if self.hidden is None else self.dropout(functional.gelu(self.hidden(fused)))
        embedding = self.embed(hidden)
        found: HeadOutputs = self.heads(embedding)
        own = {name: head(vectors[name]).logits for name, head in self.modality_heads.items()}
        return Outputs(found.logits, embedding, found.branches, own, present, ())


def mix_experts(weights: Tensor, outputs: Sequence[Outputs]) -> Outputs:
    """Return the experts' logits and embeddings averaged by ``weights`` ``(B, experts)``.

    Lin, Xiao, Fan 2018, arXiv 1811.05014, section 3.4.
    """
    logits = _mix_logits(weights, [output.logits for output in outputs])
    embedding = torch.einsum("be,bed->bd", weights, torch.stack([output.embedding for output in outputs], dim=1))
    modalities = {
        name: _mix_logits(weights, [output.modalities[name] for output in outputs]) for name in outputs[0].modalities
    }
    branches = tuple(
        _mix_logits(weights, parts) for parts in zip(*(output.branches for output in outputs), strict=True)
    )
    experts = tuple(output.logits for output in outputs)
    return Outputs(logits, embedding, branches, modalities, outputs[0].present, experts)


def _mix_logits(weights: Tensor, logits: Sequence[Logits]) -> Logits:
    def average(tensors: Sequence[Tensor | None]) -> Tensor | None:
        there = [tensor for tensor in tensors if tensor is not None]
        return torch.einsum("be,bec->bc", weights, torch.stack(there, dim=1)) if there else None

    return Logits(average([part.category_logits for part in logits]), average([part.tag_logits for part in logits]))


def _capture(steps: Tensor) -> Tensor:
    """Return the steps, set up so that a backward pass leaves their gradient in ``grad``."""
    if not steps.requires_grad:
        return steps.detach().requires_grad_()
    steps.retain_grad()
    return steps


def drop_modalities(present: Tensor, probability: float) -> Tensor:
    """Return ``present`` ``(B, M)`` with each True turned False with ``probability``, but never all of a row.

    A row that would lose everything keeps everything. Draws from torch's default generator, like dropout.
    """
    kept = present & (torch.rand(present.shape, device=present.device) >= probability)
    return torch.where(kept.any(dim=1, keepdim=True), kept, present)
