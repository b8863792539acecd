"""What a root holds, so that two roots can be compared byte by byte."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from features.base.files import sha256_of, sha256_of_json

if TYPE_CHECKING:
    from collections.abc import Mapping

# Who is at work, how far, and what was fetched when; nothing published depends on their bytes.
OF_THE_MOMENT = frozenset({".lock", "progress.json", "index.sqlite", "index.sqlite-shm", "index.sqlite-wal"})
# Keys of receipts and accounts that tell how a run went, not what came out.
OF_THE_RUN = frozenset({"built", "seconds", "started_at", "timings"})
# Times of the user's files, which a rendered corpus has anew.
LOCAL_FILES = ".local.json"
# The page for people tells how long everything took.
REPORT = "report.html"
MAX_SHOWN = 4


def read_snapshot(root: Path) -> dict[str, str]:
    """Return relative path -> sha256 of everything below a root, and where each link leads.

    Published files count byte by byte: shards, labels, splits, checkpoints, predictions, metrics, fetched media.
    Receipts and ``_SUCCESS.json`` count without times; a file that an account calls a record (the report, the
    training's history: times are printed in them) counts by its name alone, and so does a list of local files.
    """
    found: dict[str, str] = {}
    for folder, folders, files in os.walk(root):
        records = _records(Path(folder))
        for name in sorted([*files, *folders]):
            path = Path(folder, name)
            key = path.relative_to(root).as_posix()
            if path.is_symlink():
                found[key] = f"-> {path.readlink()}"
            elif name in files and name not in OF_THE_MOMENT:
                found[key] = "a record" if name in records or name.endswith(LOCAL_FILES) else _digest(path)
    return found


def published_files(snapshot: Mapping[str, str]) -> int:
    """Return how many files of a snapshot were compared by their bytes alone."""
    return sum(not _is_account(Path(name)) and value[:2] not in {"->", "a "} for name, value in snapshot.items())


def differences(expected: Mapping[str, str], found: Mapping[str, str]) -> list[str]:
    """Return one line for every file that is missing, too much, or of another content."""
    lines = [f"{name} is missing" for name in sorted(expected.keys() - found.keys())]
    lines += [f"{name} is too much" for name in sorted(found.keys() - expected.keys())]
    lines += [f"{name} differs" for name in sorted(expected.keys() & found.keys()) if expected[name] != found[name]]
    return lines


def shown(lines: list[str]) -> str:
    """Return the first few of many lines, as one."""
    rest = f" and {len(lines) - MAX_SHOWN} more" if len(lines) > MAX_SHOWN else ""
    return "; ".join(lines[:MAX_SHOWN]) + rest


def disk_bytes(folder: Path) -> int:
    """Return the space that a folder's files take, in whole blocks."""
    paths = [Path(above, name) for above, _, names in os.walk(folder) for name in names]
    return sum(path.lstat().st_blocks * 512 for path in paths)


def _is_account(path: Path) -> bool:
    return path.name == "_SUCCESS.json" or path.name.endswith(".receipt.json")


def _records(folder: Path) -> set[str]:
    try:
        account = json.loads((folder / "_SUCCESS.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return set()
    return {item["name"] for item in account["files"] if _is_record(item)}


def _is_record(row: Mapping[str, Any]) -> bool:
    return bool(row.get("is_record")) or row.get("name") == REPORT


def _digest(path: Path) -> str:
    if not _is_account(path):
        return sha256_of(path)
    return sha256_of_json(_timeless(json.loads(path.read_text(encoding="utf-8"))))


def _timeless(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    if isinstance(value, list):
        return [_timeless(item) for item in value]
    if not isinstance(value, dict):
        return value
    dropped = OF_THE_RUN | ({"bytes", "sha256"} if _is_record(value) else set())
    return {name: _timeless(item) for name, item in value.items() if name not in dropped}
