from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

import pytest

from features.decoding.ffmpeg import DecodeConfig
from features.errors import SettingError
from features.extractors.config import ExtractConfig
from models.config import NetworkConfig
from tasks.settings import SECTIONS, FeaturesConfig, check_keys, load, significant

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Configure = Callable[[Mapping[str, Mapping[str, str]]], None]


def _read_all() -> None:
    for name in SECTIONS:
        significant(name)


def test_defaults_are_those_of_the_dataclass(configure: Configure) -> None:
    configure({})

    assert load("decode", DecodeConfig) == DecodeConfig()
    assert load("network", NetworkConfig) == NetworkConfig()
    assert load("extract_audio", ExtractConfig) == ExtractConfig("audio", "dsp:logmel")


@pytest.mark.parametrize("name", SECTIONS)
def test_every_section_can_be_read_and_every_free_setting_exists(configure: Configure, name: str) -> None:
    configure({})
    section = SECTIONS[name]

    kept = set(significant(name))

    assert section.free <= set(section.names())
    assert kept == {*section.names(), *section.fixed} - section.free


def test_values_become_their_types(configure: Configure) -> None:
    configure(
        {"decode": {"frames_per_second": "4", "max_frames": "9"}, "download": {"allow_private_addresses": "True"}}
    )

    assert load("decode", DecodeConfig).frames_per_second == 4.0
    assert load("decode", DecodeConfig).max_frames == 9
    assert significant("download")["allow_private_addresses"] is True


def test_an_optional_number_may_be_empty(configure: Configure) -> None:
    configure({"extract_frames": {"num_threads": ""}, "extract_audio": {"num_threads": "3"}})

    assert load("extract_frames", ExtractConfig).num_threads is None
    assert load("extract_audio", ExtractConfig).num_threads == 3


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
        ("decode", "codec", "vp9", r"\[decode\] unknown codec 'vp9': expected one of mjpeg, lossless"),
        ("download", "allow_private_addresses", "maybe", "expected true or false"),
        ("network", "frames_aggregator", "lstm9", r"\[network\] unknown frames_aggregator 'lstm9': give one of"),
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


def test_sections_of_luigi_are_left_alone(configure: Configure) -> None:
    configure({"core": {"log_level": "INFO"}, "worker": {"timeout": "3"}, "retcode": {"task_failed": "30"}})

    check_keys()

    assert load("features", FeaturesConfig).names() == ("frames", "audio", "cover", "text")


def test_every_setting_is_documented_where_it_is_defined() -> None:
    for name, section in SECTIONS.items():
        text = " ".join(
            doc for kind in getattr(section.kind, "__mro__", ()) if (doc := kind.__doc__) and kind is not object
        )
        for item in fields(section.kind):  # type: ignore[arg-type]  # every kind is a dataclass
            assert f"{item.name}:" in text, f"[{name}] {item.name} has no line in its docstring"
