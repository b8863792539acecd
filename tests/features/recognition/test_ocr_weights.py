from __future__ import annotations

import importlib.util
from importlib.machinery import ModuleSpec
from typing import TYPE_CHECKING

import pytest

from features.base.errors import SourceError, ToolError
from features.recognition.ocr_weights import DETECTOR, READER, ocr_weights_sha256, verified_weights

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of models of a package rapidocr that holds the true files."""
    detector, _ = verified_weights()
    spec = ModuleSpec("rapidocr", None, is_package=True)
    spec.submodule_search_locations = [str(tmp_path)]
    folder = tmp_path / "models"
    folder.mkdir()
    for name in (DETECTOR, READER):
        (folder / name).symlink_to(detector.with_name(name))
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: spec)
    return folder


def test_the_files_of_the_package_are_found(models: Path) -> None:
    assert verified_weights() == (models / DETECTOR, models / READER)


def test_a_missing_file_is_named(models: Path) -> None:
    (models / READER).unlink()
    with pytest.raises(SourceError, match=rf"{READER} is missing: pip install --force-reinstall"):
        verified_weights()


def test_a_damaged_file_is_named(models: Path) -> None:
    (models / DETECTOR).unlink()
    (models / DETECTOR).write_bytes(b"no network")
    with pytest.raises(SourceError, match=rf"{DETECTOR} has sha256 \w{{64}}, but \w{{64}} is pinned"):
        verified_weights()


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(ToolError, match=r"rapidocr is not installed: pip install 'short-video-pipeline\[ocr\]'"):
        verified_weights()


def test_the_digest_of_both_is_one_sha256() -> None:
    assert len(ocr_weights_sha256()) == 64
