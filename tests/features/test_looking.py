from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from features.decoding.ffmpeg import DecodeConfig
from features.errors import ShardError, SourceError, ToolError
from features.extractors.protocol import ClipFeatures
from features.looking import look_at_hdf5, look_at_tar, statistics, write_contact_sheet, write_heat_map
from features.outcomes import Outcome
from features.shards import PredictionShard, ShardWriter, write_predictions
from features.tarshard import TarShardWriter
from tests.features.media import decode_to, downloaded

if TYPE_CHECKING:
    from pathlib import Path

FEATURES = np.array([[3.0, 4.0], [6.0, 8.0], [0.0, 5.0]], np.float32)


def embeddings(path: Path, lengths: list[int]) -> Path:
    with ShardWriter(path, 2, {"modality": "frames", "backbone": "b"}, has_tokens=False) as writer:
        for number, length in enumerate(lengths):
            code = "" if length else "no_text"
            found = ClipFeatures(FEATURES[:length], np.linspace(0, 1, 3, dtype=np.float32)[:length])
            writer.add(Outcome(f"clip{number}", "ok", code), found, expected=4)
    return path


def test_statistics_are_those_of_the_numbers() -> None:
    found = statistics(FEATURES)
    assert found["mean"] == pytest.approx(26 / 6)
    assert (found["minimum"], found["maximum"]) == (0.0, 8.0)
    assert found["zeros_fraction"] == pytest.approx(1 / 6)
    assert found["mean_norm"] == pytest.approx((5 + 10 + 5) / 3)
    # The first two point the same way, the second and third meet at cosine 0.8.
    assert found["cosine_to_next_step"] == pytest.approx((1 + 0.8) / 2)
    assert found["standard_deviation"] == pytest.approx(float(np.std([3, 4, 6, 8, 0, 5])))
    assert statistics(FEATURES[:0]) == {}
    assert "cosine_to_next_step" not in statistics(FEATURES[:1])
    assert "cosine_to_next_step" not in statistics(np.zeros((3, 2), np.float32))


def test_an_embedding_shard_shows_schema_provenance_and_its_first_clip_with_rows(tmp_path: Path) -> None:
    found = look_at_hdf5(embeddings(tmp_path / "a.h5", [0, 3, 1]), None, tmp_path / "a.png")
    assert found["provenance"]["backbone"] == "b"
    assert {"name": "/features", "shape": "(4, 2)", "type": "float16"} in found["data_sets"]
    assert found["clips"] == {"rows": 3, "ok": 3, "partial": 0, "failed": 0, "no_text": 1}
    clip = found["clip"]
    assert (clip["clip_id"], clip["outcome"], clip["shape"]) == ("clip1", "ok", "(3, 2)")
    assert (clip["expected_rows"], clip["time_seconds"]) == (4, "0 0.5 1")
    assert clip["mean_norm"] == pytest.approx(20 / 3)
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.format == "PNG"
        assert picture.width > 1000


def test_one_clip_is_chosen_by_its_id(tmp_path: Path) -> None:
    path = embeddings(tmp_path / "a.h5", [0, 3, 1])
    assert look_at_hdf5(path, "clip2", None)["clip"]["shape"] == "(1, 2)"
    assert look_at_hdf5(path, "clip0", None)["clip"]["outcome"] == "ok no_text"
    with pytest.raises(SourceError, match="does not hold the clip 'nobody'"):
        look_at_hdf5(path, "nobody", None)
    with pytest.raises(SourceError, match="has no features to draw: choose another clip"):
        look_at_hdf5(path, "clip0", tmp_path / "a.png")


def test_a_shard_without_clips_is_shown(tmp_path: Path) -> None:
    assert look_at_hdf5(embeddings(tmp_path / "a.h5", []), None, None)["clips"]["rows"] == 0
    empty = np.zeros((0, 2), np.float32)
    write_predictions(tmp_path / "b.h5", PredictionShard((), ("a", "b"), (), empty, empty[:, :0], empty), {})
    assert look_at_hdf5(tmp_path / "b.h5", None, None)["clips"]["rows"] == 0


PREDICTIONS = PredictionShard(
    clip_ids=("one", "two", "three"),
    categories=("a", "b"),
    tags=("x", "y", "z"),
    category_scores=np.array([[0.9, 0.1], [0.2, 0.8], [0.5, 0.5]], np.float32),
    tag_scores=np.array([[0.1, 0.7, 0.3], [0, 0, 1], [0.5, 0.5, 0.5]], np.float32),
    embedding=np.array([[1, 0], [1, 0], [0.6, 0.8]], np.float32),
)


