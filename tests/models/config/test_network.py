from __future__ import annotations

import subprocess
import sys
from dataclasses import fields
from inspect import Parameter, signature
from typing import TYPE_CHECKING, get_type_hints

import pytest

from features.base.errors import SettingError
from features.base.modalities import MODALITIES, network_group
from features.base.settings import arguments_of
from models.aggregators import AGGREGATORS
from models.config.network import NetworkConfig
from models.config.training import TrainConfig
from models.fusion import FUSIONS
from models.heads import HEADS
from models.losses import CATEGORY_LOSSES, TAG_LOSSES
from models.tag_heads import TAG_HEADS

if TYPE_CHECKING:
    from features.base.lazy_table import LazyTable


@pytest.mark.parametrize("config", [NetworkConfig, TrainConfig])
def test_every_field_is_plain_and_documented(config: type[NetworkConfig] | type[TrainConfig]) -> None:
    documentation, hints = config.__doc__ or "", get_type_hints(config)
    for field in fields(config):
        assert hints[field.name] in (str, int, float, bool)
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


def test_a_modality_has_the_aggregator_of_its_kind() -> None:
    config = NetworkConfig(frames_aggregator="mean", audio_aggregator="max", text_aggregator="bilstm")
    found = {name: config.aggregator_of(name) for name in ("frames", "motion", "audio", "text", "thermal")}
    assert found == {"frames": "mean", "motion": "mean", "audio": "max", "text": "bilstm", "thermal": "mean"}


@pytest.mark.parametrize("config", [NetworkConfig, TrainConfig])
def test_settings_of_a_modality_name_one_of_the_table(config: type[NetworkConfig] | type[TrainConfig]) -> None:
    kinds = {network_group(name) for name in MODALITIES}
    for field in fields(config):
        if field.name.endswith("_aggregator"):
            assert field.name.removesuffix("_aggregator") in kinds
        if field.name.endswith("_rate") and field.name not in {"learning_rate", "head_rate"}:
            assert field.name.removesuffix("_rate") in kinds


@pytest.mark.parametrize("module", ["models.config.presets", "models.config.artifacts", "tasks.config.schema"])
def test_settings_load_neither_torch_nor_numpy(module: str) -> None:
    """The tables of aggregators, fusions, heads and losses name their entries without importing them."""
    code = f"import sys, {module}; sys.exit(sum(name in sys.modules for name in ('torch', 'numpy')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("table", [AGGREGATORS, FUSIONS, HEADS, TAG_HEADS, CATEGORY_LOSSES, TAG_LOSSES])
def test_every_entry_of_a_table_can_be_imported(table: LazyTable[object]) -> None:
    assert all(callable(found) for found in table.values())
    assert list(table) == sorted(table)


def test_every_argument_of_a_module_has_a_setting() -> None:
    """A size without a setting could not be configured, and a setting without a module would do nothing."""
    config, modules = NetworkConfig(), {**AGGREGATORS, **FUSIONS, **HEADS, **TAG_HEADS}
    named = {name for item in fields(config) for name in item.metadata.get("arguments", {})}
    assert named <= set(modules)
    # Set by the builder, a choice of the paper, and a derived width.
    others = {"make_tag_head", "parts", "window_widths", "output_width"}
    for name, module in modules.items():
        arguments = {key for key, value in signature(module).parameters.items() if value.kind is Parameter.KEYWORD_ONLY}
        assert arguments - others == set(arguments_of(config, name)) - others, name
