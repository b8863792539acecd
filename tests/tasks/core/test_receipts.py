from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

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
