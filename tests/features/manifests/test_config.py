from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest

from features.base.errors import SettingError
from features.formats.records import ClipRecord
from features.manifests.config import FIELD_MAPS, CorpusConfig, ManifestConfig

PLAIN = FIELD_MAPS["plain"]


def test_a_field_map_changes_names() -> None:
    config = CorpusConfig(fields=" title = brief,category=label, ")
    assert config.field_map() == {**PLAIN, "title": "brief", "category": "label"}
    assert CorpusConfig().field_map() == PLAIN


@pytest.mark.parametrize("fields", ["brief", "headline=brief", "title=", "=brief"])
def test_a_bad_field_map_is_named(fields: str) -> None:
    with pytest.raises(SettingError, match=r"cannot read .* expected record_field=manifest_field"):
        CorpusConfig(fields=fields)


def test_an_unknown_preset_is_named() -> None:
    with pytest.raises(
        SettingError, match="unknown preset 'youku': expected one of csv, plain, xinpianchang, xinpianchang-folder"
    ):
        CorpusConfig(preset="youku")


@pytest.mark.parametrize(
    "values",
    [
        {"clips_per_shard": 0},
        {"min_clips_per_label": 0},
        {"validation_fraction": -0.1},
        {"validation_fraction": 0.5, "test_fraction": 0.5},
    ],
)
def test_bad_settings_are_named(values: dict[str, Any]) -> None:
    with pytest.raises(SettingError, match=next(iter(values))):
        ManifestConfig(**values)


@pytest.mark.parametrize("values", [{"category_language": "fr"}, {"tag_separator": ""}, {"max_manifest_bytes": 0}])
def test_bad_settings_of_the_corpus_are_named(values: dict[str, Any]) -> None:
    with pytest.raises(SettingError, match=next(iter(values))):
        CorpusConfig(**values)


def test_every_preset_names_record_fields_only_and_an_id() -> None:
    known = {field.name for field in fields(ClipRecord)}
    for names in FIELD_MAPS.values():
        assert "clip_id" in names
        assert set(names) <= known
    assert set(PLAIN) == known


@pytest.mark.parametrize(
    ("preset", "setting", "language"),
    [
        ("plain", "auto", ""), ("csv", "auto", ""), ("xinpianchang", "auto", "en"),
        ("xinpianchang-folder", "auto", "en"),
        ("xinpianchang", "written", ""), ("plain", "zh", "zh"), ("xinpianchang", "zh", "zh"),
    ],
)  # fmt: skip
def test_the_language_of_categories(preset: str, setting: str, language: str) -> None:
    assert CorpusConfig(preset=preset, category_language=setting).language() == language


def test_a_field_is_changed_once() -> None:
    with pytest.raises(SettingError, match="the setting fields names 'title' twice"):
        CorpusConfig(fields="title=a, title=b")
