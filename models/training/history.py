"""The results of each epoch of a run: lines of ``history.jsonl``, and event files for TensorBoard."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING

from features.base.files import publish_bytes
from models.config.artifacts import EVENTS_NAME, HISTORY_NAME

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from torch.utils.tensorboard import SummaryWriter


@dataclass(frozen=True)
class EpochRecord:
    """One line of ``history.jsonl``.

    Attributes:
        epoch: From 1.
        learning_rate: Of the epoch's last update.
        train_loss: Mean over the clips, dropout on.
        validation_loss: Mean over the validation clips; None without clips.
        category_map: Mean average precision of the categories on the validation clips; None without labels.
        tag_map: The same of the tags.
        score: Mean of those of the two that are not None; None when both are.
        metrics: Every metric of the validation clips by the name that ``selection_metric`` takes.
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
    """Replace ``history.jsonl`` in ``folder`` by one JSON object a line for each record."""
    lines = "".join(json.dumps(asdict(record)) + "\n" for record in records)
    publish_bytes(folder / HISTORY_NAME, lines.encode())


def read_history(folder: Path) -> tuple[EpochRecord, ...]:
    """Return the records in ``folder``.

    Raises:
        OSError: There is no history.
    """
    lines = (folder / HISTORY_NAME).read_text(encoding="utf-8").splitlines()
    return tuple(EpochRecord(**json.loads(line)) for line in lines)


@contextmanager
def event_log(folder: Path, history: Sequence[EpochRecord], *, is_on: bool) -> Iterator[Callable[[EpochRecord], None]]:
    """Yield a function that logs an epoch; it does nothing if the log is off or TensorBoard is not installed.

    Args:
        folder: Of the checkpoint.
        history: Epochs of the run before it was killed; without any, older event files are removed.
        is_on: Whether to write.
    """
    if not is_on or find_spec("tensorboard") is None:
        yield lambda _: None
        return
    from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415 - slow to load

    target = folder / EVENTS_NAME
    if not history:
        for old in target.glob("events.*"):
            old.unlink()
    # Epochs that a killed run logged without a resume state are logged again: the writer drops the old entries.
    writer = SummaryWriter(str(target), purge_step=len(history) + 1)
    try:
        yield lambda record: _write(writer, record)
    finally:
        writer.close()


def _write(writer: SummaryWriter, record: EpochRecord) -> None:
    values = {"loss/train": record.train_loss, "loss/validation": record.validation_loss}
    values |= {"learning rate": record.learning_rate}
    values |= {f"validation/{name}": value for name, value in record.metrics.items()}
    for name, value in values.items():
        if value is not None:
            writer.add_scalar(name, value, record.epoch)
    writer.flush()
