from __future__ import annotations

import json
import re
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import pytest

from features.backbones.extractor.clip_inputs import ClipInput
from features.base.errors import ShardError
from features.base.outcomes import Outcome
from features.formats.reuse import digest_of
from features.recognition.recognized_shard import (
    RecognizedText,
    read_made_by,
    read_recognized,
    recognize_shard,
    reusable_texts,
)
from features.recognition.recognizer import Recognition, Segment

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

ROOT = Path(__file__).parents[3]


class Parrot:
    """Recognises the text that a clip is; it takes two clips before it gives the first one back."""

    provenance: Mapping[str, str] = MappingProxyType({})
    network_seconds = 0.0

    def __init__(self) -> None:
        self.values: list[str] = []

    def recognize(self, clips: Iterable[str | None]) -> Iterator[Recognition]:
        held: list[str | None] = []
        for clip in clips:
            self.values += [clip] if clip else []
            held.append(clip)
            if len(held) == 2:
                yield self._said(held.pop(0))
        yield from map(self._said, held)

    def _said(self, clip: str | None) -> Recognition:
        if clip is None or not clip:
            return Recognition("", ())
        if clip == "damaged":
            return Recognition("", (), "frame 3 cannot be decoded")
        return Recognition(clip, (Segment(1 / 3, 2.0, clip, 0.123456), Segment(2.0, 3.0, "海\u2028", None)))


def _clip(clip_id: str, value: str | None, status: str = "ok", code: str = "") -> ClipInput:
    outcome = Outcome(clip_id, "partial" if status == "partial" else "failed" if status == "failed" else "ok", code)
    return ClipInput(outcome, value, digest_of([value]))


MADE_BY = {"backbone": "parrot", "weights_sha256": "abc"}
CLIPS = [
    _clip("a", "hello"),
    _clip("b", None, code="no_audio"),
    _clip("c", ""),
    _clip("d", "damaged"),
    _clip("e", "half", "partial", "decode_incomplete"),
    _clip("f", None, "failed", "no_video_stream"),
    _clip("g", "", "partial", "decode_incomplete"),
]


def test_every_clip_has_one_row_and_one_outcome_in_order(tmp_path: Path) -> None:
    told = []
    outcomes = recognize_shard(CLIPS, Parrot(), tmp_path / "text.jsonl", MADE_BY, lambda: told.append(1)).outcomes
    assert [(row.clip_id, row.status, row.code) for row in outcomes] == [
        ("a", "ok", ""),
        ("b", "ok", "no_audio"),
        ("c", "ok", "no_text_found"),
        ("d", "failed", "unreadable_clip"),
        ("e", "partial", "decode_incomplete"),
        ("f", "failed", "no_video_stream"),
        ("g", "partial", "decode_incomplete"),
    ]
    assert outcomes[3].detail == "frame 3 cannot be decoded"
    assert len(told) == len(CLIPS)
    rows = list(read_recognized(tmp_path / "text.jsonl"))
    assert [(row.clip_id, row.status, row.code) for row in rows] == [
        (outcome.clip_id, outcome.status, outcome.code) for outcome in outcomes
    ]
    assert [row.text for row in rows] == ["hello", "", "", "", "half", "", ""]


def test_rows_are_canonical_json(tmp_path: Path) -> None:
    recognize_shard(CLIPS[:1], Parrot(), tmp_path / "text.jsonl", MADE_BY)
    text = (tmp_path / "text.jsonl").read_bytes()
    assert text.decode() == (
        '{"made_by": {"backbone": "parrot", "weights_sha256": "abc"}}\n'
        f'{{"clip_id": "a", "code": "", "input_digest": "{CLIPS[0].digest.hex()}", "segments": ['
        '{"confidence": 0.1235, "end_seconds": 2.0, "start_seconds": 0.333, "text": "hello"}, '
        '{"confidence": null, "end_seconds": 3.0, "start_seconds": 2.0, "text": "海\u2028"}], '
        '"status": "ok", "text": "hello"}\n'
    )


