from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.tasks.core.copying import BUILT, CORPUS, SETTINGS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Configure = Callable[[Mapping[str, Mapping[str, str]]], None]


@pytest.fixture
def corpus(configure: Configure, in_this_process: None) -> None:
    """Three clips in two shards, and nothing built."""
    CORPUS.clear()
    CORPUS.update({"shard-00000.txt": ["a", "b"], "shard-00001.txt": ["c"]})
    SETTINGS.clear()
    SETTINGS.update({"rate": 2})
    BUILT.clear()
