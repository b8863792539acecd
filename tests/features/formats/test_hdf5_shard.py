from __future__ import annotations

import multiprocessing
import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pytest

from features.base.errors import ShardError
from features.base.files import sha256_of_json
from features.base.outcomes import Outcome
from features.formats.clip_data import ClipFeatures
from features.formats.hdf5_shard import BUFFER_ROWS, ShardReader, ShardWriter, to_float16

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

DIM = 12
ATTRIBUTES = {"modality": "text", "backbone": "bundled:猫", "recipe": "abc", "params": "{}"}
OUTCOMES = [
    Outcome("plain", "ok"),
    Outcome("猫/视频 é", "ok", "no_text"),
    Outcome("c" * 512, "partial", "truncated"),
    Outcome("last", "failed", "http_404"),
]
LENGTHS = [3, 0, 130, 0]


def clip(rows: int, seed: int = 0) -> ClipFeatures:
    source = np.random.default_rng(seed)
    return ClipFeatures(
        source.normal(size=(rows, DIM)).astype(np.float32),
        np.arange(rows).astype(np.float32),
        source.integers(0, 30_000, rows).astype(np.int32),
        source.integers(0, 3, rows).astype(np.uint8),
    )


DIGESTS = [bytes([number] * 32) for number in (0, 7, 255, 1)]
CLIPS = [clip(length, seed) for seed, length in enumerate(LENGTHS)]


def write(
    path: Path,
    outcomes: Sequence[Outcome] = OUTCOMES,
    clips: Sequence[ClipFeatures] = CLIPS,
    *,
    has_tokens: bool = True,
) -> Path:
    with ShardWriter(path, DIM, ATTRIBUTES, has_tokens=has_tokens) as writer:
        for number, (outcome, features) in enumerate(zip(outcomes, clips, strict=True)):
            writer.add(outcome, features, expected=len(features.features) + number, input_digest=DIGESTS[number])
    return path


def test_clips_come_back_as_they_were_written(tmp_path: Path) -> None:
    reader = ShardReader(write(tmp_path / "a.h5"))
    assert (len(reader), reader.dim) == (4, DIM)
    assert reader.clip_ids == tuple(outcome.clip_id for outcome in OUTCOMES)
    assert reader.outcomes == OUTCOMES
    assert reader.offsets.tolist() == [0, 3, 3, 133, 133]
    assert reader.expected.tolist() == [3, 1, 132, 3]
    for position, (outcome, written) in enumerate(zip(OUTCOMES, CLIPS, strict=True)):
        found = reader[position]
        assert found.dtype == np.float16
        np.testing.assert_array_equal(found, written.features.astype(np.float16))
        np.testing.assert_array_equal(reader.read(outcome.clip_id), found)
        np.testing.assert_array_equal(reader.column("time_seconds", position), written.time_seconds)
        np.testing.assert_array_equal(reader.column("token_id", position), written.token_id)
        np.testing.assert_array_equal(reader.column("field_id", position), written.field_id)
    assert reader[1].shape == (0, DIM)
    assert (reader.input_digests, reader.has_tokens) == (DIGESTS, True)
    told = {**ATTRIBUTES, "dim": DIM, "schema_version": 2}
    inputs = [digest.hex() for digest in DIGESTS]
    assert reader.attributes == {**told, "key": sha256_of_json({"made_by": told, "inputs": inputs})}
    reader.close()


def test_positions_count_from_either_end(tmp_path: Path) -> None:
    reader = ShardReader(write(tmp_path / "a.h5"))
    np.testing.assert_array_equal(reader[-2], reader[2])
    np.testing.assert_array_equal(reader[-4], reader[0])
    for position in (4, -5):
        with pytest.raises(IndexError, match=f"clip {position} of 4"):
            reader[position]
    with pytest.raises(KeyError, match="nobody"):
        reader.read("nobody")
    assert [len(features) for features in reader] == LENGTHS  # type: ignore[attr-defined] # iterates by position


