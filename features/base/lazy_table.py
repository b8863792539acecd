"""A table of names whose values are imported when they are first asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import TypeVar

Value = TypeVar("Value")


class LazyTable(Mapping[str, Value]):
    """Name -> object, each given as ``module:attribute`` and imported on access.

    Settings check a name against the keys, and load none of the libraries that the objects need.
    """

    def __init__(self, places: Mapping[str, str]) -> None:
        self._places = dict(places)

    def __getitem__(self, name: str) -> Value:
        if name not in self._places:
            raise KeyError(f"unknown name {name!r}: expected one of {', '.join(self)}")
        module, _, attribute = self._places[name].partition(":")
        found: Value = getattr(import_module(module), attribute)
        return found

    # The one of Mapping would import the value.
    def __contains__(self, name: object) -> bool:
        return name in self._places

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)
