from __future__ import annotations

import errno
import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from features.download import (
    FROM_MANIFEST,
    FROM_STORE,
    DownloadConfig,
    DownloadedClip,
    MediaFile,
    download_clip,
    download_shard,
    read_downloaded,
)
from features.errors import SettingError
from features.outcomes import Outcome
from features.records import ClipRecord

if TYPE_CHECKING:
    from tests.features.server import Site

# Enough of a file to be taken for what it claims to be.
MP4 = b"\x00\x00\x00\x18ftypisom" + bytes(100)
JPEG = b"\xff\xd8\xff\xe0" + bytes(100)


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("features.http.STOPPING.wait", lambda _: False)


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """A folder of a manifest, with a file beside it that is none of its business."""
    folder = tmp_path / "corpus"
    (folder / "media").mkdir(parents=True)
    (folder / "media" / "a.mp4").write_bytes(MP4)
    (folder / "media" / "a.jpg").write_bytes(JPEG)
    (folder / "media" / "empty.mp4").touch()
    (folder / "media" / "page.mp4").write_text("<!doctype html><p>404")
    (tmp_path / "secret.mp4").write_bytes(MP4)
    return folder


def get(corpus: Path, video: str = "", cover: str = "", **values: Any) -> DownloadedClip:  # noqa: ANN401 - of any type
    folders = {FROM_MANIFEST: corpus, FROM_STORE: corpus.parent / "store"}
    config = DownloadConfig(**{"allow_private_addresses": True, **values})
    return download_clip(ClipRecord("clip", video=video, cover=cover), config, folders)


def test_local_files_stay_where_they_are(corpus: Path) -> None:
    clip = get(corpus, "media/a.mp4", "./media/../media/a.jpg")
    assert clip.outcome == Outcome("clip", "ok")
    assert clip.video == MediaFile(FROM_MANIFEST, "media/a.mp4", "mp4", len(MP4), hashlib.sha256(MP4).hexdigest())
    assert clip.cover is not None
    assert (clip.cover.path, clip.cover.kind) == ("media/a.jpg", "jpeg")
    assert clip.video.locate({FROM_MANIFEST: corpus}).read_bytes() == MP4
    assert not (corpus.parent / "store").exists()


def test_an_absolute_path_below_the_folder_is_fine(corpus: Path) -> None:
    clip = get(corpus, str(corpus / "media" / "a.mp4"))
    assert clip.video is not None
    assert clip.video.path == "media/a.mp4"


@pytest.mark.parametrize(
    "source", ["../secret.mp4", "media/../../secret.mp4", "/etc/passwd", "out.mp4", "media/up/secret.mp4"]
)
def test_paths_that_lead_out_are_refused(corpus: Path, source: str) -> None:
    (corpus / "out.mp4").symlink_to(corpus.parent / "secret.mp4")
    (corpus / "media" / "up").symlink_to(corpus.parent)
    clip = get(corpus, source)
    assert (clip.outcome.status, clip.outcome.code, clip.video) == ("failed", "path_not_allowed", None)


def test_a_link_that_stays_inside_is_fine(corpus: Path) -> None:
    (corpus / "in.mp4").symlink_to("media/a.mp4")
    assert get(corpus, "in.mp4").outcome.status == "ok"


@pytest.mark.parametrize(
    ("source", "code"),
    [
        ("media/missing.mp4", "file_missing"),
        ("media", "file_missing"),
        ("pipe.mp4", "file_missing"),
        ("dangling.mp4", "file_missing"),
        ("a.mp4/below", "file_missing"),
        ("media/empty.mp4", "empty_file"),
        ("media/page.mp4", "not_a_video"),
        ("media/a.jpg", "not_a_video"),
        ("circle.mp4", "file_missing"),
        ("x" * 300, "file_unreadable"),
        ("a\0b", "path_not_allowed"),
        ("ftp://example.org/a.mp4", "scheme_not_allowed"),
        ("FILE:///etc/passwd", "scheme_not_allowed"),
        ("://", "scheme_not_allowed"),
        ("http://[::1/a.mp4", "bad_url"),
        ("http://127.0.0.1:port/", "bad_url"),
    ],
)
def test_what_cannot_be_had_is_an_outcome(corpus: Path, source: str, code: str) -> None:
    os.mkfifo(corpus / "pipe.mp4")
    (corpus / "dangling.mp4").symlink_to("nowhere")
    (corpus / "circle.mp4").symlink_to("circle.mp4")
    clip = get(corpus, source)
    # Python 3.13 takes a circle of links for a missing file, earlier ones say what it is.
    expected = {code, "file_unreadable"} if source == "circle.mp4" else {code}
    assert clip.outcome.status == "failed"
    assert clip.outcome.code in expected
    assert clip.outcome.detail


