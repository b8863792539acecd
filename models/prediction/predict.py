"""Scores and embeddings of clips from a checkpoint, or from several as an ensemble."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from features.base.errors import CheckpointError, SettingError
from models.calibration.fit import apply_calibration
from models.calibration.schema import Calibration, mean_thresholds, no_calibration, read_or_default
from models.config.network import NetworkConfig
from models.data.batching import Batch, iterate_batches
from models.heads.logits import category_probabilities, tag_probabilities
from models.prediction.checkpoints import Checkpoint, CheckpointInfo, load

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
    from pathlib import Path

    from models.data.labels import Indices
    from models.data.sources import FeatureSource

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Predictions:
    """The output of a network, or of an ensemble, for N clips.

    Attributes:
        category_scores: ``(N, K)`` float32, each row adding up to 1; K is 0 without categories.
        tag_scores: ``(N, C)`` float32 in 0..1; C is 0 without tags.
        embedding: ``(N, E)`` float32 of length 1. Of an ensemble of M it is the M embeddings side by side over the
            root of M, so that the cosine of two clips is the mean of the members' cosines.
        tag_thresholds: ``(C,)`` float64; a clip is given the tags whose scores are not below them.
        uncalibrated_category_scores: ``(N, K)`` float32, the category scores before any calibration.
    """

    category_scores: Float32
    tag_scores: Float32
    embedding: Float32
    tag_thresholds: Float64
    uncalibrated_category_scores: Float32

    def __len__(self) -> int:
        return len(self.embedding)


@dataclass(frozen=True)
class Member:
    """One network of an ensemble, and how its scores are corrected."""

    checkpoint: Checkpoint
    calibration: Calibration

    def collate_config(self) -> NetworkConfig:
        """Return a configuration with all that a batch for this network depends on, and defaults for the rest."""
        network = self.checkpoint.network
        return NetworkConfig(
            # The clips may have more modalities than the network was trained on.
            modalities=",".join(network.modality_dims),
            max_steps=network.config.max_steps,
            max_tokens=network.config.max_tokens,
            text_embedding=network.config.text_embedding,
        )


@dataclass(frozen=True)
class Predictor:
    """The networks of an ensemble, or of one checkpoint, loaded for any number of clips.

    Scores and thresholds are the means over the members, each with its own calibration.

    Attributes:
        members: The networks, at least one, all of the same categories and tags.
        device: Device that they are on.
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
    ) -> Predictor:
        """Return the networks in ``folders``.

        Args:
            folders: Where ``train`` wrote; at least one, all of the same categories and tags.
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
            members.append(
                Member(checkpoint, read_or_default(folder, *sizes) if calibrated else no_calibration(*sizes))
            )
        return cls(tuple(members), torch.device(device))

    @property
    def info(self) -> CheckpointInfo:
        """Description of the first network; its categories and tags are those of all."""
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
        """Return the predictions of the clips at ``indices``, in their order.

        Args:
            source: The clips.
            indices: ``(n,)`` positions in ``source``; may be none.
            batch_size: Clips at a time; at least 1.
            hidden: Modalities that are masked, as if every clip lacked them.
            on_batch: Called with the number of clips of each finished batch.

        Raises:
            SettingError: A hidden modality is not one of the source.
        """
        parts = [self._empty()]
        for part in self.batches(source, indices, batch_size=batch_size, hidden=hidden):
            parts.append(part)
            if on_batch is not None:
                on_batch(len(part))
        return Predictions(
            np.concatenate([part.category_scores for part in parts]),
            np.concatenate([part.tag_scores for part in parts]),
            np.concatenate([part.embedding for part in parts]),
            parts[0].tag_thresholds,
            np.concatenate([part.uncalibrated_category_scores for part in parts]),
        )

    def batches(
        self, source: FeatureSource, indices: Indices, *, batch_size: int = 256, hidden: Collection[str] = ()
    ) -> Iterator[Predictions]:
        """Yield predictions as :meth:`predict` does, at most ``batch_size`` clips at a time."""
        for name in sorted(set(hidden) - set(source.modality_dims)):
            raise SettingError(f"modality {name!r} cannot be hidden: expected one of {', '.join(source.modality_dims)}")
        # Networks that take the same batches, as those of the folds do, share them: a clip is read once.
        configs = [member.collate_config() for member in self.members]
        streams = {config: iterate_batches(source, indices, config, batch_size) for config in dict.fromkeys(configs)}
        for same_clips in zip(*streams.values(), strict=True):
            batches = {
                config: _without(batch, hidden).to(self.device)
                for config, batch in zip(streams, same_clips, strict=True)
            }
            yield _mean(
                [_predict_batch(member, batches[config]) for member, config in zip(self.members, configs, strict=True)]
            )

    def _empty(self) -> Predictions:
        """Return the predictions of no clip."""
        no_categories = np.zeros((0, len(self.info.category_names)), np.float32)
        return Predictions(
            no_categories,
            np.zeros((0, len(self.info.tag_names)), np.float32),
            np.zeros((0, sum(member.checkpoint.info.network.embedding_width for member in self.members)), np.float32),
            mean_thresholds([member.calibration for member in self.members]),
            no_categories,
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
    """Return the predictions of one network; see :meth:`Predictor.load` and :meth:`Predictor.predict`."""
    dims = source.modality_dims
    predictor = Predictor.load((checkpoint_folder,), dims, feature_recipes, device=device, calibrated=calibrated)
    return predictor.predict(source, indices, batch_size=batch_size, hidden=hidden, on_batch=on_batch)


def predicted_tags(scores: Float32, thresholds: Float64, names: Sequence[str]) -> list[str]:
    """Return the tags of one clip: those whose scores are not below the thresholds, ``(C,)`` both; best first."""
    order = np.argsort(-scores, kind="stable")
    return [names[index] for index in order if scores[index] >= thresholds[index]]


def top_labels(scores: npt.NDArray[np.floating], names: tuple[str, ...], limit: int) -> list[tuple[str, float]]:
    """Return the ``limit`` best labels of one clip with their scores, best first; equal ones by position.

    Args:
        scores: ``(C,)`` scores.
        names: C names.
        limit: Most labels to return.
    """
    order = np.argsort(-scores, kind="stable")[:limit]
    return [(names[index], round(float(scores[index]), 4)) for index in order]


def _without(batch: Batch, hidden: Collection[str]) -> Batch:
    """Return the batch with the modalities of ``hidden`` masked."""
    masks = {name: mask & (name not in hidden) for name, mask in batch.masks.items()}
    return replace(batch, masks=masks)


@torch.inference_mode()
def _predict_batch(member: Member, batch: Batch) -> Predictions:
    outputs = member.checkpoint.network(batch)
    nothing = np.zeros((len(outputs.embedding), 0), np.float32)
    category, tags = outputs.category_logits, outputs.tag_logits
    uncalibrated = nothing if category is None else category_probabilities(category).cpu().numpy()
    category_scores, tag_scores = apply_calibration(
        member.calibration, uncalibrated, nothing if tags is None else tag_probabilities(tags).cpu().numpy()
    )
    embedding = functional.normalize(outputs.embedding.float(), dim=1).cpu().numpy()
    thresholds = np.array(member.calibration.tag_thresholds)
    return Predictions(category_scores, tag_scores, embedding, thresholds, uncalibrated.astype(np.float32))


def _mean(parts: Sequence[Predictions]) -> Predictions:
    """Return the mean over the members of their predictions of the same clips."""
    return Predictions(
        _mean_scores([part.category_scores for part in parts]),
        _mean_scores([part.tag_scores for part in parts]),
        np.concatenate([part.embedding for part in parts], axis=1) / np.float32(np.sqrt(len(parts))),
        np.stack([part.tag_thresholds for part in parts]).mean(axis=0),
        _mean_scores([part.uncalibrated_category_scores for part in parts]),
    )


def _mean_scores(scores: Sequence[Float32]) -> Float32:
    mean: Float32 = np.stack(scores).mean(axis=0, dtype=np.float64).astype(np.float32)
    return mean
