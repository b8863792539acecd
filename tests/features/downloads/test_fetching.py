from __future__ import annotations

import email.utils
import gzip
import hashlib
import io
import socket
import subprocess
import sys
import threading
import time
import tracemalloc
import zlib
from typing import TYPE_CHECKING, Any

import pytest

from features.base.errors import ClipError
from features.base.outcomes import is_transient
from features.downloads.config import DownloadConfig
from features.downloads.download import Downloader
from features.downloads.download_rows import FROM_MANIFEST, FROM_STORE
from features.downloads.fetching import host_of
from features.downloads.media_spec import PartialFacts
from features.downloads.store import MediaStore
from features.formats.records import ClipRecord
from tests.features.fetches import MP4
from tests.features.server import File, answer

if TYPE_CHECKING:
    from collections.abc import Callable
    from http.server import BaseHTTPRequestHandler
    from pathlib import Path

    from tests.features.fetches import Fetches
    from tests.features.server import Site

SHA256 = f"sha256:{hashlib.sha256(MP4).hexdigest()}"
DATE = "Wed, 21 Oct 2015 07:28:00 GMT"
OTHER_DATE = "Wed, 21 Oct 2015 07:28:01 GMT"


def test_a_file_arrives_whole(site: Site, fetches: Fetches) -> None:
    file = fetches.get(site.add("/a.mp4", MP4), user_agent="test/1 (me@example.org)")
    assert (fetches.folder / file.path).read_bytes() == MP4
    assert (file.bytes, file.sha256, file.kind, file.url) == (len(MP4), SHA256[7:], "mp4", site.url("/a.mp4"))
    assert fetches.num_bytes == len(MP4)
    ((_, headers),) = site.asked
    assert headers["User-Agent"] == "test/1 (me@example.org)"
    assert headers["Accept-Encoding"] == "identity"
    assert not {"Range", "Cookie", "Authorization"} & set(headers)
    assert fetches.partials() == []


def test_a_file_without_a_stated_length_arrives_too(site: Site, fetches: Fetches) -> None:
    assert fetches.body(site.add("/a", MP4, Content_Length="")) == MP4


def test_a_file_in_chunks_arrives_too(site: Site, fetches: Fetches) -> None:
    body = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (MP4, b"end")) + b"0\r\n\r\n"
    url = site.add("/a", body, Content_Length="", Transfer_Encoding="chunked")
    assert fetches.body(url) == MP4 + b"end"


@pytest.mark.parametrize("encoding", ["gzip", "x-gzip", "GZIP"])
def test_a_body_that_was_packed_unasked_is_unpacked(site: Site, fetches: Fetches, encoding: str) -> None:
    url = site.add("/a", gzip.compress(MP4), Content_Encoding=encoding, ETag='"1"')
    assert fetches.body(url) == MP4