def test_the_file_opens_with_plain_h5py_as_documented(tmp_path: Path) -> None:
    with h5py.File(write(tmp_path / "a.h5"), "r") as file:
        kinds = {name: (file[name].shape, file[name].dtype.str) for name in file if name not in {"clip_id", "code"}}
        assert kinds == {
            "features": ((133, DIM), "<f2"),
            "time_seconds": ((133,), "<f4"),
            "token_id": ((133,), "<i4"),
            "field_id": ((133,), "|u1"),
            "input_digest": ((4, 32), "|u1"),
            "offsets": ((5,), "<i8"),
            "expected": ((4,), "<i4"),
            "status": ((4,), "|u1"),
        }
        features = file["features"]
        assert features.chunks == (64, DIM)
        assert (features.fletcher32, features.compression, features.shuffle) == (True, None, False)
        assert file["time_seconds"].fletcher32
        assert file["token_id"].fletcher32
        assert h5py.check_string_dtype(file["clip_id"].dtype).encoding == "utf-8"
        assert file["clip_id"].asstr()[:].tolist() == [outcome.clip_id for outcome in OUTCOMES]
        assert file["code"].asstr()[:].tolist() == ["", "no_text", "truncated", "http_404"]
        assert file["status"][:].tolist() == [0, 0, 1, 2]
        start, end = file["offsets"][2:4]
        np.testing.assert_array_equal(features[start:end], CLIPS[2].features.astype(np.float16))
        assert file.attrs["backbone"] == "bundled:猫"


def test_only_text_has_tokens(tmp_path: Path) -> None:
    reader = ShardReader(write(tmp_path / "a.h5", has_tokens=False))
    assert not reader.has_tokens
    assert "/token_id" not in {name for name, _, _ in reader.datasets()}
    with pytest.raises(ShardError, match="/token_id cannot be read"):
        reader.column("token_id", 0)


def test_data_sets_are_listed_with_shape_and_type(tmp_path: Path) -> None:
    listed = ShardReader(write(tmp_path / "a.h5")).datasets()
    assert ("/features", (133, DIM), "float16") in listed
    assert ("/clip_id", (4,), "utf-8 text") in listed
    assert [name for name, _, _ in listed] == sorted(name for name, _, _ in listed)


def test_equal_content_is_equal_bytes_whatever_the_order_of_the_attributes(tmp_path: Path) -> None:
    one = write(tmp_path / "one.h5").read_bytes()
    with ShardWriter(tmp_path / "two.h5", DIM, dict(reversed(ATTRIBUTES.items())), has_tokens=True) as writer:
        for number, (outcome, features) in enumerate(zip(OUTCOMES, CLIPS, strict=True)):
            writer.add(outcome, features, expected=len(features.features) + number, input_digest=DIGESTS[number])
    assert (tmp_path / "two.h5").read_bytes() == one
    with h5py.File(tmp_path / "two.h5") as file:
        assert {name: h5py.h5g.get_objinfo(file[name].id).mtime for name in file} == dict.fromkeys(file, 0)
    other = [replace(OUTCOMES[0], code="x"), *OUTCOMES[1:]]
    assert write(tmp_path / "three.h5", other).read_bytes() != one


def test_more_rows_than_the_buffer_holds_come_back(tmp_path: Path) -> None:
    rows = BUFFER_ROWS // 3 + 1
    clips = [clip(rows, seed) for seed in range(4)]
    reader = ShardReader(write(tmp_path / "a.h5", OUTCOMES, clips))
    for position, written in enumerate(clips):
        np.testing.assert_array_equal(reader[position], written.features.astype(np.float16))
        np.testing.assert_array_equal(reader.column("token_id", position), written.token_id)


def test_a_shard_of_no_clip_and_one_of_empty_clips(tmp_path: Path) -> None:
    none = ShardReader(write(tmp_path / "none.h5", [], []))
    assert (len(none), none.clip_ids, none.outcomes, none.dim) == (0, (), [], DIM)
    with pytest.raises(IndexError):
        none[0]
    empty = ShardReader(write(tmp_path / "empty.h5", OUTCOMES[:2], [clip(0), clip(0)]))
    assert [features.shape for features in (empty[0], empty[1])] == [(0, DIM), (0, DIM)]
    assert empty.column("token_id", 1).shape == (0,)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 70_000.0])
def test_values_that_float16_cannot_hold_are_refused(tmp_path: Path, value: float) -> None:
    features = clip(3)
    features.features[1, 2] = value
    with pytest.raises(ValueError, match="features of plain are not finite in float16"):
        write(tmp_path / "a.h5", OUTCOMES[:1], [features])


def test_values_become_float16_without_a_warning() -> None:
    assert to_float16(np.array([1.5, 65504.0, 1e5, -1e5])).tolist() == [1.5, 65504.0, np.inf, -np.inf]


@pytest.mark.parametrize(
    "change",
    [
        {"features": np.zeros((3, DIM + 1), np.float32)},
        {"features": np.zeros(3, np.float32)},
        {"time_seconds": np.zeros(2, np.float32)},
        {"token_id": np.zeros(4, np.int32)},
        {"token_id": None},
    ],
)
def test_columns_that_do_not_fit_together_are_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"of plain has shape"):
        write(tmp_path / "a.h5", OUTCOMES[:1], [replace(clip(3), **change)])


