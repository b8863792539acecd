from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

import luigi.configuration
import pytest

from features.backbones.extractor.extract_config import ExtractConfig
from features.base.errors import SettingError
from features.base.modalities import MODALITIES
from features.base.settings import identity_values
from features.decoding.config import DecodeConfig
from models.config.presets import PRESETS
from pipeline.workflow import RunAll
from tasks.config.load import check_keys, read_section, read_settings, suggestion
from tasks.config.run import settings
from tasks.config.schema import SECTIONS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Configure = Callable[[Mapping[str, Mapping[str, str]]], None]

HOME = Path(__file__).resolve().parents[3]


def _read_all() -> None:
    settings()


def test_defaults_are_those_of_the_dataclass(configure: Configure) -> None:
    configure({})

    assert settings().decode == DecodeConfig()
    assert settings().network == PRESETS["default"].network
    assert settings().extract["audio"] == ExtractConfig("audio", "dsp:logmel")


@pytest.mark.parametrize("name", SECTIONS)
def test_every_section_can_be_read_and_every_free_setting_exists(configure: Configure, name: str) -> None:
    configure({})
    section = SECTIONS[name]

    kept = set(identity_values(settings().sections()[name]))

    assert section.non_identity_settings() <= set(section.names())
    chosen_from = {item.name for item in fields(section.beside)} if section.beside else set()
    assert kept == {*section.names(), *section.fixed} - section.non_identity_settings() - chosen_from


def test_values_become_their_types(configure: Configure) -> None:
    configure(
        {"decode": {"frames_per_second": "4", "max_frames": "9"}, "download": {"allow_private_addresses": "True"}}
    )

    assert settings().decode.frames_per_second == 4.0
    assert settings().decode.max_frames == 9
    assert identity_values(settings().download)["allow_private_addresses"] is True


def test_an_optional_number_may_be_empty(configure: Configure) -> None:
    configure({"extract_frames": {"num_threads": ""}, "extract_audio": {"num_threads": "3"}})

    assert settings().extract["frames"].num_threads is None
    assert settings().extract["audio"].num_threads == 3


@pytest.mark.parametrize(
    ("section", "key", "value", "message"),
    [
        (
            "decode",
            "frames_per_secnd",
            "4",
            r"unknown setting 'frames_per_secnd' in \[decode\]: did you mean 'frames_per_second'",
        ),
        ("decode", "zzz", "4", r"unknown setting 'zzz' in \[decode\]: expected one of .*max_seconds"),
        ("decodr", "workers", "4", r"unknown section \[decodr\].*did you mean 'decode'"),
        ("decode", "max_frames", "many", r"\[decode\] max_frames is 'many': expected a whole number"),
        ("decode", "max_seconds", "x", r"\[decode\] max_seconds is 'x': expected a number"),
        ("decode", "max_seconds", "-1", r"\[decode\] max_seconds is -1.0: give a number above 0"),
        ("decode", "codec", "vp9", r"\[decode\] unknown codec 'vp9': give one of mjpeg, lossless"),
        ("download", "allow_private_addresses", "maybe", "expected true or false"),
        ("network", "frames_aggregator", "lstm9", r"\[network\] unknown frames_aggregator 'lstm9': give one of"),
        (
            "network",
            "preset",
            "trn_lite",
            r"\[network\] unknown preset 'trn_lite': expected one of default, trn_light, nextvlad_large",
        ),
        ("ensemble", "folds", "1", r"\[ensemble\] folds is 1: give 0 for none, or 2 or more"),
        ("ensemble", "seeds", "0", r"\[ensemble\] seeds is 0: give 1 or more"),
        ("predict", "device", "gpu", r"\[predict\] unknown device 'gpu': expected auto, cpu, cuda or cuda:N"),
        ("ablation", "workers", "0", r"\[ablation\] workers is 0: give 1 or more"),
        ("ablation", "split", "tset", r"\[ablation\] unknown split 'tset': expected one of test, validation, train"),
        ("extract_frames", "backbone", "bundled:resnet", r"\[extract_frames\] unknown bundled frames backbone"),
        (
            "corpus",
            "preset",
            "youtube",
            r"\[corpus\] unknown preset 'youtube': expected one of csv, plain, xinpianchang, xinpianchang-folder",
        ),
        ("corpus", "fields", "titel=brief", r"\[corpus\] cannot read 'titel=brief'"),
        ("features", "modalities", "frames, smell", r"\[features\] modalities is 'frames, smell'"),
    ],
)
def test_a_wrong_setting_is_named_with_the_way_out(
    configure: Configure, section: str, key: str, value: str, message: str
) -> None:
    configure({section: {key: value}})

    with pytest.raises(SettingError, match=message):
        _read_all()