def raw_deflate(content: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(content) + packer.flush()


@pytest.mark.parametrize("pack", [zlib.compress, raw_deflate, gzip.compress])
@pytest.mark.parametrize("step", [1, 1 << 20])
def test_deflate_comes_with_a_zlib_header_or_bare(
    site: Site, fetches: Fetches, pack: Callable[[bytes], bytes], step: int
) -> None:
    packed = pack(MP4[:9000])
    chunks = b"".join(
        b"%x\r\n%b\r\n" % (len(packed[at : at + step]), packed[at : at + step]) for at in range(0, len(packed), step)
    )
    body = chunks + b"0\r\n\r\n"
    url = site.add("/a", body, Content_Length="", Transfer_Encoding="chunked", Content_Encoding="deflate")
    assert fetches.body(url) == MP4[:9000]
    assert fetches.code(site.add("/cut", packed[:-9], Content_Encoding="deflate")) == "incomplete_body"


@pytest.mark.parametrize(
    "words",
    [
        "none",
        "NONE",
        "utf-8",
        "UTF-8",
        "binary",
        "8bit",
        "aws-chunked",
        "identity, identity",
        "Identity,none",
        "x-no-such",
        ",",
    ],
)
def test_a_word_that_names_no_coding_changes_nothing(site: Site, fetches: Fetches, words: str) -> None:
    url = site.add_file("/a", MP4, 100_000, ETag='"1"', Content_Encoding=words)
    assert fetches.body(url) == MP4
    # The rest was resumed: such a body counts as one without an encoding.
    assert [headers.get("Range") for _, headers in site.asked] == [None, "bytes=100000-"]


@pytest.mark.parametrize("words", ["gzip, identity", "identity, gzip", "aws-chunked,GZIP"])
def test_such_a_word_beside_a_coding_leaves_the_coding(site: Site, fetches: Fetches, words: str) -> None:
    assert fetches.body(site.add("/a", gzip.compress(MP4), Content_Encoding=words)) == MP4


@pytest.mark.parametrize("size", [b"3f820;chunk-signature=" + b"0" * 64, b"3F820", b"0;x-amz-checksum-crc32:AAAAAA=="])
def test_frames_of_aws_are_no_media(site: Site, fetches: Fetches, size: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    headers = {"Content_Encoding": "aws-chunked", "ETag": '"1"'}
    assert fetches.code(site.add_file("/a", size + b"\r\n" + MP4, **headers)) == "encoding_not_allowed"
    # Also where the frames look like a kind of media, and where the rest is resumed.
    monkeypatch.setattr("features.downloads.media_kinds.KindSniffer.kind", lambda _: "mp4")
    assert fetches.code(site.add_file("/b", size + b"\r\n" + MP4, 100_000, **headers)) == "encoding_not_allowed"
    assert site.paths() == ["/a", "/b", "/b"]
    assert fetches.partials() == []


def test_what_is_of_no_kind_is_blamed_on_a_word_that_is_not_known(site: Site, fetches: Fetches) -> None:
    assert fetches.code(site.add("/a", b"packed" * 200, Content_Encoding="x-no-such")) == "encoding_not_allowed"
    assert fetches.code(site.add("/b", b"packed" * 200, Content_Encoding="identity")) == "not_a_video"
    assert fetches.code(site.add("/c", b"<html>" + bytes(600), Content_Encoding="utf-8")) == "not_a_video"


@pytest.mark.parametrize("words", ["br", "BR", "zstd", "compress", "x-compress", "dcz", "identity, br", "gzip, br"])
def test_what_was_packed_otherwise_is_refused_until_the_server_changes(
    site: Site, fetches: Fetches, words: str
) -> None:
    assert fetches.code(site.add("/a", MP4, Content_Encoding=words)) == "encoding_not_allowed"
    assert site.paths() == ["/a"]
    assert is_transient("encoding_not_allowed")


def test_a_range_of_all_bytes_is_the_file(site: Site, fetches: Fetches) -> None:
    whole = f"bytes 0-{len(MP4) - 1}/{len(MP4)}"
    assert fetches.body(site.add("/a", MP4, 206, Content_Range=whole)) == MP4
    assert fetches.body(site.add("/b", MP4, 206, Content_Range=whole, Content_Length="")) == MP4
    url = site.add_series(
        "/c",
        (206, MP4[:100_000], {"Content_Range": whole, "Content_Length": str(len(MP4)), "ETag": '"1"'}),
        (206, MP4[100_000:], {"Content_Range": f"bytes 100000-{len(MP4) - 1}/{len(MP4)}", "ETag": '"1"'}),
    )
    assert fetches.body(url) == MP4
    assert site.asked[-1][1]["Range"] == "bytes=100000-"


@pytest.mark.parametrize(
    "stated",
    ["", f"bytes 0-{len(MP4) - 1}/*", f"bytes 0-{len(MP4) - 1}/{len(MP4) + 1}", f"bytes 1-{len(MP4)}/{len(MP4) + 1}",
     f"bytes 0-{len(MP4) - 2}/{len(MP4) - 1}", "bytes */9"],
)  # fmt: skip
def test_any_other_range_that_was_not_requested_is_refused(site: Site, fetches: Fetches, stated: str) -> None:
    assert fetches.code(site.add("/a", MP4, 206, Content_Range=stated)) == "http_206"
    assert site.paths() == ["/a"]


def test_what_a_proxy_made_of_an_answer_is_taken(site: Site, fetches: Fetches) -> None:
    assert fetches.body(site.add("/a", MP4, 203)) == MP4
    assert fetches.code(site.add("/b", b"<html>" + bytes(600), 203)) == "not_a_video"


@pytest.mark.parametrize("num_padding", [0, 1, 1000])
def test_a_gzip_body_of_several_members_is_whole(site: Site, fetches: Fetches, num_padding: int) -> None:
    body = gzip.compress(MP4) + gzip.compress(b"") + gzip.compress(MP4[:999]) + bytes(num_padding)
    assert fetches.body(site.add("/a", body, Content_Encoding="gzip")) == MP4 + MP4[:999]


def test_what_follows_a_packed_body_is_not_kept_in_memory(site: Site, fetches: Fetches) -> None:
    url = site.add("/a", gzip.compress(MP4) + bytes(20_000_000), Content_Encoding="gzip")
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        assert fetches.body(url) == MP4
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak - before < 5_000_000


def test_a_bomb_is_stopped_at_the_limit_on_size(site: Site, fetches: Fetches) -> None:
    bomb = gzip.compress(MP4[:1000] + bytes(50_000_000))
    assert len(bomb) < 60_000
    assert fetches.code(site.add("/a", bomb, Content_Encoding="gzip"), max_bytes=3_000_000) == "too_large"
    assert fetches.partials() == []


def test_packing_that_is_damaged_cut_or_unknown_is_refused(site: Site, fetches: Fetches) -> None:
    assert fetches.code(site.add("/bad", MP4, Content_Encoding="gzip")) == "incomplete_body"
    assert fetches.code(site.add("/cut", gzip.compress(MP4)[:-9], Content_Encoding="gzip")) == "incomplete_body"
    assert fetches.code(site.add("/br", MP4, Content_Encoding="br")) == "encoding_not_allowed"
    assert fetches.code(site.add("/two", MP4, Content_Encoding="gzip, gzip")) == "encoding_not_allowed"


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 416, 451, 202, 204, 206, 304, 501])
def test_a_final_answer_is_asked_for_once(site: Site, fetches: Fetches, status: int) -> None:
    # What is no refusal is left to another run.
    assert is_transient(f"http_{status}") == is_transient(f"cover_http_{status}") == (status < 300)
    assert fetches.code(site.add("/a", b"", status, Content_Length="")) == f"http_{status}"
    assert site.paths() == ["/a"]
    assert fetches.longest_pauses == []
    assert fetches.partials() == []


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 520, 524])
def test_a_passing_failure_is_tried_again_with_growing_pauses(site: Site, fetches: Fetches, status: int) -> None:
    url = site.add_series("/a", (status, b"", {}), (status, b"", {}), (200, MP4, {}))
    assert fetches.body(url) == MP4
    assert fetches.longest_pauses == [1.0, 2.0]


