"""The run of this process: its settings, read once, and the stages that ``--force`` names.

A process has one run at a time. Task processes are forked and inherit it. A program that changes Luigi's configuration
between two ``luigi.build`` calls (a notebook) gets a new run: ``refresh`` compares the configuration with the one that
was read.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import luigi.configuration
from luigi.cmdline_parser import CmdlineParser
from luigi.task_register import Register

from tasks.config.load import read_settings

if TYPE_CHECKING:
    from collections.abc import Hashable

    from tasks.config.schema import Settings


@dataclass(frozen=True)
class Run:
    """What all stages of one run share.

    Attributes:
        settings: All settings.
        force: Names of stages to build again with all below them, in lower case.
        started_at: Unix time from which on a forced stage counts as built.
        memo: What is a function of the run alone (fingerprints, forced stages), by its key.
    """

    settings: Settings
    force: frozenset[str] = frozenset()
    started_at: float = field(default_factory=time.time)
    memo: dict[Hashable, Any] = field(default_factory=dict)  # values of any kind, by key


_run: Run | None = None
_source: object = None


def current_run() -> Run:
    """Return the run of this process; the first call reads the settings.

    Raises:
        SettingError: As ``read_settings``.
    """
    global _run, _source  # noqa: PLW0603 - one run a process is the point
    if _run is None:
        source = _configuration()
        _run = Run(read_settings())
        _source = source
    return _run


def settings() -> Settings:
    """Return the settings of the run."""
    return current_run().settings


def refresh() -> Run:
    """Return the run, a new one where the configuration was changed since it was read."""
    if _run is not None and _source != _configuration():
        forget_run()
    return current_run()


def force_stages(names: frozenset[str]) -> None:
    """Let the run build the named stages again; the same names as before change nothing."""
    global _run  # noqa: PLW0603 - as in current_run
    run = refresh()
    if run.force != names:
        _run = Run(run.settings, names)


def forget_run() -> None:
    """Forget the settings and everything derived from them; the next use reads the configuration again."""
    global _run  # noqa: PLW0603 - as in current_run
    _run = None
    # Luigi returns the same instance for the same parameters, with what that instance has cached.
    Register.clear_instance_cache()


def _configuration() -> object:
    """Return what the settings are a function of: the texts of the files, and the parsed command line."""
    config = luigi.configuration.get_config()
    texts = {name: dict(config.items(name, raw=True)) for name in config.sections()}
    return texts, CmdlineParser.get_instance()
