"""Fields of settings: checks of values, and facts about a field beside its type and default."""

from __future__ import annotations

import re
from dataclasses import Field, field, fields
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from features.base.errors import SettingError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

_DEVICE = re.compile(r"auto|cpu|cuda(:\d+)?")
Value = TypeVar("Value")


def check_choice(name: str, value: str, allowed: Collection[str]) -> None:
    """Raise SettingError unless ``value`` is one of the names in ``allowed``."""
    if value not in allowed:
        raise SettingError(f"unknown {name} {value!r}: give one of {', '.join(allowed)}")


def check_range(name: str, value: float, *, low: int) -> None:
    """Raise SettingError for a number below ``low`` and for NaN."""
    if not value >= low:
        raise SettingError(f"{name} is {value}: give a number of at least {low}")


def check_positive(name: str, value: float) -> None:
    """Raise SettingError for 0, for a number below it and for NaN."""
    if not value > 0:
        raise SettingError(f"{name} is {value}: give a number above 0")


def check_fraction_below_one(name: str, value: float) -> None:
    """Raise SettingError for a number outside 0 to below 1."""
    if not 0 <= value < 1:
        raise SettingError(f"{name} is {value}: give a number from 0 to below 1")


def check_fraction(name: str, value: float) -> None:
    """Raise SettingError for a number outside 0 to 1."""
    if not 0 <= value <= 1:
        raise SettingError(f"{name} is {value}: give a fraction, 0 to 1")


def check_device(name: str, value: str) -> None:
    """Raise SettingError unless ``value`` is ``auto``, ``cpu``, ``cuda`` or ``cuda:N``."""
    if not _DEVICE.fullmatch(value):
        raise SettingError(f"unknown {name} {value!r}: expected auto, cpu, cuda or cuda:N")


def one_of(allowed: Collection[str]) -> Callable[[str, Any], None]:
    """Return :func:`check_choice` of ``allowed``, for ``features.base.settings.setting``."""
    return partial(check_choice, allowed=allowed)


def at_least(low: int) -> Callable[[str, Any], None]:
    """Return :func:`check_range` from ``low`` on, for ``features.base.settings.setting``."""
    return partial(check_range, low=low)


def setting(
    default: Value,
    *,
    identity: bool = True,
    from_preset: bool = True,
    modalities: tuple[str, ...] | None = None,
    check: Callable[[str, Any], None] | None = None,
    arguments: Mapping[str, str] | None = None,
) -> Value:
    """Return a dataclass field with its default and its facts.

    Args:
        default: Value unless set.
        identity: Whether changing it changes the bytes of the output; a setting of another kind re-runs nothing.
        from_preset: In a section that starts from a preset: whether a named preset replaces a configured value.
        modalities: In [decode]: modalities whose input depends on it. In [extract_*]: modalities that have the
            setting. ``None`` in other sections.
        check: Called with name and value by :func:`check_settings`; raises SettingError. ``None`` accepts any value.
        arguments: In [network]: name of a module of the network -> its argument that takes the value.
    """
    metadata = {
        "identity": identity,
        "from_preset": from_preset,
        "modalities": modalities,
        "check": check,
        "arguments": arguments or {},
    }
    return field(default=default, metadata=metadata)


def is_identity(item: Field[Any]) -> bool:
    """Return whether a field is part of a stage's identity."""
    return bool(item.metadata.get("identity", True))


def is_from_preset(item: Field[Any]) -> bool:
    """Return whether a named preset replaces what is configured for a field."""
    return is_identity(item) and bool(item.metadata.get("from_preset", True))


def modalities_of(item: Field[Any]) -> tuple[str, ...] | None:
    """Return the modalities that a field names, ``None`` where it names none."""
    found: tuple[str, ...] | None = item.metadata.get("modalities")
    return found


def identity_values(settings: Any) -> Mapping[str, object]:  # noqa: ANN401 - any dataclass of settings
    """Return name -> value of the fields that are part of a stage's identity, in their order."""
    return {item.name: getattr(settings, item.name) for item in fields(settings) if is_identity(item)}


def check_settings(settings: Any) -> None:  # noqa: ANN401 - any dataclass of settings
    """Apply the check of every field, in their order.

    Raises:
        SettingError: A value is out of range or an unknown name.
    """
    for item in fields(settings):
        check = item.metadata.get("check")
        if check is not None:
            check(item.name, getattr(settings, item.name))


def arguments_of(settings: Any, name: str) -> dict[str, Any]:  # noqa: ANN401 - any dataclass of settings
    """Return the arguments that the fields of ``settings`` give the module with a name."""
    owners = [(item, item.metadata.get("arguments", {})) for item in fields(settings)]
    return {arguments[name]: getattr(settings, item.name) for item, arguments in owners if name in arguments}
