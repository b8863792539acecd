from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np

from features.formats.records import ClipRecord
from tasks.stages import train as train_module
from tasks.stages.manifest import Manifest
from tasks.stages.train import Train
from tasks.training.training_job import TrainingData

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    import pytest

NUM_CLIPS = 12


def test_records_are_parsed_once_for_splits_and_labels(
    configure: Callable[[Mapping[str, Mapping[str, str]]], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = tmp_path / "clips.jsonl"
    rows = [{"id": f"clip-{i}", "url": f"https://host.test/{i}.mp4", "category": "ab"[i % 2]} for i in range(NUM_CLIPS)]
    manifest.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    configure({"corpus": {"manifest": str(manifest)}, "manifest": {"min_clips_per_label": "1"}})
    Manifest().run()
    monkeypatch.setattr(train_module, "shard_paths", dict)
    num_parsed = 0
    parse = ClipRecord.from_line

    def count(line: str) -> ClipRecord:
        nonlocal num_parsed
        num_parsed += 1
        return parse(line)

    monkeypatch.setattr(ClipRecord, "from_line", count)
    data = Train().training_data()
    assert data.labels.category_names == ("a", "b")
    assert num_parsed == NUM_CLIPS

    # A process that gets the data as a file reads the records itself, and finds the same labels.
    data.write(tmp_path / "data.json")
    other = TrainingData.read(tmp_path / "data.json")
    np.testing.assert_array_equal(other.labels.category, data.labels.category)
    assert num_parsed == 2 * NUM_CLIPS
