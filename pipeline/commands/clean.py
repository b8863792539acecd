"""Files below the root that the configured run does not use."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from features.base.files import TEMPORARY_PREFIX
from features.downloads.download_rows import FROM_STORE, read_downloaded
from models.rendering.terminal_table import render_table
from pipeline.commands.run_files import run_folders, stage_folders, stored_media
from pipeline.workflow import stages_in_use
from tasks.core.locking import hold_root
from tasks.core.stage import point_latest, root_folder
from tasks.stages.ablation import Ablation
from tasks.stages.download import MEDIA_FOLDER, Download
from tasks.training.ensemble import is_member_folder

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path


@dataclass(frozen=True)
class UnusedFile:
    """One file or folder that can be deleted.

    Attributes:
        path: Relative to the root.
        reason: Why it is not used.
        bytes: What deleting it frees: a file that has another hard link elsewhere frees nothing.
    """

    path: str
    reason: str
    bytes: int


def clean(*, delete: bool) -> list[UnusedFile]:
    """Return the files that the configured run does not use; delete them if ``delete``.

    That is: folders of other fingerprints of the configured stages, networks of other ensembles, runs of other
    ablations, temporary files of killed runs, and fetched media that no clip of the configured Download refers to.
    Anything else below the root, and files of the user, are not touched.

    Raises:
        SystemExit: With 10, while a run is at work.
        SourceError: The manifest is missing, so the used files are unknown.
    """
    hold_root(root_folder())
    found = [*_other_fingerprints(), *_other_runs(), *_leftovers(), *_unused_media()]
    if delete:
        for path, _ in found:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        _mend_latest()
    return [item for _, item in found]


def _mend_latest() -> None:
    """Point every ``latest`` whose folder is gone to the configured run, or remove it."""
    for stage in stages_in_use():
        link = stage.folder.parent / "latest"
        if link.is_symlink() and not link.exists():
            if stage.folder.is_dir():
                point_latest(stage)
            else:
                link.unlink()


def _other_fingerprints() -> Iterator[tuple[Path, UnusedFile]]:
    used = {stage.folder for stage in stages_in_use()}
    stages = {folder.parent for folder in used}
    for folder in stage_folders():
        if folder not in used and (folder.parent in stages or is_member_folder(folder.parent.name)):
            yield folder, UnusedFile(_shown(folder), "another fingerprint", _freed(folder))


def _other_runs() -> Iterator[tuple[Path, UnusedFile]]:
    """Yield the runs of other variants; none while the inputs that identify the configured runs are missing."""
    ablation = next((stage for stage in stages_in_use() if isinstance(stage, Ablation)), None)
    if ablation is None or not all(stage.success() for stage in ablation.inputs().values()):
        return
    used = {ablation.baselines().folder, *(run.plan.folder for run in ablation.runs())}
    for folder in run_folders():
        if folder not in used:
            yield folder, UnusedFile(_shown(folder), "a run of another ablation", _freed(folder))


def _leftovers() -> Iterator[tuple[Path, UnusedFile]]:
    used = {stage.folder for stage in stages_in_use()}
    for folder in (*sorted(used), *run_folders(), root_folder() / MEDIA_FOLDER):
        for path in sorted(folder.rglob(f"{TEMPORARY_PREFIX}*")):
            yield path, UnusedFile(_shown(path), "left by a killed run", _freed(path))


def _unused_media() -> Iterator[tuple[Path, UnusedFile]]:
    download = Download()
    success = download.success()
    if success is None or not success.is_whole(download.folder):
        # Until Download is complete, the files that it will refer to are unknown.
        return
    store = root_folder() / MEDIA_FOLDER
    used = {
        file.path
        for path in download.folder.glob("shard-*.jsonl")
        for clip in read_downloaded(path)
        for file in (clip.video, clip.cover)
        if file is not None and file.where == FROM_STORE
    }
    for path in stored_media():
        if path.relative_to(store).as_posix() not in used:
            yield path, UnusedFile(_shown(path), "no clip refers to it", _freed(path))


def _freed(path: Path) -> int:
    files = [path] if not path.is_dir() else [item for item in path.rglob("*") if not item.is_dir()]
    return sum(stat.st_size for stat in (item.lstat() for item in files) if stat.st_nlink == 1)


def _shown(path: Path) -> str:
    return str(path.relative_to(root_folder()))


def render_unused(found: Sequence[UnusedFile], *, deleted: bool) -> str:
    """Return what was found for a person; a kind of item with many files as one line."""
    if not found:
        return "every file below the root is in use"
    rows = []
    for reason in dict.fromkeys(item.reason for item in found):
        items = [item for item in found if item.reason == reason]
        name = items[0].path if len(items) == 1 else f"{len(items):,} of them, the first {items[0].path}"
        rows.append([reason, name, f"{sum(item.bytes for item in items) / 1e6:,.1f} MB"])
    total = sum(item.bytes for item in found) / 1e6
    closing = f"{total:,.1f} MB freed" if deleted else f"{total:,.1f} MB can be freed: `clean --yes` deletes it"
    return f"{render_table(['why', 'what', 'size'], rows)}\n\n{closing}"
