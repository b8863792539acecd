"""What a process finds on its machine: the device where networks compute, and versions of installed packages."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from features.base.errors import SettingError

if TYPE_CHECKING:
    import torch


def resolve_device(name: str) -> torch.device:
    """Return the device that a setting names.

    Args:
        name: ``auto`` (the first GPU, else the CPU), ``cpu``, ``cuda`` or ``cuda:N``.

    Raises:
        SettingError: torch finds no such GPU.
    """
    import torch  # noqa: PLC0415 - takes a second to load, and settings are read without it

    if name == "auto":
        return torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
    device = torch.device(name)
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device.type == "cuda" and (device.index or 0) >= count:
        raise SettingError(f"device is {name!r}, but torch sees {count} GPUs: set device to auto or cpu")
    return device


def tool_versions(*packages: str) -> str:
    """Return ``name version`` of each installed package, joined by ``; ``."""
    found = []
    for package in packages:
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            continue
    return "; ".join(found)
