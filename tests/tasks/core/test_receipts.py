from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from features.base.outcomes import Outcome, Tally
from tasks.core.receipts import (
    FileReceipt,
    Success,
    read_receipt,
    read_success,
    receipt_path,
    shards_by_key,
    total,
    write_receipt,
    write_success,
)

if TYPE_CHECKING:
    from pathlib import Path


def _shard(folder: Path, name: str = "shard-00000.h5", key: str = "k", content: bytes = b"abc") -> FileReceipt:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_bytes(content)
    tally = Tally.of([Outcome("a", "ok"), Outcome("b", "failed", "http_404", "gone")])
    return replace(FileReceipt.of_shard(path, name, key, tally), timings={"wall_seconds": 1.5})


def _success(receipt: FileReceipt) -> Success:
    return Success("extract-frames", "f" * 12, {"decode": "d"}, (receipt,), {"ok": 1}, {}, "2026-01-01", 2.0, 1)


def test_a_receipt_survives_the_disk(tmp_path: Path) -> None:
    receipt = _shard(tmp_path)

    write_receipt(tmp_path, receipt)

    assert read_receipt(tmp_path, receipt.name) == receipt
    assert receipt.problems == (Outcome("b", "failed", "http_404", "gone"),)
    assert receipt.sha256 == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # of "abc"


def test_a_receipt_that_is_cut_short_is_no_receipt(tmp_path: Path) -> None:
    receipt = _shard(tmp_path)
    write_receipt(tmp_path, receipt)
    path = receipt_path(tmp_path, receipt.name)
    path.write_text(path.read_text(encoding="utf-8")[:40], encoding="utf-8")

    assert read_receipt(tmp_path, receipt.name) is None


def test_success_is_whole_only_with_every_file_at_its_size(tmp_path: Path) -> None:
    success = _success(_shard(tmp_path))
    write_success(tmp_path, success)
    found = read_success(tmp_path)

    assert found is not None
    assert found.digest == success.digest
    assert found.is_whole(tmp_path)
    (tmp_path / "shard-00000.h5").write_bytes(b"ab")
    assert not found.is_whole(tmp_path)
    (tmp_path / "shard-00000.h5").unlink()
    assert not found.is_whole(tmp_path)
    assert not found.is_whole(tmp_path / "nowhere")


def test_the_digest_follows_the_contents_and_not_the_clock(tmp_path: Path) -> None:
    one = _success(_shard(tmp_path / "one"))
    same = _success(_shard(tmp_path / "same", key="other settings, same bytes"))
    other = _success(_shard(tmp_path / "other", content=b"abd"))

    assert one.digest == same.digest
    assert one.digest != other.digest


def test_shards_are_found_by_key_in_other_fingerprints_if_they_are_whole(tmp_path: Path) -> None:
    write_receipt(tmp_path / "one", _shard(tmp_path / "one", key="kept"))
    write_receipt(tmp_path / "two", _shard(tmp_path / "two", key="cut"))
    (tmp_path / "two" / "shard-00000.h5").write_bytes(b"")
    (tmp_path / "latest").symlink_to("one")

    found = shards_by_key(tmp_path)

    assert {key: folder.name for key, (folder, _) in found.items()} == {"kept": "one"}


def test_totals_add_up_over_receipts(tmp_path: Path) -> None:
    receipts = [_shard(tmp_path), _shard(tmp_path, "shard-00001.h5")]

    assert total(receipts, "counts") == {"ok": 2, "partial": 0, "failed": 2}
    assert total(receipts, "codes") == {"http_404": 2}
    assert total(receipts, "timings") == {"wall_seconds": 3.0}


def test_the_receipt_of_a_shard_carries_its_name_without_the_suffix(tmp_path: Path) -> None:
    assert receipt_path(tmp_path, "shard-00003.tar") == tmp_path / "shard-00003.receipt.json"
    assert receipt_path(tmp_path, "shard-00003.receipt.json") == tmp_path / "shard-00003.receipt.json"


@pytest.mark.parametrize("text", ["", "[]", "{}", "null", '{"name": "a", "problems": [1]}', '{"problems": []}'])
def test_what_is_no_receipt_is_none(tmp_path: Path, text: str) -> None:
    receipt_path(tmp_path, "shard-00000.h5").write_text(text, encoding="utf-8")
    assert read_receipt(tmp_path, "shard-00000.h5") is None
    assert read_receipt(tmp_path, "shard-00001.h5") is None


