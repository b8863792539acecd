from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from pipeline.commands.cli import main

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    Configure = Callable[[Mapping[str, Mapping[str, str]]], None]


def test_status_of_an_untouched_root(configure: Configure, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    configure({})

    assert main(["status", "--json"]) == 0
    status = json.loads(capsys.readouterr().out)

    assert status["running_process"] is None
    assert {row["state"] for row in status["stages"]} == {"missing"}
    assert [row["stage"] for row in status["stages"]] == [
        "sample", "manifest", "download", "decode",
        "extract-frames", "extract-audio", "extract-cover", "extract-text", "train", "predict", "evaluate",
    ]  # fmt: skip
    assert not (tmp_path / "root").exists()


def test_status_without_the_manifest_says_what_is_missing(
    configure: Configure, capsys: pytest.CaptureFixture[str]
) -> None:
    configure({"corpus": {"manifest": "/nowhere/clips.jsonl"}})

    assert main(["status"]) == 0

    assert "waits for the manifest" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["inspect", "nowhere.h5"], "nowhere.h5 is not a file: give a shard"),
        (["inspect", __file__], "is not a shard: inspect reads .h5"),
    ],
)
def test_inspect_of_what_is_no_shard(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 40

    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert message in error
    assert len(error.splitlines()) == 1


def test_inspect_of_a_damaged_shard_says_how_to_rebuild_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "shard-00000.h5"
    path.write_bytes(b"no HDF5 at all")

    assert main(["inspect", str(path)]) == 40

    assert "cannot be opened" in capsys.readouterr().err


def test_doctor_names_faults_and_exits_1(configure: Configure, capsys: pytest.CaptureFixture[str]) -> None:
    configure({"decode": {"ffmpeg": "/nowhere/ffmpeg"}, "corpus": {"manifest": "/nowhere/clips.jsonl"}})

    assert main(["doctor", "--json"]) == 1
    findings = {row["what"]: row for row in json.loads(capsys.readouterr().out)}

    assert findings["ffmpeg"]["state"] == "fault"
    assert "/nowhere/ffmpeg" in findings["ffmpeg"]["detail"]
    assert findings["manifest"]["state"] == "fault"
    assert findings["torch"]["state"] == "good"


def test_doctor_loads_each_network_when_asked_to(configure: Configure, capsys: pytest.CaptureFixture[str]) -> None:
    modalities = {"features": {"modalities": "audio"}}
    configure(modalities)
    main(["doctor", "--json", "--load"])
    assert _finding(capsys, "extract_audio") == ("good", "dsp:logmel, 128 wide, numpy")
    configure({**modalities, "extract_audio": {"backbone": "transformers:/nowhere"}})
    assert main(["doctor", "--json", "--load"]) == 1
    state, detail = _finding(capsys, "extract_audio")
    assert state == "fault"
    assert "model folder '/nowhere' does not exist" in detail


def _finding(capsys: pytest.CaptureFixture[str], what: str) -> tuple[str, str]:
    found = {row["what"]: (row["state"], row["detail"]) for row in json.loads(capsys.readouterr().out)}
    state, detail = found[what]
    return str(state), str(detail)


def test_doctor_names_an_unknown_setting(configure: Configure, capsys: pytest.CaptureFixture[str]) -> None:
    configure({"train": {"epoch": "3"}})

    assert main(["doctor"]) == 1

    assert "unknown setting 'epoch' in [train]: did you mean 'epochs'?" in capsys.readouterr().out


def test_settings_prints_the_reference(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["settings"]) == 0

    assert "| `frames_per_second` | number | `2.0` |" in capsys.readouterr().out
