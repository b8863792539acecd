"""A modality that no clip has: it is missing and not failed, and the stages say how it is left out."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from features.base.outcomes import Outcome, Tally
from features.formats.clip_data import ClipFeatures
from pipeline.commands.status import read_status, render_status
from pipeline.summary import closing_table
from tasks.core.receipts import FileReceipt, Success
from tasks.core.sharded import absent_modalities
from tasks.stages.absence import corpus_remarks
from tasks.stages.decode import Decode
from tasks.stages.download import Download
from tasks.stages.evaluate import Evaluate
from tasks.stages.extract import Extract
from tasks.stages.manifest import Manifest
from tasks.stages.recognize import Recognize
from tests.features.media import render_clip
from tests.tasks.stages.small import sections_of, write_manifest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from tests.tasks.stages.small import Configure

pytestmark = pytest.mark.usefixtures("in_this_process")
# The record of a stage that ran over no clip.
EMPTY = Success("", "f", {}, (), {}, {}, "now", 1.0, 1)


class _Counting:
    """An extractor without a network: one row of the width 2 for a clip that has the modality."""

    dim = 2
    network_seconds = 0.0
    provenance = dict.fromkeys(("backbone", "weights_sha256", "preprocessing", "runtime", "versions"), "none")

    def extract(self, clips: Iterable[object]) -> Iterator[ClipFeatures]:
        for clip in clips:
            rows = 0 if clip is None else 1
            yield ClipFeatures(np.zeros((rows, 2), np.float32), np.zeros(rows, np.float32))


@pytest.fixture
def sounds(configure: Configure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Two clips of sound alone, to be decoded with streams for frames and motion; return the modalities in use."""
    monkeypatch.setattr("features.backbones.extractor.extractor.load_extractor", lambda _: _Counting())
    render_clip(tmp_path / "a.m4a", seconds=0.3, picture=False)
    rows = [{"id": name, "video": "a.m4a", "text": "heard", "category": "x"} for name in ("a", "b")]
    (tmp_path / "clips.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    names = ["frames", "motion", "audio", "cover"]
    configure(
        {
            "corpus": {"manifest": str(tmp_path / "clips.jsonl")},
            "features": {"modalities": ", ".join(names)},
            "decode": {"motion_frames_per_second": "4", "max_failed_fraction": "0"},
        }
    )
    for stage in (Manifest(), Download()):
        stage.run()
    return names


def test_a_corpus_of_sounds_runs_and_says_what_it_lacks(sounds: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    nothing = "frames (2 no_video_stream), motion (2 no_video_stream)"
    rest = "leave them out with [features] modalities = audio, cover"
    Decode().run()
    assert f"decode          not in this corpus: {nothing}; {rest}\n" in capsys.readouterr().err

    stages = [Extract(modality=name) for name in sounds]
    for stage in stages:
        stage.run()

    assert [(stage.published_success().totals, stage.published_success().codes) for stage in stages] == [
        ({"ok": 2, "partial": 0, "failed": 0}, {code: 2} if code else {})
        for code in ("no_video_stream", "no_video_stream", "", "no_cover")
    ]
    said = capsys.readouterr().err
    assert "extract-cover   not in this corpus: cover (2 no_cover); leave it out with" in said
    assert "extract-audio   not in" not in said
    line = f"not in this corpus: {nothing}, cover (2 no_cover); leave them out with [features] modalities = audio"
    assert read_status()["remarks"] == [line]
    assert render_status(read_status()).endswith(f"\n\n{line}")
    assert closing_table([Download(), Decode(), *stages]).endswith(f"\n\n{line}")
    # The report lists clips with which something is wrong.
    assert Evaluate()._failures() == ([], 0)


def test_a_modality_that_some_clips_have_is_not_remarked_on() -> None:
    failed, lacking = Outcome("a", "failed", "http_404"), Outcome("b", "ok", "no_cover")
    for outcomes, absent in {
        (lacking, lacking): ["cover"],
        # Clips that failed tell nothing about what the others have.
        (failed, lacking): ["cover"],
        (failed, failed): [],
        (lacking, Outcome("c", "ok")): [],
        # A file with neither picture nor sound has failed; the other one has its frames.
        (Outcome("a", "failed", "no_video_stream"), Outcome("b", "ok")): [],
        (Outcome("a", "partial", "no_video_stream"), Outcome("b", "ok", "no_video")): ["frames"],
    }.items():
        receipts = [FileReceipt("shard", 1, "", len(outcomes), "", tally.counts, tally.codes, tally.problems)
                    for tally in [Tally.of(outcomes)]]  # fmt: skip
        assert absent_modalities(receipts, ["frames", "cover"]) == absent


@pytest.mark.parametrize(
    ("sections", "way_out"),
    [
        ({}, "leave it out with [features] modalities = frames, audio, text"),
        ({"features": {"modalities": "cover"}}, "[features] modalities names nothing else: name another of frames"),
        ({"features": {"modalities": "text"}}, ""),
        ({"predict": {"checkpoint": "somewhere"}}, "the network of [predict] checkpoint scores without it"),
    ],
)
def test_the_way_out_is_a_setting_and_its_value(
    configure: Configure, sections: dict[str, dict[str, str]], way_out: str
) -> None:
    configure(sections)
    totals = {"ok": 7, "failed": 1}
    success = replace(EMPTY, stage="extract-cover", facts={"absent": ["cover"]}, codes={"no_cover": 7}, totals=totals)

    said = " ".join(corpus_remarks([success]))

    assert said.startswith(f"not in this corpus: cover (7 no_cover, 1 failed); {way_out}" if way_out else "")
    assert bool(said) == bool(way_out)


def test_a_text_field_without_its_source_is_left_out_by_its_backbone(configure: Configure, tmp_path: Path) -> None:
    sections = sections_of(
        write_manifest(tmp_path), ocr={"backbone": "rapidocr:PP-OCRv6"}, features={"modalities": "text"}
    )
    configure(sections)
    stage = Recognize(field="ocr")
    assert stage.modalities() == ("frames",)
    success = replace(EMPTY, stage="recognize-ocr", facts={"absent": ["frames"]}, codes={"no_video_stream": 1})

    line = "not in this corpus: frames (1 no_video_stream), which ocr reads; leave ocr out with [ocr] backbone ="
    assert stage.remark(success) == line
    assert corpus_remarks([success]) == [line]