def test_attempts_are_counted(site: Site, fetches: Fetches) -> None:
    site.add("/a", b"", 503)
    with pytest.raises(ClipError, match=r"http_503: the server answered 503 \(3 attempts\)"):
        fetches.get(site.url("/a"), max_attempts=3)
    assert len(site.asked) == 3
    assert fetches.longest_pauses == [1.0, 2.0]


def test_pauses_do_not_grow_without_end(site: Site, fetches: Fetches) -> None:
    fetches.code(site.add("/a", b"", 503), max_attempts=9)
    assert fetches.longest_pauses == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_retry_after_is_heeded(site: Site, fetches: Fetches, form: str) -> None:
    # A date has whole seconds: 2 of them ahead are more than 1 away.
    asked, least = ("1", 1.0) if form == "seconds" else (email.utils.formatdate(time.time() + 2, usegmt=True), 0.9)
    url = site.add_series("/a", (429, b"", {"Retry_After": asked}), (200, MP4, {}))
    started = time.monotonic()
    assert fetches.body(url) == MP4
    assert least <= time.monotonic() - started < 10


@pytest.mark.parametrize("asked", ["soon", "²", "-5", "", "Wed, 21 Oct 2015 07:28:00 GMT", "9" * 400, "nan"])
def test_a_retry_after_that_makes_no_sense_is_none(site: Site, fetches: Fetches, asked: str) -> None:
    url = site.add_series("/a", (503, b"", {"Retry_After": asked}), (200, MP4, {}))
    assert fetches.body(url) == MP4


