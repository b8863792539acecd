"""Fingerprints and params.json stay what they were: a root of an earlier version is complete for this one.

The values were computed at commit 66a4a25, before the packages were rearranged, with the ffmpeg version, the manifest
and the media folder of the fixture below: ``stage.fingerprint`` of the stages that ``_stages`` lists, and ``params``,
the digest over all their params.json. A change here makes every user compute the stages concerned again; it needs a
raised ``stage_version`` and a line in CHANGELOG.md.
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
        "sample": "0f2f18c258a0", "manifest": "300a3948de51", "download": "4482408042d5",
        "decode": "9a16753e2c4c", "extract-frames": "24df8dd57c3c", "extract-audio": "ee7888c4cc77",
        "extract-cover": "a4bc709c8f09", "extract-text": "189926daa0bc", "train": "910116fdebbc",
        "predict": "aa31addc99a6", "evaluate": "8c6a6f43aef4", "train-fold-0": "160b764b2317",
        "crossvalidate": "ef145a0cfbed", "ablation": "2c85dfa37d87", "params": "f483f2f8ecbc",
    },
    "motion": {
        "decode": "070f07dbdca6", "extract-frames": "5c87f09a7ce5", "extract-motion": "3e0fe87d8f42",
        "extract-audio": "902da86e1c63", "extract-cover": "1fd4fcca2569", "train": "7a5a30ecd5fc",
        "predict": "0465377ed267", "evaluate": "2c3589ffe63e", "train-fold-0": "5aadbc495800",
        "crossvalidate": "aa0ae868748b", "ablation": "b582390f6fea", "params": "f2ff49268ea9",
    },
    "two modalities": {
        "train": "3547866c935b", "predict": "a6dbf7628941", "evaluate": "805e977f8339",
        "train-fold-0": "ae6e6e5707bd", "crossvalidate": "874831f5dbb0", "ablation": "e7d790dba58f",
        "params": "b3955f19791d",
    },
    "presets": {
        "train": "bad8996e7595", "predict": "b97bbd580fc8", "evaluate": "aed0f1c73746",
        "train-fold-0": "532f760107ae", "crossvalidate": "2381aa7a735f", "ablation": "33de69cfbb3f",
        "params": "edbec02f50ac",
    },
    "large preset": {
        "train": "3ad397851f04", "predict": "62e38c1a6f9b", "evaluate": "73ad7df724a5",
        "train-fold-0": "038f508ab90b", "crossvalidate": "8231fbb12af9", "ablation": "93f9be6981a5",
        "params": "e63794ea6460",
    },
    "mean preset": {
        "train": "62f1b7e39951", "predict": "136d1857c584", "evaluate": "dd6d4d7692ea",
        "train-fold-0": "fd8062f9c3c3", "crossvalidate": "e495223be847", "ablation": "022be3571f17",
        "params": "d5c4b0793009",
    },
    "folds": {
        "train-fold-0": "2f0d55d50502", "predict": "7e5331c02178", "evaluate": "dca62665edba",
        "crossvalidate": "b12716a74644", "params": "df5d75f9a3ed",
    },
    "seeds": {
        "train-seed-1": "cdf7e8ffb2f0", "train-seed-2": "827047687cc5", "predict": "f362fc597070",
        "evaluate": "2f7d923eb477", "params": "af02472e1ea7",
    },
    "manifest file": {
        "manifest": "186f8b80671c", "download": "79f4ed17c868", "decode": "b629d3dff44b",
        "extract-frames": "9f6e4e8dd524", "extract-audio": "f144057581a9", "extract-cover": "ce17778677af",
        "extract-text": "2434ca4f5ca6", "train": "c86c9d8b0375", "predict": "6d81a5e96e98",
        "evaluate": "1e079564298e", "train-fold-0": "c1da596f8412", "crossvalidate": "354bc6efda98",
        "ablation": "fb161a765a24", "params": "903cb26f9124",
    },
    "decode.store = false": {
        "evaluate": "1835e2cf6b19", "params": "027897634152",
    },
    "recognised texts": {
        "recognize-asr": "f220c5059148", "recognize-ocr": "fa770e8e9e33", "extract-text": "bacd8ad85f69",
        "train": "094c60264f0f", "predict": "7d5669e44e10", "evaluate": "e9337c7864cb",
        "train-fold-0": "0afafdfd8573", "crossvalidate": "4d431d4b280b", "ablation": "6dfdb709d92a",
        "params": "634383fa7062",
    },
    "given checkpoint": {
        "predict": "5c73a1cdd100", "evaluate": "cba4f6ad9192", "params": "1e2e2246e416",
    },
    "ablation in the report": {
        "ablation": "d84cea9c1bbd", "evaluate": "edb19a701412", "params": "0e96ea676c3d",
    },
    "one of everything": {
        "sample": "8cf49b33a31d", "manifest": "54ee66920251", "download": "969fa3b76033",
        "decode": "fcce62c9645e", "extract-frames": "bcaee1e4ca03", "extract-audio": "6267b9b460d2",
        "extract-cover": "f5c28ca1d8e3", "extract-text": "b0578628a4a8", "train": "0f65d4951a78",
        "predict": "47fa667d5e17", "evaluate": "ccbf306cb2eb", "train-fold-0": "957917ef1f4b",
        "crossvalidate": "72b03d494d3e", "ablation": "6ab0e5840aa3", "params": "473d1c28e2cb",
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
