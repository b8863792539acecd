"""The errors of this package.

ModelsError
├── SettingError     a setting or an argument has a value that cannot be used
├── DataError        features or labels do not fit each other or the network
└── CheckpointError  a checkpoint is missing, damaged, or was made for other features

Every message says what was wrong, the value, the rule, and the way out, in one line.
"""


class ModelsError(Exception):
    """Root of every error that this package raises on purpose."""


class SettingError(ModelsError):
    """A setting or an argument has a value that cannot be used."""


class DataError(ModelsError):
    """Features or labels do not fit each other or the network."""


class CheckpointError(ModelsError):
    """A checkpoint is missing, damaged, or was made for other features."""
