"""Checks of setting values, each with one clear error."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from features.base.errors import SettingError

if TYPE_CHECKING:
    from collections.abc import Sequence

_DEVICE = re.compile(r"auto|cpu|cuda(:\d+)?")


def check_choice(name: str, value: str, allowed: Sequence[str]) -> None:
    """Raise SettingError unless ``value`` is one of the names in ``allowed``."""
    if value not in allowed:
        raise SettingError(f"unknown {name} {value!r}: give one of {', '.join(allowed)}")


def check_range(name: str, value: float, *, low: int) -> None:
    """Raise SettingError for a number below ``low`` and for NaN."""
    if not value >= low:
        raise SettingError(f"{name} is {value}: give a number of at least {low}")


def check_share(name: str, value: float) -> None:
    """Raise SettingError for a number outside 0 to below 1."""
    if not 0 <= value < 1:
        raise SettingError(f"{name} is {value}: give a number from 0 to below 1")


def check_fraction(name: str, value: float) -> None:
    """Raise SettingError for a number outside 0 to 1."""
    if not 0 <= value <= 1:
        raise SettingError(f"{name} is {value}: give a share, 0 to 1")


def check_device(name: str) -> None:
    """Raise SettingError unless ``name`` is ``auto``, ``cpu``, ``cuda`` or ``cuda:N``."""
    if not _DEVICE.fullmatch(name):
        raise SettingError(f"unknown device {name!r}: expected auto, cpu, cuda or cuda:N")
