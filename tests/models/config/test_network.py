from __future__ import annotations

from dataclasses import fields

import pytest

from features.base.errors import SettingError
from models.config.network import NetworkConfig
from models.config.training import TrainConfig


@pytest.mark.parametrize("config", [NetworkConfig, TrainConfig])
def test_every_field_is_plain_and_documented(config: type[NetworkConfig] | type[TrainConfig]) -> None:
    documentation = config.__doc__ or ""
    for field in fields(config):
        assert field.type in (str, int, float, bool)
        assert f"        {field.name}: " in documentation


def test_unknown_aggregator_is_refused_with_the_names() -> None:
    with pytest.raises(
        SettingError, match=r"frames_aggregator 'netvlad'.*attention, bilstm, max, mean, nextvlad.*trn_x"
    ):
        NetworkConfig(frames_aggregator="netvlad")
    with pytest.raises(SettingError, match=r"fusion 'gate'.*concat, gate_fusion, low_rank, se_gate"):
        NetworkConfig(fusion="gate")
    with pytest.raises(SettingError, match=r"selection_metric 'f1'.*map, loss"):
        TrainConfig(selection_metric="f1")


@pytest.mark.parametrize("name", ["trn_width", "nextvlad_groups", "max_steps"])
def test_sizes_below_one_are_refused(name: str) -> None:
    with pytest.raises(SettingError, match=f"{name} is 0"):
        NetworkConfig(**{name: 0})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("epochs", 0),
        ("batch_size", 0),
        ("learning_rate", 0.0),
        ("learning_rate", float("nan")),
        ("weight_decay", -0.1),
        ("ema_decay", 1.0),
        ("label_smoothing", -0.1),
        ("warmup_fraction", 1.0),
        ("seed", -1),
    ],
)
def test_impossible_training_settings_are_refused(name: str, value: float) -> None:
    with pytest.raises(SettingError, match=f"{name} is {value}"):
        TrainConfig(**{name: value})  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["trn_segments", "trn_max_scale"])
def test_relations_need_two_steps(name: str) -> None:
    with pytest.raises(SettingError, match=f"{name} is 1.*at least 2"):
        NetworkConfig(**{name: 1})  # type: ignore[arg-type]
