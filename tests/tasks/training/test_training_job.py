"""Everything that one training reads survives a file, for another process."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from models.config.network import NetworkConfig
from models.config.training import TrainConfig
from models.training.train import TrainSummary
from tasks.training.training_job import TrainingData, TrainingFacts, TrainingPlan

DATA = TrainingData(
    {"text": (Path("/t/0.h5"), Path("/t/1.h5")), "audio": (Path("/a/0.h5"), Path("/a/1.h5"))},
    (Path("/m/0.jsonl"), Path("/m/1.jsonl")),
    ("train", "test", "validation"),
)


def test_data_survive_the_disk_with_the_order_of_the_modalities(tmp_path: Path) -> None:
    DATA.write(tmp_path / "data.json")

    found = TrainingData.read(tmp_path / "data.json")

    assert found == DATA
    # The order is that of the fusion; JSON with sorted keys would lose it.
    assert list(found.shards) == ["text", "audio"]
    assert isinstance(found.shards["text"], tuple)


def test_equal_data_give_equal_bytes(tmp_path: Path) -> None:
    for name in ("one.json", "other.json"):
        DATA.write(tmp_path / name)
    assert (tmp_path / "one.json").read_bytes() == (tmp_path / "other.json").read_bytes()


@pytest.mark.parametrize(
    "plan",
    [
        TrainingPlan(NetworkConfig(), TrainConfig(), Path("/train/abc")),
        TrainingPlan(
            NetworkConfig(fusion="concat", modalities="text, audio", dropout=0.25),
            TrainConfig(epochs=3, learning_rate=1e-4, adversarial="fgm", num_processes=2, tensorboard=False),
            Path("relative/folder"),
        ),
    ],
)
def test_a_plan_survives_json(plan: TrainingPlan) -> None:
    assert TrainingPlan.from_json(json.loads(json.dumps(plan.to_json()))) == plan


def test_a_plan_with_a_setting_that_cannot_be_is_refused() -> None:
    row = TrainingPlan(NetworkConfig(), TrainConfig(), Path("/train")).to_json()
    row["train"]["epochs"] = 0
    with pytest.raises(Exception, match="epochs"):
        TrainingPlan.from_json(row)


@pytest.mark.parametrize("score", [0.5, None])
def test_facts_are_those_of_the_summary_and_plain_json(score: float | None) -> None:
    facts = TrainingFacts.of(TrainSummary(10, 3, 2, score, stopped_early=False, seconds=1.5, history=()))

    assert vars(facts) == {
        "num_parameters": 10, "num_epochs": 3, "selected_epoch": 2, "validation_score": score, "stopped_early": False
    }  # fmt: skip
    assert TrainingFacts(**json.loads(json.dumps(vars(facts)))) == facts
