"""Extraction straight from the media, and text that is read from them."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from features.base.files import sha256_of
from features.formats.hdf5_shard import ShardReader
from tests.end_to_end.run import SMALL, Workplace
from tests.features.backbones.tiny_audio import save_speech

if TYPE_CHECKING:
    from pathlib import Path

MEDIA_MODALITIES = ("frames", "audio", "cover")
ONE_PASS = {**SMALL, "decode": {**SMALL["decode"], "store": "false"}}


def _copy(finished: Workplace, folder: Path, *stages: str) -> Workplace:
    """Return a place in which some stages of another are done."""
    place = Workplace(folder)
    for name in ("sample", "manifest", *stages):
        shutil.copytree(finished.root / name, place.root / name, symlinks=True)
    return place


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
    place, corpus = Workplace(tmp_path), tmp_path / "corpus"
    shutil.copytree(finished.root / "sample" / "latest", corpus)
    own = {"corpus": {"manifest": str(corpus / "manifest.jsonl")}}
    place.configure({**ONE_PASS, **own})
    assert place.luigi("Download").returncode == 0
    # A file that is away for a while is a failure that may pass.
    video = corpus / json.loads(_lines(corpus / "manifest.jsonl")[1])["video"]
    video.rename(video.with_suffix(".away"))
    lacking = place.luigi("Extract", "--modality", "frames")
    assert lacking.returncode == 0, lacking.stdout
    success = json.loads((place.root / "extract-frames" / "latest" / "_SUCCESS.json").read_text(encoding="utf-8"))
    assert success["codes"]["file_missing"] == 1
    video.with_suffix(".away").rename(video)

    retried = place.pipeline("retry")
    assert retried.returncode == 0, retried.stderr
    receipt = place.root / "extract-frames" / "latest" / "shard-00000.receipt.json"
    # Of twelve clips, all but the one that was away and two that are broken at most.
    assert 9 <= json.loads(receipt.read_text(encoding="utf-8"))["taken_over"] <= 11
    done = place.luigi("RunAll")

    assert done.returncode == 0, done.stdout
    assert not (place.root / "decode").exists()
    assert list(place.root.rglob(".tmp-*")) == []
    assert len(_embedded(place.root)) == 3 * len(MEDIA_MODALITIES)
    assert _embedded(place.root) == _embedded(finished.root)
    # What the report shows of wrong answers is decoded for it.
    report = (place.root / "evaluate" / "latest" / "report.html").read_text(encoding="utf-8")
    assert "data:image/jpeg" in report
    assert "Did not run any tasks" in place.luigi("RunAll").stdout

    # Going back to stored clips embeds nothing again.
    place.configure({**SMALL, **own})
    staged = place.luigi("Extract", "--modality", "cover")
    assert staged.returncode == 0, staged.stdout
    assert "decode          done" in staged.stdout
    assert "(31 clips reused)" in staged.stdout
    assert _embedded(place.root) == _embedded(finished.root)


def test_text_that_is_read_from_pictures_and_sound_joins_the_titles(finished: Workplace, tmp_path: Path) -> None:
    pytest.importorskip("rapidocr", reason="reads the text in the pictures")
    place = _copy(finished, tmp_path, "download", "decode")
    sections = {
        **SMALL,
        "ocr": {"backbone": "rapidocr:PP-OCRv6", "interval_seconds": "100"},
        "asr": {"backbone": save_speech(tmp_path / "whisper"), "max_new_tokens": "4", "language": "en"},
    }
    place.configure(sections)

    done = place.luigi("Extract", "--modality", "text")

    assert done.returncode == 0, done.stdout
    codes: dict[str, set[str]] = {}
    for field in ("ocr", "asr"):
        shards = sorted((place.root / f"recognize-{field}" / "latest").glob("shard-*.jsonl"))
        lines: list[dict[str, Any]] = [json.loads(line) for path in shards for line in _lines(path)]
        makers, rows = ([line for line in lines if ("made_by" in line) == first] for first in (True, False))
        assert (len(makers), len(rows)) == (3, 32)
        assert {len(maker["made_by"]["weights_sha256"]) for maker in makers} == {64}
        codes[field] = {row["code"] for row in rows}
    assert "no_text_found" in codes["ocr"]
    assert {"", "no_audio"} <= codes["asr"]
    readers = [ShardReader(path) for path in (place.root / "extract-text" / "latest").glob("shard-*.h5")]
    fields = {
        int(field) for reader in readers for clip in range(len(reader)) for field in reader.column("field_id", clip)
    }
    assert {0, 1} <= fields
    assert "Did not run any tasks" in place.luigi("Extract", "--modality", "text").stdout


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines()