def test_a_shard_holds_what_the_page_on_formats_says(tmp_path: Path) -> None:
    recognize_shard(CLIPS, Parrot(), tmp_path / "text.jsonl", MADE_BY)
    first, *rows = map(json.loads, (tmp_path / "text.jsonl").read_text(encoding="utf-8").split("\n")[:2])
    page = (ROOT / "docs" / "formats.md").read_text(encoding="utf-8")
    section = page.partition("## recognize-*")[2].partition("\n## ")[0]
    assert list(first) == ["made_by"]
    assert '`{"made_by": {...}}`' in section
    table = {name for line in section.splitlines() if line.startswith("| `") for name in re.findall(r"`(\w+)`", line)}
    (row,) = rows
    assert {*row, *row["segments"][0]} == table - {"null"}


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    recognize_shard(CLIPS[:1], Parrot(), tmp_path / "text.jsonl", MADE_BY)
    segments = (Segment(0.333, 2.0, "hello", 0.1235), Segment(2.0, 3.0, "海\u2028", None))
    assert list(read_recognized(tmp_path / "text.jsonl")) == [
        RecognizedText("a", "ok", "", "hello", segments, CLIPS[0].digest.hex())
    ]
    assert read_made_by(tmp_path / "text.jsonl") == MADE_BY


def test_two_runs_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        recognize_shard(CLIPS, Parrot(), tmp_path / name, MADE_BY)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_rows_of_older_shards_are_reused_and_give_the_same_bytes(tmp_path: Path) -> None:
    recognize_shard(CLIPS, Parrot(), tmp_path / "old", MADE_BY)
    changed = [*CLIPS[:-1], _clip("g", "new words"), _clip("h", "hello")]
    parrot = Parrot()
    reusable = reusable_texts([tmp_path / "old"], MADE_BY)
    assert len(reusable) == 3
    assert recognize_shard(changed, parrot, tmp_path / "new", MADE_BY, reusable=reusable).num_reused == 3
    # What was not ok is tried again; the same words of another clip are not known to be its own.
    assert parrot.values == ["damaged", "half", "new words", "hello"]
    recognize_shard(changed, Parrot(), tmp_path / "fresh", MADE_BY)
    assert (tmp_path / "new").read_bytes() == (tmp_path / "fresh").read_bytes()


def test_nothing_is_reused_from_a_shard_of_another_maker_or_a_damaged_or_missing_one(tmp_path: Path) -> None:
    recognize_shard(CLIPS, Parrot(), tmp_path / "old", MADE_BY)
    assert len(reusable_texts([tmp_path / "old"], {**MADE_BY, "weights_sha256": "def"})) == 0
    (tmp_path / "torn").write_text(json.dumps(GOOD) + "\n", encoding="utf-8")
    assert len(reusable_texts([tmp_path / "torn", tmp_path / "nowhere"], MADE_BY)) == 0
    lines = (tmp_path / "old").read_text(encoding="utf-8").replace(CLIPS[0].digest.hex(), "no digest")
    (tmp_path / "odd").write_text(lines, encoding="utf-8")
    assert len(reusable_texts([tmp_path / "odd"], MADE_BY)) == 0


def test_no_clips_give_an_empty_file(tmp_path: Path) -> None:
    assert recognize_shard([], Parrot(), tmp_path / "text.jsonl", MADE_BY).outcomes == ()
    assert list(read_recognized(tmp_path / "text.jsonl")) == []


GOOD = {"clip_id": "a", "status": "ok", "code": "", "text": "", "segments": [], "input_digest": "00"}


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "3",
        "[]",
        json.dumps({**GOOD, "status": "fine"}),
        json.dumps({**GOOD, "more": 1}),
        json.dumps({name: value for name, value in GOOD.items() if name != "text"}),
        json.dumps({**GOOD, "segments": [{"text": "a"}]}),
    ],
)
def test_a_line_that_is_no_row_is_named(tmp_path: Path, line: str) -> None:
    (tmp_path / "text.jsonl").write_text(json.dumps(GOOD) + "\n" + line + "\n")
    with pytest.raises(ShardError, match=r"text.jsonl line 2 is no row of recognised text .* run again"):
        list(read_recognized(tmp_path / "text.jsonl"))
