"""Lists the files that this program wrote below the root; all others are ignored."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tasks.core.stage import FINGERPRINT_DIGITS, PARAMS_NAME, root_folder
from tasks.stages.ablation import RUNS_FOLDER
from tasks.stages.download import MEDIA_FOLDER
from tasks.training.ablation_runs import RUN_DIGITS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FINGERPRINT = re.compile(rf"[0-9a-f]{{{FINGERPRINT_DIGITS}}}")
RUN = re.compile(rf"[0-9a-f]{{{RUN_DIGITS}}}")
ABLATION_FOLDER = "ablation"
STORED = re.compile(r"([0-9a-f]{2})[0-9a-f]{62}\.[a-z0-9]+")


def stage_folders() -> Iterator[Path]:
    """Yield every ``<root>/<stage>/<fingerprint>``, the configured ones and others, sorted."""
    for path in sorted(root_folder().glob(f"*/*/{PARAMS_NAME}")):
        folder = path.parent
        if FINGERPRINT.fullmatch(folder.name) and not folder.is_symlink():
            yield folder


def run_folders() -> Iterator[Path]:
    """Yield every run that ablations of this root have kept, sorted."""
    for path in sorted((root_folder() / ABLATION_FOLDER / RUNS_FOLDER).glob("*")):
        if RUN.fullmatch(path.name) and path.is_dir() and not path.is_symlink():
            yield path


def stored_media() -> Iterator[Path]:
    """Yield every file of the media store, which is named by its sha256, sorted."""
    for path in sorted((root_folder() / MEDIA_FOLDER).glob("??/*")):
        match = STORED.fullmatch(path.name)
        if match and match[1] == path.parent.name and path.is_file() and not path.is_symlink():
            yield path
