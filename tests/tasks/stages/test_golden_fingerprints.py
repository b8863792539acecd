"""Fingerprints and params.json stay what they were: a root of an earlier version is complete for this one.

The values were computed at commit 66a4a25, before the packages were rearranged, with the ffmpeg version, the manifest
and the media folder of the fixture below: ``stage.fingerprint`` of the stages that ``_stages`` lists, and ``params``,
the digest over all their params.json. Since then ``stage_version`` was raised once for Download (3: more kinds of files
are taken) and Decode (4: its frames and sound, and the outcomes of odd media). A change here makes every user compute
the stages concerned again; it needs a raised ``stage_version`` and a line in CHANGELOG.md.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from features.base.files import publish_json
from pipeline.workflow import chain
from tasks.stages.ablation import Ablation
from tasks.stages.crossvalidate import CrossValidate
from tasks.stages.decode import Decode
from tasks.stages.manifest import Manifest
from tasks.stages.train import fold_stages

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tasks.core.stage import Stage

    Configure = Callable[[Mapping[str, Mapping[str, str]]], None]

MANIFEST_ROWS = (
    '{"id": "a", "video": "a.mp4", "text": "one", "category": "x", "tags": ["p"]}\n'
    '{"id": "b", "video": "b.mp4", "text": "two", "category": "y", "tags": ["p", "q"]}\n'
)
EVERY_MODALITY = "frames, motion, audio, cover, text"
MOTION: dict[str, dict[str, str]] = {
    "decode": {"motion_frames_per_second": "15"},
    "features": {"modalities": EVERY_MODALITY},
    "extract_motion": {"backbone": "torchvision:r3d_18.KINETICS400_V1"},
}
CONFIGURATIONS: dict[str, dict[str, dict[str, str]]] = {
    "defaults": {},
    "motion": MOTION,
    "two modalities": {"features": {"modalities": "text, audio"}},
    "presets": {"network": {"preset": "trn_light", "hidden_width": "77"}, "train": {"epochs": "3"}},
    "large preset": {"network": {"preset": "nextvlad_large"}},
    "mean preset": {"network": {"preset": "mean_linear"}},
    "folds": {"ensemble": {"folds": "3"}},
    "seeds": {"ensemble": {"seeds": "3"}},
    "manifest file": {"corpus": {"manifest": "MANIFEST", "tag_separator": ";"}},
    "decode.store = false": {"decode": {"store": "false"}},
    "recognised texts": {
        "ocr": {"backbone": "rapidocr:PP-OCRv6"},
        "asr": {"backbone": "transformers:openai/whisper-tiny", "revision": "abc"},
    },
    "given checkpoint": {"predict": {"checkpoint": "CHECKPOINT", "top_k": "3"}},
    "ablation in the report": {
        "evaluate": {"ablation": "true", "split": "validation", "num_pictures": "3"},
        "ablation": {"seeds": "2", "split": "test", "reference": "mean_linear"},
    },
    "one of everything": {
        "sample": {"num_clips": "32"},
        "manifest": {"clips_per_shard": "12"},
        "download": {"max_bytes": "1000000", "keep_media": "false", "workers": "3"},
        "decode": {
            "num_frames": "16", "max_seconds": "60", "codec": "lossless", "sampling": "fast", "workers": "3",
            "short_side_pixels": "224",
        },
        "extract_frames": {"backbone": "transformers:a/b", "revision": "r", "batch_size": "4", "device": "cpu"},
        "extract_audio": {"window_seconds": "2", "hop_seconds": "1"},
        "extract_text": {"fields": "title", "layer": "0", "max_tokens": "16"},
        "network": {"fusion": "concat", "heads": "cascade", "dropout": "0.2"},
        "train": {"learning_rate": "0.01", "adversarial": "fgm", "seed": "5", "num_threads": "2", "device": "cpu"},
        "predict": {"top_k": "3", "batch_size": "9"},
    },
}  # fmt: skip

# Configuration -> stage -> fingerprint, where it differs from that of the defaults.
GOLDEN: dict[str, dict[str, str]] = {
    "defaults": {
        "sample": "0f2f18c258a0", "manifest": "300a3948de51", "download": "73fbcf6cc2c1",
        "decode": "a9a73c889fb3", "extract-frames": "f3583225ebfb", "extract-audio": "01719c74db86",
        "extract-cover": "524805e93388", "extract-text": "189926daa0bc", "train": "9bfc4711cdeb",
        "predict": "f0fc34c14a5c", "evaluate": "442e2725414f", "train-fold-0": "1119345516b1",
        "crossvalidate": "398c3644fc7d", "ablation": "b8bce0814cbf", "params": "dc724db7722f",
    },
    "motion": {
        "decode": "62acf094b0cb", "extract-frames": "6e98bf784587", "extract-motion": "949d6692d477",
        "extract-audio": "5a0a3d36f7ef", "extract-cover": "579d62303c3f", "train": "1db0a8abd13b",
        "predict": "1e055bec2ef1", "evaluate": "fd75eb7b3e4c", "train-fold-0": "87d75c4ea187",
        "crossvalidate": "d936cc15ce2d", "ablation": "7d15fd28a618", "params": "150309b95ad5",
    },
    "two modalities": {
        "train": "724e740a40e7", "predict": "84fb5c90efe7", "evaluate": "ac78fa00553c",
        "train-fold-0": "71f834ca6643", "crossvalidate": "2d6e82a8ce4a", "ablation": "4c65d90f95d3",
        "params": "ac21d4c15623",
    },
    "presets": {
        "train": "ff1ca2471346", "predict": "71daaf311ac5", "evaluate": "a0b9dbd8b2a6",
        "train-fold-0": "2c4467ab6af9", "crossvalidate": "08f1730f81ac", "ablation": "7aafb6316f9a",
        "params": "7478bceaa97a",
    },
    "large preset": {
        "train": "0bc019e36fa1", "predict": "3187a34d929a", "evaluate": "a344362abe59",
        "train-fold-0": "04e712fba38e", "crossvalidate": "f9a4b44ec6e3", "ablation": "f729cef97b86",
        "params": "e49500831277",
    },
    "mean preset": {
        "train": "772fef1f0c78", "predict": "2180ea4ab5d2", "evaluate": "776a31bd0a5a",
        "train-fold-0": "20f844214864", "crossvalidate": "1bd91f5bfd25", "ablation": "2289736c29dd",
        "params": "afe1df023b3a",
    },
    "folds": {
        "train-fold-0": "f13d1a292654", "predict": "78494282e4b1", "evaluate": "71754388494a",
        "crossvalidate": "d7929b6749d3", "params": "f2cd2c0a2c29",
    },
    "seeds": {
        "train-seed-1": "f2223f00d0b9", "train-seed-2": "84a1b0884890", "predict": "9af0f8ae98b7",
        "evaluate": "dd58a868be31", "params": "3f903b613a68",
    },
    "manifest file": {
        "manifest": "186f8b80671c", "download": "d8764b819f9e", "decode": "15a561ae4842",
        "extract-frames": "ef55500bb3d1", "extract-audio": "059027b31ed5", "extract-cover": "dbf366b58ab9",
        "extract-text": "2434ca4f5ca6", "train": "d8ff911964ca", "predict": "8840965357bc",
        "evaluate": "458596472d02", "train-fold-0": "091d7098745d", "crossvalidate": "5e38888e5eb7",
        "ablation": "7fdd4dd8577a", "params": "6e7b4a1106d1",
    },
    "decode.store = false": {
        "evaluate": "289226743034", "params": "e15303e87d5f",
    },
    "recognised texts": {
        "recognize-asr": "f78e6ce11fa2", "recognize-ocr": "b0cfd5a6a981", "extract-text": "4dee0f7088ed",
        "train": "b4a6a51a4743", "predict": "2959c3769e4e", "evaluate": "c1ff67d241c3",
        "train-fold-0": "76c5239b997d", "crossvalidate": "fc6843138db6", "ablation": "7e7282af0405",
        "params": "8bebc9ae0db3",
    },
    "given checkpoint": {
        "predict": "8db05a0a854f", "evaluate": "5d6aafb2c2af", "params": "dab12b526a70",
    },
    "ablation in the report": {
        "ablation": "ea95a378cee5", "evaluate": "03a3c24ffcec", "params": "3d0f01ad525e",
    },
    "one of everything": {
        "sample": "8cf49b33a31d", "manifest": "54ee66920251", "download": "686a316726dd",
        "decode": "2bad398b9fe0", "extract-frames": "18565ec25f27", "extract-audio": "83dc09fcb429",
        "extract-cover": "c1b937628159", "extract-text": "b0578628a4a8", "train": "2c231d66915b",
        "predict": "0097b12a9aa1", "evaluate": "6337b3edd096", "train-fold-0": "4c47c0273584",
        "crossvalidate": "068617ae23fa", "ablation": "2f785f96520e", "params": "d7603ff7eaf9",
    },
}  # fmt: skip


def _stages() -> dict[str, Stage]:
    """Return every stage that there is in a configuration, by the name of its folder."""
    stages = [*chain(), *fold_stages().values(), CrossValidate(), Ablation()]
    return {stage.stage_name: stage for stage in stages}


@pytest.fixture
def configured(configure: Configure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Apply a configuration by its name, with nothing in it that differs from machine to machine."""
    monkeypatch.setattr(Decode, "ffmpeg_version", lambda _: "7.0.2")
    monkeypatch.setattr(Manifest, "media_folder", lambda _: Path("/media"))
    manifest, checkpoint = tmp_path / "clips.jsonl", tmp_path / "checkpoint"
    manifest.write_text(MANIFEST_ROWS, encoding="utf-8")
    checkpoint.mkdir()
    for name in ("model.json", "model.safetensors", "calibration.json"):
        (checkpoint / name).write_text(name, encoding="utf-8")
    places = {"MANIFEST": str(manifest), "CHECKPOINT": str(checkpoint)}

    def apply(name: str) -> None:
        sections = CONFIGURATIONS[name].items()
        configure({section: {key: places.get(text, text) for key, text in own.items()} for section, own in sections})

    return apply


