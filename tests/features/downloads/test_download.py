from __future__ import annotations

import errno
import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from features.base.errors import ClipError, SettingError
from features.base.outcomes import Outcome
from features.base.parallel import STOPPING, WorkerPool
from features.downloads.config import DownloadConfig
from features.downloads.download import Downloader, download_shard
from features.downloads.download_rows import FROM_MANIFEST, FROM_STORE, DownloadedClip, MediaFile, read_downloaded
from features.formats.records import ClipRecord
from features.http.rate_limit import run_to_end

if TYPE_CHECKING:
    from tests.features.server import Site

# Enough of a file to be taken for what it claims to be.
MP4 = b"\x00\x00\x00\x18ftypisom" + bytes(100)
JPEG = b"\xff\xd8\xff\xe0" + bytes(100)


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    STOPPING.clear()
    monkeypatch.setattr("features.downloads.fetching.random.uniform", lambda _low, _high: 0.0)


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


def downloader(corpus: Path, *, refetch: bool = False, **values: Any) -> Downloader:  # noqa: ANN401 - of any type
    folders = {FROM_MANIFEST: corpus, FROM_STORE: corpus.parent / "store"}
    polite = {"allow_private_addresses": True, "requests_per_second_per_host": 0}
    return Downloader(DownloadConfig(**{**polite, **values}), folders, refetch=refetch)


def get(corpus: Path, video: str = "", cover: str = "", **values: Any) -> DownloadedClip:  # noqa: ANN401 - of any type
    with downloader(corpus, **values) as made:
        return made.clip(ClipRecord("clip", video=video, cover=cover))


def media_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and path.name != "index.sqlite"]


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
    video, other = clips[0].video, clips[1].video
    assert video is not None
    assert other is not None
    assert (video.path, video.url, other.url) == (other.path, site.url("/one.mp4"), site.url("/two.bin"))
    digest = hashlib.sha256(MP4).hexdigest()
    assert (video.where, video.path, video.kind) == (FROM_STORE, f"{digest[:2]}/{digest}.mp4", "mp4")
    store = corpus.parent / "store"
    assert video.locate({FROM_STORE: store}).read_bytes() == MP4
    # Two files, one of them stored once for both clips, and nothing temporary.
    assert len(media_in(store)) == 2


def test_a_page_instead_of_a_video_is_named_and_leaves_nothing(site: Site, corpus: Path) -> None:
    url = site.add("/a.mp4", b"<html><body>gone", Content_Type="video/mp4")
    clip = get(corpus, url)
    assert (clip.outcome.status, clip.outcome.code) == ("failed", "not_a_video")
    assert "the file is html" in clip.outcome.detail
    assert get(corpus, site.url("/nothing")).outcome.code == "http_404"
    assert get(corpus, site.add("/empty", b"")).outcome.code == "empty_file"
    assert get(corpus, site.add("/large", MP4 * 9), max_bytes=200).outcome.code == "too_large"
    assert media_in(corpus.parent / "store") == []


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
    ticks: list[None] = []
    with downloader(corpus) as made, WorkerPool(2) as pool:
        outcomes = download_shard(records, made, tmp_path / "rows", pool, lambda: ticks.append(None))
    rows = read_downloaded(tmp_path / "rows")
    assert [row.outcome for row in rows] == outcomes
    assert [(row.clip_id, row.status, row.code) for row in outcomes] == [
        ("1", "ok", ""), ("2", "failed", "http_404"), ("3", "ok", "no_video"), ("猫", "ok", ""),
        ("5", "partial", "cover_file_missing"),
    ]  # fmt: skip
    assert len(ticks) == 5
    assert rows[0].video is not None
    assert rows[0].video.locate({FROM_MANIFEST: corpus}).is_file()


def test_what_was_fetched_before_is_not_asked_for_again(site: Site, corpus: Path) -> None:
    url = site.add("/a.mp4", MP4)
    first = get(corpus, url)
    assert get(corpus, url) == first
    assert len(site.asked) == 1
    # Under other settings the file may not do.
    assert get(corpus, url, max_bytes=len(MP4) - 1).outcome.code == "too_large"
    assert get(corpus, "", url).outcome.code == "cover_not_a_picture"


def test_refetch_fetches_once_more_and_once_only(site: Site, corpus: Path) -> None:
    url = site.add("/a.mp4", MP4)
    get(corpus, url)
    site.add("/a.mp4", MP4 + b"new")
    with downloader(corpus, refetch=True) as made:
        clips = [made.clip(ClipRecord(str(number), video=url)) for number in range(3)]
    assert len(site.asked) == 2
    assert [clip.video.bytes for clip in clips if clip.video] == [len(MP4) + 3] * 3


