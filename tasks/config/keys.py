"""Keys of the configuration that nobody reads are errors, not silence."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

import luigi.configuration
from luigi.task_register import Register

from features.base.errors import SettingError
from tasks.config.schema import SECTIONS

if TYPE_CHECKING:
    from collections.abc import Sequence

# Sections of Luigi's own that its modules read or register only when they are used.
_LUIGI_SECTIONS = frozenset(
    {
        "DEFAULT", "batch_notifier", "core", "cors", "email", "execution_summary", "formatters", "handlers",
        "loggers", "logging", "resources", "retcode", "scheduler", "smtp", "task_history", "worker",
    }
)  # fmt: skip


def check_keys() -> None:
    """Check that every section and key of the configuration is one that somebody reads.

    Raises:
        SettingError: Naming the first that nobody knows, and the nearest that somebody does.
    """
    config = luigi.configuration.get_config()
    known = {*SECTIONS, *_LUIGI_SECTIONS, *Register.task_names()}
    for section in config.sections():
        if section not in known and not section.startswith(("logger_", "handler_", "formatter_")):
            raise SettingError(f"unknown section [{section}] in the configuration{nearest(section, [*SECTIONS])}")
        twin = section.lower()
        if section not in SECTIONS and twin in SECTIONS:
            raise SettingError(f"unknown section [{section}] in the configuration: the settings stand in [{twin}]")
        if section in SECTIONS:
            names = list(SECTIONS[section].names())
            for key in config[section]:
                if key not in names:
                    raise SettingError(f"unknown setting {key!r} in [{section}]{nearest(key, names)}")


def nearest(word: str, known: Sequence[str]) -> str:
    """Return the end of a sentence that names what ``word`` may have meant."""
    near = difflib.get_close_matches(word, known, n=1)
    return f": did you mean {near[0]!r}?" if near else f": expected one of {', '.join(known)}"