def test_a_retry_after_beyond_the_limit_ends_the_clip_and_says_so(site: Site, fetches: Fetches) -> None:
    url = site.add("/a", b"", 503, Retry_After="3600")
    with pytest.raises(ClipError, match=r"retry_after_too_long: the server answered 503 and asks .* 3600 s"):
        fetches.get(url)
    assert len(site.asked) == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_followed(site: Site, fetches: Fetches, status: int) -> None:
    site.add("/folder/b", MP4)
    file = fetches.get(site.add("/a", b"moved", status, Location="folder/b"))
    assert site.paths() == ["/a", "/folder/b"]
    assert file.url == site.url("/a")


def test_redirects_are_limited(site: Site, fetches: Fetches) -> None:
    for index in range(4):
        site.add(f"/{index}", b"x", 302, Location=f"/{index + 1}")
    site.add("/4", MP4)
    assert fetches.body(site.url("/0"), max_redirects=4) == MP4
    assert fetches.code(site.add("/loop", b"", 302, Location="/loop")) == "too_many_redirects"
    assert site.paths().count("/loop") == 6
    assert fetches.code(site.add("/once", b"", 302, Location="/4"), max_redirects=0) == "too_many_redirects"


def test_a_new_attempt_starts_from_the_first_address(site: Site, fetches: Fetches) -> None:
    site.add_series("/signed", (503, b"", {}), (200, MP4, {}))
    assert fetches.body(site.add("/a", b"", 302, Location="/signed")) == MP4
    assert site.paths() == ["/a", "/signed", "/a", "/signed"]


@pytest.mark.parametrize(
    ("target", "code"),
    [
        ("file:///etc/passwd", "scheme_not_allowed"),
        ("gopher://127.0.0.1:70/_x", "scheme_not_allowed"),
        ("ftp://127.0.0.1/a", "scheme_not_allowed"),
        ("//user:key@127.0.0.1/a", "bad_url"),
        ("http://[::1/a", "bad_url"),
        ("/" + "x" * 9000, "bad_url"),
    ],
)
def test_a_redirect_is_checked_as_the_first_address_is(site: Site, fetches: Fetches, target: str, code: str) -> None:
    assert fetches.code(site.add("/a", b"", 302, Location=target)) == code
    assert site.paths() == ["/a"]


def test_line_breaks_in_a_redirect_stay_inside_the_path(site: Site, fetches: Fetches) -> None:
    site.add("/a", b"", 302, Location="/b%0d%0aX-Planted:%20yes")
    site.add("/b%0D%0AX-Planted:%20yes", MP4)
    assert fetches.body(site.url("/a")) == MP4
    assert all("X-Planted" not in headers for _, headers in site.asked)


def test_a_redirect_in_another_script_is_followed(site: Site, fetches: Fetches) -> None:
    site.add("/a", b"", 302, Location="/猫".encode().decode("latin-1"))
    site.add("/%E7%8C%AB", MP4)
    assert fetches.body(site.url("/a")) == MP4


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://127.0.0.1/a", "gopher://x/", "a.mp4", "http:///a", ""])
def test_other_schemes_are_refused(fetches: Fetches, url: str) -> None:
    assert fetches.code(url) == "scheme_not_allowed"


