from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from features.backbones.extractor.clip_inputs import ClipInput, text_inputs
from features.backbones.extractor.extraction import extract_shard, reusable_embeddings
from features.base.outcomes import Outcome
from features.formats.clip_data import ClipFeatures
from features.formats.hdf5_shard import ShardReader
from features.formats.records import ClipRecord

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from features.backbones.extractor.extraction import EmbeddedRow
    from features.formats.reuse import ReusableShard


class Lengths:
    """An extractor whose features of a text are its length, one row a letter; it looks ahead as batches do."""

    dim = 3
    network_seconds = 0.0
    provenance: Mapping[str, str] = {}

    def __init__(self, ahead: int = 4) -> None:
        self.ahead = ahead
        self.seen: list[str] = []

    def extract(self, clips: Iterable[Mapping[str, str] | None]) -> Iterator[ClipFeatures]:
        waiting: list[Mapping[str, str] | None] = []
        for clip in clips:
            waiting.append(clip)
            if len(waiting) == self.ahead:
                yield from map(self._features, waiting)
                waiting = []
        yield from map(self._features, waiting)

    def _features(self, texts: Mapping[str, str] | None) -> ClipFeatures:
        text = "".join((texts or {}).values())
        self.seen.append(text)
        count = len(text)
        if text == "torn":
            return ClipFeatures(np.zeros((0, self.dim), np.float32), np.zeros(0, np.float32), problem="torn to pieces")
        features = np.full((count, self.dim), count, np.float32)
        if text == "wild":
            features[-1, -1] = np.nan
        if text == "huge":
            features[0, 0] = 1e6
        tokens = np.arange(count, dtype=np.int32)
        return ClipFeatures(features, np.zeros(count, np.float32), tokens, np.full(count, 2, np.uint8))


RECORDS = [
    ClipRecord("a", title="four"),
    ClipRecord("b"),
    ClipRecord("c", title="wild"),
    ClipRecord("d", title=" ", asr="a", ocr="b"),
    ClipRecord("e", title="huge"),
    ClipRecord("f", title="一只猫"),
    ClipRecord("g", title="torn"),
]
FIELDS = ("title", "asr", "ocr")


@pytest.mark.parametrize("ahead", [1, 4, 100])
def test_every_clip_has_its_own_rows_and_outcome(tmp_path: Path, ahead: int) -> None:
    ticks: list[None] = []
    done = extract_shard(
        text_inputs(RECORDS, FIELDS),
        Lengths(ahead),
        tmp_path / "a.h5",
        {"modality": "text"},
        lambda: ticks.append(None),
    )
    assert [(outcome.clip_id, outcome.status, outcome.code) for outcome in done.outcomes] == [
        ("a", "ok", ""),
        ("b", "ok", "no_text"),
        ("c", "failed", "non_finite_features"),
        ("d", "ok", ""),
        ("e", "failed", "non_finite_features"),
        ("f", "ok", ""),
        ("g", "failed", "unreadable_clip"),
    ]
    assert done.outcomes[6].detail == "torn to pieces"
    assert len(ticks) == 7
    assert done.num_reused == 0
    reader = ShardReader(tmp_path / "a.h5")
    assert [len(features) for features in (reader[index] for index in range(7))] == [4, 0, 0, 2, 0, 3, 0]
    assert reader.column("token_id", 5).tolist() == [0, 1, 2]
    assert reader.column("field_id", 5).tolist() == [2, 2, 2]
    assert (reader[5] == 3).all()
    assert reader.expected.tolist() == [4, 0, 0, 2, 0, 3, 0]
    assert [replace(outcome, detail="") for outcome in done.outcomes] == reader.outcomes


