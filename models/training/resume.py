"""The state of an unfinished run, in ``resume.pt``, from which the same call continues after a kill."""

from __future__ import annotations

import hashlib
import io
import json
import pickle
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from features.base.files import publish_bytes
from features.base.settings import identity_values
from models.config.artifacts import RESUME_NAME
from models.training.history import EpochRecord

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from models.config.network import NetworkConfig
    from models.config.training import TrainConfig
    from models.data.labels import Indices, Labels


@dataclass(frozen=True)
class ResumeState:
    """Everything that the next epoch depends on, beside the seed and its number.

    Attributes:
        identity: Digest of the inputs and settings; see ``run_identity``.
        network: State of the network that is trained.
        average: State of the averaged network; empty when there is none.
        num_updates: Number of updates in the average.
        optimizer: State of the optimizer.
        best_rank: Rank of the best epoch so far.
        history: The finished epochs.
    """

    identity: str
    network: Mapping[str, Tensor]
    average: Mapping[str, Tensor]
    num_updates: int
    optimizer: Mapping[str, object]
    best_rank: tuple[float, ...]
    history: tuple[EpochRecord, ...]


def run_identity(
    configs: tuple[NetworkConfig, TrainConfig],
    labels: Labels,
    splits: Mapping[str, Indices],
    features: Mapping[str, tuple[int, str | None]],
) -> str:
    """Return a digest of everything that a run's result depends on.

    Args:
        configs: The settings.
        labels: Of all clips.
        splits: Name -> positions of its clips.
        features: Modality -> width and recipe of its features.
    """
    settings = [dict(identity_values(config)) for config in configs]
    words = [settings, labels.category_names, labels.tag_names, list(features.items()), torch.__version__]
    digest = hashlib.sha256(json.dumps(words, sort_keys=True).encode())
    for array in (labels.category, labels.tags, labels.tags_known, *splits.values()):
        digest.update(f"{array.dtype}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def write_resume_state(folder: Path, state: ResumeState) -> None:
    """Replace ``resume.pt`` in ``folder``."""
    content = io.BytesIO()
    fields = {**vars(state), "history": [asdict(record) for record in state.history]}
    torch.save(fields, content)
    publish_bytes(folder / RESUME_NAME, content.getvalue())


def read_resume_state(folder: Path, identity: str) -> ResumeState | None:
    """Return the state of a killed run of the same identity; None when there is none or it cannot be read."""
    try:
        fields = torch.load(folder / RESUME_NAME, map_location="cpu", weights_only=True)
    except (FileNotFoundError, EOFError, RuntimeError, pickle.UnpicklingError):
        return None
    if not isinstance(fields, dict) or fields.get("identity") != identity:
        return None
    history = tuple(EpochRecord(**record) for record in fields.pop("history"))
    return ResumeState(**fields, history=history)


def remove_resume_state(folder: Path) -> None:
    """Remove ``resume.pt`` from ``folder``, if it exists."""
    (folder / RESUME_NAME).unlink(missing_ok=True)
