from __future__ import annotations

import importlib.util
from importlib.machinery import ModuleSpec
from typing import TYPE_CHECKING

import pytest

from features.backbones.pretrained.model_files import OCR_DETECTOR, OCR_READER, RAPIDOCR
from features.base.errors import SourceError, ToolError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of models of a package rapidocr that holds the true files."""
    true = RAPIDOCR.verified_folder()
    spec = ModuleSpec("rapidocr", None, is_package=True)
    spec.submodule_search_locations = [str(tmp_path)]
    folder = tmp_path / "models"
    folder.mkdir()
    for name in (OCR_DETECTOR, OCR_READER):
        (folder / name).symlink_to(true / name)
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: spec)
    return folder


def test_the_files_of_the_package_are_found(models: Path) -> None:
    assert RAPIDOCR.verified_folder() == models


def test_a_missing_file_is_named(models: Path) -> None:
    (models / OCR_READER).unlink()
    with pytest.raises(
        SourceError,
        match=rf"{OCR_READER} of package rapidocr is missing: pip .* rapidocr==3.10.0",
    ):
        RAPIDOCR.verified_folder()


def test_a_damaged_file_is_named(models: Path) -> None:
    (models / OCR_DETECTOR).unlink()
    (models / OCR_DETECTOR).write_bytes(b"no network")
    with pytest.raises(SourceError, match=rf"{OCR_DETECTOR} has sha256 \w{{64}}, but \w{{64}} is pinned"):
        RAPIDOCR.verified_folder()


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(ToolError, match=r"rapidocr is not installed: pip install 'short-video-pipeline\[ocr\]'"):
        RAPIDOCR.verified_folder()


def test_the_digest_of_both_is_one_sha256() -> None:
    # Part of fingerprints: it may not change.
    assert RAPIDOCR.files_sha256 == "989b4868b7601c1b5f58e4e1f0961486508895190b71307bf474e257d51ab0c2"
