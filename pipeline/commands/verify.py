"""Re-reads every published file and compares it with the digest in its receipt."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from features.base.files import sha256_of
from features.downloads.download_rows import FROM_MANIFEST, read_downloaded
from models.rendering.terminal_table import render_table
from pipeline.commands.run_files import stage_folders, stored_media
from tasks.core.console import Progress
from tasks.core.locking import hold_root
from tasks.core.receipts import SUCCESS_NAME, FileReceipt, read_receipt, read_success
from tasks.core.stage import root_folder
from tasks.stages.download import Download, media_folders
from tasks.stages.manifest import Manifest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path


# A file that cannot be read now (the disk, permissions) may be whole.
REMOVED = frozenset({"size", "content"})


@dataclass(frozen=True)
class Damage:
    """One file that is not what was published.

    Attributes:
        path: The file, relative to the root where it is below it.
        problem: ``missing``, ``size``, ``content`` or ``unreadable``.
        detail: One line for a person.
        removed: Whether it was taken away, so that the next run makes or fetches it again.
        is_users: Whether it is a file of the user, which is never removed: the next run reads it again when its content
            is another one.
    """

    path: str
    problem: str
    detail: str
    removed: bool
    is_users: bool = False


@dataclass(frozen=True)
class Verification:
    """What was looked at and what was found."""

    num_files: int
    num_bytes: int
    damages: tuple[Damage, ...]

    def to_json(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        return {"files": self.num_files, "bytes": self.num_bytes, "damages": [asdict(item) for item in self.damages]}


@dataclass(frozen=True)
class _Expected:
    path: Path
    bytes: int
    sha256: str
    # Of a file of the user, which is never removed: its path below the manifest's folder, and its shard of Download.
    source: str = ""
    shard: str = ""

    @property
    def is_owned(self) -> bool:
        """Whether the pipeline has made or fetched it."""
        return not self.shard


def verify(*, media: bool, dry_run: bool) -> Verification:
    """Return every published file of every run below the root that is damaged; remove it unless ``dry_run``.

    What is removed is made again, alone, by the next run. All fingerprints are read and not only the
    configured ones, since a shard may be linked from one into another.

    Args:
        media: Read the media as well: the store, and the files that the manifest's paths lead to. Those are
            reported and never removed.
        dry_run: Remove nothing.

    Raises:
        SystemExit: With 10, while a run is at work.
        SourceError: ``media`` is set, and the manifest that names them is missing.
    """
    hold_root(root_folder())
    if media:
        # Known to be there before anything is removed.
        Download().fingerprint  # noqa: B018 - raises when the manifest is missing
    damages = [_broken_record(path, dry_run=dry_run) for path in _broken_records()]
    published = list(_published())
    damages += _examine(published, "published", dry_run=dry_run)
    stored = list(_media({item.path for item in damages})) if media else []
    damages += _examine(stored, "media", dry_run=dry_run)
    expected = [*published, *stored]
    return Verification(len(expected), sum(item.bytes for item in expected), tuple(damages))


def _examine(files: Sequence[_Expected], what: str, *, dry_run: bool) -> list[Damage]:
    damages = []
    seen: dict[tuple[int, int], str] = {}
    with Progress(f"verify {what}", len(files), None, unit="file") as progress:
        for item in files:
            problem = _problem(item, seen)
            if problem is not None:
                removed = item.is_owned and not dry_run and problem[0] in REMOVED
                if removed:
                    item.path.unlink(missing_ok=True)
                if not item.is_owned and problem[0] in REMOVED and not dry_run:
                    Download().read_again(item.shard, item.source)
                damages.append(Damage(_shown(item.path), *problem, removed, is_users=not item.is_owned))
            progress.advance()
    return damages


def _published() -> Iterator[_Expected]:
    """Yield every file that a receipt or a ``_SUCCESS.json`` lists."""
    for folder in stage_folders():
        files: dict[str, FileReceipt] = {}
        success = read_success(folder)
        if success is not None:
            files = success.by_name()
        for path in sorted(folder.glob("*.receipt.json")):
            receipt = read_receipt(folder, path.name)
            # In an incomplete stage a receipt may list a missing file: nothing is lost yet.
            if receipt is not None and (receipt.name in files or (folder / receipt.name).exists()):
                files[receipt.name] = receipt
        for name, receipt in files.items():
            yield _Expected(folder / name, receipt.bytes, receipt.sha256)


def _media(damaged: set[str]) -> Iterator[_Expected]:
    """Yield the files of the store, and the user's files that an undamaged shard of Download lists."""
    for path in stored_media():
        # The name is the digest of what should be in it.
        yield _Expected(path, path.stat().st_size, path.name.partition(".")[0])
    folders = media_folders(Manifest())
    for path in sorted(Download().folder.glob("shard-*.jsonl")):
        if _shown(path) in damaged:
            continue
        for clip in read_downloaded(path):
            for file in (clip.video, clip.cover):
                if file is not None and file.where == FROM_MANIFEST:
                    yield _Expected(file.locate(folders), file.bytes, file.sha256, file.path, path.name)


