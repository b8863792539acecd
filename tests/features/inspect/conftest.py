from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from os import PathLike


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """Every figure that is saved, as it was drawn; the file is written too."""
    saved: list[Figure] = []
    save = Figure.savefig

    def savefig(self: Figure, path: str | PathLike[str], *, format: str) -> None:  # noqa: A002 - the name of matplotlib
        save(self, path, format=format)
        saved.append(self)

    monkeypatch.setattr(Figure, "savefig", savefig)
    # What is drawn is the same, in half the time.
    monkeypatch.setattr("features.base.figures.DOTS_PER_INCH", 55)
    return saved
