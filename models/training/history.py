"""What each epoch of a run gave."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from features.base.files import publish_bytes
from models.config.artifacts import HISTORY_NAME


@dataclass(frozen=True)
class EpochRecord:
    """One line of `history.jsonl`.

    Attributes:
        epoch: From 1.
        learning_rate: Of the epoch's last step.
        train_loss: Mean over the clips, dropout on.
        validation_loss: Mean over the validation clips; None without clips.
        category_map: Mean average precision of the categories on the validation clips; None without labels.
        tag_map: The same of the tags.
        score: Mean of the two that are there; None when neither is.
        metrics: Every metric of the validation clips by the name that `selection_metric` takes.
        is_best: Whether this epoch's weights became the checkpoint.
        seconds: Wall time of the epoch, validation included.
    """

    epoch: int
    learning_rate: float
    train_loss: float
    validation_loss: float | None
    category_map: float | None
    tag_map: float | None
    score: float | None
    metrics: Mapping[str, float]
    is_best: bool
    seconds: float


def write_history(folder: Path, records: Sequence[EpochRecord]) -> None:
    """Replace `history.jsonl` in `folder` by one JSON object a line for each record."""
    lines = "".join(json.dumps(asdict(record)) + "\n" for record in records)
    publish_bytes(folder / HISTORY_NAME, lines.encode())


def read_history(folder: Path) -> tuple[EpochRecord, ...]:
    """The records in `folder`.

    Raises:
        OSError: There is no history.
    """
    lines = (folder / HISTORY_NAME).read_text(encoding="utf-8").splitlines()
    return tuple(EpochRecord(**json.loads(line)) for line in lines)