def test_a_preset_says_what_is_not_set(configure: Configure) -> None:
    configure({"network": {"preset": "trn_light", "hidden_width": "77"}, "train": {"epochs": "3"}})

    network = settings().network

    assert network == replace(PRESETS["trn_light"].network, hidden_width=77)
    assert settings().train == replace(PRESETS["trn_light"].train, epochs=3)


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_can_be_chosen_by_name(configure: Configure, name: str) -> None:
    configure(
        {
            "features": {"modalities": ", ".join(MODALITIES)},
            "decode": {"motion_frames_per_second": "15"},
            "network": {"preset": name},
        }
    )

    assert settings().network == PRESETS[name].network
    assert settings().train == PRESETS[name].train


def test_a_setting_that_is_set_to_nothing_is_set(configure: Configure) -> None:
    configure({"network": {"preset": "seed_baseline", "modalities": ""}})

    assert settings().network.modalities == ""
    assert PRESETS["seed_baseline"].network.modalities


def test_the_same_values_are_the_same_identity_whatever_the_preset(configure: Configure) -> None:
    values = {key: str(value) for key, value in vars(PRESETS["trn_light"].network).items()}
    configure({"network": {"preset": "trn_light"}})
    by_name = (identity_values(settings().network), identity_values(settings().train))
    configure({"network": values})

    assert (identity_values(settings().network), identity_values(settings().train)) == by_name


def test_changes_stand_over_the_configuration_and_over_the_preset(configure: Configure) -> None:
    configure({"network": {"preset": "trn_light", "dropout": "0.1"}})
    changes = {"network.hidden_width": "9", "train.epochs": "2"}

    network = read_section("network", changes)

    assert network == replace(PRESETS["trn_light"].network, dropout=0.1, hidden_width=9)
    assert read_section("train", changes) == replace(PRESETS["trn_light"].train, epochs=2)
    assert settings().network.hidden_width == PRESETS["trn_light"].network.hidden_width


def test_a_preset_among_the_changes_is_that_preset_whatever_is_configured(configure: Configure) -> None:
    same_result = {"device": "cpu", "cache_megabytes": "7", "tensorboard": "false", "num_processes": "2"}
    configure(
        {
            "network": {"preset": "trn_light", "fusion": "se_gate", "modalities": "frames"},
            "train": {"epochs": "3", "learning_rate": "0.5", "seed": "4", "num_threads": "3", **same_result},
        }
    )
    changes = {"network.preset": "mean_linear", "network.hidden_width": "9", "train.warmup_fraction": "0.2"}

    assert read_section("network", changes) == replace(PRESETS["mean_linear"].network, hidden_width=9)
    assert read_section("train", changes) == replace(
        PRESETS["mean_linear"].train,
        warmup_fraction=0.2,
        seed=4,
        num_threads=3,
        device="cpu",
        cache_megabytes=7,
        tensorboard=False,
        num_processes=2,
    )
    assert read_section("network", {"network.preset": "default"}) == PRESETS["default"].network


@pytest.mark.parametrize("split", ["validation", "train"])
def test_an_ensemble_of_folds_is_scored_on_clips_that_none_of_it_learned_from(configure: Configure, split: str) -> None:
    scored = {"evaluate": {"split": split}}
    configure({**scored, "ensemble": {"folds": "3"}})
    with pytest.raises(SettingError, match=rf"split is '{split}' with \[ensemble\] folds = 3: .*set .evaluate. split"):
        settings()
    with pytest.raises(SystemExit):
        RunAll()
    configure({**scored, "ensemble": {"folds": "3"}, "predict": {"checkpoint": "/elsewhere"}})
    settings()
    configure({**scored, "ensemble": {"seeds": "3"}})
    settings()
    configure({"ensemble": {"folds": "3"}})
    settings()


def test_a_modality_that_the_network_names_must_be_extracted(configure: Configure) -> None:
    configure({"network": {"preset": "seed_baseline"}})
    with pytest.raises(
        SettingError, match=r"\[network\] modalities is 'text, cover, motion', of which .* leaves out motion"
    ):
        settings()
    configure({"network": {"preset": "seed_baseline"}, "features": {"modalities": "motion, cover, text"}})
    settings()


def test_sections_of_luigi_are_left_alone(configure: Configure) -> None:
    configure({"core": {"log_level": "INFO"}, "worker": {"timeout": "3"}, "retcode": {"task_failed": "30"}})

    check_keys()

    assert settings().features.names() == ("frames", "audio", "cover", "text")


def test_every_setting_is_documented_where_it_is_defined() -> None:
    for name, section in SECTIONS.items():
        text = " ".join(doc for kind in section.kind.__mro__ if (doc := kind.__doc__) and kind is not object)
        for item in fields(section.kind):
            assert f"{item.name}:" in text, f"[{name}] {item.name} has no line in its docstring"


