"""The content of a report as plain values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from models.ablation.table import AblationTable
    from models.evaluation.evaluate import Evaluation
    from models.structure.structure import Structure
    from models.training.history import EpochRecord


@dataclass(frozen=True)
class StageSummary:
    """The outcomes of the clips in one stage.

    Attributes:
        stage: Its name.
        num_clips: Input clips; None for a stage without clips.
        num_ok: Clips with status ok.
        num_partial: Clips with status partial.
        num_failed: Clips with status failed.
        reasons: Code -> number of clips, for partial and failed ones.
        seconds: Wall time of the run that built it; None where it is not known.
    """

    stage: str
    num_clips: int | None
    num_ok: int
    num_partial: int
    num_failed: int
    reasons: Mapping[str, int]
    seconds: float | None


@dataclass(frozen=True)
class FailedClip:
    """One failed or partial clip, with the stage and the reason."""

    clip_id: str
    stage: str
    code: str
    detail: str


@dataclass(frozen=True)
class WorstError:
    """One wrong prediction of high probability.

    Attributes:
        clip_id: The clip.
        title: Its title; empty where it has none.
        true: Its true category.
        predicted: Its predicted category.
        probability: Predicted probability of ``predicted``, 0 to 1.
        picture: A JPEG or PNG file; None where there is none.
    """

    clip_id: str
    title: str
    true: str
    predicted: str
    probability: float
    picture: bytes | None


@dataclass(frozen=True)
class ReportData:
    """One report.

    Attributes:
        title: Heading of the page.
        corpus: The corpus in a few words.
        split: Name of the evaluated split.
        split_sizes: Split -> number of clips.
        model_name: The trained model in a few words.
        model: Its scores.
        baselines: Baseline -> its scores on the same clips.
        category_names: The K categories in the order of the confusion matrix.
        history: The epochs of the training; may be empty.
        stages: One row a stage, in the order of the run.
        failures: The clips to list; may be fewer than there are.
        num_failures: Their total number.
        worst_errors: The worst first.
        settings: Section -> key -> value, shown unchanged.
        provenance: Key -> value: versions, digests, paths.
        network: The network's modules; None where there is no network.
        ablation: The compared variants; None without an ablation.
        remarks: What a person should know about the stages.
    """

    title: str
    corpus: str
    split: str
    split_sizes: Mapping[str, int]
    model_name: str
    model: Evaluation
    baselines: Mapping[str, Evaluation]
    category_names: tuple[str, ...]
    history: tuple[EpochRecord, ...]
    stages: tuple[StageSummary, ...]
    failures: tuple[FailedClip, ...]
    num_failures: int
    worst_errors: tuple[WorstError, ...]
    settings: Mapping[str, Mapping[str, str]]
    provenance: Mapping[str, str]
    network: Structure | None = None
    ablation: AblationTable | None = None
    remarks: tuple[str, ...] = ()
