"""The folder of a checkpoint: names of its files, and how the recipes of features in it differ. Imports no torch."""

from __future__ import annotations

import json

WEIGHTS_NAME = "model.safetensors"
DESCRIPTION_NAME = "model.json"
CALIBRATION_NAME = "calibration.json"
HISTORY_NAME = "history.jsonl"
RESUME_NAME = "resume.pt"
EVENTS_NAME = "tensorboard"
STRUCTURE_JSON_NAME = "network.json"
STRUCTURE_MARKDOWN_NAME = "network.md"
STRUCTURE_PICTURE_NAME = "network.svg"

# The checkpoint itself, without its calibration.
CHECKPOINT_NAMES = (DESCRIPTION_NAME, WEIGHTS_NAME)
# Descriptions of the network for a reader; no later stage depends on them.
STRUCTURE_NAMES = (STRUCTURE_JSON_NAME, STRUCTURE_MARKDOWN_NAME, STRUCTURE_PICTURE_NAME)

MAX_NAMED = 4


def recipe_difference(trained: str, given: str) -> str:
    """Return the settings in which two recipes differ, the given one's value first.

    A recipe is a JSON object of settings, nested to any depth; of other texts both are returned whole. At most
    four settings are named.
    """
    ours, theirs = _settings(trained), _settings(given)
    if ours is None or theirs is None:
        return f"{given!r} instead of {trained!r}"
    # A group that only one of them has is named once, not setting by setting.
    groups = {_group(name) for name in ours} ^ {_group(name) for name in theirs}
    ours, theirs = _without(ours, groups), _without(theirs, groups)
    names = [name for name in sorted({*ours, *theirs}) if _value(ours, name) != _value(theirs, name)]
    parts = [f"{name} is {_value(theirs, name)} instead of {_value(ours, name)}" for name in names[:MAX_NAMED]]
    more = [f"and {len(names) - MAX_NAMED} more"] if len(names) > MAX_NAMED else []
    return ", ".join([*parts, *more])


def _settings(recipe: str) -> dict[str, object] | None:
    """Return path of a setting, with dots -> value; ``None`` for a text that is no JSON object."""
    try:
        parsed = json.loads(recipe)
    except ValueError:
        return None
    return dict(_flattened(parsed, "")) if isinstance(parsed, dict) else None


def _flattened(settings: dict[str, object], prefix: str) -> list[tuple[str, object]]:
    rows: list[tuple[str, object]] = []
    for name, value in settings.items():
        rows += _flattened(value, f"{prefix}{name}.") if isinstance(value, dict) else [(f"{prefix}{name}", value)]
    return rows


def _group(name: str) -> str:
    return name.partition(".")[0]


def _without(settings: dict[str, object], groups: set[str]) -> dict[str, object]:
    """Return the settings with each of some nested groups as one setting."""
    result: dict[str, object] = {}
    for name, value in settings.items():
        is_nested = _group(name) in groups and "." in name
        result[_group(name) if is_nested else name] = "set" if is_nested else value
    return result


def _value(settings: dict[str, object], name: str) -> str:
    return repr(settings[name]) if name in settings else "not set"
