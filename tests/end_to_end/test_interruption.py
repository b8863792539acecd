"""A run that is stopped or killed is finished by the same command, and bad input ends in one clear line."""

from __future__ import annotations

import json
import os
import signal
from typing import TYPE_CHECKING

import psutil
import pytest

from features.base.files import sha256_of
from tests.end_to_end.run import SMALL, WAIT_SECONDS, Workplace, wait_until

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

AUDIO = ("Extract", "--modality", "audio")


def _published(workplace: Workplace) -> dict[str, str]:
    return {
        str(path.relative_to(workplace.root)): sha256_of(path)
        for suffix in ("tar", "h5")
        for path in workplace.root.glob(f"*/*/shard-*.{suffix}")
        if not path.parent.is_symlink()
    }


def _leftovers(workplace: Workplace) -> list[Path]:
    return list(workplace.root.glob("**/.tmp-*"))


def _start_until_first_decoded_shard(workplace: Workplace) -> subprocess.Popen[str]:
    process = workplace.start(*AUDIO)
    wait_until(lambda: any(workplace.root.glob("decode/*/shard-00000.receipt.json")) or process.poll() is not None)
    assert process.poll() is None
    return process


@pytest.mark.parametrize("how", ["SIGTERM to luigi", "SIGINT to luigi", "SIGKILL to luigi", "SIGKILL to the stage"])
def test_the_same_command_finishes_a_stopped_run(workplace: Workplace, how: str) -> None:
    with _start_until_first_decoded_shard(workplace) as process:
        family = psutil.Process(process.pid).children(recursive=True)
        first = next(workplace.root.glob("decode/*/shard-00000.tar"))
        made_at = first.stat().st_mtime_ns
        children = psutil.Process(process.pid).children()
        stage = [child for child in children if child.status() != psutil.STATUS_ZOMBIE]
        target = stage[0].pid if how.endswith("stage") else process.pid
        os.kill(target, getattr(signal, how.split(maxsplit=1)[0]))
        output, _ = process.communicate(timeout=WAIT_SECONDS)
    wait_until(lambda: not any(child.is_running() and child.status() != psutil.STATUS_ZOMBIE for child in family))

    done = workplace.luigi(*AUDIO)

    expected = {"SIGTERM": 143, "SIGINT": 130, "SIGKILL": -9}[how.split(maxsplit=1)[0]]
    assert process.returncode == (30 if how.endswith("stage") else expected), output
    assert "Traceback" not in output
    assert done.returncode == 0, done.stdout
    assert first.stat().st_mtime_ns == made_at
    assert len(_published(workplace)) == 6
    assert _leftovers(workplace) == []


def test_two_runs_on_one_root_do_not_meet(workplace: Workplace) -> None:
    with _start_until_first_decoded_shard(workplace) as process:
        # It holds the root however long the second one takes to start.
        process.send_signal(signal.SIGSTOP)
        second = workplace.luigi(*AUDIO)
        process.send_signal(signal.SIGCONT)
        process.communicate(timeout=WAIT_SECONDS)

    assert second.returncode == 10
    assert f"is in use by process {process.pid}" in second.stdout
    assert process.returncode == 0


def test_a_missing_manifest_exits_20_and_is_named(workplace: Workplace) -> None:
    workplace.configure({**SMALL, "corpus": {"manifest": "nowhere/clips.jsonl"}})

    done = workplace.luigi("RunAll")

    assert done.returncode == 20, done.stdout
    assert "error: cannot read the manifest" in done.stdout
    assert "nowhere/clips.jsonl: there is nothing of this name; set [corpus] manifest" in done.stdout
    assert "Traceback" not in done.stdout


def test_a_failed_stage_exits_30_and_says_why(workplace: Workplace) -> None:
    workplace.configure({**SMALL, "download": {"max_failed_fraction": "0"}})

    done = workplace.luigi("Download")

    assert done.returncode == 30, done.stdout
    assert "Download failed: 2 of 32 clips failed" in done.stdout
    assert "max_failed_fraction = 0" in done.stdout
    assert "Traceback" not in done.stdout


@pytest.mark.parametrize(
    ("section", "values", "message"),
    [
        ("decode", {"frame_rate": "2"}, "unknown setting 'frame_rate' in [decode]"),
        ("decode", {"ffmpeg": "/nowhere/ffmpeg"}, "ffmpeg is not an executable at '/nowhere/ffmpeg'"),
        ("extract_frames", {"backbone": "bundled:resnet9000"}, "unknown bundled frames backbone 'resnet9000'"),
        ("extract_text", {"backbone": "transformers:./no-such-folder"}, "no-such-folder"),
        ("extract_frames", {"backbone": "torchvision:resnet9000"}, "unknown torchvision backbone 'resnet9000'"),
        ("decode", {"workers": "-1"}, "workers is -1"),
        ("features", {"modalities": "smell"}, "modalities is 'smell'"),
        ("manifest", {"validation_fraction": "nan"}, "validation_fraction is 'nan': expected a number"),
        ("paths", {"root": ""}, "root is empty"),
        ("Train", {"epochs": "2"}, "unknown section [Train] in the configuration: write [train]"),
        ("network", {"frames_aggregator": "lstm9000"}, "unknown frames_aggregator 'lstm9000'"),
    ],
)
def test_a_wrong_setting_exits_40_before_anything_runs(
    workplace: Workplace, section: str, values: dict[str, str], message: str
) -> None:
    workplace.configure({**SMALL, section: values})

    done = workplace.luigi("RunAll")

    assert done.returncode == 40, done.stdout
    errors = [line for line in done.stdout.splitlines() if line.startswith("error:")]
    assert len(errors) == 1, done.stdout
    assert message in errors[0]
    assert "Traceback" not in done.stdout
    assert not list(workplace.root.glob("*/*"))


