"""Scores and embeddings of clips from a checkpoint, or from several as an ensemble."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from features.base.errors import CheckpointError, SettingError
from models.calibration.fit import apply
from models.calibration.schema import Calibration, identity, mean_thresholds
from models.calibration.storage import read_or_identity
from models.data.batching import Batch, iterate_batches
from models.data.labels import Indices
from models.data.sources import FeatureSource
from models.heads.logits import category_probabilities, tag_probabilities
from models.prediction.checkpoints import Checkpoint, CheckpointInfo, load

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Predictions:
    """What a network, or an ensemble, says about N clips.

    Attributes:
        category_scores: `(N, K)` float32, each row adding up to 1; K is 0 without categories.
        tag_scores: `(N, C)` float32 in 0..1; C is 0 without tags.
        embedding: `(N, E)` float32 of length 1. Of an ensemble of M it is the M embeddings side by side over the
            root of M, so that the cosine of two clips is the mean of the members' cosines.
        tag_thresholds: `(C,)` float64; a clip is given the tags whose scores are not below them.
    """

    category_scores: Float32
    tag_scores: Float32
    embedding: Float32
    tag_thresholds: Float64

    def __len__(self) -> int:
        return len(self.embedding)


@dataclass(frozen=True)
class Member:
    """One network of an ensemble, and how its scores are corrected."""

    checkpoint: Checkpoint
    calibration: Calibration


@dataclass(frozen=True)
class Predictor:
    """The networks of an ensemble, or the one of a checkpoint, ready for any number of clips.

    Scores and thresholds are the means of the members', each calibrated by itself.

    Attributes:
        members: The networks, at least one, all of the same categories and tags.
        device: Where they are, and compute.
    """

    members: tuple[Member, ...]
    device: torch.device

    @classmethod
    def load(
        cls,
        folders: Sequence[Path],
        modality_dims: Mapping[str, int],
        feature_recipes: Mapping[str, str],
        *,
        device: str = "cpu",
        calibrated: bool = True,
    ) -> "Predictor":
        """The networks in `folders`.

        Args:
            folders: Where `train` wrote; at least one, all of the same categories and tags.
            modality_dims: Modality -> width of its features, of all clips to come.
            feature_recipes: Modality -> recipe of its features, of all clips to come.
            device: Name of a torch device.
            calibrated: Whether a checkpoint's calibration, where there is one, is applied.

        Raises:
            CheckpointError: There is no sound checkpoint, it was trained on other features, or two have other labels.
        """
        if not folders:
            raise CheckpointError("an ensemble of no checkpoint was asked for: give at least one")
        members: list[Member] = []
        for folder in folders:
            checkpoint = load(folder, expected_dims=modality_dims, expected_recipes=feature_recipes)
            info, first = checkpoint.info, members[0].checkpoint.info if members else checkpoint.info
            if (info.category_names, info.tag_names) != (first.category_names, first.tag_names):
                raise CheckpointError(
                    f"the networks in {folders[0]} and {folder} have different categories or tags: "
                    "an ensemble needs the same ones in the same order"
                )
            checkpoint.network.to(torch.device(device))
            sizes = len(info.category_names), len(info.tag_names)
            members.append(Member(checkpoint, read_or_identity(folder, *sizes) if calibrated else identity(*sizes)))
        return cls(tuple(members), torch.device(device))

    @property
    def info(self) -> CheckpointInfo:
        """What the first network's checkpoint says: the categories and tags are those of all."""
        return self.members[0].checkpoint.info

    def predict(
        self,
        source: FeatureSource,
        indices: Indices,
        *,
        batch_size: int = 256,
        hidden: Collection[str] = (),
        on_batch: Callable[[int], None] | None = None,
    ) -> Predictions:
        """Predictions of the clips at `indices`, in their order.

        Args:
            source: The clips.
            indices: `(n,)` positions in `source`; may be none.
            batch_size: Clips at a time; at least 1.
            hidden: Modalities that are treated as if every clip lacked them.
            on_batch: Told the number of clips of each batch that is done.

        Raises:
            SettingError: A hidden modality is not one of the source.
        """
        parts = [self._nobody()]
        for part in self.batches(source, indices, batch_size=batch_size, hidden=hidden):
            parts.append(part)
            if on_batch is not None:
                on_batch(len(part))
        return Predictions(
            np.concatenate([part.category_scores for part in parts]),
            np.concatenate([part.tag_scores for part in parts]),
            np.concatenate([part.embedding for part in parts]),
            parts[0].tag_thresholds,
        )

    def batches(
        self, source: FeatureSource, indices: Indices, *, batch_size: int = 256, hidden: Collection[str] = ()
    ) -> Iterator[Predictions]:
        """Predictions as of `predict`, at most `batch_size` clips at a time; memory does not grow with their number."""
        for name in sorted(set(hidden) - set(source.modality_dims)):
            raise SettingError(f"modality {name!r} cannot be hidden: expected one of {', '.join(source.modality_dims)}")
        batches = []
        for member in self.members:
            network = member.checkpoint.network
            # The clips may have more modalities than the network was trained on.
            config = replace(network.config, modalities=",".join(network.modality_dims))
            batches.append(iterate_batches(source, indices, config, batch_size))
        for same_clips in zip(*batches, strict=True):
            yield _mean(
                [
                    _predict_batch(member, _without(batch, hidden).to(self.device))
                    for member, batch in zip(self.members, same_clips, strict=True)
                ]
            )

    def _nobody(self) -> Predictions:
        """Predictions of no clip."""
        return Predictions(
            np.zeros((0, len(self.info.category_names)), np.float32),
            np.zeros((0, len(self.info.tag_names)), np.float32),
            np.zeros((0, sum(member.checkpoint.info.network.embedding_width for member in self.members)), np.float32),
            mean_thresholds([member.calibration for member in self.members]),
        )


