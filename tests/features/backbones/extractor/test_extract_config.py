from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from features.backbones.extractor.extract_config import ONLY_FOR, ExtractConfig
from features.backbones.families import FAMILIES, Family, TorchvisionFamily, family_of, load_function
from features.base.errors import SettingError
from features.base.modalities import MODALITIES, Modality

ROOT = Path(__file__).parents[4]


@pytest.mark.parametrize(
    ("modality", "backbone", "message"),
    [
        ("smell", "dsp:logmel", f"unknown modality 'smell': expected one of {', '.join(MODALITIES)}"),
        ("frames", "resnet50", "must be written source:name, such as bundled:efficientnet_lite0"),
        ("frames", "torchvision:", "must be written source:name"),
        ("frames", ":resnet50", "must be written source:name"),
        ("frames", "timm:resnet50", "source 'timm' has nothing for frames; expected one of bundled, torchvision"),
        ("frames", "dsp:logmel", "source 'dsp' has nothing for frames"),
        ("audio", "bundled:vggish", "source 'bundled' has nothing for audio; expected one of dsp"),
        ("audio", "dsp:mfcc", "unknown dsp audio backbone 'mfcc': expected one of logmel"),
        ("text", "torchvision:vit_b_16", "source 'torchvision' has nothing for text"),
        ("cover", "bundled:resnet", "unknown bundled cover backbone 'resnet': expected one of efficientnet_lite0"),
        ("text", "bundled:efficientnet_lite0", "expected one of all-minilm-l6-v2"),
        ("frames", "torchvision:../x", "may hold small letters, digits and _ only"),
        ("text", "transformers:a/b/c", "neither a hub id"),
        ("text", "transformers:a b", "neither a hub id"),
    ],
)
def test_a_wrong_backbone_is_named_with_what_is_allowed(modality: str, backbone: str, message: str) -> None:
    with pytest.raises(SettingError) as caught:
        ExtractConfig(modality, backbone)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"window_seconds": 0.0}, "window_seconds 0.0 must be above 0"),
        ({"window_seconds": float("nan")}, "window_seconds nan"),
        ({"window_seconds": float("inf")}, "window_seconds inf"),
        ({"hop_seconds": 2.0}, "hop_seconds 2.0 must be above 0 and at most 1.0"),
        ({"hop_seconds": 0.0}, "hop_seconds 0.0"),
        ({"max_tokens": 0}, "max_tokens 0 must be at least 1"),
        ({"batch_size": -1}, "batch_size -1 must be at least 1"),
        ({"num_threads": 0}, "num_threads 0 must be at least 1"),
        ({"workers": -1}, "workers is -1: give 0 (one per CPU) or more"),
        ({"hop_frames": 17}, "hop_frames 17 must be at least 1 and at most 16, the window"),
        ({"hop_frames": 0}, "hop_frames 0 must be at least 1"),
        ({"fields": "title, ad"}, "fields is 'title, ad': list each of title, asr, ocr at most once, at least one"),
        ({"fields": "ocr, ocr"}, "fields is 'ocr, ocr'"),
        ({"fields": " , "}, "fields is ' , '"),
        ({"revision": ""}, "revision is empty"),
        ({"device": "gpu"}, "unknown device 'gpu': expected auto, cpu, cuda or cuda:N"),
        ({"runtime": "onnx"}, "unknown runtime 'onnx': expected one of auto, torch, openvino"),
        ({"runtime": "openvino", "device": "cuda:0"}, "does not run on 'cuda:0'"),
    ],
)
def test_a_wrong_value_is_named_with_its_rule(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingError) as caught:
        ExtractConfig("audio", "dsp:logmel", **changes)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "backbone",
    [
        "transformers:google/siglip-base-patch16-224",
        "transformers:bert-base-uncased",
        "transformers:/models/a b/c",
        "transformers:./model",
        "transformers:~/model",
        "torchvision:convnext_tiny",
    ],
)
def test_names_of_each_form_are_taken(backbone: str) -> None:
    config = ExtractConfig("frames", backbone)
    assert f"{config.source}:{config.name}" == backbone


def test_a_colon_in_a_folder_belongs_to_the_name() -> None:
    assert ExtractConfig("text", "transformers:/data/c:d").name == "/data/c:d"


def test_text_fields_come_in_one_order() -> None:
    assert ExtractConfig("text", "bundled:all-minilm-l6-v2", fields="ocr,title").text_fields() == ("title", "ocr")


@pytest.mark.parametrize(
    ("modality", "used"),
    [
        ("frames", set()),
        ("motion", {"window_frames", "hop_frames"}),
        ("audio", {"window_seconds", "hop_seconds"}),
        ("text", {"fields", "layer", "max_tokens"}),
    ],
)
def test_a_modality_uses_its_own_settings_only(modality: str, used: set[str]) -> None:
    unused = ExtractConfig(modality, MODALITIES[modality].backbone).unused_fields()
    assert set(ONLY_FOR) - unused == used


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: f"{family.kind} {family.source}")
def test_families_name_functions_that_exist(family: Family) -> None:
    assert callable(load_function(family.loader))
    if isinstance(family, TorchvisionFamily):
        assert callable(load_function(family.checker))


@pytest.mark.parametrize("entry", MODALITIES.values(), ids=lambda entry: entry.name)
def test_each_modality_has_a_default_backbone_of_a_family(entry: Modality) -> None:
    assert family_of(entry.name, entry.backbone).kind == entry.kind


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: f"{family.kind} {family.source}")
def test_every_family_is_documented(family: Family) -> None:
    assert f"`{family.source}:" in (ROOT / "docs" / "extract.md").read_text(encoding="utf-8")


def test_checking_a_configuration_loads_no_network_library() -> None:
    code = (
        "import sys\n"
        "from features.backbones.extractor.extract_config import ExtractConfig\n"
        "for pair in [('frames', 'bundled:efficientnet_lite0'), ('cover', 'torchvision:resnet18'),\n"
        "             ('text', 'transformers:a/b'), ('audio', 'dsp:logmel')]:\n"
        "    ExtractConfig(*pair).weights_identity()\n"
        "heavy = {'torch', 'torchvision', 'transformers', 'timm', 'openvino', 'huggingface_hub', 'sklearn'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    printed = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True, timeout=60
    ).stdout
    assert printed.strip() == "[]"