def _problem(item: _Expected, seen: dict[tuple[int, int], str]) -> tuple[str, str] | None:
    try:
        stat = item.path.stat()
        if stat.st_size != item.bytes:
            return "size", f"{stat.st_size:,} bytes, published were {item.bytes:,}"
        place = (stat.st_dev, stat.st_ino)
        # Hard links to one file are read once.
        digest = seen.get(place) or sha256_of(item.path)
        seen[place] = digest
    except FileNotFoundError:
        return "missing", "the file has gone"
    except OSError as error:
        return "unreadable", f"{error.strerror}"
    if digest != item.sha256:
        return "content", f"sha256 {digest[:12]}, published was {item.sha256[:12]}"
    return None


def _broken_records() -> Iterator[Path]:
    """Yield receipts and records of stages that cannot be read."""
    for folder in stage_folders():
        success = folder / SUCCESS_NAME
        if success.exists() and read_success(folder) is None:
            yield success
        for path in sorted(folder.glob("*.receipt.json")):
            if read_receipt(folder, path.name) is None:
                yield path


def _broken_record(path: Path, *, dry_run: bool) -> Damage:
    if not dry_run:
        path.unlink()
    return Damage(_shown(path), "unreadable", "no record that could be read", not dry_run)


def _shown(path: Path) -> str:
    root = root_folder()
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)


def render_verification(found: Verification) -> str:
    """Return what was found for a person."""
    if not found.num_files and not found.damages:
        return f"nothing is published below {root_folder()}"
    looked_at = f"{found.num_files:,} files, {found.num_bytes / 1e6:,.1f} MB"
    if not found.damages:
        return f"{looked_at}: every one is as it was published"
    rows = [[item.path, item.problem, item.detail] for item in found.damages]
    table = render_table(["file", "problem", "detail"], rows)
    removed = sum(item.removed for item in found.damages)
    closing = f"{looked_at}: {len(found.damages)} damaged, {removed} removed"
    ways_out = []
    if removed or any(item.problem == "missing" and not item.is_users for item in found.damages):
        ways_out.append(
            "the next `luigi --module pipeline RunAll` makes again what is gone; media are fetched when Decode needs"
            " them"
        )
    if any(item.is_users and item.problem in REMOVED for item in found.damages):
        ways_out.append(
            "files of yours have changed since Download read them: the next `luigi --module pipeline RunAll` reads them"
            " again and makes their clips again; if that is not wanted, restore them"
        )
    if any(item.is_users and item.problem not in REMOVED for item in found.damages):
        ways_out.append("files of yours cannot be read: restore them; what was made of them is kept")
    return f"{table}\n\n{closing}; {'; '.join(ways_out) or 'nothing was removed'}"
