"""What README and docs/inspect.md say of `inspect`."""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from pathlib import Path

import numpy as np

from features.base.outcomes import Outcome
from features.decoding.config import DecodeConfig
from features.formats.clip_data import ClipFeatures
from features.formats.hdf5_shard import ShardWriter
from features.inspect.inspect_file import inspect_path
from features.inspect.result import InspectQuery
from pipeline.commands.cli import build_parser
from tests.features.inspect.published import FEATURES, embeddings, text_embeddings
from tests.features.media import decode_to, downloaded, render_clip, render_picture

HOME = Path(__file__).resolve().parents[3]


def section() -> str:
    text = (HOME / "README.md").read_text(encoding="utf-8")
    return text.partition("## Inspect the features")[2].partition("\n## ")[0]


def test_six_lines_of_plain_h5py_read_a_clip(tmp_path: Path) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", section(), re.DOTALL)
    assert len([line for line in code.splitlines() if line]) == 6
    features = np.random.default_rng(0).normal(size=(8, 1280)).astype(np.float32)
    folder = tmp_path / "runs" / "extract-frames" / "latest"
    folder.mkdir(parents=True)
    with ShardWriter(folder / "shard-00000.h5", 1280, {"modality": "frames"}, has_tokens=False) as writer:
        for name, rows in (("another", features[:3]), ("jolly-drum-000", features), ("third", features[:1])):
            found = ClipFeatures(rows, (np.arange(len(rows)) / 2).astype(np.float32))
            writer.add(Outcome(name, "ok"), found, expected=len(rows), input_digest=bytes(32))

    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60
    )

    assert f"prints `{done.stdout.strip()}`" in section()


def test_every_option_that_is_named_exists_and_none_is_left_out() -> None:
    page = (HOME / "docs" / "inspect.md").read_text(encoding="utf-8")
    commands = build_parser()._subparsers
    assert commands is not None
    choices = commands._group_actions[0].choices
    assert isinstance(choices, dict)
    parser = choices["inspect"]
    assert isinstance(parser, argparse.ArgumentParser)
    known = {option for option in parser._option_string_actions if option.startswith("--")} - {"--help"}
    assert set(re.findall(r"--[a-z]+", page.partition("## Pictures")[0])) == known
    assert set(re.findall(r"--[a-z]+", section())) <= known


def test_the_pictures_that_are_named_are_those_that_are_drawn(tmp_path: Path) -> None:
    page = (HOME / "docs" / "inspect.md").read_text(encoding="utf-8")
    video, cover = render_clip(tmp_path / "a.mp4"), render_picture(tmp_path / "a.jpg")
    config = DecodeConfig(workers=1, motion_frames_per_second=10)
    decode_to(tmp_path / "a.tar", [downloaded(video, cover, clip_id="clip0")], config)
    embeddings(tmp_path / "a.h5", [FEATURES, FEATURES[1:], FEATURES[2:]]).close()
    text_embeddings(tmp_path / "b.h5", "x:y", [1, 2, 3], [0, 0, 0], FEATURES).close()
    query = InspectQuery(decoded=tmp_path / "a.tar")
    drawn = {
        drawing.name for name in ("a.tar", "a.h5", "b.h5") for drawing in inspect_path(tmp_path / name, query).drawings
    }
    assert set(re.findall(r"^\| `(\w+)\.png`", page, re.MULTILINE)) == drawn
