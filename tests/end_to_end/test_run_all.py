"""The whole pipeline on a small embedded corpus, through the command that people type."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import h5py
import numpy as np
import pytest

from features.base.files import sha256_of
from features.formats.hdf5_shard import ShardReader
from tests.end_to_end.run import Workplace, wait_until

if TYPE_CHECKING:
    from pathlib import Path

CATEGORY_KEYS = {"accuracy", "macro_precision", "macro_recall", "macro_f1", "gap_at_20", "map"}
TAG_KEYS = {
    *("gap_at_20", "map", "micro_precision", "micro_recall", "micro_f1"),
    *("macro_precision_all_tags", "macro_recall_all_tags", "macro_f1_all_tags"),
}


def _published(root: Path) -> dict[str, str]:
    """Digest of every shard that was published, by path."""
    files = [*root.glob("*/*/shard-*.h5"), *root.glob("*/*/shard-*.tar"), *root.glob("*/*/shard-*.jsonl")]
    return {str(path.relative_to(root)): sha256_of(path) for path in files if not path.parent.is_symlink()}


def test_metrics_follow_the_contract(finished: Workplace) -> None:
    metrics = json.loads((finished.root / "evaluate" / "latest" / "metrics.json").read_text(encoding="utf-8"))

    assert metrics["split"] == "test"
    assert metrics["num_clips"] > 0
    assert set(metrics["baselines"]) == {"majority", "logistic_regression"}
    for block in (metrics, *metrics["baselines"].values()):
        assert set(block["category"]) == CATEGORY_KEYS
        assert set(block["tags"]) == TAG_KEYS
        assert all(0 <= value <= 1 for value in [*block["category"].values(), *block["tags"].values()])


def test_every_clip_is_accounted_for_in_every_stage(finished: Workplace) -> None:
    rows = (finished.root / "sample" / "latest" / "manifest.jsonl").read_text(encoding="utf-8").splitlines()
    ids = [json.loads(row)["id"] for row in rows]

    for modality in ("frames", "audio", "cover", "text"):
        folder = finished.root / f"extract-{modality}" / "latest"
        success = json.loads((folder / "_SUCCESS.json").read_text(encoding="utf-8"))
        readers = [ShardReader(path) for path in sorted(folder.glob("shard-*.h5"))]
        assert [clip_id for reader in readers for clip_id in reader.clip_ids] == ids
        assert sum(success["totals"].values()) == len(ids)


def test_broken_files_are_outcomes_and_missing_modalities_are_none(finished: Workplace) -> None:
    success = json.loads((finished.root / "decode" / "latest" / "_SUCCESS.json").read_text(encoding="utf-8"))

    assert {"not_a_video", "empty_file", "truncated", "cover_not_a_picture"} <= set(success["codes"])
    assert success["totals"]["failed"] == 2


def test_the_shards_open_with_plain_h5py_as_documented(finished: Workplace) -> None:
    with h5py.File(finished.root / "extract-text" / "latest" / "shard-00000.h5") as file:
        assert set(file) == {
            "clip_id", "code", "expected", "features", "field_id", "input_digest", "offsets", "status",
            "time_seconds", "token_id",
        }  # fmt: skip
        start, end = file["offsets"][:2]
        tokens = file["features"][start:end]
        assert tokens.shape == (end - start, 384)
        assert file["token_id"].shape == (len(file["features"]),)
        assert file.attrs["backbone"] == "bundled:all-minilm-l6-v2"
        assert len(file.attrs["weights_sha256"]) == 64


def test_predictions_hold_scores_and_unit_embeddings(finished: Workplace) -> None:
    folder = finished.root / "predict" / "latest"
    with h5py.File(folder / "shard-00000.h5") as file:
        embedding, scores = file["embedding"][:], file["category_scores"][:]
    lines = (folder / "predictions.jsonl").read_text(encoding="utf-8").splitlines()

    np.testing.assert_allclose(np.linalg.norm(embedding, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(scores.sum(axis=1), 1, atol=1e-5)
    assert len(lines) == 32
    assert 0 <= json.loads(lines[0])["categories"][0][1] <= 1


def test_the_report_is_one_file_that_asks_for_nothing(finished: Workplace) -> None:
    text = (finished.root / "evaluate" / "latest" / "report.html").read_text(encoding="utf-8")

    assert "logistic" in text
    assert "<script" not in text
    assert 'src="http' not in text
    assert 'href="http' not in text


def test_a_second_run_runs_nothing(finished: Workplace) -> None:
    before = _published(finished.root)

    done = finished.luigi("RunAll")

    assert done.returncode == 0, done.stdout
    assert "Did not run any tasks" in done.stdout
    assert _published(finished.root) == before


def test_rm_of_one_shard_rebuilds_it_alone_and_byte_for_byte(finished: Workplace) -> None:
    before = _published(finished.root)
    folder = (finished.root / "extract-audio" / "latest").resolve()
    times = {path.name: path.stat().st_mtime_ns for path in folder.glob("shard-*.h5")}
    (folder / "shard-00001.h5").unlink()

    done = finished.luigi("RunAll")

    assert done.returncode == 0, done.stdout
    assert _published(finished.root) == before
    changed = {path.name for path in folder.glob("shard-*.h5") if times[path.name] != path.stat().st_mtime_ns}
    assert changed == {"shard-00001.h5"}
    assert "1 Extract(modality=audio)" in done.stdout
    assert "train           done" not in done.stdout


def test_status_inspect_and_doctor_look_at_it(finished: Workplace) -> None:
    status = finished.pipeline("status", "--json")
    shard = finished.root / "extract-frames" / "latest" / "shard-00000.h5"
    inspect = finished.pipeline("inspect", str(shard), "--png", "heat.png")
    doctor = finished.pipeline("doctor")

    assert status.returncode == 0, status.stderr
    stages = json.loads(status.stdout)["stages"]
    assert {row["state"] for row in stages} == {"complete"}
    assert [row["stage"] for row in stages][-1] == "evaluate"
    assert inspect.returncode == 0, inspect.stderr
    assert "bundled:efficientnet_lite0" in inspect.stdout
    assert (finished.folder / "heat.png").read_bytes()[:4] == b"\x89PNG"
    assert doctor.returncode == 0, doctor.stdout
    assert "a run can start" in doctor.stdout


def test_another_frame_rate_changes_no_sound(finished: Workplace) -> None:
    before = _published(finished.root)

    done = finished.luigi("Extract", "--modality", "audio", "--decode-frames-per-second", "0.5")

    assert done.returncode == 0, done.stdout
    assert "decode          done" in done.stdout
    assert "(30 clips reused)" in done.stdout
    shards = [digest for path, digest in before.items() if path.startswith("extract-audio")]
    again = [sha256_of(path) for path in (finished.root / "extract-audio" / "latest").glob("shard-*.h5")]
    assert sorted(again) == sorted(shards)
    assert finished.luigi("RunAll").returncode == 0


def test_another_setting_of_training_keeps_every_embedding(finished: Workplace) -> None:
    before = _published(finished.root)

    done = finished.luigi("Train", "--network-frames-aggregator", "mean")

    assert done.returncode == 0, done.stdout
    assert "train           done" in done.stdout
    assert "extract" not in done.stdout
    assert {path: digest for path, digest in _published(finished.root).items() if path in before} == before


def test_a_training_that_was_killed_goes_on_after_its_last_epoch(finished: Workplace) -> None:
    command = ("Train", "--train-seed", "5", "--train-epochs", "12", "--train-patience-epochs", "0")
    before = set(finished.root.glob("train/*"))
    with finished.start(*command) as process:
        wait_until(lambda: any(len(_history(folder)) >= 3 for folder in set(finished.root.glob("train/*")) - before))
        process.kill()
    (folder,) = (path for path in set(finished.root.glob("train/*")) - before if not path.is_symlink())
    first, seconds = _history(folder), _seconds(folder)
    assert len(first) < 12

    done = finished.luigi(*command)

    assert done.returncode == 0, done.stdout
    history = _history(folder)
    assert [row["epoch"] for row in history] == list(range(1, 13))
    assert history[: len(first)] == first
    # What was done before the kill was not done again, save the epoch whose state was not saved yet.
    assert _seconds(folder)[: len(first) - 1] == seconds[:-1]
    assert not (folder / "resume.pt").exists()


@pytest.mark.parametrize(
    "lost", ["train/latest/model.safetensors", "train/latest/history.jsonl", "manifest/latest/_SUCCESS.json"]
)
def test_a_lost_file_is_made_again_by_the_same_command(finished: Workplace, lost: str) -> None:
    # Single stages of other tests may have moved "latest".
    assert finished.luigi("RunAll").returncode == 0
    before = _published(finished.root)
    digest = sha256_of(finished.root / "train" / "latest" / "model.safetensors")
    (finished.root / lost).resolve().unlink()

    done = finished.luigi("RunAll")

    assert done.returncode == 0, done.stdout
    assert "Traceback" not in done.stdout
    assert _published(finished.root) == before
    assert sha256_of(finished.root / "train" / "latest" / "model.safetensors") == digest
    assert "predict         done" not in done.stdout


def test_force_runs_a_stage_and_what_is_below_it_again(finished: Workplace) -> None:
    before = _published(finished.root)

    done = finished.luigi("RunAll", "--force", "Predict")

    assert done.returncode == 0, done.stdout
    ran = [line.split()[0] for line in done.stdout.splitlines() if " done in " in line]
    assert ran == ["predict", "evaluate"]
    assert _published(finished.root) == before


def _seconds(folder: Path) -> list[float]:
    rows = (folder / "history.jsonl").read_text(encoding="utf-8").splitlines()
    return [float(json.loads(row)["seconds"]) for row in rows]


def _history(folder: Path) -> list[dict[str, object]]:
    path = folder / "history.jsonl"
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []
    # An epoch that was killed before its state was saved is run again: the same in all but the time it took.
    return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]


def test_verify_finds_a_flipped_bit_and_a_truncated_shard_and_the_next_run_mends_them(finished: Workplace) -> None:
    assert finished.luigi("RunAll").returncode == 0
    before = _published(finished.root)
    flipped = (finished.root / "decode" / "latest" / "shard-00000.tar").resolve()
    cut = (finished.root / "extract-text" / "latest" / "shard-00001.h5").resolve()
    content = bytearray(flipped.read_bytes())
    content[len(content) // 2] ^= 1
    flipped.write_bytes(content)
    cut.write_bytes(cut.read_bytes()[:100])

    found = finished.pipeline("verify", "--json")
    done = finished.luigi("RunAll")
    again = finished.pipeline("verify")

    assert found.returncode == 1, found.stderr
    damages = json.loads(found.stdout)["damages"]
    assert [(item["path"], item["problem"]) for item in damages] == [
        (str(flipped.relative_to(finished.root)), "content"),
        (str(cut.relative_to(finished.root)), "size"),
    ]
    assert done.returncode == 0, done.stdout
    assert _published(finished.root) == before
    assert again.returncode == 0, again.stdout
    assert "every one is as it was published" in again.stdout