def test_refetch_does_not_take_the_old_file_from_a_fetch_that_failed(site: Site, corpus: Path) -> None:
    url = site.add("/a.mp4", MP4)
    get(corpus, url)
    site.add("/a.mp4", b"", 404)
    with downloader(corpus, refetch=True) as made:
        first, second = (made.clip_steps(ClipRecord(name, video=url)) for name in "12")
        next(first)
        next(second)
        _, fetcher = made._network()
        partial = fetcher._store.claim(url)
        assert partial is not None
        # Somebody else fetches it: both wait.
        with partial:
            for steps in (first, second):
                assert next(steps).not_before > 0
        # And has failed: what is there is the file of an earlier run.
        for steps in (first, second):
            assert run_to_end(steps, made.limiter).outcome.code == "http_404"


def test_refetch_takes_the_file_that_another_thread_has_just_fetched(site: Site, corpus: Path, tmp_path: Path) -> None:
    url = site.add("/a.mp4", MP4)
    get(corpus, url)
    site.add("/a.mp4", MP4 + b"new")
    records = [ClipRecord(str(number), video=url) for number in range(20)]
    with downloader(corpus, refetch=True, connections_per_host=8) as made, WorkerPool(8) as pool:
        download_shard(records, made, tmp_path / "rows", pool)
    assert {row.video.bytes for row in read_downloaded(tmp_path / "rows") if row.video} == {len(MP4) + 3}
    assert len(site.asked) == 2


def test_an_md5_is_checked_on_files_that_are_known(site: Site, corpus: Path) -> None:
    url = site.add("/a.mp4", MP4)

    def code(body: bytes) -> str:
        checksum = f"md5:{hashlib.md5(body, usedforsecurity=False).hexdigest()}"
        with downloader(corpus) as made:
            return made.clip(ClipRecord("c", url, video_checksum=checksum)).outcome.code

    assert get(corpus, url).outcome.status == "ok"
    assert code(MP4) == ""
    assert len(site.asked) == 1
    assert code(MP4 + b"new") == "checksum_mismatch"
    assert len(site.asked) == 3
    site.add("/a.mp4", MP4 + b"new")
    assert code(MP4 + b"new") == ""
    assert len(site.asked) == 4


def test_checksums_of_the_manifest_are_kept_to(site: Site, corpus: Path) -> None:
    digest = hashlib.sha256(MP4).hexdigest()
    other = f"sha256:{'0' * 64}"
    url = site.add("/a.mp4", MP4)
    with downloader(corpus) as made:

        def code(video: str, video_checksum: str, cover_checksum: str = "") -> str:
            record = ClipRecord("c", video, "media/a.jpg", video_checksum=video_checksum, cover_checksum=cover_checksum)
            return made.clip(record).outcome.code

        for video in ("media/a.mp4", url):
            assert code(video, f"sha256:{digest}") == ""
            assert code(video, other) == "checksum_mismatch"
            assert code(video, "md5:") == "bad_checksum"
        assert code("media/a.mp4", "", f"md5:{'0' * 32}") == "cover_checksum_mismatch"


def test_a_gif_is_a_video_where_the_setting_says_so(corpus: Path) -> None:
    (corpus / "a.gif").write_bytes(b"GIF89a" + bytes(100))
    assert get(corpus, "a.gif").outcome.code == "not_a_video"
    assert get(corpus, "a.gif", extra_video_kinds="webp").outcome.code == "not_a_video"
    assert get(corpus, "a.gif", extra_video_kinds=" webp, gif ").outcome.status == "ok"
    assert get(corpus, "media/a.jpg", extra_video_kinds="gif,webp").outcome.code == "not_a_video"


def test_a_lost_file_is_fetched_again(site: Site, corpus: Path) -> None:
    url = site.add("/a.mp4", MP4)
    clip = get(corpus, url)
    assert clip.video is not None
    store = corpus.parent / "store"
    with downloader(corpus) as made:
        assert made.restore(clip.video) == store / clip.video.path
        assert len(site.asked) == 1
        (store / clip.video.path).unlink()
        assert made.restore(clip.video).read_bytes() == MP4
        assert len(site.asked) == 2


def test_a_lost_file_that_cannot_be_had_again_says_why(site: Site, corpus: Path) -> None:
    url = site.add("/a.mp4", MP4)
    video = get(corpus, url).video
    assert video is not None
    (corpus.parent / "store" / video.path).unlink()

    def code(file: MediaFile) -> str:
        with downloader(corpus) as made, pytest.raises(ClipError) as caught:
            made.restore(file)
        return caught.value.code

    for body in (MP4 + b"changed", JPEG, b"<html>gone"):
        site.add("/a.mp4", body)
        assert code(video) == "changed_since_download"
    site.add("/a.mp4", b"", 410)
    assert code(video) == "http_410"
    assert code(MediaFile(FROM_STORE, video.path, "mp4", video.bytes, video.sha256)) == "file_missing"


