"""Every attack ends in an outcome of its clip, nothing that must not be touched is touched, and the run goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from features.base.errors import SourceError
from features.manifests.config import CorpusConfig, ManifestConfig
from features.manifests.corpus import build_corpus
from tests.attacks.battle import Battle, fight
from tests.attacks.files import endless_zeros

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def battle(tmp_path_factory: pytest.TempPathFactory) -> Battle:
    return fight(tmp_path_factory.mktemp("attacks"))


def test_every_attack_ends_in_the_outcome_that_it_should(battle: Battle) -> None:
    assert {result.attack.what: result.code for result in battle.results} == {
        result.attack.what: result.attack.code for result in battle.results
    }


def test_nothing_is_asked_of_servers_inside(battle: Battle) -> None:
    assert battle.asked == ()
    assert battle.datagrams == ()


def test_nothing_is_written_outside_the_root(battle: Battle) -> None:
    assert battle.escaped == ()


def test_no_header_is_injected(battle: Battle) -> None:
    assert battle.injected == ()


def test_what_only_looks_odd_is_decoded(battle: Battle) -> None:
    odd = {result.attack.what: result.status for result in battle.results if result.attack.code == ""}

    assert len(odd) >= 7
    assert set(odd.values()) == {"ok"}


def test_a_manifest_of_packed_zeros_is_refused_at_once(tmp_path: Path) -> None:
    path = endless_zeros(tmp_path / "zeros.jsonl.gz")

    with pytest.raises(SourceError) as caught:
        build_corpus(path, CorpusConfig(manifest=str(path)), ManifestConfig(), tmp_path / "out")

    assert "line 1 of the manifest is longer than" in str(caught.value)
    assert "set [corpus] manifest" in str(caught.value)
    assert not list((tmp_path / "out").glob("*.jsonl"))