def predict(
    checkpoint_folder: Path,
    source: FeatureSource,
    indices: Indices,
    *,
    feature_recipes: Mapping[str, str],
    batch_size: int = 256,
    device: str = "cpu",
    calibrated: bool = True,
    hidden: Collection[str] = (),
    on_batch: Callable[[int], None] | None = None,
) -> Predictions:
    """Predictions of one network; arguments and errors are those of `Predictor.load` and `Predictor.predict`."""
    dims = source.modality_dims
    predictor = Predictor.load((checkpoint_folder,), dims, feature_recipes, device=device, calibrated=calibrated)
    return predictor.predict(source, indices, batch_size=batch_size, hidden=hidden, on_batch=on_batch)


def predict_ensemble(
    checkpoint_folders: Sequence[Path],
    source: FeatureSource,
    indices: Indices,
    *,
    feature_recipes: Mapping[str, str],
    calibrated: bool = True,
) -> Predictions:
    """The mean of several networks' predictions; else as `predict`."""
    predictor = Predictor.load(checkpoint_folders, source.modality_dims, feature_recipes, calibrated=calibrated)
    return predictor.predict(source, indices)


def iter_predictions(
    checkpoint_folder: Path,
    source: FeatureSource,
    indices: Indices,
    *,
    feature_recipes: Mapping[str, str],
    batch_size: int = 256,
) -> Iterator[Predictions]:
    """Predictions of one network, at most `batch_size` clips at a time; else as `predict`."""
    predictor = Predictor.load((checkpoint_folder,), source.modality_dims, feature_recipes)
    yield from predictor.batches(source, indices, batch_size=batch_size)


def given_tags(scores: Float32, thresholds: Float64, names: Sequence[str]) -> list[str]:
    """The tags that one clip is given: those whose scores are not below the thresholds, `(C,)` both; best first."""
    order = np.argsort(-scores, kind="stable")
    return [names[index] for index in order if scores[index] >= thresholds[index]]


def _without(batch: Batch, hidden: Collection[str]) -> Batch:
    """The batch as if its clips lacked the modalities of `hidden`."""
    masks = {name: mask & (name not in hidden) for name, mask in batch.masks.items()}
    return replace(batch, masks=masks)


@torch.inference_mode()
def _predict_batch(member: Member, batch: Batch) -> Predictions:
    outputs = member.checkpoint.network(batch)
    nothing = np.zeros((len(outputs.embedding), 0), np.float32)
    category, tags = outputs.category_logits, outputs.tag_logits
    category_scores, tag_scores = apply(
        member.calibration,
        nothing if category is None else category_probabilities(category).cpu().numpy(),
        nothing if tags is None else tag_probabilities(tags).cpu().numpy(),
    )
    embedding = functional.normalize(outputs.embedding.float(), dim=1).cpu().numpy()
    return Predictions(category_scores, tag_scores, embedding, np.array(member.calibration.tag_thresholds))


def _mean(parts: Sequence[Predictions]) -> Predictions:
    """The mean over the members of what they say about the same clips."""
    return Predictions(
        np.stack([part.category_scores for part in parts]).mean(axis=0, dtype=np.float64).astype(np.float32),
        np.stack([part.tag_scores for part in parts]).mean(axis=0, dtype=np.float64).astype(np.float32),
        np.concatenate([part.embedding for part in parts], axis=1) / np.float32(np.sqrt(len(parts))),
        np.stack([part.tag_thresholds for part in parts]).mean(axis=0),
    )