def test_rejected_rows_are_listed_with_line_and_reason(workplace: Workplace) -> None:
    lines = [
        '{"id": "a", "text": "一只猫在睡觉", "category": "cat", "tags": []}',
        "this is no JSON",
        '{"text": "no id", "category": "cat"}',
        '{"id": "b", "video": "one.mp4", "text": "", "category": "cat"}',
        '{"id": "b", "video": "two.mp4", "category": "cat"}',
        '{"id": "c", "tags": "red", "category": "cat"}',
        '{"id": "d", "category": "dog"}',
    ]
    (workplace.folder / "clips.jsonl").write_text("\n".join(lines), encoding="utf-8")
    workplace.configure({"corpus": {"manifest": "clips.jsonl"}})

    done = workplace.luigi("Manifest")

    assert done.returncode == 0, done.stdout
    folder = workplace.root / "manifest" / "latest"
    rejected = [json.loads(line) for line in (folder / "rejected.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [(row["line"], row["code"]) for row in rejected] == [
        (2, "invalid_json"),
        (3, "missing_id"),
        (5, "conflicting_video"),
        (6, "wrong_type"),
        (7, "rare_category"),
    ]
    records = (folder / "shard-00000.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(row)["clip_id"] for row in records] == ["a", "b", "d"]
    assert json.loads(records[0])["title"] == "一只猫在睡觉"


def _own_corpus(folder: Path, *, with_media: bool) -> Path:
    """Write a manifest of four clips; all of them lack their video unless ``with_media``."""
    folder.mkdir()
    rows = [{"id": f"clip-{number}", "video": f"{number}.mp4", "category": "a"} for number in range(4)]
    (folder / "clips.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    if with_media:
        for number in range(4):
            (folder / f"{number}.mp4").write_bytes(b"\0\0\0\x18ftypmp42" + bytes([number]) * 100)
    return folder / "clips.jsonl"


def test_the_same_command_succeeds_once_the_cause_of_a_failed_stage_is_mended(workplace: Workplace) -> None:
    manifest = _own_corpus(workplace.folder / "corpus", with_media=False)
    workplace.configure({"corpus": {"manifest": str(manifest)}})
    failed = workplace.luigi("Download")
    _own_corpus(workplace.folder / "elsewhere", with_media=True)
    for path in (workplace.folder / "elsewhere").glob("*.mp4"):
        path.rename(manifest.parent / path.name)

    done = workplace.luigi("Download")

    assert failed.returncode == 30
    assert "4 of 4 clips failed (4 file_missing)" in failed.stdout
    assert done.returncode == 0, done.stdout
    assert "4 ok" in done.stdout


def test_the_same_manifest_beside_other_files_is_another_corpus(workplace: Workplace) -> None:
    good = _own_corpus(workplace.folder / "good", with_media=True)
    bad = _own_corpus(workplace.folder / "bad", with_media=False)
    workplace.configure({"corpus": {"manifest": str(good)}})
    assert workplace.luigi("Download").returncode == 0
    workplace.configure({"corpus": {"manifest": str(bad)}})

    done = workplace.luigi("Download")

    assert done.returncode == 30, done.stdout


def test_a_corpus_of_titles_alone_can_be_learnt(workplace: Workplace) -> None:
    words = {"cat": "a small cat on the sofa number", "dog": "the big dog in the park number"}
    rows = [
        {"id": f"{label}-{number}", "text": f"{text} {number}", "category": label}
        for label, text in words.items()
        for number in range(12)
    ]
    (workplace.folder / "clips.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    workplace.configure(
        {"corpus": {"manifest": "clips.jsonl"}, "features": {"modalities": "text"}, "train": SMALL["train"]}
    )

    done = workplace.luigi("RunAll")

    assert done.returncode == 0, done.stdout
    metrics = json.loads((workplace.root / "evaluate" / "latest" / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["tags"] is None
    assert metrics["baselines"]["logistic_regression"]["category"]["accuracy"] == 1.0


def test_a_root_that_cannot_be_a_folder_exits_40(workplace: Workplace) -> None:
    (workplace.folder / "file").write_text("", encoding="utf-8")
    workplace.configure({**SMALL, "paths": {"root": "file/runs"}})

    done = workplace.luigi("RunAll")

    assert done.returncode == 40, done.stdout
    assert "cannot be used (Not a directory): set [paths] root" in done.stdout
    assert "Traceback" not in done.stdout


def test_a_configuration_file_that_is_not_there_exits_40(workplace: Workplace) -> None:
    (workplace.folder / "test.cfg").unlink()

    done = workplace.luigi("RunAll")

    assert done.returncode == 40, done.stdout
    assert "LUIGI_CONFIG_PATH is" in done.stdout
    assert not workplace.root.exists()