def test_a_file_that_may_not_be_read_is_an_outcome(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: Path) -> bool:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "is_file", refuse)
    outcome = get(corpus, "media/a.mp4").outcome
    assert (outcome.code, outcome.detail) == ("file_unreadable", "media/a.mp4: Permission denied")


def test_the_limit_on_size_holds_for_local_files_too(corpus: Path) -> None:
    assert get(corpus, "media/a.mp4", max_bytes=len(MP4) - 1).outcome.code == "too_large"
    assert get(corpus, "media/a.mp4", max_bytes=len(MP4)).outcome.status == "ok"


def test_a_cover_that_cannot_be_had_leaves_a_partial_clip(corpus: Path) -> None:
    for cover, code in (("media/none.jpg", "cover_file_missing"), ("media/a.mp4", "cover_not_a_picture")):
        clip = get(corpus, "media/a.mp4", cover)
        assert (clip.outcome.status, clip.outcome.code, clip.cover) == ("partial", code, None)
        assert clip.video is not None


def test_a_video_that_is_not_named_is_missing_and_one_that_cannot_be_had_has_failed(corpus: Path) -> None:
    clip = get(corpus, "", "media/a.jpg")
    assert (clip.outcome.status, clip.outcome.code) == ("ok", "no_video")
    assert clip.cover is not None
    clip = get(corpus, "media/none.mp4", "media/none.jpg")
    assert (clip.outcome.status, clip.outcome.code) == ("failed", "file_missing")
    assert clip.outcome.detail.count("is not") == 2


def test_files_from_the_network_are_stored_by_content(site: Site, corpus: Path) -> None:
    clips = [get(corpus, site.add(name, MP4), site.add("/a.jpg", JPEG)) for name in ("/one.mp4", "/two.bin")]
    assert [clip.outcome.status for clip in clips] == ["ok", "ok"]
    assert clips[0].video == clips[1].video
    video = clips[0].video
    assert video is not None
    digest = hashlib.sha256(MP4).hexdigest()
    assert (video.where, video.path, video.kind) == (FROM_STORE, f"{digest[:2]}/{digest}.mp4", "mp4")
    store = corpus.parent / "store"
    assert video.locate({FROM_STORE: store}).read_bytes() == MP4
    # Two files, one of them stored once for both clips, and nothing temporary.
    assert sum(path.is_file() for path in store.rglob("*")) == 2


def test_a_page_instead_of_a_video_is_named_and_leaves_nothing(site: Site, corpus: Path) -> None:
    url = site.add("/a.mp4", b"<html><body>gone", Content_Type="video/mp4")
    clip = get(corpus, url)
    assert (clip.outcome.status, clip.outcome.code) == ("failed", "not_a_video")
    assert "the file is html" in clip.outcome.detail
    assert get(corpus, site.url("/nothing")).outcome.code == "http_404"
    assert get(corpus, site.add("/empty", b"")).outcome.code == "empty_file"
    assert get(corpus, site.add("/large", MP4 * 9), max_bytes=200).outcome.code == "too_large"
    assert not [path for path in (corpus.parent / "store").rglob("*") if path.is_file()]


def test_the_loopback_server_is_private_by_default(site: Site, corpus: Path) -> None:
    clip = get(corpus, site.add("/a.mp4", MP4), allow_private_addresses=False)
    assert clip.outcome.code == "address_not_allowed"
    assert site.asked == []


def test_a_shard_has_a_row_for_every_record_and_comes_back(site: Site, corpus: Path, tmp_path: Path) -> None:
    site.add("/猫.mp4", MP4)
    records = [
        ClipRecord("1", video="media/a.mp4", cover="media/a.jpg"),
        ClipRecord("2", video=site.url("/none.mp4")),
        ClipRecord("3"),
        ClipRecord("猫", video=site.add("/cat.mp4", MP4)),
        ClipRecord("5", video="media/a.mp4", cover="media/none.jpg"),
    ]
    folders = {FROM_MANIFEST: corpus, FROM_STORE: tmp_path / "store"}
    ticks: list[None] = []
    config = DownloadConfig(workers=2, allow_private_addresses=True)
    outcomes = download_shard(records, config, folders, tmp_path / "rows", lambda: ticks.append(None))
    rows = read_downloaded(tmp_path / "rows")
    assert [row.outcome for row in rows] == outcomes
    assert [(row.clip_id, row.status, row.code) for row in outcomes] == [
        ("1", "ok", ""), ("2", "failed", "http_404"), ("3", "ok", "no_video"), ("猫", "ok", ""),
        ("5", "partial", "cover_file_missing"),
    ]  # fmt: skip
    assert len(ticks) == 5
    assert rows[0].video is not None
    assert rows[0].video.locate(folders).is_file()


@pytest.mark.parametrize("values", [{"workers": 0}, {"max_failed_fraction": -0.1}, {"max_bytes": 0}])
def test_bad_settings_are_named(values: dict[str, Any]) -> None:
    with pytest.raises(SettingError, match=next(iter(values))):
        DownloadConfig(**values)
