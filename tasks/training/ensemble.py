"""The networks of an ensemble: which there are, and what each learns from.

A member is named ``""`` (the network that there is without an ensemble), ``seed-2`` (the same with another seed) or
``fold-2`` (trained on all folds but that one).
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from features.base.errors import SettingError
from features.splits.stratified_split import NO_FOLD, assign_folds
from tasks.config.run import settings
from tasks.config.task_settings import MIN_FOLDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from features.formats.records import ClipRecord
    from models.config.training import TrainConfig

# The only member without an ensemble.
ALONE = ""
FOLDS_UNLESS_SET = 5
_MEMBER = re.compile(r"(fold|seed)-(0|[1-9][0-9]*)")


def ensemble_members() -> tuple[str, ...]:
    """Return the members whose probabilities are averaged; without an ensemble the one network."""
    config = settings().ensemble
    if config.folds:
        return fold_members()
    return (ALONE, *(f"seed-{number}" for number in range(1, config.seeds)))


def fold_members() -> tuple[str, ...]:
    """Return a member for every fold, also without an ensemble."""
    return tuple(f"fold-{number}" for number in range(num_folds()))


def num_folds() -> int:
    """Return the number of folds that the corpus is cut into."""
    folds = settings().ensemble.folds
    return folds if folds >= MIN_FOLDS else FOLDS_UNLESS_SET


def learned_from(*, is_given: bool) -> dict[str, list[str] | None]:
    """Return the splits that the network and the baselines learned from; None where ``is_given`` from elsewhere."""
    of_model = ["train", "validation"] if settings().ensemble.folds else ["train"]
    return {"model": None if is_given else of_model, "baselines": ["train"]}


def model_name(*, is_given: bool) -> str:
    """Return in a few words what is scored: a network ``is_given`` from elsewhere, or those of the ensemble."""
    config = settings().ensemble
    if is_given or (not config.folds and config.seeds == 1):
        return "trained network"
    if config.folds:
        return f"mean of {config.folds} networks, one a fold of the train and validation splits"
    return f"mean of {config.seeds} networks of different seeds"


def baseline_name(name: str, *, is_given: bool) -> str:
    """Return the name of a baseline in the report, with a note where it was trained on fewer clips than the model."""
    name = name.replace("_", " ")
    has_folds = settings().ensemble.folds and not is_given
    return f"{name} (learned from the train split only)" if has_folds else name


def check_member(name: str) -> None:
    """Raise SettingError unless ``name`` is a member that there can be."""
    if name == ALONE:
        return
    if not _MEMBER.fullmatch(name) or name == "seed-0":
        raise SettingError(
            f"--member is {name!r}: expected fold-0, fold-1, ... or seed-1, seed-2, ..., or nothing for the network"
            " without an ensemble"
        )
    if fold_of(name) >= num_folds():
        raise SettingError(
            f"--member is {name!r}, but there are {num_folds()} folds, 0 to {num_folds() - 1}: set [ensemble] folds"
        )


def is_member_folder(stage_name: str) -> bool:
    """Return whether a stage's folder is that of the network of an ensemble."""
    kind, _, member = stage_name.partition("-")
    return kind == "train" and bool(_MEMBER.fullmatch(member))


def fold_of(member: str) -> int:
    """Return the fold on which a member is validated; ``NO_FOLD`` where it has the ordinary splits."""
    kind, _, number = member.partition("-")
    return int(number) if kind == "fold" else NO_FOLD


def member_config(config: TrainConfig, member: str) -> TrainConfig:
    """Return how a member is trained: a seed of its own, and the rest like the others."""
    kind, _, number = member.partition("-")
    return replace(config, seed=config.seed + int(number)) if kind == "seed" else config


def member_identity(member: str) -> dict[str, object]:
    """Return the settings, beside those of the training, that decide what a member learns from."""
    return {"fold": fold_of(member), "folds": num_folds()} if fold_of(member) != NO_FOLD else {}


def member_splits(records: Sequence[ClipRecord], splits: Sequence[str], member: str) -> list[str]:
    """Return the splits as a member sees them: of a fold's, the fold is for validation, all others are for training."""
    own = fold_of(member)
    if own == NO_FOLD:
        return list(splits)
    names = {NO_FOLD: "test", own: "validation"}
    return [names.get(fold, "train") for fold in corpus_folds(records, splits)]


def corpus_folds(records: Sequence[ClipRecord], splits: Sequence[str]) -> list[int]:
    """Return the fold of each record, ``NO_FOLD`` in the test split."""
    return assign_folds(records, splits, num_folds=num_folds(), seed=settings().manifest.seed)