def test_predictions_show_the_best_labels_and_the_nearest_clips(tmp_path: Path) -> None:
    write_predictions(tmp_path / "a.h5", PREDICTIONS, {})
    found = look_at_hdf5(tmp_path / "a.h5", None, None)
    assert found["clip"] == {"clip_id": "one", "embedding_width": 2}
    assert found["categories"] == [{"label": "a", "probability": 0.9}, {"label": "b", "probability": 0.1}]
    assert [row["label"] for row in found["tags"]] == ["y", "z", "x"]
    assert found["nearest_clips"] == [{"clip": "two", "cosine": 1.0}, {"clip": "three", "cosine": 0.6}]


def test_a_clip_is_never_its_own_neighbour(tmp_path: Path) -> None:
    # "two" has the same embedding as "one", which stands before it.
    write_predictions(tmp_path / "a.h5", PREDICTIONS, {})
    nearest = look_at_hdf5(tmp_path / "a.h5", "two", None)["nearest_clips"]
    assert [row["clip"] for row in nearest] == ["one", "three"]
    with pytest.raises(SourceError, match="does not hold the clip 'nobody'"):
        look_at_hdf5(tmp_path / "a.h5", "nobody", None)


@pytest.fixture(scope="module")
def decoded(media: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("looking") / "a.tar"
    names = ("empty", "both", "sound")
    clips = [downloaded(media / f"{name}.mp4", clip_id=name) for name in names]
    decode_to(path, clips, DecodeConfig(workers=1, frames_per_second=5.0))
    return path


def test_a_decoded_shard_shows_its_account_and_its_first_decoded_clip(decoded: Path, tmp_path: Path) -> None:
    found = look_at_tar(decoded, None, tmp_path / "a.png")
    assert found["clips"] == {"rows": 3, "ok": 1, "partial": 1, "failed": 1, "invalid_data": 1, "no_video_stream": 1}
    clip = found["clip"]
    assert (clip["clip_id"], clip["outcome"], clip["frames_shape"]) == ("both", "ok", "(10, 48, 64, 3)")
    assert clip["time_seconds"].split()[:3] == ["0", "0.2", "0.4"]
    assert 0 < clip["sound_root_mean_square"] < clip["sound_peak"] <= 1
    with Image.open(tmp_path / "a.png") as picture:
        # Eight frames of the ten, 160 pixels high.
        assert picture.size == (8 * round(160 * 64 / 48), 160)


def test_one_decoded_clip_is_chosen_by_its_id(decoded: Path, tmp_path: Path) -> None:
    failed = look_at_tar(decoded, "empty", tmp_path / "a.png")["clip"]
    assert failed["outcome"].startswith("failed invalid_data ")
    assert not (tmp_path / "a.png").exists()
    assert "frames_shape" not in look_at_tar(decoded, "sound", None)["clip"]
    with pytest.raises(SourceError, match="does not hold the clip 'nobody'"):
        look_at_tar(decoded, "nobody", None)


def test_a_decoded_shard_without_a_decoded_clip_is_shown(tmp_path: Path) -> None:
    with TarShardWriter(tmp_path / "a.tar"):
        pass
    assert look_at_tar(tmp_path / "a.tar", None, None)["clips"]["rows"] == 0


def test_damage_is_an_error(tmp_path: Path) -> None:
    for name in ("a.h5", "a.tar"):
        (tmp_path / name).write_bytes(b"rubbish" * 1000)
    with pytest.raises(ShardError):
        look_at_hdf5(tmp_path / "a.h5", None, None)
    with pytest.raises(ShardError):
        look_at_tar(tmp_path / "a.tar", None, None)


def test_a_contact_sheet_of_fewer_than_eight_frames_shows_each_once(tmp_path: Path) -> None:
    images = np.stack([np.full((80, 40, 3), 50 * number, np.uint8) for number in range(3)])
    write_contact_sheet(images, tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as picture:
        pixels = np.asarray(picture)
    assert pixels.shape == (160, 3 * 80, 3)
    assert [int(pixels[80, x, 0]) for x in (40, 120, 200)] == [0, 50, 100]


def test_a_heat_map_without_matplotlib_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ToolError, match=r"heat maps need matplotlib: pip install 'short-video-pipeline\[report\]'"):
        write_heat_map(FEATURES, "title", tmp_path / "a.png")


@pytest.mark.parametrize("title", ["a$b_{$", "猫", "a\\b^"])
def test_a_heat_map_of_zeros_and_a_title_in_any_script_are_no_error(tmp_path: Path, title: str) -> None:
    write_heat_map(np.zeros((1, 3), np.float32), title, tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 1000


def test_predictions_without_tags_are_shown(tmp_path: Path) -> None:
    shard = replace(PREDICTIONS, tags=(), tag_scores=np.zeros((3, 0), np.float32))
    write_predictions(tmp_path / "a.h5", shard, {})
    assert look_at_hdf5(tmp_path / "a.h5", None, None)["tags"] == []
