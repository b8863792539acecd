from __future__ import annotations

import pytest

from features.base.errors import SettingError
from features.formats.records import ClipRecord
from features.inspect.result import InspectQuery


def test_a_heading_holds_what_is_known_in_one_line() -> None:
    query = InspectQuery(records={"a": ClipRecord("a", title="two\nlines \ud83d" + "x" * 30_000, category="nature")})
    heading = query.heading("a")
    assert heading.startswith("a   nature   two lines \ufffdxxx")
    assert len(heading) < 250
    assert query.heading("stranger") == "stranger"
    assert (query.category("stranger"), query.title("stranger")) == (None, "")


def test_an_unknown_projection_is_named() -> None:
    with pytest.raises(SettingError, match="unknown projection 'umap': expected one of pca, tsne"):
        InspectQuery(projection="umap")