def test_a_writer_that_broke_off_leaves_no_readable_shard(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    wild = replace(CLIPS[0], features=np.full((3, DIM), np.nan, np.float32))
    with pytest.raises(ValueError, match="not finite"):
        write(path, OUTCOMES[:2], [CLIPS[0], wild])
    with pytest.raises(ShardError):
        len(ShardReader(path))


def read_everything(path: Path) -> list[bytes]:
    reader = ShardReader(path)
    try:
        rows = [reader[position].tobytes() for position in range(len(reader))]
        return [*rows, repr((reader.clip_ids, reader.outcomes, reader.attributes)).encode()]
    finally:
        reader.close()


def test_a_flipped_byte_of_the_features_is_found(tmp_path: Path) -> None:
    path = write(tmp_path / "a.h5")
    whole = path.read_bytes()
    start = whole.index(CLIPS[2].features.astype(np.float16)[5].tobytes())
    for place in (start, start + 7, start + 40 * DIM):
        damaged = bytearray(whole)
        damaged[place] ^= 0x01
        path.write_bytes(damaged)
        reader = ShardReader(path)
        assert len(reader) == 4
        with pytest.raises(ShardError, match=r"a\.h5: /features cannot be read .*: delete the file and run again"):
            reader[2]
        reader.close()


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_a_file_that_was_cut_is_an_error(tmp_path: Path, share: float) -> None:
    path = write(tmp_path / "a.h5")
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(ShardError, match=r"a\.h5"):
        read_everything(path)


def test_what_is_no_shard_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "text.h5").write_text("no shard" * 1000)
    for path in (tmp_path / "text.h5", tmp_path / "missing.h5", tmp_path):
        with pytest.raises(ShardError, match="cannot be opened"):
            len(ShardReader(path))
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["data"] = [1, 2]
    with pytest.raises(ShardError, match="schema_version is None"):
        len(ShardReader(tmp_path / "other.h5"))


def test_another_schema_is_an_error_that_names_both(tmp_path: Path) -> None:
    path = write(tmp_path / "a.h5")
    with h5py.File(path, "a") as file:
        file.attrs["schema_version"] = 1
    with pytest.raises(ShardError, match="schema_version is 1, this program reads 2: delete the file and run again"):
        len(ShardReader(path))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("offsets", [0, 3, 3, 133]),
        ("offsets", [0, 3, 2, 133, 133]),
        ("offsets", [0, 3, 3, 133, 134]),
        ("offsets", [1, 3, 3, 133, 133]),
        ("status", [0, 0, 1, 9]),
        ("status", [0]),
        ("clip_id", [1, 2, 3, 4]),
        ("features", np.zeros((133, DIM - 1))),
    ],
)
def test_data_sets_that_do_not_fit_together_are_an_error(tmp_path: Path, name: str, value: object) -> None:
    path = write(tmp_path / "a.h5")
    with h5py.File(path, "a") as file:
        del file[name]
        file[name] = value
    with pytest.raises(ShardError):
        read_everything(path)


@pytest.mark.parametrize("name", ["features", "offsets", "clip_id", "status", "code"])
def test_a_data_set_that_is_not_there_is_an_error(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / "a.h5")
    with h5py.File(path, "a") as file:
        del file[name]
    with pytest.raises(ShardError):
        read_everything(path)


def _read_in_child(reader: ShardReader, answers: Any) -> None:  # noqa: ANN401 - a queue, generic only in type stubs
    answers.put((os.getpid(), [reader[position].tobytes() for _ in range(200) for position in (0, 2)]))


# Since 3.12 Python warns of the threads that numpy's library keeps; they are not ours and hold no lock.
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_a_reader_that_is_open_reads_on_in_forked_children_and_here(tmp_path: Path) -> None:
    reader = ShardReader(write(tmp_path / "a.h5"))
    expected = [reader[position].tobytes() for _ in range(200) for position in (0, 2)]
    context = multiprocessing.get_context("fork")
    answers = context.Queue()
    children = [context.Process(target=_read_in_child, args=(reader, answers)) for _ in range(2)]
    for child in children:
        child.start()
    assert [reader[position].tobytes() for _ in range(200) for position in (0, 2)] == expected
    found = [answers.get(timeout=30) for _ in children]
    for child in children:
        child.join(timeout=30)
        assert child.exitcode == 0
    assert len({process for process, _ in found} | {os.getpid()}) == 3
    assert all(rows == expected for _, rows in found)
    np.testing.assert_array_equal(reader[0], CLIPS[0].features.astype(np.float16))


def test_a_reader_opens_again_after_it_was_closed(tmp_path: Path) -> None:
    reader = ShardReader(write(tmp_path / "a.h5"))
    first = reader[0]
    reader.close()
    reader.close()
    np.testing.assert_array_equal(reader[0], first)
