from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from features.base.errors import ShardError, SourceError
from features.formats.tar_shard import TarShardWriter
from features.inspect.inspect_file import inspect_path
from features.inspect.result import InspectQuery
from tests.features.inspect.published import FEATURES, embeddings, predictions

if TYPE_CHECKING:
    from pathlib import Path


def test_the_kind_of_a_file_is_found_out(tmp_path: Path) -> None:
    embeddings(tmp_path / "a.h5", [FEATURES]).close()
    predictions(tmp_path / "b.h5").close()
    with TarShardWriter(tmp_path / "c.tar"):
        pass
    (tmp_path / "d.jsonl").write_text('{"clip_id": "a", "split": "test"}\n', encoding="utf-8")
    kinds = [
        inspect_path(tmp_path / name, InspectQuery()).values["kind"] for name in ("a.h5", "b.h5", "c.tar", "d.jsonl")
    ]
    assert kinds == ["embedding shard", "prediction shard", "decoded shard", "splits"]


@pytest.mark.parametrize("name", ["a.txt", "a", "model.safetensors"])
def test_another_file_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"is not a shard: inspect reads \.h5"):
        inspect_path(tmp_path / name, InspectQuery())


@pytest.mark.parametrize("name", ["a.h5", "a.tar", "a.jsonl"])
@pytest.mark.parametrize("content", [b"rubbish" * 1000, b"\x89HDF\r\n\x1a\n" + bytes(500)])
def test_damage_is_one_clear_line(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ShardError) as caught:
        inspect_path(tmp_path / name, InspectQuery())
    assert "\n" not in str(caught.value)
    assert str(tmp_path / name) in str(caught.value)


def test_a_shard_that_was_cut_is_one_clear_line(tmp_path: Path) -> None:
    for make, name in ((lambda path: embeddings(path, [FEATURES]), "a.h5"), (predictions, "b.h5")):
        make(tmp_path / name).close()
        whole = (tmp_path / name).read_bytes()
        for share in (3, 2):
            (tmp_path / name).write_bytes(whole[: len(whole) * (share - 1) // share])
            with pytest.raises(ShardError):
                inspect_path(tmp_path / name, InspectQuery())
