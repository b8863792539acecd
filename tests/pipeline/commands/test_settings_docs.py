from __future__ import annotations

from pathlib import Path

import pytest

from models.config.presets import PRESETS
from pipeline.commands.settings_docs import attribute_texts, settings_reference
from tasks.config.schema import SECTIONS

HOME = Path(__file__).resolve().parents[3]


def test_the_page_in_docs_is_the_one_that_the_code_gives() -> None:
    page = (HOME / "docs" / "settings.md").read_text(encoding="utf-8")

    assert page == settings_reference(), "run: python -m pipeline settings > docs/settings.md"


@pytest.mark.parametrize("name", SECTIONS)
def test_every_setting_has_a_meaning(name: str) -> None:
    texts = attribute_texts(SECTIONS[name])

    assert all(texts[key].endswith(".") for key in SECTIONS[name].names())


def test_every_preset_is_named_where_it_is_chosen() -> None:
    text = attribute_texts(SECTIONS["network"])["preset"]

    assert ", ".join(PRESETS) in text


def test_a_preset_is_told_by_what_it_changes() -> None:
    row = next(line for line in settings_reference().splitlines() if line.startswith("| `trn_light` |"))

    assert "`network.frames_aggregator = trn_x`" in row
    assert "epochs" not in row


def test_a_meaning_over_several_lines_is_whole() -> None:
    text = attribute_texts(SECTIONS["decode"])["sampling"]

    assert text.startswith("`exact` decodes every frame;")
    assert text.endswith("and omits H.264's loop filter.")
