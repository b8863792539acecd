"""Checks and settings that Luigi needs before it schedules anything."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import luigi.configuration
from luigi.parameter import UnconsumedParameterWarning

from tasks.core.console import UNUSABLE_SETTINGS, OneLineErrors, say

if TYPE_CHECKING:
    from types import FrameType

# luigi.cfg has them too; set here, the command works from any folder. Without the exit codes a
# failed run would exit 0.
RUN_SETTINGS = {
    "core": {"local_scheduler": "true", "no_lock": "true", "autoload_range": "false", "log_level": "INFO"},
    "worker": {"check_complete_on_run": "true", "force_multiprocessing": "true"},
    "retcode": {
        "already_running": "10",
        "missing_data": "20",
        "not_run": "25",
        "task_failed": "30",
        "scheduling_error": "35",
        "unhandled_exception": "40",
    },
}
PACKAGES = ("pipeline", "tasks", "features", "models")
SIGNAL_EXIT_BASE = 128


def prepare() -> None:
    """Check the installation and set Luigi's run settings; calling it again changes nothing."""
    check_packages()
    check_configuration_file()
    set_run_settings()
    warnings.simplefilter("error", UnconsumedParameterWarning)
    logger = logging.getLogger("luigi-interface")
    if not any(isinstance(item, OneLineErrors) for item in logger.filters):
        logger.addFilter(OneLineErrors())
    # luigi.cmdline is imported by the console script and by `python -m luigi`: a notebook keeps its own handlers.
    if "luigi.cmdline" in sys.modules:
        install_signal_handlers()


def install_signal_handlers() -> None:
    """Let SIGTERM and Ctrl-C end the process by ``SystemExit``, so that Luigi ends its task processes.

    Called in the main thread of a command; in another thread it does nothing, since Python allows no handlers there.
    """
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _stop)
        signal.signal(signal.SIGINT, _stop)


def check_packages() -> None:
    """End the program when another installed package called ``models`` or ``tasks`` is in the way.

    Raises:
        SystemExit: With 40, after one line that names the intruder.
    """
    home = Path(__file__).resolve().parent.parent
    for name in PACKAGES:
        spec = find_spec(name)
        found = Path(spec.origin).resolve().parent if spec and spec.origin else None
        if found != home / name:
            say(
                f"error: the package {name!r} is loaded from {found}, expected {home / name}: install this project"
                " with `pip install -e .` into a virtual environment of its own"
            )
            raise SystemExit(UNUSABLE_SETTINGS)


def check_configuration_file() -> None:
    """End the program when ``LUIGI_CONFIG_PATH`` names no file: Luigi would run with the defaults.

    Raises:
        SystemExit: With 40, after one line.
    """
    name = os.environ.get("LUIGI_CONFIG_PATH")
    if name is not None and not Path(name).is_file():
        say(f"error: LUIGI_CONFIG_PATH is {name!r}, which is not a file: correct it, or unset it")
        raise SystemExit(UNUSABLE_SETTINGS)


def set_run_settings() -> None:
    """Fill in Luigi's run settings where the configuration leaves them open."""
    config = luigi.configuration.get_config()
    for section, values in RUN_SETTINGS.items():
        for key, value in values.items():
            if not config.has_option(section, key):
                config.set(section, key, value)


_MAIN_PROCESS = os.getpid()


def _stop(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - the signature of a handler
    if os.getpid() == _MAIN_PROCESS:
        # Not through say(): the signal may have interrupted another line.
        os.write(2, b"\nstopped: run the same command again to resume\n")
    raise SystemExit(SIGNAL_EXIT_BASE + number)