@pytest.mark.parametrize("host", ["user:key@127.0.0.1", "user@127.0.0.1", ":@127.0.0.1"])
def test_credentials_are_refused_and_not_repeated(fetches: Fetches, host: str) -> None:
    with pytest.raises(ClipError, match="bad_url") as caught:
        fetches.get(f"http://{host}/a")
    assert "key" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "http://[::1/a",
        "http://127.0.0.1:99999/a",
        "http://127.0.0.1:port/a",
        "http://\u2100/",
        "http://a/" + "b" * 9000,
    ],
)
def test_a_url_that_is_none_is_a_failed_clip(fetches: Fetches, url: str) -> None:
    assert fetches.code(url) == "bad_url"


@pytest.mark.parametrize("host", ["." * 5, "x" * 300, "a..b", "-.invalid"])
def test_a_name_that_cannot_exist_is_a_failed_clip(fetches: Fetches, host: str) -> None:
    for allowed in (True, False):
        code = fetches.code(f"http://{host}/a", allow_private_addresses=allowed, max_attempts=1)
        assert code in {"bad_url", "connection_failed", "scheme_not_allowed"}


def test_a_host_is_its_name() -> None:
    assert host_of("http://Example.ORG.:8080/a") == host_of("https://example.org/b?c") == "example.org"


def test_a_body_that_breaks_off_is_gone_on_with(site: Site, fetches: Fetches) -> None:
    assert fetches.body(site.add_file("/a", MP4, 100_000, 100_000, ETag='"1"')) == MP4
    ranges = [(headers.get("Range"), headers.get("If-Range")) for _, headers in site.asked]
    assert ranges == [(None, None), ("bytes=100000-", '"1"'), ("bytes=200000-", '"1"')]
    # Not one byte twice.
    assert fetches.num_bytes == len(MP4)
    assert fetches.partials() == []


def test_a_date_will_do_where_there_is_no_strong_tag(site: Site, fetches: Fetches) -> None:
    assert fetches.body(site.add_file("/a", MP4, 100_000, ETag='W/"1"', Last_Modified=DATE)) == MP4
    assert site.asked[1][1]["If-Range"] == DATE


def test_without_a_validator_a_checksum_allows_to_go_on(site: Site, fetches: Fetches) -> None:
    assert fetches.body(site.add_file("/a", MP4, 100_000), SHA256) == MP4
    assert (site.asked[1][1].get("Range"), site.asked[1][1].get("If-Range")) == ("bytes=100000-", None)


@pytest.mark.parametrize("headers", [{}, {"ETag": 'W/"1"'}])
def test_without_anything_the_body_comes_from_its_start(site: Site, fetches: Fetches, headers: dict[str, str]) -> None:
    assert fetches.body(site.add_file("/a", MP4, 100_000, **headers)) == MP4
    assert "Range" not in site.asked[1][1]
    assert fetches.num_bytes == len(MP4) + 100_000


def test_a_file_that_changed_in_between_comes_whole(site: Site, fetches: Fetches) -> None:
    url = site.add_file("/a", MP4, 100_000, ETag='"1"')
    other = MP4[:50_000] + b"other" + MP4[50_000:]
    first = site.pages["/a"]

    def change(request: BaseHTTPRequestHandler) -> None:
        first(request)
        site.pages["/a"] = File(other, {"ETag": '"2"'}, [])

    site.pages["/a"] = change
    assert fetches.body(url) == other


@pytest.mark.parametrize(
    "headers",
    [
        {"Content_Range": f"bytes 5-{len(MP4) - 1}/{len(MP4)}"},
        {"Content_Range": f"bytes 100000-{len(MP4)}/{len(MP4) + 1}"},
        {"Content_Range": f"bytes 100000-99999/{len(MP4)}"},
        {"Content_Range": "bytes */5"},
        {"Content_Range": f"bytes 100000-{len(MP4) - 1}/{len(MP4)}", "ETag": '"2"'},
        {"Content_Range": f"bytes 100000-{len(MP4) - 1}/{len(MP4)}", "Last_Modified": OTHER_DATE},
        {"Content_Range": f"bytes 100000-{len(MP4) - 1}/{len(MP4)}", "Content_Encoding": "deflate"},
        {"Content_Range": f"bytes 100000-{len(MP4) - 1}/{len(MP4)}", "Content_Encoding": "br"},
        {},
    ],
)
def test_a_part_that_does_not_fit_is_thrown_away(site: Site, fetches: Fetches, headers: dict[str, str]) -> None:
    url = site.add_file("/a", MP4, 100_000, ETag='"1"', Last_Modified=DATE)
    first = site.pages["/a"]

    def lie(request: BaseHTTPRequestHandler) -> None:
        if request.headers.get("Range"):
            rest = b"x" * (len(MP4) - 100_000)
            packed = zlib.compress(rest) if headers.get("Content_Encoding") == "deflate" else rest
            answer(request, packed, 206, headers)
        else:
            first(request)

    site.pages["/a"] = lie
    assert fetches.body(url) == MP4
    assert "Range" not in site.asked[2][1]


