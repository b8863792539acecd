"""Settings that tasks themselves decide by: what each takes, and what it says to what it does not take."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from features.base.errors import SettingError
from features.base.modalities import MODALITIES
from features.base.settings import identity_values
from tasks.config.task_settings import (
    AblationConfig,
    EnsembleConfig,
    EvaluateConfig,
    FeaturesConfig,
    PathsConfig,
    PredictConfig,
    PresetConfig,
    check_split,
)

if TYPE_CHECKING:
    from collections.abc import Mapping


@pytest.mark.parametrize(
    ("kind", "values", "told"),
    [
        (PathsConfig, {"root": ""}, "root is empty: name a folder"),
        (FeaturesConfig, {"modalities": ""}, f"modalities is '': list each of {', '.join(MODALITIES)}"),
        (FeaturesConfig, {"modalities": " , "}, "at least one"),
        (FeaturesConfig, {"modalities": "text, text"}, "at most once"),
        (FeaturesConfig, {"modalities": "Text"}, "modalities is 'Text'"),
        (FeaturesConfig, {"max_failed_fraction": 1.5}, "max_failed_fraction is 1.5"),
        (FeaturesConfig, {"max_failed_fraction": -0.1}, "max_failed_fraction is -0.1"),
        (PresetConfig, {"preset": "best"}, "unknown preset 'best': expected one of default, "),
        (EnsembleConfig, {"folds": 1}, "folds is 1: give 0 for none, or 2 or more"),
        (EnsembleConfig, {"folds": -2}, "folds is -2"),
        (EnsembleConfig, {"seeds": 0}, "seeds is 0: give 1 or more"),
        (EnsembleConfig, {"folds": 3, "seeds": 2}, "folds is 3 and seeds is 2: set folds = 0, or seeds = 1"),
        (PredictConfig, {"batch_size": 0}, "batch_size is 0: give 1 or more"),
        (PredictConfig, {"top_k": 0}, "top_k is 0: give 1 or more"),
        (PredictConfig, {"device": "gpu"}, "unknown device 'gpu'"),
        (AblationConfig, {"seeds": 0}, "seeds is 0: give 1 or more"),
        (AblationConfig, {"workers": -1}, "workers is -1: give 1 or more"),
        (AblationConfig, {"split": "all"}, "unknown split 'all': expected one of test, validation, train"),
        (EvaluateConfig, {"split": ""}, "unknown split ''"),
        (EvaluateConfig, {"num_pictures": -1}, "num_pictures is -1: give 0 or more"),
    ],
)
def test_what_cannot_be_is_refused_with_the_value_and_the_rule(
    kind: type[Any], values: Mapping[str, object], told: str
) -> None:
    with pytest.raises(SettingError) as caught:
        kind(**values)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_edges_of_what_can_be_are_taken() -> None:
    assert EnsembleConfig(folds=2).folds == 2
    assert EnsembleConfig(folds=0, seeds=9).seeds == 9
    assert FeaturesConfig(max_failed_fraction=0.0).max_failed_fraction == 0.0
    assert FeaturesConfig(max_failed_fraction=1.0).max_failed_fraction == 1.0
    assert EvaluateConfig(num_pictures=0, split="train").num_pictures == 0
    assert PredictConfig(device="cuda:1", batch_size=1, top_k=1).device == "cuda:1"
    for name in ("train", "validation", "test"):
        check_split(name)


def test_modalities_keep_the_order_in_which_they_are_listed() -> None:
    assert FeaturesConfig().names() == ("frames", "audio", "cover", "text")
    assert FeaturesConfig("text,frames , motion,").names() == ("text", "frames", "motion")


def test_only_what_changes_an_output_is_identity() -> None:
    assert identity_values(PathsConfig("/elsewhere")) == {}
    assert identity_values(PredictConfig(checkpoint="/c", batch_size=3, top_k=4, device="cpu")) == {"top_k": 4}
    assert identity_values(FeaturesConfig("text", 0.5)) == {"modalities": "text"}
    assert identity_values(AblationConfig(variants="/v.ini", workers=8)) == {
        "seeds": 5, "split": "validation", "reference": "default"
    }  # fmt: skip
    assert set(identity_values(EvaluateConfig())) == {"split", "num_pictures", "ablation"}
    assert set(identity_values(EnsembleConfig())) == {"folds", "seeds"}