@pytest.mark.parametrize(
    ("section", "key"),
    [("corpus", "tag_separator"), ("paths", "root"), ("network", "preset"), ("train", "epochs"), ("decode", "store")],
)
def test_a_text_that_is_no_utf8_is_refused_in_one_line(
    configure: Configure, section: str, key: str, capsys: pytest.CaptureFixture[str]
) -> None:
    configure({section: {key: "a\udcff"}})

    with pytest.raises(SettingError) as caught:
        settings()
    assert str(caught.value).isprintable()
    assert f"[{section}] " in str(caught.value)
    assert "\\udcff" in str(caught.value)
    with pytest.raises(SystemExit) as stopped:
        RunAll()
    assert stopped.value.code == 40
    assert capsys.readouterr().err == f"error: {caught.value}\n"


def test_a_command_line_that_is_no_utf8_is_refused_by_its_exit_code(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "luigi", "--module", "pipeline", "Manifest", "--corpus-tag-separator", b"\xff"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(HOME), "PYTHONUTF8": "1"},
        capture_output=True,
        check=False,
        timeout=100,
    )

    error = done.stderr.decode("utf-8")
    assert done.returncode == 40, error
    assert "error: [corpus] tag_separator is '\\udcff', which is no UTF-8 text: write it in UTF-8" in error
    assert "Traceback" not in error
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("text", "value"), [("true", True), (" True ", True), ("FALSE", False), ("false\n", False)])
def test_booleans_may_be_written_in_any_case(configure: Configure, text: str, value: bool) -> None:
    configure({"decode": {"store": text}})
    assert settings().decode.store is value


@pytest.mark.parametrize("text", ["yes", "1", "", "on"])
def test_other_words_are_no_booleans(configure: Configure, text: str) -> None:
    configure({"decode": {"store": text}})
    with pytest.raises(SettingError, match=r"\[decode\] store is '.*': expected true or false"):
        settings()


@pytest.mark.parametrize("text", ["nan", "inf", "-inf", "1e999", "", "2,5"])
def test_a_number_is_finite_and_written_with_a_point(configure: Configure, text: str) -> None:
    configure({"decode": {"max_seconds": text}})
    with pytest.raises(SettingError, match=rf"\[decode\] max_seconds is '{text}': expected a number"):
        settings()


def test_a_single_per_cent_sign_is_explained(configure: Configure) -> None:
    config = luigi.configuration.get_config()
    configure({})
    config.remove_section("paths")
    with pytest.raises(ValueError, match="%"):
        config.set("paths", "root", "50%")
    configure({"paths": {"root": "50%%"}})
    assert settings().paths.root == "50%"


@pytest.mark.parametrize(
    ("section", "told"),
    [
        # The name of a task, which Luigi takes for a section.
        ("Decode", "unknown section [Decode] in the configuration: write [decode]"),
        ("DECODE", "unknown section [DECODE] in the configuration: write [decode]"),
        ("decodes", "unknown section [decodes] in the configuration: did you mean 'decode'?"),
        ("nothing_like_it", "in the configuration: expected one of paths, corpus, sample"),
    ],
)
def test_the_error_of_an_unknown_section_names_the_right_one(configure: Configure, section: str, told: str) -> None:
    configure({section: {"workers": "3"}})
    with pytest.raises(SettingError, match=re.escape(told)):
        check_keys()


def test_sections_of_loggers_may_have_any_name(configure: Configure) -> None:
    configure({"logger_mine": {"level": "INFO"}, "handler_x": {"a": "b"}, "formatter_y": {"a": "b"}})
    check_keys()


def test_the_nearest_word_is_named_and_else_all_of_them() -> None:
    assert suggestion("workrs", ["workers", "store"]) == ": did you mean 'workers'?"
    assert suggestion("zzz", ["workers", "store"]) == ": expected one of workers, store"


def test_changes_of_other_sections_do_not_concern_a_section(configure: Configure) -> None:
    configure({"decode": {"workers": "3"}})

    assert read_section("decode", {"network.fusion": "concat", "train.epochs": "x"}) == settings().decode
    assert read_section("decode", {"decode.workers": "5"}) == replace(settings().decode, workers=5)
    with pytest.raises(SettingError, match=r"\[decode\] workers is 'x': expected a whole number"):
        read_section("decode", {"decode.workers": "x"})


def test_spaces_around_a_text_do_not_count(configure: Configure) -> None:
    configure({"decode": {"codec": "  lossless "}, "network": {"preset": " trn_light "}})

    assert settings().decode.codec == "lossless"
    assert settings().network == PRESETS["trn_light"].network


def test_reading_leaves_no_trace_of_a_failed_attempt(configure: Configure) -> None:
    configure({"decode": {"workers": "many"}})
    for _ in range(2):
        with pytest.raises(SettingError, match=r"\[decode\] workers is 'many'"):
            settings()
    configure({"decode": {"workers": "2"}})
    assert settings().decode.workers == 2
    assert read_settings() == settings()
    assert read_settings() is not settings()
