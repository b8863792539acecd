"""Inspects embedding and prediction shards: schema, provenance, similarity of the clips, and one clip in detail."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from features.base.errors import SourceError
from features.base.outcomes import Tally
from features.base.text import shorten_line
from features.formats.matroska import clip_pixels
from features.formats.prediction_shard import PredictionShard, read_predictions
from features.formats.tar_shard import index_tar_shard, read_parts
from features.inspect.plots.contact_sheet import Cell, small_picture, write_sheet
from features.inspect.plots.scatter_plot import MIN_POINTS, PROJECTIONS, Panel, draw_scatter, project
from features.inspect.plots.step_plots import Steps, draw_heat_map, draw_similarity
from features.inspect.plots.token_plot import draw_tokens, read_tokens
from features.inspect.result import MAX_TITLE_COLUMNS, Drawing, InspectResult
from features.inspect.similarity import fitness, nearest_rows, statistics, unit_rows

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy.typing as npt
    from PIL import Image

    from features.formats.hdf5_shard import ShardReader
    from features.inspect.plots.token_plot import Token
    from features.inspect.result import InspectQuery

    Float32 = npt.NDArray[np.float32]

MAX_LABELS = 5


def inspect_embeddings(reader: ShardReader, query: InspectQuery) -> InspectResult:
    """Return schema, provenance and similarity of an embedding shard, and one of its clips.

    Clips are compared by the mean over their steps.

    Raises:
        SourceError: It has no such clip.
        ShardError: It is damaged.
    """
    tally = Tally.of(reader.outcomes)
    values: dict[str, Any] = {
        "kind": "embedding shard",
        "data_sets": data_sets(reader),
        "provenance": reader.attributes,
        "clips": {"rows": tally.rows, **tally.counts, **tally.codes},
    }
    if not reader.clip_ids:
        return InspectResult(values)
    position = _position(reader, query.clip_id)
    clip_id = reader.clip_ids[position]
    shard, vectors = _vectors(reader)
    values |= similarity_of(vectors, shard, query)
    detail, drawings = _clip(reader, position, query)
    values |= detail
    if clip_id in shard:
        units = unit_rows(vectors)
        rows = nearest_clips(shard, units, clip_id, query)
        values["nearest_clips"] = rows
        drawings += neighbour_drawings(clip_id, rows, query)
    if len(shard) >= MIN_POINTS:
        drawings.append(_scatter(reader, shard, vectors, clip_id, query))
    return InspectResult(values, tuple(drawings))


def data_sets(reader: ShardReader) -> list[dict[str, object]]:
    """Return name, shape and type of every data set."""
    return [{"name": name, "shape": list(shape), "type": kind} for name, shape, kind in reader.datasets()]


def similarity_of(vectors: Float32, clip_ids: list[str], query: InspectQuery) -> dict[str, Any]:
    """Return how well cosine similarity separates ``(N, D)`` vectors, under ``similarity``; nothing for N < 2."""
    found = fitness(vectors, [query.category(clip_id) for clip_id in clip_ids])
    if found is None:
        return {}
    numbers = {name: value for name, value in asdict(found).items() if value is not None}
    return {"similarity": {**numbers, "remark": found.remark()}}


def _position(reader: ShardReader, clip_id: str | None) -> int:
    if clip_id is None:
        return int(np.argmax(np.diff(reader.offsets) > 0))
    try:
        return reader.position(clip_id)
    except KeyError:
        raise SourceError(f"{reader.path} has no clip {clip_id!r}") from None


def _vectors(reader: ShardReader) -> tuple[list[str], Float32]:
    """Return the clips that have steps, and the mean over the steps of each."""
    rows = np.flatnonzero(np.diff(reader.offsets) > 0).tolist()
    means = [reader[row].astype(np.float32).mean(axis=0) for row in rows]
    return [reader.clip_ids[row] for row in rows], np.stack(means) if means else np.zeros((0, reader.dim), np.float32)


def _clip(reader: ShardReader, position: int, query: InspectQuery) -> tuple[dict[str, Any], list[Drawing]]:
    features = reader[position].astype(np.float32)
    outcome = reader.outcomes[position]
    about: dict[str, Any] = {
        "clip_id": outcome.clip_id,
        **query.labels(outcome.clip_id),
        "outcome": " ".join(filter(None, (outcome.status, outcome.code))),
        "shape": list(features.shape),
        "expected_rows": int(reader.expected[position]),
    }
    values: dict[str, Any] = {"clip": about}
    has_tokens = any(name == "/token_id" for name, _, _ in reader.datasets())
    steps = _steps(reader, position)
    tokens: list[Token] = []
    if has_tokens:
        tokens, problem = read_tokens(str(reader.attributes["backbone"]), *_token_columns(reader, position))
        if problem:
            about["tokens_are_numbers"] = problem
        values["tokens"] = [asdict(token) for token in tokens]
        steps = Steps("token", [token.text for token in tokens])
    else:
        about["time_seconds"] = [round(float(second), 4) for second in reader.column("time_seconds", position)]
    about |= statistics(features)
    made_by = f"{reader.attributes['modality']}   {reader.attributes['backbone']}"
    heading = (query.heading(outcome.clip_id), made_by)
    drawings = _step_drawings(features, steps, heading)
    if tokens:
        caption = "norm of each token, and its cosine to the mean of all tokens"
        drawings.append(Drawing("tokens", caption, lambda path: draw_tokens(features, tokens, heading, path)))
    return values, drawings


def _steps(reader: ShardReader, position: int) -> Steps:
    return Steps("time in the clip (s)", [f"{second:g}" for second in reader.column("time_seconds", position)])


def _token_columns(reader: ShardReader, position: int) -> tuple[list[int], list[int]]:
    return reader.column("token_id", position).tolist(), reader.column("field_id", position).tolist()


def _step_drawings(features: Float32, steps: Steps, heading: tuple[str, str]) -> list[Drawing]:
    drawings = []
    if len(features):
        caption = "features of the clip, one row a step"
        drawings.append(Drawing("features", caption, lambda path: draw_heat_map(features, steps, heading, path)))
    if len(features) > 1:
        caption = "cosine between the steps of the clip"
        drawings.append(Drawing("similarity", caption, lambda path: draw_similarity(features, steps, heading, path)))
    return drawings


def _scatter(reader: ShardReader, shard: list[str], vectors: Float32, clip_id: str, query: InspectQuery) -> Drawing:
    made_by = reader.attributes
    chosen = shard.index(clip_id) if clip_id in shard else None
    ring = f"   ring: {clip_id}" if chosen is not None else ""
    title = f"{made_by['modality']}   {made_by['backbone']}   {len(shard)} clips, mean over steps at length 1{ring}"
    names = [query.category(name) for name in shard]

    def draw(path: Path) -> None:
        panel = Panel("category" if query.records else "", names)
        draw_scatter(project(unit_rows(vectors), query.projection), [panel], title, chosen, path)

    return Drawing("scatter", f"clips of the shard by {PROJECTIONS[query.projection]}, coloured by category", draw)


def inspect_predictions(reader: ShardReader, query: InspectQuery) -> InspectResult:
    """Return schema and provenance of a prediction shard, and one of its clips.

    Raises:
        SourceError: It has no such clip.
        ShardError: It is damaged.
    """
    shard = read_predictions(reader.path)
    values: dict[str, Any] = {
        "kind": "prediction shard",
        "data_sets": data_sets(reader),
        "provenance": reader.attributes,
        "clips": {"rows": len(shard.clip_ids)},
    }
    if query.clip_id is not None and query.clip_id not in shard.clip_ids:
        raise SourceError(f"{reader.path} has no clip {query.clip_id!r}")
    if not shard.clip_ids:
        return InspectResult(values)
    clip_id = shard.clip_ids[0] if query.clip_id is None else query.clip_id
    row = shard.clip_ids.index(clip_id)
    rows = nearest_clips(shard.clip_ids, shard.embedding, clip_id, query)
    values |= similarity_of(shard.embedding, list(shard.clip_ids), query)
    values |= {
        "clip": _about(clip_id, shard, query),
        "categories": _best(shard.category_scores[row], shard.categories),
        "tags": _best(shard.tag_scores[row], shard.tags),
        "nearest_clips": rows,
    }
    drawings = neighbour_drawings(clip_id, rows, query)
    if len(shard.clip_ids) >= MIN_POINTS:
        drawings.insert(0, _prediction_scatter(shard, clip_id, query))
    return InspectResult(values, tuple(drawings))


def _about(clip_id: str, shard: PredictionShard, query: InspectQuery) -> dict[str, Any]:
    record = query.records.get(clip_id)
    tags = {} if record is None else {"tags": record.tags}
    return {"clip_id": clip_id, **query.labels(clip_id), **tags, "embedding_width": shard.embedding.shape[1]}


def _best(scores: Float32, names: tuple[str, ...]) -> list[dict[str, object]]:
    order = np.argsort(-scores, kind="stable")[:MAX_LABELS]
    return [{"label": names[index], "probability": round(float(scores[index]), 4)} for index in order]


def _prediction_scatter(shard: PredictionShard, clip_id: str, query: InspectQuery) -> Drawing:
    panels = []
    if shard.categories:
        best = shard.category_scores.argmax(axis=1)
        panels.append(Panel("predicted category", [shard.categories[index] for index in best]))
    if query.records or not panels:
        names = [query.category(name) for name in shard.clip_ids]
        panels.append(Panel("category in the manifest" if query.records else "", names))
    chosen = shard.clip_ids.index(clip_id)
    title = f"embeddings of {len(shard.clip_ids)} clips   ring: {clip_id}"

    def draw(path: Path) -> None:
        draw_scatter(project(shard.embedding, query.projection), panels, title, chosen, path)

    caption = f"embeddings of the shard by {PROJECTIONS[query.projection]}, coloured by predicted and by true category"
    return Drawing("scatter", caption, draw)


def nearest_clips(
    clip_ids: Sequence[str], units: Float32, clip_id: str, query: InspectQuery
) -> list[dict[str, object]]:
    """Return the nearest other clips of a clip by the cosine of ``(N, D)`` unit vectors, nearest first."""
    found = nearest_rows(units, clip_ids.index(clip_id))
    rows: list[dict[str, object]] = []
    for row, cosine in found:
        name = clip_ids[row]
        rows.append({"clip": name, "cosine": round(cosine, 4), **query.labels(name)})
    return rows


def neighbour_drawings(clip_id: str, rows: Sequence[dict[str, object]], query: InspectQuery) -> list[Drawing]:
    """Return the sheet of a clip and its neighbours; nothing without their decoded shard."""
    decoded = query.decoded
    if decoded is None or not rows:
        return []
    lines = {clip_id: _label_lines("this clip", clip_id, query)}
    for row in rows:
        name = str(row["clip"])
        lines[name] = _label_lines(f"cosine {row['cosine']:.3f}", name, query)
    return [
        Drawing(
            "nearest",
            "the clip and its nearest clips, by a frame of each",
            lambda path: _write_neighbours(decoded, lines, query.heading(clip_id), path),
        )
    ]


def _label_lines(first: str, clip_id: str, query: InspectQuery) -> tuple[str, ...]:
    if not query.records:
        return first, clip_id
    return first, clip_id, query.category(clip_id) or "", shorten_line(query.title(clip_id), MAX_TITLE_COLUMNS)


def _write_neighbours(decoded: Path, lines: dict[str, tuple[str, ...]], heading: str, path: Path) -> None:
    clips = index_tar_shard(decoded)
    cells = []
    for clip_id, below in lines.items():
        parts = read_parts(decoded, clips[clip_id]) if clip_id in clips else {}
        cells.append(Cell(_picture_of(parts), below))
    write_sheet(cells, f"nearest to {heading}", path)


def _picture_of(parts: dict[str, bytes]) -> Image.Image:
    """Return the middle frame of a clip, else its cover, else grey."""
    from PIL import Image  # noqa: PLC0415 - only pictures need it

    pixels = clip_pixels(parts)
    return Image.new("RGB", (240, 160), (200, 204, 210)) if pixels is None else small_picture(pixels)
