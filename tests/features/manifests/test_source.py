from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

import pytest

from features.base.errors import SourceError
from features.manifests.config import CorpusConfig
from features.manifests.source import ManifestFormat, format_of, manifest_digest, manifest_exists, manifest_folder

if TYPE_CHECKING:
    from pathlib import Path

FOLDER = CorpusConfig(preset="xinpianchang-folder")


@pytest.mark.parametrize(
    ("name", "kind", "compression"),
    [
        ("m.jsonl", "jsonl", ""), ("m.JSON", "jsonl", ""), ("m.ndjson.gz", "jsonl", "gz"), ("m.csv", "csv", ""),
        ("m.CSV.ZST", "csv", "zst"), ("m.v2.tsv.gz", "tsv", "gz"), ("m", "jsonl", ""), ("m.gz", "jsonl", "gz"),
        ("m.txt", "jsonl", ""), ("m.csv.txt", "jsonl", ""),
    ],
)  # fmt: skip
def test_the_name_says_the_format(tmp_path: Path, name: str, kind: str, compression: str) -> None:
    assert format_of(tmp_path / name, CorpusConfig()) == ManifestFormat(kind, compression)


def test_the_preset_decides_where_the_name_says_nothing(tmp_path: Path) -> None:
    config = CorpusConfig(preset="csv")
    kinds = [format_of(tmp_path / name, config).kind for name in ("m", "m.gz", "m.txt", "m.jsonl", "m.tsv")]
    assert kinds == ["csv", "csv", "csv", "jsonl", "tsv"]
    assert format_of(tmp_path, FOLDER) == ManifestFormat("folder")


def test_a_file_and_its_digest_and_folder(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    path.write_bytes(b"content")
    assert manifest_exists(path, CorpusConfig())
    assert manifest_digest(path, CorpusConfig()) == hashlib.sha256(b"content").hexdigest()
    assert manifest_folder(path, CorpusConfig()) == tmp_path
    assert manifest_exists(tmp_path, FOLDER)
    assert manifest_folder(tmp_path, FOLDER) == tmp_path


def test_the_wrong_kind_of_thing_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "m.jsonl").write_bytes(b"x")
    os.mkfifo(tmp_path / "pipe")
    for path, config, problem in (
        (tmp_path / "missing", CorpusConfig(), "there is nothing of this name"),
        (
            tmp_path,
            CorpusConfig(),
            r"it is a folder; set \[corpus\] manifest to a file, or preset = xinpianchang-folder",
        ),
        (tmp_path / "pipe", CorpusConfig(), "no regular file"),
        (tmp_path / "m.jsonl", FOLDER, "preset = xinpianchang-folder reads a folder, and this is none"),
    ):
        assert not manifest_exists(path, config)
        with pytest.raises(SourceError, match=f"cannot read the manifest .*{problem}"):
            manifest_digest(path, config)
