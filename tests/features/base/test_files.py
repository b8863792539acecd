from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path

import pytest

from features.base.files import publish_json, published, remove_leftovers, sha256_of, sha256_of_json


def test_a_name_appears_with_its_content_and_makes_its_folder(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file"
    with published(path) as temporary:
        temporary.write_text("whole")
        assert not path.exists()
        assert temporary.parent == path.parent
    assert path.read_text() == "whole"
    assert list(path.parent.iterdir()) == [path]


def test_the_content_is_synced_before_its_name_and_the_name_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    steps: list[tuple[str, bool]] = []

    def record(descriptor: int) -> None:
        name = Path(f"/proc/self/fd/{descriptor}").readlink().name
        steps.append((name, path.exists()))

    monkeypatch.setattr("features.base.files.os.fsync", record)
    with published(path) as temporary:
        temporary.touch()
    assert steps == [(temporary.name, False), (tmp_path.name, True)]


def test_after_an_exception_the_old_content_stands_and_nothing_is_left(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")

    def write_half() -> None:
        with published(path) as temporary:
            temporary.write_text("ne")
            raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half way"):
        write_half()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_writer_that_wrote_nothing_publishes_nothing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), published(tmp_path / "file"):
        pass
    assert not list(tmp_path.iterdir())


def test_equal_values_are_equal_bytes(tmp_path: Path) -> None:
    publish_json(tmp_path / "one", {"b": 1, "a": "猫"})
    publish_json(tmp_path / "two", {"a": "猫", "b": 1})
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    assert (tmp_path / "one").read_text(encoding="utf-8") == '{\n "a": "猫",\n "b": 1\n}\n'


def test_leftovers_of_the_dead_go_and_those_of_the_living_stay(tmp_path: Path) -> None:
    process = subprocess.Popen(["/bin/true"])
    process.wait()
    living = tmp_path / f".tmp-{os.getppid()}-shard"
    # In a container the next process often has the number of the one that was killed.
    for name in (living.name, f".tmp-{process.pid}-shard", f".tmp-{os.getpid()}-shard", ".tmp-nobody", "shard"):
        (tmp_path / name).touch()
    (tmp_path / f".tmp-{process.pid}-empty-shard").mkdir(mode=0o500)
    (tmp_path / f".tmp-{process.pid}-folder").mkdir()
    (tmp_path / f".tmp-{process.pid}-folder" / "sound.wav").touch()
    remove_leftovers(tmp_path)
    assert sorted(tmp_path.iterdir()) == [living, tmp_path / "shard"]


def test_digests(tmp_path: Path) -> None:
    data = bytes(range(256)) * 9000  # more than two chunks
    (tmp_path / "file").write_bytes(data)
    assert sha256_of(tmp_path / "file") == hashlib.sha256(data).hexdigest()
    assert sha256_of_json({"b": [1, 2], "a": "é"}) == hashlib.sha256('{"a":"é","b":[1,2]}'.encode()).hexdigest()
    assert sha256_of_json({"a": 1}) != sha256_of_json({"a": 1.5})


def test_a_digest_of_json_is_total_and_has_two_forms_outside_ascii() -> None:
    # What the command line hands over for bytes that are no UTF-8.
    assert sha256_of_json("\udcff") == hashlib.sha256(b'"\xed\xb3\xbf"').hexdigest()
    assert sha256_of_json("é", escape=True) == hashlib.sha256(b'"\\u00e9"').hexdigest()
    assert sha256_of_json({"a": "b"}, escape=True) == sha256_of_json({"a": "b"})


def test_leftovers_of_a_process_that_nobody_has_waited_for_go(tmp_path: Path) -> None:
    # As a killed process whose parent has ended too, where nothing reaps it.
    pid = os.fork()
    if not pid:
        os._exit(0)
    try:
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        assert Path("/proc", str(pid)).exists()
        (tmp_path / f".tmp-{pid}-shard-00000.tar").touch()
        remove_leftovers(tmp_path)
        assert list(tmp_path.iterdir()) == []
    finally:
        os.waitpid(pid, 0)
