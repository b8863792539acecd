"""A structure as JSON, and back."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from features.base.errors import DataError
from models.config.artifacts import STRUCTURE_JSON_NAME
from models.structure.modules import ModalityPath, ModuleRow, Structure

_TOTALS = ("num_parameters", "flops_per_clip")


def render_json(structure: Structure) -> str:
    """The structure and its totals as one JSON object."""
    totals = {name: getattr(structure, name) for name in _TOTALS}
    return json.dumps({**totals, **asdict(structure)}, indent=1, ensure_ascii=False) + "\n"


def parse_json(text: str) -> Structure:
    """The structure that `render_json` wrote.

    Raises:
        DataError: The text is no such document.
    """
    try:
        document = json.loads(text)
        modalities = tuple(ModalityPath(**_with_tuples(fields)) for fields in document["modalities"])
        rows = tuple(ModuleRow(**_with_tuples(fields)) for fields in document["rows"])
        others = {name: value for name, value in document.items() if name not in (*_TOTALS, "modalities", "rows")}
        return Structure(modalities=modalities, rows=rows, **others)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"the text is no structure of a network ({error}): give one that render_json wrote") from error


def read_structure(folder: Path) -> Structure | None:
    """The structure that stands beside a checkpoint in `folder`; None when there is none.

    Raises:
        DataError: The file is no such document.
    """
    path = folder / STRUCTURE_JSON_NAME
    try:
        return parse_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except DataError as error:
        raise DataError(f"{path}: {error}") from error


def _with_tuples(fields: Mapping[str, Any]) -> dict[str, Any]:  # Any: values of JSON
    return {name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()}
