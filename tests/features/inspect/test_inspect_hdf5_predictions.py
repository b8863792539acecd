from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from features.base.errors import SourceError
from features.formats.prediction_shard import PredictionShard
from features.inspect.inspect_hdf5 import inspect_predictions
from features.inspect.result import InspectQuery
from tests.features.inspect.published import PREDICTIONS, predictions, records

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.figure import Figure


def test_predictions_show_the_best_labels_and_the_nearest_clips(tmp_path: Path) -> None:
    found = inspect_predictions(predictions(tmp_path / "a.h5"), InspectQuery()).values
    assert found["clip"] == {"clip_id": "one", "embedding_width": 2}
    assert found["categories"] == [{"label": "a", "probability": 0.9}, {"label": "b", "probability": 0.1}]
    assert [row["label"] for row in found["tags"]] == ["y", "z", "x"]
    assert found["nearest_clips"] == [{"clip": "two", "cosine": 1.0}, {"clip": "three", "cosine": 0.6}]
    assert found["similarity"]["mean_cosine"] == pytest.approx((1 + 0.6 + 0.6) / 3)


def test_a_clip_is_never_its_own_neighbour(tmp_path: Path) -> None:
    # "two" has the same embedding as "one", which stands before it.
    reader = predictions(tmp_path / "a.h5")
    nearest = inspect_predictions(reader, InspectQuery("two")).values["nearest_clips"]
    assert [row["clip"] for row in nearest] == ["one", "three"]
    with pytest.raises(SourceError, match="has no clip 'nobody'"):
        inspect_predictions(reader, InspectQuery("nobody"))


def test_the_scatter_shows_predicted_and_true_categories(tmp_path: Path, figures: list[Figure]) -> None:
    query = InspectQuery(records=records({"one": "a", "two": "b", "three": "b"}))
    found = inspect_predictions(predictions(tmp_path / "a.h5"), query)
    assert (found.values["clip"]["category"], found.values["clip"]["title"]) == ("a", "film of one")
    (scatter,) = found.drawings
    scatter.draw(tmp_path / "a.png")
    assert [axes.get_title("left") for axes in figures[0].axes] == ["predicted category", "category in the manifest"]
    counts = [
        {str(points.get_label()): len(np.asarray(points.get_offsets())) for points in axes.collections[:-1]}
        for axes in figures[0].axes
    ]
    # The third clip is a tie, of which the first label counts.
    assert counts == [{"a": 2, "b": 1}, {"a": 1, "b": 2}]


def test_predictions_without_a_head_or_without_clips_are_shown(tmp_path: Path, figures: list[Figure]) -> None:
    bare = replace(
        PREDICTIONS, tags=(), tag_scores=np.zeros((3, 0), np.float32),
        categories=(), category_scores=np.zeros((3, 0), np.float32),
    )  # fmt: skip
    found = inspect_predictions(predictions(tmp_path / "a.h5", bare), InspectQuery())
    assert (found.values["tags"], found.values["categories"]) == ([], [])
    found.drawings[0].draw(tmp_path / "a.png")
    assert len(figures[0].axes) == 1
    none = np.zeros((0, 2), np.float32)
    empty = PredictionShard((), ("a", "b"), (), none, none[:, :0], none)
    assert inspect_predictions(predictions(tmp_path / "b.h5", empty), InspectQuery()).values["clips"]["rows"] == 0
