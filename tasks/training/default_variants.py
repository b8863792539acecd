"""The variants of an ablation that names none: one question each, beside the configured settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

# Variant -> what is different in it.
_QUESTIONS: dict[str, dict[str, str]] = {
    "default": {},
    # Does a network do better than means?
    "mean_linear": {"network.preset": "mean_linear"},
    # Does the order of the frames matter?
    "frames: mean": {"network.frames_aggregator": "mean"},
    "frames: attention": {"network.frames_aggregator": "attention"},
    "frames: trn": {"network.frames_aggregator": "trn"},
    "frames: nextvlad": {"network.frames_aggregator": "nextvlad"},
    "frames: trn_x": {"network.frames_aggregator": "trn_x"},
    # How are the modalities put together?
    "fusion: concat": {"network.fusion": "concat"},
    "fusion: gate_fusion": {"network.fusion": "gate_fusion"},
    "fusion: low_rank": {"network.fusion": "low_rank"},
    "missing: masked": {"network.missing": "masked"},
    "no modality dropout": {"network.modality_dropout": "0"},
    # Do the heads help each other?
    "heads: cascade": {"network.heads": "cascade"},
    "heads: hierarchical": {"network.heads": "hierarchical"},
    "tags: moe": {"network.tag_head": "moe"},
    "heads of modalities": {"network.modality_heads": "true"},
    "mixture of 2": {"network.num_experts": "2"},
    # Does the training?
    "adversarial: fgm": {"train.adversarial": "fgm"},
    "adversarial: pgd": {"train.adversarial": "pgd"},
    "tags: asymmetric loss": {"train.tag_loss": "asymmetric"},
    "tags: focal loss": {"train.tag_loss": "focal"},
    "class weights": {"train.class_weight_power": "0.5"},
    "no label smoothing": {"train.label_smoothing": "0"},
    "no running mean": {"train.ema_decay": "0"},
}


def usual_variants(modalities: Sequence[str]) -> dict[str, dict[str, str]]:
    """Return variant -> what is different in it; with several modalities also what each of them is worth."""
    has_pictures = not {"frames", "motion"}.isdisjoint(modalities)
    found = {name: changes for name, changes in _QUESTIONS.items() if has_pictures or not name.startswith("frames:")}
    if "text" in modalities:
        for name in ("frozen", "trained"):
            found[f"text: {name}"] = {"network.text_embedding": name}
    if {"text", "cover", "motion"} <= set(modalities):
        found["seed_baseline"] = {"network.preset": "seed_baseline"}
    if len(modalities) > 1:
        for name in modalities:
            if len(modalities) > 2:  # noqa: PLR2004 - of two, one alone is without the other
                found[f"{name} alone"] = {"network.modalities": name}
            rest = ", ".join(other for other in modalities if other != name)
            found[f"without {name}"] = {"network.modalities": rest}
            found[f"{name} hidden"] = {"predict.hidden": name}
    return found
