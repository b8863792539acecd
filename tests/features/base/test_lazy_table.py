from __future__ import annotations

import pytest

from features.base.lazy_table import LazyTable


def test_a_value_is_imported_when_it_is_asked_for() -> None:
    table: LazyTable[object] = LazyTable({"join": "os.path:join", "absent": "no_such_module:name"})
    assert list(table) == ["join", "absent"]
    assert len(table) == 2
    assert "absent" in table
    assert "other" not in table
    assert callable(table["join"])
    with pytest.raises(ModuleNotFoundError):
        table["absent"]


def test_an_unknown_name_is_refused_with_the_names() -> None:
    table: LazyTable[object] = LazyTable({"a": "os:sep", "b": "os:sep"})
    with pytest.raises(KeyError, match="unknown name 'c': expected one of a, b"):
        table["c"]
    assert table.get("c") is None
