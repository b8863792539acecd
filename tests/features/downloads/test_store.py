from __future__ import annotations

import errno
import hashlib
import os
import resource
import sqlite3
import stat
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from features.base.errors import ClipError
from features.downloads.download_rows import MediaFile
from features.downloads.media_spec import PartialFacts, StoredFacts
from features.downloads.store import MediaStore, Partial
from features.downloads.store_index import StoreIndex

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

URL = "http://example.org/a.mp4"
BODY = b"content" * 20_000
SHA256 = hashlib.sha256(BODY).hexdigest()
FACTS = StoredFacts(SHA256, "mp4", len(BODY))
NAME = f"{SHA256[:2]}/{SHA256}.mp4"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[MediaStore]:
    with MediaStore(tmp_path / "store") as made:
        yield made


def add(store: MediaStore, url: str = URL, body: bytes = BODY) -> MediaFile:
    """Put a file into the store that still waits for its name."""
    partial = store.claim(url)
    assert partial is not None
    with partial:
        partial.begin(None)
        partial.stream.write(body)
        return store.add(partial, url, StoredFacts(hashlib.sha256(body).hexdigest(), "mp4", len(body)))


def put(store: MediaStore, url: str = URL, body: bytes = BODY) -> MediaFile:
    file = add(store, url, body)
    store.publish()
    return file


