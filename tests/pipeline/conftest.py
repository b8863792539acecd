from __future__ import annotations

import pytest

from tests.end_to_end.run import Workplace
from tests.pipeline.learning import SETTINGS


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    """A folder in which CrossValidate has come to its end."""
    place = Workplace(tmp_path_factory.mktemp("learning"))
    place.configure(SETTINGS)
    done = place.luigi("CrossValidate")
    assert done.returncode == 0, done.stdout
    (place.folder / "output.txt").write_text(done.stdout, encoding="utf-8")
    return place
