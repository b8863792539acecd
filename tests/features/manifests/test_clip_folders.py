from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from features.base.errors import SourceError
from features.formats.records import ClipRecord, RowError
from features.manifests.clip_folders import MAX_TEXT_FILE_BYTES, parse_description
from features.manifests.config import CorpusConfig
from features.manifests.reading import Reading, read_manifest
from features.manifests.source import manifest_digest

if TYPE_CHECKING:
    from pathlib import Path

CONFIG = CorpusConfig(preset="xinpianchang-folder")
TEXT = (
    "{'mp4_id': '803', 'mp4_download_url': 'https://a.example/803.mp4', 'mp4_time': '0:15',"
    " 'mp4_background_image_url': 'https://a.example/803.jpeg', 'mp4_txt_brief': ' Hong Kong, 香港'}"
)


def clip(root: Path, name: str, text: str | bytes | None = TEXT, *, media: tuple[str, ...] = (".mp4", ".jpeg")) -> Path:
    folder = root / name
    folder.mkdir(parents=True)
    for ending in media:
        (folder / (folder.name + ending)).write_bytes(b"media")
    if text is not None:
        (folder / f"{folder.name}.txt").write_bytes(text.encode() if isinstance(text, str) else text)
    return folder


def rejected(reading: Reading) -> list[tuple[int, str, str]]:
    return [(row.line, row.code, row.clip_id) for row in reading.rejections]


def test_clips_come_sorted_with_paths_below_the_folder(tmp_path: Path) -> None:
    clip(tmp_path, "City/9")
    clip(tmp_path, "海滩/10", media=(".mp4",))
    clip(tmp_path, "City/10", media=())
    (tmp_path / "README.md").write_text("x")
    (tmp_path / "City" / ".ipynb_checkpoints").mkdir()
    reading = read_manifest(tmp_path, CONFIG)
    assert reading.rejections == []
    assert reading.records == [
        ClipRecord(
            "10", "https://a.example/803.mp4", "https://a.example/803.jpeg", "Hong Kong, 香港", category="City",
            tags=("City", "Beach"), duration_seconds=15.0,
        ),
        ClipRecord(
            "9", "City/9/9.mp4", "City/9/9.jpeg", "Hong Kong, 香港", category="City", tags=("City",),
            duration_seconds=15.0,
        ),
    ]  # fmt: skip
    assert (reading.num_rows, reading.num_merged, reading.lines) == (3, 1, [1, 2])


def test_files_of_other_names_are_found_by_their_ending(tmp_path: Path) -> None:
    folder = clip(tmp_path, "City/9", None, media=())
    for name in ("video.MP4", "z.mp4", "still.jpg", "notes.txt"):
        (folder / name).write_bytes(TEXT.encode() if name.endswith("txt") else b"x")
    record = read_manifest(tmp_path, CONFIG).records[0]
    assert (record.video, record.cover, record.title) == ("City/9/video.MP4", "City/9/still.jpg", "Hong Kong, 香港")


def test_a_damaged_description_costs_the_title_and_not_the_clip(tmp_path: Path) -> None:
    for number, text in enumerate((b"{'mp4_txt_brief': ", b"\xff\xfe", b"['a']", b"__import__('os')")):
        clip(tmp_path, f"City/{number}", text)
    clip(tmp_path, "City/4", None)
    reading = read_manifest(tmp_path, CONFIG)
    assert rejected(reading) == [(number + 1, "damaged_text", str(number)) for number in range(4)]
    assert [(record.video, record.title) for record in reading.records] == [
        (f"City/{number}/{number}.mp4", "") for number in range(5)
    ]
    assert reading.num_rows == 5


def test_folders_that_are_no_clip_are_rejected(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    clip(secret, "Sea/1")
    root = tmp_path / "data"
    clip(root, "City/1", None, media=())
    clip(root, "City/2")
    clip(root, "City/4", "{'mp4_txt_brief': 7}")
    (root / "City" / "3").symlink_to(secret / "Sea" / "1")
    (root / "Sea").symlink_to(secret / "Sea")
    reading = read_manifest(root, CONFIG)
    assert rejected(reading) == [(1, "empty_folder", "1"), (3, "link", "3"), (4, "wrong_type", "4"), (5, "link", "")]
    assert [record.clip_id for record in reading.records] == ["2"]
    assert reading.num_rows == 5


def test_a_link_in_place_of_a_file_is_as_no_file(tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("{'mp4_txt_brief': 'secret'}")
    folder = clip(tmp_path / "data", "City/1", None, media=(".mp4",))
    (folder / "1.txt").symlink_to(tmp_path / "secret.txt")
    (folder / "1.jpeg").symlink_to(tmp_path / "secret.txt")
    assert read_manifest(tmp_path / "data", CONFIG).records == [
        ClipRecord("1", "City/1/1.mp4", category="City", tags=("City",))
    ]


@pytest.mark.parametrize(
    "raw",
    [
        b"__import__('os').system('touch pwned')",
        b"{'a': open('/etc/passwd').read()}",
        b"{'a': [x for x in ()]}",
        b"{'a': 'x' * 9999999999}",
        b"(" * 20_000 + b")" * 10_000,
        b"-" * 30_000 + b"1",
        b"{'a': " * 4_000 + b"1" + b"}" * 4_000,
        b"9" * 30_000,
        b"{'a': b'\0'}",
        b"{{}: 1}",
        b"{1, 2}",
        b"",
        b"{}" + b" " * MAX_TEXT_FILE_BYTES,
    ],
    ids=lambda raw: raw[:20].decode(),
)
def test_a_hostile_description_is_damaged_and_nothing_of_it_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, raw: bytes
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RowError) as caught:
        parse_description(raw)
    assert caught.value.code == "damaged_text"
    assert list(tmp_path.iterdir()) == []


def test_a_description_with_a_mark_of_byte_order_and_an_odd_escape_reads() -> None:
    assert parse_description(b"\xef\xbb\xbf {'a': 'x\\d'}\n") == {"a": "x\\d"}


def test_an_empty_folder_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"no clip in the manifest .*: it is empty"):
        read_manifest(tmp_path, CONFIG)


def test_the_digest_changes_with_what_is_read_and_with_nothing_else(tmp_path: Path) -> None:
    root = tmp_path / "data"
    folder = clip(root, "City/1")
    clip(root, "Sea/2", media=(".mp4",))
    digest = manifest_digest(root, CONFIG)
    assert len(digest) == 64

    shutil.copytree(root, tmp_path / "copy")
    (tmp_path / "copy" / "City" / "1" / ".hidden").write_bytes(b"x")
    (tmp_path / "copy" / "City" / "1" / "1.mp4").write_bytes(b"other media")
    assert manifest_digest(tmp_path / "copy", CONFIG) == digest

    seen = {digest}
    (folder / "1.txt").write_text("{'mp4_txt_brief': 'new'}")
    seen.add(manifest_digest(root, CONFIG))
    (root / "Sea" / "2" / "2.jpeg").write_bytes(b"x")
    seen.add(manifest_digest(root, CONFIG))
    (root / "City").rename(root / "Town")
    seen.add(manifest_digest(root, CONFIG))
    clip(root, "Town/0")
    seen.add(manifest_digest(root, CONFIG))
    assert len(seen) == 5
