"""What the documents promise."""

from __future__ import annotations

import configparser
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from features.base.modalities import MODALITIES
from features.base.settings import identity_values
from pipeline.commands.cli import build_parser
from pipeline.startup import RUN_SETTINGS
from tasks.config.run import settings
from tasks.config.schema import SECTIONS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Configure = Callable[[Mapping[str, Mapping[str, str]]], None]

HOME = Path(__file__).resolve().parents[2]
PAGES = [HOME / "README.md", HOME / "CONTRIBUTING.md", *sorted((HOME / "docs").glob("**/*.md"))]


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


LISTS = {
    "README.md": r"^\| `Extract --modality (.*?) \|",
    "docs/architecture.md": r"^\| modality \| (.*?) \|",
    "docs/settings.md": r"^\| `modalities` .* Names separated by commas, of (.*?)\. \|",
}


@pytest.mark.parametrize("page", LISTS)
def test_every_list_of_the_modalities_has_those_of_the_table(page: str) -> None:
    (listed,) = re.findall(LISTS[page], _text(HOME / page), re.MULTILINE)
    assert re.findall(r"\w+", listed.replace(" or ", ", ")) == list(MODALITIES)


def test_the_page_of_formats_names_the_stage_of_every_modality() -> None:
    assert re.findall(r"`extract-(\w+)`[,;]", _text(HOME / "docs" / "formats.md")) == list(MODALITIES)


def test_no_page_waits_for_something_to_be_filled_in() -> None:
    for page in PAGES:
        assert not re.search(r"@@|TODO|TBD|XXX", _text(page)), page.name


def test_every_make_target_that_is_named_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", _text(HOME / "Makefile"), re.MULTILINE))
    named = {name for page in PAGES for name in re.findall(r"(?:^|`)make ([a-z]+)", _text(page), re.MULTILINE)}

    assert {"setup", "demo", "test", "check"} <= named
    assert named <= targets


def test_every_command_of_the_helper_that_is_named_exists() -> None:
    known = set(build_parser()._subparsers._group_actions[0].choices or ())  # type: ignore[union-attr]
    named = {
        name
        for page in PAGES
        for match in re.findall(r"python -m pipeline ([a-z]+(?: \| [a-z]+)*)", _text(page))
        for name in match.split(" | ")
    }

    assert named
    assert named <= known


def test_every_link_to_a_file_leads_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", _text(page)):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


@pytest.mark.parametrize("path", sorted([HOME / "luigi.cfg", *(HOME / "examples").glob("*.cfg")]), ids=lambda p: p.name)
def test_every_configuration_in_the_project_can_be_read(path: Path, configure: Configure) -> None:
    config = configparser.ConfigParser()
    config.read(path, encoding="utf-8")
    configure({name: dict(config[name]) for name in config.sections()})

    for name in config.sections():
        if name in SECTIONS:
            kept = identity_values(settings().sections()[name])
            assert all(str(kept[key]) == value for key, value in config[name].items() if key in kept)


def test_luigi_cfg_states_the_run_settings_of_the_code() -> None:
    config = configparser.ConfigParser()
    config.read(HOME / "luigi.cfg", encoding="utf-8")

    for section, values in RUN_SETTINGS.items():
        assert dict(config[section]) == values
