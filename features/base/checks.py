"""Checks of setting values, each with one clear error."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Any

from features.base.errors import SettingError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

_DEVICE = re.compile(r"auto|cpu|cuda(:\d+)?")


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


def check_share(name: str, value: float) -> None:
    """Raise SettingError for a number outside 0 to below 1."""
    if not 0 <= value < 1:
        raise SettingError(f"{name} is {value}: give a number from 0 to below 1")


def check_fraction(name: str, value: float) -> None:
    """Raise SettingError for a number outside 0 to 1."""
    if not 0 <= value <= 1:
        raise SettingError(f"{name} is {value}: give a share, 0 to 1")


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
