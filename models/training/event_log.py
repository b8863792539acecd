"""The epochs of a run as event files for TensorBoard, in `tensorboard/` beside the checkpoint."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from models.config.artifacts import EVENTS_NAME
from models.config.training import TrainConfig
from models.data.distributed import own_share
from models.training.history import EpochRecord

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


@contextmanager
def event_log(
    folder: Path, config: TrainConfig, history: Sequence[EpochRecord]
) -> Iterator[Callable[[EpochRecord], None]]:
    """Yields what takes each epoch down; nothing is written where it is off or TensorBoard is not installed.

    Args:
        folder: Where the checkpoint is.
        config: Says whether to write.
        history: Epochs of the run before it was killed; without any, older event files are removed.
    """
    if not config.tensorboard or own_share().rank or find_spec("tensorboard") is None:
        yield lambda _: None
        return
    from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415 - slow to load

    target = folder / EVENTS_NAME
    if not history:
        for old in target.glob("events.*"):
            old.unlink()
    # Steps that a killed run wrote and that will be done again are struck out.
    writer = SummaryWriter(str(target), purge_step=len(history) + 1)
    try:
        yield lambda record: _write(writer, record)
    finally:
        writer.close()


def _write(writer: "SummaryWriter", record: EpochRecord) -> None:
    values = {"loss/train": record.train_loss, "loss/validation": record.validation_loss}
    values |= {"learning rate": record.learning_rate}
    values |= {f"validation/{name}": value for name, value in record.metrics.items()}
    for name, value in values.items():
        if value is not None:
            writer.add_scalar(name, value, record.epoch)
    writer.flush()
