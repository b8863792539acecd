"""The folder layout of the Xinpianchang data set: ``label/id/`` with ``id.mp4``, ``id.jpeg`` and ``id.txt``."""

from __future__ import annotations

import ast
import os
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

from features.formats.records import RowError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# The text file of the data set's example has 244 bytes; deep nesting costs the parser memory.
MAX_TEXT_FILE_BYTES = 32 << 10


@dataclass(frozen=True, slots=True)
class ClipFolder:
    """The folder of one clip.

    Attributes:
        root: The folder of the whole data set.
        category: Name of the folder above.
        name: Name of the folder, which is the id of the clip.
        video: Path of the video below ``root``, ``""`` when there is none.
        cover: Likewise, the cover.
        text_file: Likewise, the description.
        problem: Why the folder is no clip, ``""`` when it is one.
    """

    root: Path
    category: str
    name: str
    video: str = ""
    cover: str = ""
    text_file: str = ""
    problem: str = ""

    def text(self) -> bytes:
        """Return the bytes of the description, at most one more than may be parsed; empty when there is none."""
        if not self.text_file:
            return b""
        with (self.root / self.text_file).open("rb") as stream:
            return stream.read(MAX_TEXT_FILE_BYTES + 1)


def walk_clips(root: Path) -> Iterator[ClipFolder]:
    """Yield the clips of a data set, sorted by label and id; one label is in memory at a time.

    Names that start with a dot and files beside the folders are passed over. Links are not followed: one in
    place of a label's or a clip's folder is yielded with its problem, one in place of a file is as no file.

    Raises:
        OSError: A folder cannot be read.
    """
    for label, is_link in _folders(root):
        if is_link:
            yield ClipFolder(root, label, "", problem=f"{label} is a link")
            continue
        for name, is_clip_link in _folders(root / label):
            if is_clip_link:
                yield ClipFolder(root, label, name, problem=f"{label}/{name} is a link")
            else:
                yield _clip(root, label, name)


def read_folder(root: Path) -> Iterator[tuple[int, dict[str, object] | RowError]]:
    """Yield the number and the row of each clip, in the field names of the data set's JSON lines.

    The folders' names are id and category, whatever the description names. Video and cover are the files
    where they are there, and else the URLs of the description. A description that cannot be read costs what
    it says and not the clip: an error ``damaged_text`` comes before the row.

    Raises:
        OSError: A folder or a file cannot be read.
    """
    for number, clip in enumerate(walk_clips(root), 1):
        if clip.problem:
            yield number, RowError("link", f"{clip.problem}: links are not followed", clip.name)
            continue
        if not (clip.video or clip.cover or clip.text_file):
            detail = f"{clip.category}/{clip.name} holds no .mp4, no .jpeg and no .txt"
            yield number, RowError("empty_folder", detail, clip.name)
            continue
        row: dict[str, object] = {}
        try:
            row = parse_description(clip.text()) if clip.text_file else {}
        except RowError as error:
            yield number, RowError(error.code, f"{clip.text_file}: {error}; the clip stays", clip.name)
        row["mp4_id"] = clip.name
        row["video_label"] = clip.category
        row["mp4_download_url"] = clip.video or row.get("mp4_download_url")
        row["mp4_background_image_url"] = clip.cover or row.get("mp4_background_image_url")
        yield number, row


def parse_description(raw: bytes) -> dict[str, object]:
    """Return the dict of a description, a Python literal; nothing in it is ever executed.

    Raises:
        RowError: ``damaged_text``: too long, not UTF-8, no literal, or not a dict.
    """
    if len(raw) > MAX_TEXT_FILE_BYTES:
        raise RowError("damaged_text", f"a description holds at most {MAX_TEXT_FILE_BYTES:,} bytes")
    try:
        with warnings.catch_warnings():
            # An odd escape such as "\d" is the author's business.
            warnings.simplefilter("ignore")
            value = ast.literal_eval(raw.decode("utf-8-sig").strip())
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
        raise RowError("damaged_text", f"no Python literal in UTF-8 ({type(error).__name__})") from error
    if not isinstance(value, dict):
        raise RowError("damaged_text", f"a description is a dict, this is a {type(value).__name__}")
    return {str(key): content for key, content in value.items()}


def _folders(folder: Path) -> list[tuple[str, bool]]:
    """Return the name of each folder in a folder and whether it is a link, sorted."""
    with os.scandir(folder) as entries:
        return sorted(
            (entry.name, entry.is_symlink())
            for entry in entries
            if not entry.name.startswith(".") and (entry.is_symlink() or entry.is_dir())
        )


def _clip(root: Path, label: str, name: str) -> ClipFolder:
    with os.scandir(root / label / name) as entries:
        files = sorted(
            entry.name for entry in entries if not entry.name.startswith(".") and entry.is_file(follow_symlinks=False)
        )

    def below(ending: str) -> str:
        """Return the file of the clip's own name, else the first with the ending."""
        exact = name + ending
        found = exact if exact in files else next((file for file in files if file.lower().endswith(ending)), "")
        return f"{label}/{name}/{found}" if found else ""

    return ClipFolder(root, label, name, below(".mp4"), below(".jpeg") or below(".jpg"), below(".txt"))
