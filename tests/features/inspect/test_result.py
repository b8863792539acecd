from __future__ import annotations

import pytest

from features.base.errors import SettingError
from features.formats.records import ClipRecord
from features.inspect.result import Look


def test_a_heading_holds_what_is_known_in_one_line() -> None:
    look = Look(records={"a": ClipRecord("a", title="two\nlines \ud83d" + "x" * 30_000, category="nature")})
    heading = look.heading("a")
    assert heading.startswith("a   nature   two lines ?xxx")
    assert len(heading) < 250
    assert look.heading("stranger") == "stranger"
    assert (look.category("stranger"), look.title("stranger")) == (None, "")


def test_an_unknown_projection_is_named() -> None:
    with pytest.raises(SettingError, match="unknown projection 'umap': expected one of pca, tsne"):
        Look(projection="umap")
