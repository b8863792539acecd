from __future__ import annotations

from pathlib import Path

import pytest

from tests.end_to_end.run import SMALL, Workplace

# A test here is many commands.
MAX_TEST_SECONDS = 1500


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give the tests of this folder the time that they take on a machine with other work."""
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.timeout(MAX_TEST_SECONDS))


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