def test_a_server_that_cannot_give_the_rest_gives_it_all(site: Site, fetches: Fetches) -> None:
    url = site.add_file("/a", MP4, 100_000, ETag='"1"')
    first = site.pages["/a"]

    def refuse(request: BaseHTTPRequestHandler) -> None:
        if request.headers.get("Range"):
            answer(request, b"", 416, {})
        else:
            first(request)

    site.pages["/a"] = refuse
    assert fetches.body(url) == MP4
    assert len(site.asked) == 3


def test_the_next_run_goes_on_where_the_last_one_gave_up(site: Site, fetches: Fetches) -> None:
    url = site.add_file("/a", MP4, 100_000, ETag='"1"')
    assert fetches.code(url, max_attempts=1) == "incomplete_body"
    assert [path.stat().st_size for path in fetches.partials()] == [100_000]
    assert fetches.body(url) == MP4
    assert fetches.num_bytes == len(MP4)
    assert fetches.partials() == []


def test_what_is_refused_for_good_is_not_kept(site: Site, fetches: Fetches) -> None:
    url = site.add_file("/a", MP4, 100_000, ETag='"1"')
    assert fetches.code(url, max_attempts=1) == "incomplete_body"
    del site.pages["/a"]
    assert fetches.code(url) == "http_404"
    assert fetches.partials() == []


def test_a_small_body_is_not_worth_the_account(site: Site, fetches: Fetches) -> None:
    assert fetches.body(site.add_file("/a", MP4[:9000], 5000, ETag='"1"')) == MP4[:9000]
    assert "Range" not in site.asked[1][1]


@pytest.mark.parametrize("checksum", [SHA256, f"md5:{hashlib.md5(MP4, usedforsecurity=False).hexdigest()}"])
def test_a_checksum_that_fits_is_silent(site: Site, fetches: Fetches, checksum: str) -> None:
    assert fetches.body(site.add_file("/a", MP4, 100_000, ETag='"1"'), checksum) == MP4


def test_a_checksum_that_does_not_fit_is_looked_at_twice(site: Site, fetches: Fetches) -> None:
    url = site.add_series("/a", (200, MP4 + b"x", {}), (200, MP4, {}))
    assert fetches.body(url, SHA256) == MP4
    other = f"sha256:{'0' * 64}"
    assert fetches.code(site.add("/b", MP4), other) == "checksum_mismatch"
    assert site.paths().count("/b") == 2
    assert fetches.partials() == []


def test_a_checksum_that_is_none_is_an_outcome(site: Site, fetches: Fetches) -> None:
    for checksum in ("sha256:abc", "crc32:12345678", "x" * 64, f"sha256:{'0' * 64}\n"):
        assert fetches.code(site.url("/a"), checksum) == "bad_checksum"
    assert site.asked == []


def test_a_body_shorter_than_stated_is_tried_again(site: Site, fetches: Fetches) -> None:
    short = (200, MP4[:1000], {"Content_Length": str(len(MP4))})
    assert fetches.body(site.add_series("/a", short, (200, MP4, {}))) == MP4
    with pytest.raises(ClipError, match=r"incomplete_body: .* \(4 attempts\)"):
        fetches.get(site.add_series("/b", short))


