"""Which networks an ensemble has, and what each of them learns from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from features.base.errors import SettingError
from features.formats.records import ClipRecord
from models.config.training import TrainConfig
from tasks.stages.predict import Predict
from tasks.stages.train import Train, fold_stages, train_stages
from tasks.training.ensemble import (
    baseline_name,
    check_member,
    corpus_folds,
    ensemble_members,
    fold_members,
    learned_from,
    member_config,
    member_splits,
    model_name,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Configure = Callable[[Mapping[str, Mapping[str, str]]], None]

RECORDS = [ClipRecord(str(index), category="ab"[index % 2]) for index in range(30)]
SPLITS = ["test" if index < 6 else "validation" if index < 12 else "train" for index in range(30)]


@pytest.mark.parametrize(
    ("settings", "members"),
    [
        ({}, ("",)),
        ({"seeds": "3"}, ("", "seed-1", "seed-2")),
        ({"folds": "3"}, ("fold-0", "fold-1", "fold-2")),
    ],
)
def test_members_are_those_that_the_settings_ask_for(
    configure: Configure, settings: dict[str, str], members: tuple[str, ...]
) -> None:
    configure({"ensemble": settings})

    assert ensemble_members() == members
    assert [stage.member for stage in train_stages().values()] == list(members)
    assert Predict().checkpoints() == tuple(Train(member=member).folder for member in members)


def test_without_an_ensemble_there_are_five_folds_to_ask_for(configure: Configure) -> None:
    configure({})
    assert fold_members() == ("fold-0", "fold-1", "fold-2", "fold-3", "fold-4")
    configure({"ensemble": {"folds": "2"}})
    assert list(fold_stages()) == ["train-fold-0", "train-fold-1"]


def test_every_clip_outside_the_test_split_validates_one_member_and_trains_the_others(configure: Configure) -> None:
    configure({"ensemble": {"folds": "3"}})

    seen = [member_splits(RECORDS, SPLITS, member) for member in fold_members()]

    for position, split in enumerate(SPLITS):
        own = sorted(splits[position] for splits in seen)
        assert own == (["test"] * 3 if split == "test" else ["train", "train", "validation"])
    folds = corpus_folds(RECORDS, SPLITS)
    assert [folds[position] for position, split in enumerate(seen[2]) if split == "validation"] == [2] * 8


def test_a_member_of_another_seed_keeps_the_splits_and_all_else(configure: Configure) -> None:
    configure({"ensemble": {"seeds": "3"}})

    assert member_splits(RECORDS, SPLITS, "seed-2") == SPLITS
    assert member_config(TrainConfig(seed=5), "seed-2") == TrainConfig(seed=7)
    assert member_config(TrainConfig(seed=5), "fold-2") == TrainConfig(seed=5)
    assert member_config(TrainConfig(seed=5), "") == TrainConfig(seed=5)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("fold-3", "--member is 'fold-3', but there are 3 folds, 0 to 2: set .ensemble. folds"),
        ("fold-01", "expected fold-0, fold-1, ... or seed-1"),
        ("seed-0", "expected fold-0, fold-1, ... or seed-1"),
        ("best", "--member is 'best': expected fold-0"),
    ],
)
def test_a_member_that_there_is_not_is_refused(
    configure: Configure, name: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    configure({"ensemble": {"folds": "3"}})

    with pytest.raises(SettingError, match=told):
        check_member(name)
    with pytest.raises(SystemExit) as stopped:
        Train(member=name)
    assert stopped.value.code == 40
    assert f"error: --member is {name!r}" in capsys.readouterr().err


def test_the_identity_of_a_training_follows_its_member_and_the_folds(configure: Configure) -> None:
    configure({})
    alone, seed, fold = (Train(member=member).fingerprint for member in ("", "seed-1", "fold-0"))
    configure({"ensemble": {"seeds": "4"}})
    assert Train().fingerprint == alone
    assert Train(member="seed-1").fingerprint == seed
    configure({"ensemble": {"folds": "7"}})
    assert Train().fingerprint == alone
    assert Train(member="fold-0").fingerprint != fold
    assert len({alone, seed, fold}) == 3


def test_free_settings_of_the_training_do_not_change_it(configure: Configure) -> None:
    configure({})
    before = Train().fingerprint
    configure({"train": {"device": "cpu", "num_processes": "2", "tensorboard": "false", "cache_megabytes": "1"}})
    assert Train().fingerprint == before
    configure({"train": {"num_threads": "2"}})
    assert Train().fingerprint != before


@pytest.mark.parametrize(
    ("settings", "is_given", "splits", "model", "baseline"),
    [
        ({}, False, ["train"], "trained network", "majority"),
        ({"seeds": "3"}, False, ["train"], "mean of 3 networks of different seeds", "majority"),
        (
            {"folds": "4"},
            False,
            ["train", "validation"],
            "mean of 4 networks, one a fold of the train and validation splits",
            "majority (learned from the train split only)",
        ),
        ({"folds": "4"}, True, None, "trained network", "majority"),
    ],
)
def test_it_is_told_who_has_learned_from_which_clips(
    configure: Configure, settings: dict[str, str], is_given: bool, splits: list[str] | None, model: str, baseline: str
) -> None:
    configure({"ensemble": settings})

    assert learned_from(is_given=is_given) == {"model": splits, "baselines": ["train"]}
    assert model_name(is_given=is_given) == model
    assert baseline_name("majority", is_given=is_given) == baseline
    # The report and the closing table name it alike.
    assert baseline_name("logistic_regression", is_given=is_given).startswith("logistic regression")