def everything(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_a_file_lies_under_its_digest_and_is_found_by_its_url(store: MediaStore) -> None:
    assert store.find(URL) is None
    file = put(store)
    assert file == MediaFile("store", NAME, "mp4", len(BODY), SHA256, URL)
    assert (store.folder / NAME).read_bytes() == BODY
    assert store.find(URL) == file
    assert store.find(URL + "?") is None
    store.close()
    assert everything(store.folder) == [NAME, "index.sqlite"]


def test_a_file_has_no_name_before_all_of_its_group_is_synced(
    store: MediaStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    sync, rename = os.fsync, os.replace

    def note_sync(descriptor: int) -> None:
        sync(descriptor)
        done.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")

    def note_rename(source: Path, target: str, **where: int) -> None:
        rename(source, target, **where)
        done.append("name")

    monkeypatch.setattr(os, "fsync", note_sync)
    monkeypatch.setattr(os, "replace", note_rename)
    files = [add(store, f"{URL}?{number}", b"%d" % number) for number in range(20)]
    assert done == []
    assert not any((store.folder / file.path).exists() for file in files)
    store.publish()
    num_folders = len({file.path[:2] for file in files})
    assert done == ["file"] * 20 + ["name"] * 20 + ["folder"] * num_folders
    assert [store.find(file.url) for file in files] == files
    store.publish()
    assert len(done) == 40 + num_folders


def test_a_full_group_is_published_at_once(store: MediaStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("features.downloads.publication.GROUP_FILES", 3)
    files = [add(store, f"{URL}?{number}", b"%d" % number) for number in range(4)]
    assert [(store.folder / file.path).exists() for file in files] == [True, True, True, False]
    monkeypatch.setattr("features.downloads.publication.GROUP_BYTES", 1000)
    large = add(store, URL, bytes(1000))
    assert (store.folder / large.path).exists()
    assert (store.folder / files[3].path).exists()


@pytest.mark.parametrize("look", [MediaStore.find, MediaStore.claim])
def test_who_looks_for_a_file_that_waits_finds_it(store: MediaStore, look: Callable[[MediaStore, str], object]) -> None:
    file = add(store)
    found = look(store, URL)
    if isinstance(found, Partial):
        with found:
            assert found.size == 0
    assert (store.folder / NAME).read_bytes() == BODY
    assert store.find(URL) == file


def test_closing_publishes_what_waits(store: MediaStore) -> None:
    file = add(store)
    store.close()
    with MediaStore(store.folder) as other:
        assert other.find(URL) == file


def test_a_killed_process_leaves_no_name_of_what_was_not_synced(store: MediaStore) -> None:
    add(store)
    with MediaStore(store.folder) as other:
        assert other.find(URL) is None
        # Locked as long as the process lives.
        assert other.claim(URL) is None
    assert not (store.folder / NAME).exists()


def test_two_processes_do_not_wait_for_each_others_groups(store: MediaStore) -> None:
    with MediaStore(store.folder) as other:
        files = [add(store, f"{URL}?1", b"1"), add(other, f"{URL}?2", b"2")]
        assert store.claim(f"{URL}?2") is None
        assert other.find(f"{URL}?1") == files[0]


def test_a_group_that_cannot_be_synced_leaves_nothing(store: MediaStore, monkeypatch: pytest.MonkeyPatch) -> None:
    fail_at = iter([False] * 5 + [True] + [False] * 100)

    def full(_: int) -> None:
        if next(fail_at):
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    for number in range(9):
        add(store, f"{URL}?{number}", b"%d" % number)
    with pytest.raises(OSError, match="No space left"):
        store.publish()
    assert list((store.folder / ".partial").iterdir()) == []
    assert [store.find(f"{URL}?{number}") for number in range(9)] == [None] * 9
    assert put(store) == store.find(URL)


def test_the_index_outlives_the_process(store: MediaStore) -> None:
    file = put(store)
    # Not closed: what a killed process leaves.
    with MediaStore(store.folder) as other:
        assert other.find(URL) == file


def test_one_content_under_two_urls_is_one_file(store: MediaStore) -> None:
    first, second = put(store, URL), put(store, URL + "?2")
    assert first.path == second.path
    assert (store.find(URL), store.find(URL + "?2")) == (first, second)
    store.close()
    assert everything(store.folder) == [NAME, "index.sqlite"]


def test_a_url_with_another_content_gives_the_new_one(store: MediaStore) -> None:
    put(store)
    file = put(store, body=b"other")
    assert store.find(URL) == file
    assert (store.folder / NAME).exists()


def test_a_file_that_is_gone_or_has_another_size_is_not_found(store: MediaStore) -> None:
    file = put(store)
    (store.folder / NAME).write_bytes(BODY[:-1])
    assert store.find(URL) is None
    put(store)
    assert store.find(URL) == file
    store.remove([file, file, MediaFile("manifest", "../precious", "mp4", 1, "")])
    assert store.find(URL) is None
    assert not (store.folder / NAME).exists()
    assert put(store) == file


def test_a_planted_link_is_not_followed(store: MediaStore, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(BODY)
    file = put(store)
    (store.folder / NAME).unlink()
    (store.folder / NAME).symlink_to(secret)
    assert store.find(URL) is None
    store.remove([file])
    put(store, body=BODY)
    assert not (store.folder / NAME).is_symlink()
    assert (store.folder / NAME).read_bytes() == BODY
    assert secret.read_bytes() == BODY


@pytest.mark.parametrize("hard", [False, True])
def test_a_link_planted_where_a_body_goes_is_replaced(store: MediaStore, tmp_path: Path, *, hard: bool) -> None:
    secret = tmp_path / "secret"
    secret.write_text("precious")
    path = store.partial_path(URL)
    if hard:
        path.hardlink_to(secret)
    else:
        path.symlink_to(secret)
    put(store)
    assert secret.read_text() == "precious"
    assert (store.folder / NAME).read_bytes() == BODY


@pytest.mark.parametrize("kind", [stat.S_IFIFO, stat.S_IFSOCK])
def test_a_planted_pipe_or_socket_blocks_nobody(store: MediaStore, kind: int) -> None:
    os.mknod(store.partial_path(URL), kind | 0o600)
    assert put(store) == store.find(URL)


@pytest.mark.parametrize("place", ["partial", "file"])
def test_a_folder_in_place_of_a_file_is_an_outcome(store: MediaStore, place: str) -> None:
    path = store.partial_path(URL) if place == "partial" else store.folder / NAME
    path.mkdir(parents=True)
    with pytest.raises(ClipError, match=r"store_not_safe: .* is a folder: remove it"):
        put(store)
    assert store.find(URL) is None
    assert put(store, URL + "?2", b"other") == store.find(URL + "?2")
    os.utime(path, (0, 0))
    with MediaStore(store.folder):
        assert path.is_dir()


@pytest.mark.parametrize("kind", ["link that leads nowhere", "link to a file", "file"])
def test_what_is_no_folder_in_place_of_one_is_an_outcome(store: MediaStore, tmp_path: Path, kind: str) -> None:
    path = store.folder / SHA256[:2]
    (tmp_path / "precious").write_text("precious")
    if kind == "file":
        path.write_text("precious")
    else:
        path.symlink_to(tmp_path / ("precious" if kind == "link to a file" else "nowhere"))
    expected = "is no folder" if kind == "file" else "is a symbolic link"
    with pytest.raises(ClipError, match=f"store_not_safe: .* {expected}: remove it"):
        put(store)
    assert store.find(URL) is None
    assert (tmp_path / "precious").read_text() == "precious"
    assert not (tmp_path / "nowhere").exists()


def test_a_link_in_place_of_a_folder_is_an_outcome(store: MediaStore, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (store.folder / SHA256[:2]).symlink_to(elsewhere)
    with pytest.raises(ClipError, match=r"store_not_safe: .* is a symbolic link: remove it"):
        put(store)
    assert list(elsewhere.iterdir()) == []
    (elsewhere / f"{SHA256}.mp4").write_bytes(BODY)
    store._index.add_files([(URL, FACTS)])
    assert store.find(URL) is None


@pytest.mark.parametrize("name", [".partial", "index.sqlite"])
def test_links_in_place_of_its_own_files_are_replaced(tmp_path: Path, name: str) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / name).symlink_to(elsewhere if name == ".partial" else elsewhere / "file")
    with MediaStore(tmp_path / "store") as store:
        put(store)
    assert list(elsewhere.iterdir()) == []


def test_the_folder_itself_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "store").symlink_to(tmp_path / "disk")
    with MediaStore(tmp_path / "store") as store:
        assert store.find(URL) != put(store)
        assert store.find(URL) is not None


def test_a_damaged_index_is_begun_anew(store: MediaStore) -> None:
    put(store)
    store.close()
    (store.folder / "index.sqlite").write_bytes(b"not a database" * 1000)
    with MediaStore(store.folder) as again:
        assert again.find(URL) is None
        assert put(again) == again.find(URL)


@pytest.mark.parametrize("first_use", ["look-up", "note", "body"])
def test_an_index_that_is_damaged_inside_is_begun_anew_at_its_first_use(store: MediaStore, first_use: str) -> None:
    fill(store)
    store.close()
    path = store.folder / "index.sqlite"
    # The first page, with the schema, is whole.
    with path.open("r+b") as stream:
        stream.seek(4096)
        stream.write(b"\xff" * (path.stat().st_size - 4096))
    with MediaStore(store.folder) as again:
        if first_use == "look-up":
            assert again.find(f"{URL}?7" + "x" * 500) is None
        elif first_use == "note":
            again._index.add_files([(URL, FACTS)])
            assert again._index.file(URL) == FACTS
        else:
            assert again._index.partial(URL) is None
        assert put(again) == again.find(URL)
    with MediaStore(store.folder) as again:
        assert again.find(URL) is not None
    with sqlite3.connect(path) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    database.close()


def test_a_closed_index_is_not_begun_anew(store: MediaStore) -> None:
    put(store)
    store.close()
    with pytest.raises(OSError, match="closed"):
        store.find(URL)
    with MediaStore(store.folder) as again:
        assert again.find(URL) is not None


def fill(store: MediaStore) -> None:
    for number in range(1000):
        store._index.add_files([(f"{URL}?{number}" + "x" * 500, FACTS)])


def test_a_full_or_readonly_index_is_an_error_of_the_disk(store: MediaStore) -> None:
    store._index._database.execute("PRAGMA query_only = 1")
    with pytest.raises(OSError, match=r"the index of the media store cannot be used: .*readonly") as caught:
        put(store)
    assert caught.value.errno == errno.EROFS
    store._index._database.execute("PRAGMA query_only = 0")
    store._index._database.execute("PRAGMA max_page_count = 1")
    with pytest.raises(OSError, match="full") as caught:
        fill(store)
    assert caught.value.errno == errno.ENOSPC


def test_a_full_disk_is_no_outcome_of_a_clip(store: MediaStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("features.downloads.store.os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        put(store)
    monkeypatch.undo()
    assert store.find(URL) is None
    assert list((store.folder / ".partial").iterdir()) == []


def test_a_write_that_is_cut_short_is_a_full_disk(store: MediaStore) -> None:
    partial = store.claim(URL)
    assert partial is not None
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    with partial:
        # The kernel writes what fits below the limit, and says how much it was.
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
        try:
            with pytest.raises(OSError, match="No space left on device") as caught:
                partial.write(BODY)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert (caught.value.errno, partial.size) == (errno.ENOSPC, 1000)


def test_many_threads_may_write(store: MediaStore) -> None:
    def work(number: int) -> MediaFile:
        return put(store, f"{URL}?{number}", b"x" * (number % 7 + 1))

    with ThreadPoolExecutor(8) as pool:
        files = list(pool.map(work, range(200)))
    assert [store.find(f"{URL}?{number}") for number in range(200)] == files
    store.close()
    assert len(everything(store.folder)) == 7 + 1


def test_a_body_is_written_by_one_at_a_time(store: MediaStore) -> None:
    first = store.claim(URL)
    assert first is not None
    with first:
        assert store.claim(URL) is None
        with MediaStore(store.folder) as other:
            assert other.claim(URL) is None
    second = store.claim(URL)
    assert second is not None
    with second:
        pass


def interrupt(store: MediaStore, facts: PartialFacts | None, body: bytes = BODY[:100_000]) -> None:
    partial = store.claim(URL)
    assert partial is not None
    with partial:
        partial.begin(facts)
        partial.stream.write(body)


WHOLE = PartialFacts(len(BODY), '"1"', "")


def test_an_unfinished_body_waits_with_its_facts(store: MediaStore) -> None:
    interrupt(store, WHOLE)
    with MediaStore(store.folder) as other:
        partial = other.claim(URL)
        assert partial is not None
        with partial:
            assert (partial.size, partial.facts) == (100_000, WHOLE)
            partial.discard()
            assert (partial.size, partial.facts) == (0, None)
        assert list((store.folder / ".partial").iterdir()) == []
        interrupt(store, None)
        assert list((store.folder / ".partial").iterdir()) == []


def test_bytes_without_facts_are_not_gone_on_with(store: MediaStore) -> None:
    for body in (BODY[:1000], BODY + b"more than the whole"):
        if len(body) > len(BODY):
            store._index.add_partial(URL, WHOLE)
        store.partial_path(URL).write_bytes(body)
        partial = store.claim(URL)
        assert partial is not None
        with partial:
            assert (partial.size, partial.facts) == (0, None)


def test_after_a_restart_of_the_machine_nothing_unfinished_is_trusted(store: MediaStore) -> None:
    interrupt(store, WHOLE)
    store._index._boot = "another"
    assert store._index.partial(URL) is None


def test_what_nobody_goes_on_with_is_removed_after_a_week(store: MediaStore) -> None:
    interrupt(store, WHOLE)
    path = store.partial_path(URL)
    for days, there in ((6, True), (8, False)):
        before = time.time() - days * 86400
        os.utime(path, (before, before))
        with MediaStore(store.folder):
            assert path.exists() is there


def test_the_names_of_bodies_are_safe(store: MediaStore) -> None:
    for url in ("http://a/../../x", "http://a/" + "x" * 8000, "http://a/\udcff", "http://a/猫\0"):
        path = store.partial_path(url)
        assert path.parent == store.folder / ".partial"
        assert len(path.name) == 64


def test_an_index_in_a_folder_that_is_not_there_is_an_error_of_the_disk(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="cannot be used"):
        StoreIndex(tmp_path / "nowhere")
