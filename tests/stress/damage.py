"""Published files with a flipped byte or a lost end: found by ``verify``, made again by the next run."""

from __future__ import annotations

import json
import os
import random
import shutil
from typing import TYPE_CHECKING

from tests.stress.bench import finish
from tests.stress.results import Result, Trial

if TYPE_CHECKING:
    from pathlib import Path

    from tests.stress.bench import Bench, Reference
    from tests.stress.place import Place

DAMAGE_FOUND = 1
ALL = "every stage at once"
# Fetched files, by content; they belong to no stage.
MEDIA = "media"


def damaged_files(bench: Bench) -> Result:
    """Return the result of damaging two files of each stage, and two fetched ones; then of every stage at once."""
    claim = "a flipped byte and a lost end were found by verify (exit 1), made again, identical; verify exits 0"
    reference = next(iter(bench.references.values()))
    fetched = [MEDIA] if (reference.place.root / MEDIA).exists() else []
    jobs = [*sorted(reference.stage_seconds), *fetched, ALL]
    return bench.try_all("damage", claim, lambda stage: _damaged(bench, reference, stage), jobs)


def _damaged(bench: Bench, reference: Reference, stage: str) -> Trial:
    place = bench.place(reference.corpus, f"damage-{stage.replace(' ', '-')}")
    shutil.copytree(reference.place.root, place.root, symlinks=True)
    rng = random.Random(f"{bench.seed} {stage}")  # noqa: S311 - positions, no secrets
    stages = sorted(reference.stage_seconds) if stage == ALL else [stage]
    if stage == MEDIA:
        harmed = _harm(sorted((place.root / MEDIA).glob("??/*")), place.root, rng)
    else:
        harmed = [path for name in stages for path in _harm(_published(place.root / name), place.root, rng)]
    problems = _verified(place, DAMAGE_FOUND, harmed)
    # A fetched file that is gone is fetched again when somebody is to read it.
    problems += finish(place, reference, *(("--force", "Decode") if stage == MEDIA else ()))
    problems += _verified(place, 0, [])
    trial = Trial(f"{stage}: {', '.join(harmed) if stage != ALL else f'{len(harmed)} files'}", tuple(problems))
    bench.forget(place, passed=trial.passed)
    return trial


def _verified(place: Place, expected: int, harmed: list[str]) -> list[str]:
    """Return what is wrong with what ``verify`` says."""
    code, text = place.pipeline("verify", "--media", "--json")
    problems = [f"verify does not name {path}" for path in harmed if path not in text]
    if "Traceback" in text:
        problems.append(f"verify ended in a traceback: {text.strip().splitlines()[-1]}")
    elif code != expected:
        problems.append(f"verify ended with {code}, expected {expected}: {text[-200:]}")
    return problems


def _published(stage_folder: Path) -> list[Path]:
    folder = (stage_folder / "latest").resolve()
    account = json.loads((folder / "_SUCCESS.json").read_text(encoding="utf-8"))
    return [folder / item["name"] for item in account["files"] if item["bytes"] and not item["is_record"]]


def _harm(files: list[Path], root: Path, rng: random.Random) -> list[str]:
    """Flip a byte of one file and cut the end off another; return their names below the root."""
    chosen = rng.sample(files, min(2, len(files)))
    _flip(chosen[0], rng)
    if len(chosen) > 1:
        os.truncate(chosen[1], rng.randrange(chosen[1].stat().st_size))
    return [path.relative_to(root).as_posix() for path in chosen]


def _flip(path: Path, rng: random.Random) -> None:
    content = bytearray(path.read_bytes())
    content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    path.write_bytes(content)
