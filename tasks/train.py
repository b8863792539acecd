"""A network trained on the cached embeddings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from features.files import published, sha256_of_json
from models.config import NetworkConfig, TrainConfig
from tasks.corpus import Manifest
from tasks.dataset import extract_stages, open_clips, read_labelled_corpus
from tasks.ledger import FileReceipt
from tasks.progress import Progress
from tasks.settings import load, significant
from tasks.stage import Stage

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

RESUME_NAME = "resume.pt"
CHECKPOINT_NAMES = ("model.json", "model.safetensors")
HISTORY_NAME = "history.jsonl"


class Train(Stage):
    """A checkpoint and the history of its training."""

    def settings(self) -> Mapping[str, object]:
        """Return the shape of the network and how it is trained."""
        load("network", NetworkConfig)
        load("train", TrainConfig)
        return {"network": significant("network"), "train": significant("train")}

    def inputs(self) -> Mapping[str, Stage]:
        """Return the corpus and the embeddings of every modality that is used."""
        return {"manifest": Manifest(force=self.force), **extract_stages(self.force)}

    def _forget_other_training(self) -> None:
        """Remove what a killed training left if it saw other features, or if this one is to start afresh."""
        seen = sha256_of_json({name: stage.published_success().digest for name, stage in self.inputs().items()})
        note = self.folder / "resume.inputs"
        if self.is_forced() or not note.exists() or note.read_text(encoding="utf-8") != seen:
            (self.folder / RESUME_NAME).unlink(missing_ok=True)
        with published(note) as temporary:
            temporary.write_text(seen, encoding="utf-8")

    def build(self) -> tuple[Sequence[FileReceipt], int, Mapping[str, object]]:
        """Train; a run that was killed goes on after its last epoch."""
        from models.labelling import positions_of  # noqa: PLC0415 - loads torch
        from models.training import train  # noqa: PLC0415 - loads torch

        corpus = read_labelled_corpus(Manifest(force=self.force))
        clips = open_clips(self.force)
        self._forget_other_training()
        config = load("train", TrainConfig)
        with Progress(self.stage_name, config.epochs, self.folder, unit="epoch") as progress:
            summary = train(
                clips,
                corpus.labels,
                positions_of(corpus.splits, "train"),
                positions_of(corpus.splits, "validation"),
                load("network", NetworkConfig),
                config,
                self.folder,
                feature_recipes=clips.recipes(),
                on_epoch=lambda _: progress.advance(),
            )
        facts = {
            "epochs": summary.num_epochs,
            "selected_epoch": summary.selected_epoch,
            "validation_score": summary.validation_score,
            "parameters": summary.num_parameters,
            "stopped_early": summary.stopped_early,
        }
        receipts = [FileReceipt.of(self.folder, name, 1) for name in CHECKPOINT_NAMES]
        receipts.append(FileReceipt.of(self.folder, HISTORY_NAME, summary.num_epochs, is_record=True))
        return receipts, len(receipts), facts
