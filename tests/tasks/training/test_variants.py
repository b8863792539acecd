"""Variants of an ablation are read, resolved and checked before anything runs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from features.base.errors import SettingError
from models.config.presets import PRESETS
from models.config.training import TrainConfig
from tasks.training.variants import Variant, read_variants

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Configure = Callable[[Mapping[str, Mapping[str, str]]], None]

HOME = Path(__file__).resolve().parents[3]


def _read(configure: Configure, folder: Path, text: str, **sections: dict[str, str]) -> tuple[Variant, ...]:
    path = folder / "variants.cfg"
    path.write_text(text, encoding="utf-8")
    configure({"ablation": {"variants": str(path), "reference": "a"}, **sections})
    return read_variants()


def test_each_section_is_a_variant_over_the_configured_settings(configure: Configure, tmp_path: Path) -> None:
    text = """
        [a]
        [DEFAULT]
        network.fusion = concat
        train.adversarial = fgm
        [mean: linear]
        network.preset = mean_linear
        predict.hidden = text, frames
    """
    found = _read(configure, tmp_path, text.replace("        ", ""), train={"epochs": "3"}, network={"dropout": "0.2"})

    network, train = replace(PRESETS["default"].network, dropout=0.2), TrainConfig(epochs=3)
    assert found == (
        Variant("a", network, train, ()),
        Variant("DEFAULT", replace(network, fusion="concat"), replace(train, adversarial="fgm"), ()),
        # A preset is that preset; what is configured does not stand over it.
        Variant("mean: linear", PRESETS["mean_linear"].network, PRESETS["mean_linear"].train, ("frames", "text")),
    )


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "[a]\nnetwork.fusin = concat",
            r"\[a\] of .*variants.cfg sets 'network.fusin', and \[network\] has no 'fusin'",
        ),
        ("[a]\nnetwork.Fusion = concat", r"has no 'Fusion': did you mean 'fusion'"),
        ("[a]\nnetwrk.fusion = concat", r"sets 'netwrk.fusion': expected network.KEY, train.KEY or predict.hidden"),
        ("[a]\nfusion = concat", r"sets 'fusion': expected network.KEY"),
        ("[a]\ntrain.seed = 3", r"every variant runs with the same seeds"),
        ("[a]\n[b]\nnetwork.fusion = glue", r"\[b\] of .*: \[network\] unknown fusion 'glue'"),
        ("[a]\n[b]\ntrain.epochs = many", r"\[b\] of .*: \[train\] epochs is 'many': expected a whole number"),
        ("[a]\n[b]\nnetwork.preset = best", r"\[b\] of .*: \[network\] unknown preset 'best'"),
        ("[a]\nnetwork.modalities = motion", r"\[a\] of .* leaves out motion"),
        ("[a]\npredict.hidden = motion", r"predict.hidden is 'motion': name some of frames, audio, cover, text"),
        ("[a]\nnetwork.modalities = text\npredict.hidden = text", r"name some of text, and not all of them"),
        ("[a]\n[a]", r"variants is .*which cannot be read: .*section 'a' already exists"),
        ("[a]\nnetwork.fusion = concat\nnetwork.fusion = concat", r"option 'network.fusion' in section 'a' already"),
        ("network.fusion = concat", r"File contains no section headers"),
        ("# nothing", r"has no section: write one for each variant"),
        ("[b]", r"\[ablation\] reference is 'a', which is none of .*variants.cfg: name one of b"),
        ("[a]\n[majority]", r"\[majority\] of .* has the name of a baseline"),
    ],
)
def test_a_wrong_variant_is_one_error_that_names_it(configure: Configure, tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(SettingError, match=told) as caught:
        _read(configure, tmp_path, text)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_is_named(configure: Configure) -> None:
    configure({"ablation": {"variants": "/nowhere/variants.cfg"}})
    with pytest.raises(
        SettingError, match=r"variants is '/nowhere/variants.cfg', which cannot be read: .*No such file"
    ):
        read_variants()


@pytest.mark.parametrize("modalities", ["frames", "frames, audio", "frames, motion, audio, cover, text"])
def test_the_default_variants_can_all_be_run_and_differ(configure: Configure, modalities: str) -> None:
    configure({"features": {"modalities": modalities}})

    found = read_variants()

    assert found[0] == Variant("default", PRESETS["default"].network, PRESETS["default"].train, ())
    assert len({(variant.network, variant.train, variant.hidden) for variant in found}) == len(found)
    num_modalities = len(modalities.split(","))
    hidden = [variant.hidden for variant in found if variant.hidden]
    assert len(hidden) == (num_modalities if num_modalities > 1 else 0)


def test_the_example_can_be_read(configure: Configure) -> None:
    configure({"ablation": {"variants": str(HOME / "examples" / "ablation.ini")}})

    assert {"default", "mean_linear"} <= {variant.name for variant in read_variants()}


def test_the_usual_preset_is_compared_as_it_is_and_runs_with_the_seeds_of_the_others(configure: Configure) -> None:
    configure({"network": {"fusion": "low_rank", "dropout": "0.2"}, "train": {"seed": "6", "epochs": "3"}})

    found = {variant.name: variant for variant in read_variants()}

    assert found["mean_linear"].network == PRESETS["mean_linear"].network
    assert found["mean_linear"].train == replace(PRESETS["mean_linear"].train, seed=6)
    assert found["default"].train == TrainConfig(seed=6, epochs=3)
