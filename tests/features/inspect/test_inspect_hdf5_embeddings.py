from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from features.base.errors import SourceError
from features.inspect.inspect_hdf5 import inspect_embeddings
from features.inspect.result import InspectQuery
from tests.features.inspect.published import FEATURES, embeddings, records, text_embeddings, word_model

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.figure import Figure

NONE = FEATURES[:0]


def test_an_embedding_shard_shows_schema_provenance_and_its_first_clip_with_rows(tmp_path: Path) -> None:
    found = inspect_embeddings(embeddings(tmp_path / "a.h5", [NONE, FEATURES, FEATURES[:1]]), InspectQuery()).values
    assert found["provenance"]["backbone"] == "b:n"
    assert {"name": "/features", "shape": [4, 2], "type": "float16"} in found["data_sets"]
    assert found["clips"] == {"rows": 3, "ok": 3, "partial": 0, "failed": 0, "no_video": 1}
    clip = found["clip"]
    assert (clip["clip_id"], clip["outcome"], clip["shape"]) == ("clip1", "ok", [3, 2])
    assert (clip["expected_rows"], clip["time_seconds"]) == (4, [0, 0.5, 1])
    assert clip["mean_norm"] == pytest.approx(20 / 3)


def test_one_clip_is_chosen_by_its_id(tmp_path: Path) -> None:
    reader = embeddings(tmp_path / "a.h5", [NONE, FEATURES, FEATURES[:1]])
    assert inspect_embeddings(reader, InspectQuery("clip2")).values["clip"]["shape"] == [1, 2]
    empty = inspect_embeddings(reader, InspectQuery("clip0"))
    assert empty.values["clip"]["outcome"] == "ok no_video"
    assert "nearest_clips" not in empty.values
    assert empty.drawings == ()
    with pytest.raises(SourceError, match="has no clip 'nobody'"):
        inspect_embeddings(reader, InspectQuery("nobody"))


def test_a_shard_without_clips_or_without_any_step_is_shown(tmp_path: Path) -> None:
    assert inspect_embeddings(embeddings(tmp_path / "a.h5", []), InspectQuery()).values["clips"]["rows"] == 0
    bare = inspect_embeddings(embeddings(tmp_path / "b.h5", [NONE, NONE]), InspectQuery())
    assert (bare.values["clip"]["clip_id"], bare.drawings) == ("clip0", ())
    assert "similarity" not in bare.values


def test_clips_are_compared_by_the_mean_over_their_steps(tmp_path: Path) -> None:
    clips = [np.array(rows, np.float32) for rows in ([[2, 0], [0, 2]], [[0, 3]], [[5, 5]], [[-1, 0]])]
    query = InspectQuery("clip0", records({"clip0": "a", "clip1": "b", "clip2": "a", "clip3": None}))
    found = inspect_embeddings(embeddings(tmp_path / "a.h5", clips), query).values
    # The mean of the first clip is (1, 1), parallel to the third.
    assert found["nearest_clips"] == [
        {"clip": "clip2", "cosine": 1.0, "category": "a", "title": "film of clip2"},
        {"clip": "clip1", "cosine": 0.7071, "category": "b", "title": "film of clip1"},
        {"clip": "clip3", "cosine": -0.7071, "category": None, "title": "film of clip3"},
    ]
    similarity = found["similarity"]
    assert similarity["num_clips"] == 4
    assert similarity["highest_cosine"] == pytest.approx(1)
    assert similarity["lowest_cosine"] == pytest.approx(-np.sqrt(0.5))
    assert similarity["nearest_of_same_category"] == pytest.approx(2 / 3)
    assert similarity["remark"].startswith("fit for cosine")


def test_without_records_neighbours_are_ids_and_cosines(tmp_path: Path) -> None:
    found = inspect_embeddings(embeddings(tmp_path / "a.h5", [FEATURES, FEATURES]), InspectQuery()).values
    assert found["nearest_clips"] == [{"clip": "clip1", "cosine": 1.0}]
    assert "nearest_of_same_category" not in found["similarity"]


def test_the_pictures_of_a_shard_are_drawn(tmp_path: Path, figures: list[Figure]) -> None:
    clips = [FEATURES, FEATURES[:1], FEATURES[1:]]
    query = InspectQuery(records=records({"clip0": "猫", "clip1": "狗", "clip2": "猫"}))
    found = inspect_embeddings(embeddings(tmp_path / "a.h5", clips), query)
    assert [drawing.name for drawing in found.drawings] == ["features", "similarity", "scatter"]
    for drawing in found.drawings:
        drawing.draw(tmp_path / f"{drawing.name}.png")
        with Image.open(tmp_path / f"{drawing.name}.png") as picture:
            assert picture.format == "PNG"
    assert "ring: clip0" in figures[2].get_suptitle()
    assert "b:n" in figures[2].get_suptitle()
    (legend,) = figures[2].legends
    assert {text.get_text() for text in legend.get_texts()} == {"猫", "狗"}
    assert figures[0].get_suptitle().startswith("clip0   猫   film of clip0\nframes   b:n")


def test_text_shows_its_tokens(tmp_path: Path, figures: list[Figure]) -> None:
    backbone, words = word_model(tmp_path)
    ids = [words.index(word) for word in ("[CLS]", "dog", "海")]
    reader = text_embeddings(tmp_path / "a.h5", backbone, ids, [0, 0, 2], FEATURES)
    found = inspect_embeddings(reader, InspectQuery())
    assert found.values["tokens"] == [
        {"field": "title", "token_id": ids[0], "text": "[CLS]"},
        {"field": "title", "token_id": ids[1], "text": "dog"},
        {"field": "ocr", "token_id": ids[2], "text": "海"},
    ]
    # Tokens have no times.
    assert "time_seconds" not in found.values["clip"]
    assert "tokens_are_numbers" not in found.values["clip"]
    assert [drawing.name for drawing in found.drawings] == ["features", "similarity", "tokens"]
    for drawing in found.drawings:
        drawing.draw(tmp_path / f"{drawing.name}.png")
    assert [label.get_text() for label in figures[1].axes[0].get_yticklabels()] == ["[CLS]", "dog", "海"]


def test_text_of_a_model_that_is_not_here_shows_numbers_and_why(tmp_path: Path) -> None:
    reader = text_embeddings(tmp_path / "a.h5", "transformers:owner/model", [7, 8, 9], [0, 0, 0], FEATURES)
    found = inspect_embeddings(reader, InspectQuery()).values
    assert [row["text"] for row in found["tokens"]] == ["7", "8", "9"]
    assert "owner/model" in found["clip"]["tokens_are_numbers"]
