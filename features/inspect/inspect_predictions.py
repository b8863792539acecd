"""A prediction shard: the best labels of one clip, its nearest clips, and all clips by label."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from features.analysis.projection import MIN_POINTS, PROJECTIONS, project
from features.base.errors import SourceError
from features.formats.prediction_shard import PredictionShard, read_predictions
from features.inspect.inspect_embeddings import data_sets, likeness
from features.inspect.neighbours import nearest_clips, neighbour_drawings
from features.inspect.result import Drawing, Found
from features.plots.scatter_plot import Panel, draw_scatter

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    from features.formats.hdf5_shard import ShardReader
    from features.inspect.result import Look

MAX_LABELS = 5


def look_at_predictions(reader: ShardReader, look: Look) -> Found:
    """Return schema and provenance of a prediction shard, and one of its clips.

    Raises:
        SourceError: It does not hold the clip.
        ShardError: It is damaged.
    """
    shard = read_predictions(reader.path)
    values: dict[str, Any] = {
        "kind": "prediction shard",
        "data_sets": data_sets(reader),
        "provenance": reader.attributes,
        "clips": {"rows": len(shard.clip_ids)},
    }
    if look.clip_id is not None and look.clip_id not in shard.clip_ids:
        raise SourceError(f"{reader.path} does not hold the clip {look.clip_id!r}")
    if not shard.clip_ids:
        return Found(values)
    clip_id = shard.clip_ids[0] if look.clip_id is None else look.clip_id
    row = shard.clip_ids.index(clip_id)
    rows = nearest_clips(shard.clip_ids, shard.embedding, clip_id, look)
    values |= likeness(shard.embedding, list(shard.clip_ids), look)
    values |= {
        "clip": _about(clip_id, shard, look),
        "categories": _best(shard.category_scores[row], shard.categories),
        "tags": _best(shard.tag_scores[row], shard.tags),
        "nearest_clips": rows,
    }
    drawings = neighbour_drawings(clip_id, rows, look)
    if len(shard.clip_ids) >= MIN_POINTS:
        drawings.insert(0, _scatter(shard, clip_id, look))
    return Found(values, tuple(drawings))


def _about(clip_id: str, shard: PredictionShard, look: Look) -> dict[str, Any]:
    record = look.records.get(clip_id)
    tags = {} if record is None else {"tags": record.tags}
    return {"clip_id": clip_id, **look.labels(clip_id), **tags, "embedding_width": shard.embedding.shape[1]}


def _best(scores: npt.NDArray[np.float32], names: tuple[str, ...]) -> list[dict[str, object]]:
    order = np.argsort(-scores, kind="stable")[:MAX_LABELS]
    return [{"label": names[index], "probability": round(float(scores[index]), 4)} for index in order]


def _scatter(shard: PredictionShard, clip_id: str, look: Look) -> Drawing:
    panels = []
    if shard.categories:
        best = shard.category_scores.argmax(axis=1)
        panels.append(Panel("predicted category", [shard.categories[index] for index in best]))
    if look.records or not panels:
        names = [look.category(name) for name in shard.clip_ids]
        panels.append(Panel("category in the manifest" if look.records else "", names))
    chosen = shard.clip_ids.index(clip_id)
    title = f"embeddings of {len(shard.clip_ids)} clips   ring: {clip_id}"

    def draw(path: Path) -> None:
        draw_scatter(project(shard.embedding, look.projection), panels, title, chosen, path)

    shows = f"the embeddings of the shard by {PROJECTIONS[look.projection]}, by predicted and true category"
    return Drawing("scatter", shows, draw)
