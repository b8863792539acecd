from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.reference import attribute_texts, settings_reference
from tasks.settings import SECTIONS

HOME = Path(__file__).resolve().parents[2]


def test_the_page_in_docs_is_the_one_that_the_code_gives() -> None:
    page = (HOME / "docs" / "settings.md").read_text(encoding="utf-8")

    assert page == settings_reference(), "run: python -m pipeline settings > docs/settings.md"


@pytest.mark.parametrize("name", SECTIONS)
def test_every_setting_has_a_meaning(name: str) -> None:
    texts = attribute_texts(SECTIONS[name])

    assert all(texts[key].endswith(".") for key in SECTIONS[name].names())


def test_a_meaning_over_several_lines_is_whole() -> None:
    text = attribute_texts(SECTIONS["decode"])["sampling"]

    assert text.startswith("`exact` decodes every frame;")
    assert text.endswith("and leaves H.264's loop filter out.")