def test_a_body_longer_than_stated_is_cut_and_the_rest_is_nobodys_answer(site: Site, fetches: Fetches) -> None:
    url = site.add("/a", MP4 + b"HTTP/1.1 200 OK\r\n\r\nplanted", Content_Length=str(len(MP4)))
    assert fetches.body(url) == MP4


def test_chunks_that_break_off_are_an_incomplete_body(site: Site, fetches: Fetches) -> None:
    def write(request: BaseHTTPRequestHandler) -> None:
        answer(request, b"ff\r\nonly this", 200, {"Content_Length": "", "Transfer_Encoding": "chunked"})
        request.close_connection = True

    site.pages["/a"] = write
    assert fetches.code(site.url("/a"), max_attempts=2) == "incomplete_body"
    assert len(site.asked) == 2


def test_too_large_by_the_header_is_refused_before_the_body(site: Site, fetches: Fetches) -> None:
    url = site.add("/a", MP4)
    assert fetches.code(url, max_bytes=len(MP4) - 1) == "too_large"
    assert fetches.num_bytes == 0
    assert fetches.body(url, max_bytes=len(MP4)) == MP4


def endless(request: BaseHTTPRequestHandler) -> None:
    request.send_response(200)
    if request.path == "/chunked":
        request.send_header("Transfer-Encoding", "chunked")
    request.end_headers()
    piece = MP4 if request.path != "/chunked" else b"%x\r\n%b\r\n" % (len(MP4), MP4)
    request.close_connection = True
    try:
        while True:
            request.wfile.write(piece)
    except OSError:
        return


@pytest.mark.parametrize("path", ["/plain", "/chunked"])
def test_an_endless_body_is_stopped_at_the_limit_on_size(site: Site, fetches: Fetches, path: str) -> None:
    site.pages[path] = endless
    assert fetches.code(site.url(path), max_bytes=1_000_000) == "too_large"
    assert fetches.num_bytes < 2_000_000
    assert fetches.partials() == []


def test_a_page_is_known_by_its_first_bytes(site: Site, fetches: Fetches) -> None:
    url = site.add("/a.mp4", b"<!doctype html>" + bytes(1_000_000), Content_Type="video/mp4")
    with pytest.raises(ClipError, match="not_a_video: the file is html, expected avi, "):
        fetches.get(url)
    assert fetches.num_bytes < 200_000
    assert fetches.code(site.add("/b", b"<html>short")) == "not_a_video"
    assert fetches.code(site.add("/c", b"")) == "empty_file"


def test_a_server_that_is_not_there_is_tried_again(fetches: Fetches) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/a"
        assert fetches.code(url, max_attempts=2) == "connection_failed"
    assert fetches.longest_pauses == [1.0]


def drip(seconds: float, piece: bytes = b"x") -> Callable[[BaseHTTPRequestHandler], None]:
    def write(request: BaseHTTPRequestHandler) -> None:
        answer(request, MP4[:1000], 200, {"Content_Length": str(len(MP4))})
        try:
            while True:
                request.wfile.write(piece)
                request.wfile.flush()
                time.sleep(seconds)
        except OSError:
            return

    return write


def test_a_body_that_drips_is_too_slow(site: Site, fetches: Fetches) -> None:
    site.pages["/a"] = drip(0.02)
    slow: dict[str, Any] = {"min_bytes_per_second": 1000, "speed_window_seconds": 0.2, "max_attempts": 1}
    started = time.monotonic()
    with pytest.raises(ClipError, match=r"too_slow: .* bytes a second; see min_bytes_per_second"):
        fetches.get(site.url("/a"), **slow)
    assert time.monotonic() - started < 5
    site.pages["/b"] = drip(0.02, bytes(10_000))
    assert fetches.get(site.url("/b"), **slow).bytes == len(MP4)


def test_the_time_for_a_file_is_kept_over_its_attempts(site: Site, fetches: Fetches) -> None:
    site.pages["/a"] = drip(0.02)
    started = time.monotonic()
    with pytest.raises(ClipError, match=r"timeout: longer than max_seconds = 0\.6"):
        fetches.get(site.url("/a"), max_seconds=0.6, timeout_seconds=0.3, max_attempts=50)
    assert time.monotonic() - started < 5


