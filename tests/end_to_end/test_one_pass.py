"""Extraction straight from the media, and text that is read from the pictures."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest

from features.files import sha256_of
from tests.end_to_end.run import SMALL, Workplace

if TYPE_CHECKING:
    from pathlib import Path

MEDIA_MODALITIES = ("frames", "audio", "cover")


def _embedded(root: Path) -> dict[str, str]:
    """Digest of every embedding shard of the media, by stage and name."""
    return {
        f"{modality}/{path.name}": sha256_of(path)
        for modality in MEDIA_MODALITIES
        for path in sorted((root / f"extract-{modality}" / "latest").glob("shard-*.h5"))
    }


def test_nothing_decoded_is_kept_and_every_embedding_is_the_same_byte_for_byte(
    finished: Workplace, tmp_path: Path
) -> None:
    pytest.importorskip("rapidocr", reason="reads the text in the pictures")
    place = Workplace(tmp_path)
    for name in ("sample", "manifest", "download"):
        shutil.copytree(finished.root / name, place.root / name, symlinks=True)
    one_pass = {**SMALL, "decode": {**SMALL["decode"], "store": "false"}}
    place.configure({**one_pass, "ocr": {"backbone": "rapidocr:PP-OCRv6", "interval_seconds": "100"}})

    done = place.luigi("RunAll")

    assert done.returncode == 0, done.stdout
    assert not (place.root / "decode").exists()
    assert list(place.root.rglob(".tmp-*")) == []
    assert len(_embedded(place.root)) == 3 * len(MEDIA_MODALITIES)
    assert _embedded(place.root) == _embedded(finished.root)
    # What the report shows of wrong answers is decoded for it.
    report = (place.root / "evaluate" / "latest" / "report.html").read_text(encoding="utf-8")
    assert "data:image/jpeg" in report
    shards = sorted((place.root / "recognize-ocr" / "latest").glob("shard-*.jsonl"))
    rows = [json.loads(line) for path in shards for line in path.read_text(encoding="utf-8").splitlines()]
    assert len(rows) == 32
    assert {row["code"] for row in rows} >= {"no_text_found"}
    second = place.luigi("RunAll")
    assert "Did not run any tasks" in second.stdout

    # Going back to stored clips embeds nothing again.
    place.configure(SMALL)
    staged = place.luigi("Extract", "--modality", "audio")
    assert staged.returncode == 0, staged.stdout
    assert "decode          done" in staged.stdout
    assert _embedded(place.root) == _embedded(finished.root)
