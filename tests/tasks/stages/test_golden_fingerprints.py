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
        "decode": "75f6fcf35d6b", "extract-frames": "373d74654dc8", "extract-audio": "bd0795d90cc4",
        "extract-cover": "0da51675f489", "extract-text": "189926daa0bc", "train": "64cfda792898",
        "predict": "b9d1cbb0a7d6", "evaluate": "034509a88ded", "train-fold-0": "88c5b1bd7ed0",
        "crossvalidate": "3feac46c1483", "ablation": "165c4b1c1751", "params": "a3acc5ed40eb",
    },
    "motion": {
        "decode": "7cdeab4aecff", "extract-frames": "2cdd86e8e145", "extract-motion": "8ac5e1d9c07c",
        "extract-audio": "b33f3737ac3f", "extract-cover": "bb5b9b9bbd4f", "train": "937380da9d01",
        "predict": "49d4f5efb7a0", "evaluate": "defc538cea5b", "train-fold-0": "9ac7f3c5b9c2",
        "crossvalidate": "cc8e9e1b45f8", "ablation": "b5e53273f238", "params": "6a899ae8f958",
    },
    "two modalities": {
        "train": "ba6a00ab4cc8", "predict": "7e30c2480d70", "evaluate": "e552b47b0eba",
        "train-fold-0": "f17859f84e4a", "crossvalidate": "59919d9eac3f", "ablation": "4387993f3980",
        "params": "2617ad115ed4",
    },
    "presets": {
        "train": "a7e00d447960", "predict": "c8d470b7fb88", "evaluate": "65019b0c446e",
        "train-fold-0": "313021cf7189", "crossvalidate": "3c5b42962d6f", "ablation": "3c700a94a638",
        "params": "d1c64d8ceb92",
    },
    "large preset": {
        "train": "e1a827605959", "predict": "c3e767be7cae", "evaluate": "92d1b48c1b4f",
        "train-fold-0": "32b0cee3e961", "crossvalidate": "3105375f46f1", "ablation": "b63bf37db25e",
        "params": "3867f9f3bea2",
    },
    "mean preset": {
        "train": "22f1de2836ed", "predict": "d9fbf96d9d58", "evaluate": "b70c8b6573d5",
        "train-fold-0": "998edee5535d", "crossvalidate": "ea6e1b3076b4", "ablation": "1a8c790b182f",
        "params": "126cfe6c099e",
    },
    "folds": {
        "train-fold-0": "b9d798d800b8", "predict": "9dfb22117528", "evaluate": "b285352826ae",
        "crossvalidate": "c21534466e49", "params": "bb55cd238cce",
    },
    "seeds": {
        "train-seed-1": "9bc5ba5af303", "train-seed-2": "f90073a9d0c8", "predict": "7ec20f0d56a8",
        "evaluate": "ef96958163c5", "params": "1736cce81058",
    },
    "manifest file": {
        "manifest": "186f8b80671c", "download": "d8764b819f9e", "decode": "e68fd3a82b3c",
        "extract-frames": "ade21e523ff9", "extract-audio": "7d45d10311b9", "extract-cover": "9cb509eba29c",
        "extract-text": "2434ca4f5ca6", "train": "c1d5f0ab62f5", "predict": "19f725a88cda",
        "evaluate": "c5fdfcb08b97", "train-fold-0": "81a61f2ebb02", "crossvalidate": "4f80f4994120",
        "ablation": "ba10d57267a0", "params": "862d0ccea7f7",
    },
    "decode.store = false": {
        "evaluate": "0fd0af1360d2", "params": "e199db4f3a2d",
    },
    "recognised texts": {
        "recognize-asr": "9df446f8b178", "recognize-ocr": "14862676495f", "extract-text": "68688db6ad56",
        "train": "5fb64edea782", "predict": "26b3ea868ace", "evaluate": "97687701155f",
        "train-fold-0": "8f21a442f247", "crossvalidate": "55b2c4a5a518", "ablation": "70d4ab28c540",
        "params": "cb7cb49c2e33",
    },
    "given checkpoint": {
        "predict": "9279bc0c68ca", "evaluate": "9465b1d3a50f", "params": "ac5f76d0ca57",
    },
    "ablation in the report": {
        "ablation": "8ef942a03b5f", "evaluate": "54fb3e3c6f18", "params": "7cc2b09e8ace",
    },
    "one of everything": {
        "sample": "8cf49b33a31d", "manifest": "54ee66920251", "download": "686a316726dd",
        "decode": "c68f61e29d70", "extract-frames": "e9db7bf7d74b", "extract-audio": "fd1e6d082fa5",
        "extract-cover": "e8fc426e5ba9", "extract-text": "b0578628a4a8", "train": "406ec97c669c",
        "predict": "2a6492ade346", "evaluate": "ad371349f684", "train-fold-0": "d3add301fedd",
        "crossvalidate": "1d585d4d44b2", "ablation": "830e57181923", "params": "f7805d3eb1bc",
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
