"""Texts of ``luigi.cfg``, ``LUIGI_CONFIG_PATH`` and the command line -> frozen dataclasses, every key checked.

Each section is a dataclass beside the code that it steers. A ``luigi.Config`` class is made of it, so that Luigi reads
the files and takes ``--decode-frames-per-second 4`` as well.
"""

from __future__ import annotations

import difflib
import math
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import luigi
import luigi.configuration
from luigi.task_register import Register

from features.base.errors import PipelineError, SettingError
from tasks.config.schema import SECTIONS, Section, Settings
from tasks.config.task_settings import PresetConfig

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# Text of a setting that is not set and has its value from a preset.
FROM_PRESET = "(preset)"
# Key of a change that names a preset.
PRESET_KEY = "network.preset"
# Sections of Luigi's own that its modules read or register only when they are used.
_LUIGI_SECTIONS = frozenset(
    {
        "DEFAULT", "batch_notifier", "core", "cors", "email", "execution_summary", "formatters", "handlers",
        "loggers", "logging", "resources", "retcode", "scheduler", "smtp", "task_history", "worker",
    }
)  # fmt: skip


def _config_class(name: str, section: Section) -> type[luigi.Config]:
    """Return a Luigi config class whose parameters are texts; ``read_section`` turns them into values."""
    defaults = {key: "" if default is None else str(default) for key, default in section.names().items()}
    defaults |= dict.fromkeys(section.preset_values(PresetConfig.preset), FROM_PRESET)
    parameters = {key: luigi.Parameter(default=default, significant=False) for key, default in defaults.items()}
    namespace = {"__doc__": section.kind.__doc__, "__module__": __name__, **parameters}
    return Register(name, (luigi.Config,), namespace)  # type: ignore[return-value]  # Luigi's metaclass


_CONFIG_CLASSES = {name: _config_class(name, section) for name, section in SECTIONS.items()}


def read_settings() -> Settings:
    """Return all settings as Luigi has them now.

    Raises:
        SettingError: An unknown key, a value of the wrong type or out of range, or a contradiction between two
            sections; the message names the section and the key.
    """
    check_keys()
    return Settings.of({name: read_section(name) for name in SECTIONS})


def read_section(name: str, changes: Mapping[str, str] | None = None) -> Any:  # noqa: ANN401 - the kind differs by section
    """Return one section as its dataclass, ``SECTIONS[name].kind``.

    Args:
        name: Of the section.
        changes: ``section.key`` -> text that replaces the configured one; of any sections. A preset named here
            replaces every configured value but those that no preset gives (the seed, what changes no result).

    Raises:
        SettingError: A value of the wrong type or out of range; the message names the section and the key.
    """
    section, changes = SECTIONS[name], changes or {}
    values = {**section.preset_values(_preset(changes)), **_given_values(name, changes)}
    own = {item.name for item in fields(section.kind)}
    return _made(name, section.kind, {**section.fixed, **{key: values[key] for key in values if key in own}})


def _preset(changes: Mapping[str, str]) -> str:
    """Return the name of the preset that [network] and [train] start from."""
    text = changes.get(PRESET_KEY, _texts("network")["preset"])
    preset: PresetConfig = _made("network", PresetConfig, {"preset": text.strip()})
    return preset.preset


def _given_values(name: str, changes: Mapping[str, str]) -> dict[str, object]:
    """Return setting -> value, without those that come from a preset."""
    section = SECTIONS[name]
    texts, hints = _texts(name), section.hints()
    if PRESET_KEY in changes and section.preset_part:
        beside = section.settings_beside_presets()
        texts = {key: text if key in beside else FROM_PRESET for key, text in texts.items()}
    texts |= {key: changes[f"{name}.{key}"] for key in texts if f"{name}.{key}" in changes}
    return {key: _value(name, key, text, hints[key]) for key, text in texts.items() if text != FROM_PRESET}


def _texts(name: str) -> dict[str, str]:
    """Return setting -> its text in the configuration or on the command line."""
    try:
        found = vars(_CONFIG_CLASSES[name]())
    except ValueError as error:
        raise SettingError(
            f"[{name}] cannot be read: {error.__cause__ or error}; write %% for a per cent sign"
        ) from error
    return {key: found[key] for key in SECTIONS[name].names()}


def _made(name: str, kind: type[Any], values: Mapping[str, object]) -> Any:  # noqa: ANN401 - whatever ``kind`` makes
    try:
        return kind(**values)
    except PipelineError as error:
        raise SettingError(f"[{name}] {error}") from error


def _value(section: str, key: str, text: str, hint: object) -> object:
    try:
        # A command line that is no UTF-8 arrives with lone surrogates, which no file on disk can contain.
        text.encode("utf-8")
        if hint is bool:
            return {"true": True, "false": False}[text.strip().lower()]
        if hint is int:
            return int(text)
        if hint is float:
            return _finite(text)
    except UnicodeEncodeError as error:
        raise SettingError(f"[{section}] {key} is {text!r}, which is no UTF-8 text: write it in UTF-8") from error
    except (ValueError, KeyError) as error:
        wanted = {bool: "true or false", int: "a whole number", float: "a number"}[hint]  # type: ignore[index]
        raise SettingError(f"[{section}] {key} is {text!r}: expected {wanted}") from error
    if hint == int | None:
        return int(text) if text.strip() else None
    return text.strip()


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value


def check_keys() -> None:
    """Check that every section and key of the configuration is a known one.

    Raises:
        SettingError: Naming the first unknown one, and the nearest known one.
    """
    config = luigi.configuration.get_config()
    known = {*SECTIONS, *_LUIGI_SECTIONS, *Register.task_names()}
    for section in config.sections():
        if section not in SECTIONS and section.lower() in SECTIONS:
            raise SettingError(f"unknown section [{section}] in the configuration: write [{section.lower()}]")
        if section not in known and not section.startswith(("logger_", "handler_", "formatter_")):
            raise SettingError(f"unknown section [{section}] in the configuration{suggestion(section, [*SECTIONS])}")
        if section in SECTIONS:
            names = list(SECTIONS[section].names())
            for key in config[section]:
                if key not in names:
                    raise SettingError(f"unknown setting {key!r} in [{section}]{suggestion(key, names)}")


def suggestion(word: str, known: Sequence[str]) -> str:
    """Return the end of a message that names the known word nearest to ``word``."""
    near = difflib.get_close_matches(word, known, n=1)
    return f": did you mean {near[0]!r}?" if near else f": expected one of {', '.join(known)}"