def test_the_keys_on_the_disk_are_those_of_always(tmp_path: Path) -> None:
    """Roots of earlier versions are read, and those of this one by earlier ones."""
    receipt = _shard(tmp_path)
    write_receipt(tmp_path, receipt)
    write_success(tmp_path, _success(receipt))

    row = json.loads(receipt_path(tmp_path, receipt.name).read_text(encoding="utf-8"))
    account = json.loads((tmp_path / "_SUCCESS.json").read_text(encoding="utf-8"))

    assert set(row) == {
        "name", "bytes", "sha256", "rows", "key", "counts", "codes", "problems", "timings", "is_record", "taken_over",
        "retry",
    }  # fmt: skip
    assert set(row["problems"][0]) == {"clip_id", "status", "code", "detail"}
    assert set(account) == {
        "stage", "fingerprint", "inputs", "files", "totals", "codes", "started_at", "seconds", "built", "timings",
        "facts",
    }  # fmt: skip
    # Keys that came later have defaults.
    for name in ("is_record", "taken_over", "retry", "timings"):
        row.pop(name)
    receipt_path(tmp_path, receipt.name).write_text(json.dumps(row), encoding="utf-8")
    old = read_receipt(tmp_path, receipt.name)
    assert old is not None
    assert (old.is_record, old.taken_over, old.retry, old.timings) == (False, 0, False, {})


def test_the_digest_leaves_out_what_no_later_stage_reads(tmp_path: Path) -> None:
    shard = _shard(tmp_path)
    (tmp_path / "report.html").write_text("took 3 s", encoding="utf-8")
    one = FileReceipt.of(tmp_path, "report.html", 1, is_record=True)
    (tmp_path / "report.html").write_text("took 4 s", encoding="utf-8")
    other = FileReceipt.of(tmp_path, "report.html", 1, is_record=True)

    assert one.sha256 != other.sha256
    digests = {replace(_success(shard), files=files).digest for files in ((shard, one), (shard, other), (shard,))}
    assert len(digests) == 1
    assert replace(_success(shard), files=(shard, replace(one, is_record=False))).digest not in digests
    # Another name or another order is another content.
    assert replace(_success(shard), files=(replace(shard, name="shard-00001.h5"),)).digest not in digests


def test_shards_are_listed_by_their_suffix_in_order() -> None:
    names = ["shard-00000.h5", "shard-00001.h5", "labels.json", "shard-00000.jsonl", "predictions.jsonl"]
    files = tuple(FileReceipt(name, 1, "", 1) for name in names)
    success = replace(_success(files[0]), files=files)

    assert success.file_names(".h5") == ["shard-00000.h5", "shard-00001.h5"]
    assert success.file_names(".jsonl") == ["shard-00000.jsonl"]
    assert success.file_names("") == ["shard-00000.h5", "shard-00001.h5", "shard-00000.jsonl"]
    assert list(success.by_name()) == names
    assert success.by_name()["labels.json"] is files[2]


def test_files_in_folders_below_count_and_foreign_files_do_not(tmp_path: Path) -> None:
    for name in ("media/a.mp4", "media/b.mp4", "manifest.jsonl"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name, encoding="utf-8")
    files = tuple(FileReceipt.of(tmp_path, name, 1) for name in ("manifest.jsonl", "media/a.mp4", "media/b.mp4"))
    success = replace(_success(files[0]), files=files)

    assert success.is_whole(tmp_path)
    (tmp_path / "media" / "c.mp4").touch()
    assert success.is_whole(tmp_path)
    (tmp_path / "media" / "b.mp4").unlink()
    assert not success.is_whole(tmp_path)
    (tmp_path / "media" / "b.mp4").mkdir()
    assert not success.is_whole(tmp_path)


def test_a_published_account_that_changes_is_read_again(tmp_path: Path) -> None:
    write_success(tmp_path, _success(_shard(tmp_path)))
    first = read_success(tmp_path)
    assert read_success(tmp_path) is first
    write_success(tmp_path, replace(_success(_shard(tmp_path)), seconds=3.0))
    second = read_success(tmp_path)
    assert second is not None
    assert second.seconds == 3.0
    assert read_success(tmp_path / "nowhere") is None


def test_seconds_of_work_are_those_of_all_runs_where_they_are_known(tmp_path: Path) -> None:
    success = _success(_shard(tmp_path))
    assert success.work_seconds == 2.0
    assert replace(success, timings={"wall_seconds": 12.5}).work_seconds == 12.5


def test_of_two_shards_with_one_key_the_one_without_transient_failures_is_taken(tmp_path: Path) -> None:
    def publish(folder: str, code: str, **changes: object) -> None:
        (tmp_path / folder).mkdir()
        path = tmp_path / folder / "shard-00000.h5"
        path.write_bytes(code.encode())
        tally = Tally.of([Outcome("a", "failed", code)])
        receipt = FileReceipt.of_shard(path, path.name, "key", tally)
        write_receipt(path.parent, replace(receipt, **changes))  # type: ignore[arg-type]  # fields of the receipt

    publish("a", "timeout")
    publish("b", "http_404")
    publish("c", "http_404")
    publish("d", "too_large", retry=True)
    publish("e", "too_large", key="")

    found = shards_by_key(tmp_path)

    assert {key: folder.name for key, (folder, _) in found.items()} == {"key": "b"}
    assert found["key"][1].transient_codes() == {}
    receipt = read_receipt(tmp_path / "a", "shard-00000.h5")
    assert receipt is not None
    assert receipt.transient_codes() == {"timeout": 1}