def test_the_environment_has_no_say(site: Site, fetches: Fetches, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere")
    assert fetches.body(site.add("/a", MP4, Set_Cookie="a=b; Path=/")) == MP4
    fetches.get(site.add("/b", MP4))
    assert "Cookie" not in site.asked[1][1]


KILLED = """
import sys
from pathlib import Path
from tests.features.fetches import Fetches
Fetches(Path(sys.argv[1])).get(sys.argv[2])
"""


def test_a_killed_process_loses_nothing_that_had_come(site: Site, fetches: Fetches) -> None:
    url = site.add_file("/a", MP4, ETag='"1"')
    whole = site.pages["/a"]

    def half(request: BaseHTTPRequestHandler) -> None:
        answer(request, MP4[:100_000], 200, {"Content_Length": str(len(MP4)), "ETag": '"1"'})
        request.wfile.flush()
        killed.wait(20)

    site.pages["/a"] = half
    killed = threading.Event()
    with subprocess.Popen([sys.executable, "-c", KILLED, str(fetches.folder), url]) as process:
        path = fetches.folder / ".partial" / hashlib.sha256(url.encode()).hexdigest()
        until = time.monotonic() + 20
        while not (path.exists() and path.stat().st_size == 100_000) and time.monotonic() < until:
            time.sleep(0.02)
        process.kill()
    killed.set()
    site.pages["/a"] = whole
    assert fetches.body(url) == MP4
    assert fetches.num_bytes == len(MP4) - 100_000
    assert fetches.partials() == []


def test_a_body_that_had_come_whole_is_not_asked_for_again(site: Site, fetches: Fetches) -> None:
    url = site.url("/a")
    with MediaStore(fetches.folder) as store:
        partial = store.claim(url)
        assert partial is not None
        with partial:
            partial.begin(PartialFacts(len(MP4), '"1"', ""))
            partial.stream.write(MP4)
    assert fetches.body(url) == MP4
    assert site.asked == []


class FullFile(io.FileIO):
    """Takes 1,000 bytes of what is written, as a disk does that is full then."""

    def write(self, data: Any, /) -> int:  # noqa: ANN401 - as the original
        return super().write(data[:1000])


def test_a_disk_that_takes_a_part_of_a_body_stops_the_run(
    site: Site, fetches: Fetches, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = site.add("/a", MP4)
    monkeypatch.setattr("features.downloads.store.os.fdopen", lambda number, *_, **__: FullFile(number, "r+"))
    with pytest.raises(OSError, match="No space left on device"):
        fetches.get(url)


def test_a_closed_host_is_left_alone(site: Site, tmp_path: Path) -> None:
    site.add("/a", b"", 429, Retry_After="3600")
    site.add("/b", MP4)
    config = DownloadConfig(allow_private_addresses=True)
    with Downloader(config, {FROM_MANIFEST: tmp_path, FROM_STORE: tmp_path / "store"}) as downloader:
        for name in ("/a", "/b"):
            clip = downloader.clip(ClipRecord(name, video=site.url(name)))
            assert clip.outcome.code == "retry_after_too_long"
    assert site.paths() == ["/a"]


def test_a_host_that_is_down_costs_the_rest_of_its_clips_no_time(
    site: Site, tmp_path: Path, fetches: Fetches, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("features.http.rate_limit.DOWN_SECONDS", 0.0)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        urls = [f"http://127.0.0.1:{taken.getsockname()[1]}/{number}" for number in range(200)]
        config = DownloadConfig(allow_private_addresses=True, requests_per_second_per_host=50)
        started = time.monotonic()
        with Downloader(config, {FROM_MANIFEST: tmp_path, FROM_STORE: tmp_path / "store"}) as downloader:
            codes = [downloader.clip(ClipRecord("c", video=url)).outcome.code for url in urls]
    # Four attempts each at 50 a second would take 16 seconds.
    assert time.monotonic() - started < 8
    assert codes == ["connection_failed"] * 5 + ["host_down"] * 195
