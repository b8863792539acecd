"""Checks of setting values, each with one clear error."""

from collections.abc import Sequence

from models.errors import SettingError


def check_choice(name: str, value: str, allowed: Sequence[str]) -> None:
    """Refuse a value that is not one of the names in `allowed`."""
    if value not in allowed:
        raise SettingError(f"unknown {name} {value!r}: give one of {', '.join(allowed)}")


def check_range(name: str, value: float, *, low: int) -> None:
    """Refuse a number below `low`, and what is no number."""
    if not value >= low:
        raise SettingError(f"{name} is {value}: give a number of at least {low}")


def check_share(name: str, value: float) -> None:
    """Refuse a number outside 0 to below 1."""
    if not 0 <= value < 1:
        raise SettingError(f"{name} is {value}: give a number from 0 to below 1")