def test_local_files_are_looked_at_before_they_are_used(corpus: Path) -> None:
    video = get(corpus, "media/a.mp4").video
    assert video is not None
    with downloader(corpus) as made:
        assert made.restore(video) == corpus / "media" / "a.mp4"
        (corpus / "media" / "a.mp4").write_bytes(MP4[:-1])
        with pytest.raises(
            ClipError, match="changed_since_download: 111 bytes, Download saw 112: run the command again"
        ):
            made.restore(video)
        (corpus / "media" / "a.mp4").unlink()
        with pytest.raises(ClipError, match=r"file_missing: media/a\.mp4 has gone since Download saw it"):
            made.restore(video)


def test_a_retry_attempts_what_may_pass_and_takes_over_the_rest(site: Site, corpus: Path, tmp_path: Path) -> None:
    site.add("/gone.mp4", b"", 410)
    site.add("/busy.mp4", b"", 503)
    site.add("/busy.jpg", b"", 503)
    records = [
        ClipRecord("ok", video=site.add("/ok.mp4", MP4)),
        ClipRecord("gone", video=site.url("/gone.mp4")),
        ClipRecord("busy", video=site.url("/busy.mp4")),
        ClipRecord("cover", video=site.url("/ok.mp4"), cover=site.url("/busy.jpg")),
        ClipRecord("both", video=site.url("/gone.mp4"), cover=site.url("/busy.jpg")),
    ]

    def shard(name: str, previous: Path | None) -> list[tuple[str, str]]:
        ticks: list[None] = []
        with downloader(corpus, max_attempts=1) as made, WorkerPool(2) as pool:
            outcomes = download_shard(records, made, tmp_path / name, pool, lambda: ticks.append(None), previous)
        assert len(ticks) == len(records)
        return [(outcome.status, outcome.code) for outcome in outcomes]

    assert shard("first", None) == [
        ("ok", ""), ("failed", "http_410"), ("failed", "http_503"), ("partial", "cover_http_503"),
        ("failed", "cover_http_503"),
    ]  # fmt: skip
    site.add("/busy.mp4", MP4)
    site.add("/busy.jpg", JPEG)
    site.add("/gone.mp4", MP4)
    site.asked.clear()
    # `both` is attempted again for its cover's sake, and its video came back.
    assert shard("second", tmp_path / "first") == [("ok", ""), ("failed", "http_410"), *[("ok", "")] * 3]
    assert set(site.paths()) == {"/busy.mp4", "/busy.jpg", "/gone.mp4"}
    before, after = ((tmp_path / name).read_text().splitlines() for name in ("first", "second"))
    assert after[:2] == before[:2]


def test_two_clips_with_one_url_are_fetched_once(site: Site, corpus: Path, tmp_path: Path) -> None:
    site.add("/a.mp4", MP4)
    records = [ClipRecord(str(number), video=site.url("/a.mp4")) for number in range(20)]
    with downloader(corpus, connections_per_host=8) as made, WorkerPool(8) as pool:
        outcomes = download_shard(records, made, tmp_path / "rows", pool)
    assert {outcome.status for outcome in outcomes} == {"ok"}
    assert len(site.asked) == 1


def test_a_full_disk_stops_the_shard(site: Site, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("features.downloads.store.os.fsync", full)
    records = [ClipRecord(str(number), video=site.add(f"/{number}.mp4", MP4)) for number in range(5)]
    with (
        pytest.raises(OSError, match="No space left on device"),
        downloader(corpus) as made,
        WorkerPool(2) as pool,
    ):
        download_shard(records, made, tmp_path / "rows", pool)
    assert not (tmp_path / "rows").exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_stops_the_shard(site: Site, corpus: Path) -> None:
    corpus.parent.chmod(0o500)
    with pytest.raises(PermissionError):
        get(corpus, site.add("/a.mp4", MP4))


def test_bytes_are_counted_as_they_arrive(site: Site, corpus: Path) -> None:
    counted: list[int] = []
    folders = {FROM_MANIFEST: corpus, FROM_STORE: corpus.parent / "store"}
    config = DownloadConfig(allow_private_addresses=True)
    with Downloader(config, folders, on_bytes=counted.append) as made:
        made.clip(ClipRecord("c", video=site.add("/a.mp4", MP4)))
    assert sum(counted) == len(MP4)


@pytest.mark.parametrize(
    "values", [{"workers": 0}, {"max_failed_fraction": -0.1}, {"max_bytes": 0}, {"extra_video_kinds": "gif,exe"}]
)
def test_bad_settings_are_named(values: dict[str, Any]) -> None:
    with pytest.raises(SettingError, match=next(iter(values))):
        DownloadConfig(**values)
