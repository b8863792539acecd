from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.end_to_end.run import SMALL, Workplace

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def workplace(tmp_path: Path) -> Workplace:
    """A folder in which nothing has run."""
    place = Workplace(tmp_path)
    place.configure(SMALL)
    return place


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    """A folder in which RunAll has come to its end; a test that changes it puts it back."""
    place = Workplace(tmp_path_factory.mktemp("finished"))
    place.configure(SMALL)
    done = place.luigi("RunAll")
    assert done.returncode == 0, done.stdout
    return place
