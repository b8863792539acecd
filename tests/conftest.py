"""Fixtures that every test may use."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import hypothesis
import luigi.configuration
import pytest

from tasks.config.run import forget_run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

pytest_plugins = ["tests.watchdog"]

# Tests that ask for OpenVINO by themselves must not let its telemetry in: it forks processes out of threads, which hang
# and keep a dead worker of pytest-xdist from being noticed.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # makes its import fail

# The same examples every time, on machines of any speed: a red test stays red until it is mended.
hypothesis.settings.register_profile("repeatable", deadline=None, derandomize=True)
hypothesis.settings.load_profile("repeatable")


@pytest.fixture
def configure(tmp_path: Path) -> Iterator[Callable[[Mapping[str, Mapping[str, str]]], None]]:
    """Replace Luigi's configuration for one test; the root is a folder of the test."""
    config = luigi.configuration.get_config()
    before = {section: dict(config[section]) for section in config.sections()}

    def replace(sections: Mapping[str, Mapping[str, str]]) -> None:
        for section in config.sections():
            config.remove_section(section)
        for section, values in {"paths": {"root": str(tmp_path / "root")}, **sections}.items():
            for key, value in values.items():
                config.set(section, key, value)
        forget_run()

    replace({})
    yield replace
    for section in config.sections():
        config.remove_section(section)
    for section, values in before.items():
        for key, value in values.items():
            config.set(section, key, value)
    forget_run()