def test_expected_rows_are_those_of_a_whole_clip(tmp_path: Path) -> None:
    texts = {"title": "ab"}
    clips = [
        ClipInput(Outcome("a", "partial", "truncated"), texts, bytes(32), 20),
        ClipInput(Outcome("b", "ok"), texts, bytes(32)),
    ]
    extract_shard(clips, Lengths(), tmp_path / "a.h5", {"modality": "frames"})
    reader = ShardReader(tmp_path / "a.h5")
    assert reader.expected.tolist() == [20, 2]
    assert "/token_id" not in [name for name, _, _ in reader.datasets()]


ATTRIBUTES: dict[str, str | int] = {"modality": "text", "recipe": "one"}


def write(
    path: Path, records: list[ClipRecord], reusable: ReusableShard[EmbeddedRow] | None = None
) -> tuple[list[str], int]:
    """Write a shard; return what the network saw, and how many clips were reused."""
    extractor = Lengths()
    done = extract_shard(text_inputs(records, FIELDS), extractor, path, ATTRIBUTES, reusable=reusable)
    return [text for text in extractor.seen if text], done.num_reused


def test_rows_of_an_older_shard_are_reused_and_give_the_same_bytes(tmp_path: Path) -> None:
    changed = [replace(record, title="changed") if record.clip_id == "f" else record for record in RECORDS]
    write(tmp_path / "old.h5", RECORDS)
    seen, num_reused = write(tmp_path / "new.h5", changed, reusable_embeddings([tmp_path / "old.h5"], ATTRIBUTES))
    # What failed is tried again, and what another text would give is not known.
    assert seen == ["wild", "huge", "changed", "torn"]
    assert num_reused == 3
    write(tmp_path / "fresh.h5", changed)
    assert (tmp_path / "new.h5").read_bytes() == (tmp_path / "fresh.h5").read_bytes()


def test_nothing_is_reused_from_a_shard_of_another_recipe_or_a_damaged_one(tmp_path: Path) -> None:
    write(tmp_path / "old.h5", RECORDS)
    other = reusable_embeddings([tmp_path / "old.h5"], {**ATTRIBUTES, "recipe": "two"})
    assert write(tmp_path / "new.h5", RECORDS, other)[1] == 0
    data = (tmp_path / "old.h5").read_bytes()
    (tmp_path / "old.h5").write_bytes(data[: len(data) // 2])
    assert write(tmp_path / "new.h5", RECORDS, reusable_embeddings([tmp_path / "old.h5"], ATTRIBUTES))[1] == 0


def test_rows_of_several_older_shards_are_reused(tmp_path: Path) -> None:
    write(tmp_path / "one.h5", RECORDS[:2])
    write(tmp_path / "two.h5", RECORDS[2:6])
    paths = [tmp_path / "one.h5", tmp_path / "nowhere.h5", tmp_path / "two.h5"]
    seen, num_reused = write(tmp_path / "new.h5", RECORDS[:6], reusable_embeddings(paths, ATTRIBUTES))
    assert (seen, num_reused) == (["wild", "huge"], 4)
    write(tmp_path / "fresh.h5", RECORDS[:6])
    assert (tmp_path / "new.h5").read_bytes() == (tmp_path / "fresh.h5").read_bytes()


class Timed(Lengths):
    """An extractor whose network has run for a second for each clip, and 100 before the shard."""

    @property
    def network_seconds(self) -> float:  # type: ignore[override]  # an attribute of the base
        return 100.0 + len(self.seen)


def test_the_time_of_the_network_is_that_of_the_shard(tmp_path: Path) -> None:
    done = extract_shard(text_inputs(RECORDS, FIELDS), Timed(), tmp_path / "a.h5", {"modality": "text"})
    assert done.network_seconds == len(RECORDS)


def test_the_key_tells_content_apart(tmp_path: Path) -> None:
    write(tmp_path / "a.h5", RECORDS)
    write(tmp_path / "b.h5", RECORDS[:-1])
    keys = [ShardReader(tmp_path / name).attributes["key"] for name in ("a.h5", "b.h5")]
    assert keys[0] != keys[1]
