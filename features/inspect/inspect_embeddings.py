"""An embedding shard: what made it, one clip closely, and how alike its clips are."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from features.analysis.projection import MIN_POINTS, PROJECTIONS, project
from features.analysis.similarity import fitness, statistics, unit_rows
from features.analysis.token_words import read_tokens
from features.base.errors import SourceError
from features.base.outcomes import Tally
from features.inspect.neighbours import nearest_clips, neighbour_drawings
from features.inspect.result import Drawing, Found
from features.plots.scatter_plot import Panel, draw_scatter
from features.plots.step_plots import Steps, draw_heat_map, draw_similarity
from features.plots.token_plot import draw_tokens

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    from features.analysis.token_words import Token
    from features.formats.hdf5_shard import ShardReader
    from features.inspect.result import Look

    Float32 = npt.NDArray[np.float32]


def look_at_embeddings(reader: ShardReader, look: Look) -> Found:
    """Return schema, provenance and likeness of an embedding shard, and one of its clips.

    A clip stands for the mean over its steps where clips are compared.

    Raises:
        SourceError: It does not hold the clip.
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
        return Found(values)
    position = _position(reader, look.clip_id)
    clip_id = reader.clip_ids[position]
    shard, vectors = _vectors(reader)
    values |= likeness(vectors, shard, look)
    close, drawings = _clip(reader, position, look)
    values |= close
    if clip_id in shard:
        units = unit_rows(vectors)
        rows = nearest_clips(shard, units, clip_id, look)
        values["nearest_clips"] = rows
        drawings += neighbour_drawings(clip_id, rows, look)
    if len(shard) >= MIN_POINTS:
        drawings.append(_scatter(reader, shard, vectors, clip_id, look))
    return Found(values, tuple(drawings))


def data_sets(reader: ShardReader) -> list[dict[str, object]]:
    """Return name, shape and type of every data set."""
    return [{"name": name, "shape": list(shape), "type": kind} for name, shape, kind in reader.datasets()]


def likeness(vectors: Float32, clip_ids: list[str], look: Look) -> dict[str, Any]:
    """Return under ``similarity`` how far the cosine of ``(N, D)`` vectors means likeness; nothing for N < 2."""
    found = fitness(vectors, [look.category(clip_id) for clip_id in clip_ids])
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
        raise SourceError(f"{reader.path} does not hold the clip {clip_id!r}") from None


def _vectors(reader: ShardReader) -> tuple[list[str], Float32]:
    """Return the clips that have steps, and the mean over the steps of each."""
    rows = np.flatnonzero(np.diff(reader.offsets) > 0).tolist()
    means = [reader[row].astype(np.float32).mean(axis=0) for row in rows]
    return [reader.clip_ids[row] for row in rows], np.stack(means) if means else np.zeros((0, reader.dim), np.float32)


def _clip(reader: ShardReader, position: int, look: Look) -> tuple[dict[str, Any], list[Drawing]]:
    features = reader[position].astype(np.float32)
    outcome = reader.outcomes[position]
    about: dict[str, Any] = {
        "clip_id": outcome.clip_id,
        **look.labels(outcome.clip_id),
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
    heading = (look.heading(outcome.clip_id), made_by)
    drawings = _step_drawings(features, steps, heading)
    if tokens:
        shows = "tokens, the norm of each and its cosine to their mean"
        drawings.append(Drawing("tokens", shows, lambda path: draw_tokens(features, tokens, heading, path)))
    return values, drawings


def _steps(reader: ShardReader, position: int) -> Steps:
    return Steps("time in the clip (s)", [f"{second:g}" for second in reader.column("time_seconds", position)])


def _token_columns(reader: ShardReader, position: int) -> tuple[list[int], list[int]]:
    return reader.column("token_id", position).tolist(), reader.column("field_id", position).tolist()


def _step_drawings(features: Float32, steps: Steps, heading: tuple[str, str]) -> list[Drawing]:
    drawings = []
    if len(features):
        shows = "features of the clip, steps downwards"
        drawings.append(Drawing("features", shows, lambda path: draw_heat_map(features, steps, heading, path)))
    if len(features) > 1:
        shows = "cosine between every two steps of the clip"
        drawings.append(Drawing("similarity", shows, lambda path: draw_similarity(features, steps, heading, path)))
    return drawings


def _scatter(reader: ShardReader, shard: list[str], vectors: Float32, clip_id: str, look: Look) -> Drawing:
    made_by = reader.attributes
    chosen = shard.index(clip_id) if clip_id in shard else None
    ring = f"   ring: {clip_id}" if chosen is not None else ""
    title = f"{made_by['modality']}   {made_by['backbone']}   {len(shard)} clips, mean over steps at length 1{ring}"
    names = [look.category(name) for name in shard]

    def draw(path: Path) -> None:
        panel = Panel("category" if look.records else "", names)
        draw_scatter(project(unit_rows(vectors), look.projection), [panel], title, chosen, path)

    return Drawing("scatter", f"the clips of the shard by {PROJECTIONS[look.projection]}, coloured by category", draw)