@pytest.mark.parametrize("name", GOLDEN)
def test_identities_are_those_of_earlier_versions(configured: Callable[[str], None], tmp_path: Path, name: str) -> None:
    configured(name)
    stages = _stages()
    expected = {**GOLDEN["defaults"], **GOLDEN[name]}
    params = expected.pop("params")

    fingerprints = {stage_name: stage.fingerprint for stage_name, stage in stages.items() if stage_name in expected}

    assert fingerprints == {stage_name: expected[stage_name] for stage_name in fingerprints}
    assert set(GOLDEN[name]) - {"params"} <= set(fingerprints)
    texts = []
    for stage in stages.values():
        publish_json(tmp_path / "params.json", stage.identity())
        texts.append((tmp_path / "params.json").read_text(encoding="utf-8").removesuffix("\n"))
    assert hashlib.sha256("".join(texts).encode("utf-8")).hexdigest()[:12] == params


def test_each_configuration_is_there_for_a_change_of_its_own() -> None:
    assert set(GOLDEN) == set(CONFIGURATIONS)
    changes = [json.dumps(changed) for name, changed in GOLDEN.items() if name != "defaults"]
    assert len(set(changes)) == len(changes)
    assert all(changed != GOLDEN["defaults"].get(stage) for name, row in GOLDEN.items() if name != "defaults"
               for stage, changed in row.items())  # fmt: skip
