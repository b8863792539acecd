"""A close look at published shards, as plain values and pictures."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from features.clipfile import read_frames, read_waveform
from features.errors import SourceError, ToolError
from features.outcomes import Tally
from features.shards import ShardReader, read_predictions
from features.tarshard import read_tar_shard

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    from features.tarshard import DecodedClip

MAX_CLIPS_LISTED = 10
MAX_LABELS_LISTED = 5
CONTACT_SHEET_PIXELS = 160


def look_at_hdf5(path: Path, clip_id: str | None, png: Path | None) -> dict[str, Any]:
    """Return schema, provenance and one clip of an embedding or prediction shard.

    Raises:
        SourceError: It does not hold the clip.
        ShardError: It is damaged.
    """
    reader = ShardReader(path)
    datasets = [{"name": name, "shape": str(shape), "type": kind} for name, shape, kind in reader.datasets()]
    found: dict[str, Any] = {"file": str(path), "data_sets": datasets, "provenance": reader.attributes}
    if "modality" in reader.attributes:
        found |= _embedding_clip(reader, clip_id, png)
    else:
        found |= _prediction_clip(path, clip_id)
    return found


def _embedding_clip(reader: ShardReader, clip_id: str | None, png: Path | None) -> dict[str, Any]:
    tally = Tally.of(reader.outcomes)
    if not reader.clip_ids:
        return {"clips": {"rows": 0}}
    if clip_id is None:
        lengths = np.diff(reader.offsets)
        clip_id = reader.clip_ids[int(np.argmax(lengths > 0))]
    position = _position(reader, clip_id)
    features = reader[position].astype(np.float32)
    outcome = reader.outcomes[position]
    seconds = reader.column("time_seconds", position)
    about: dict[str, Any] = {
        "clip_id": clip_id,
        "outcome": " ".join(filter(None, (outcome.status, outcome.code))),
        "shape": str(features.shape),
        "expected_rows": int(reader.expected[position]),
        "time_seconds": " ".join(f"{second:g}" for second in seconds[:MAX_CLIPS_LISTED]),
        **statistics(features),
    }
    if png is not None:
        write_heat_map(features, f"{clip_id}  {reader.attributes['modality']}  {reader.attributes['backbone']}", png)
        about["picture"] = str(png)
    return {"clips": {"rows": tally.rows, **tally.counts, **tally.codes}, "clip": about}


def statistics(features: npt.NDArray[np.float32]) -> dict[str, float]:
    """Return numbers that tell whether features ``(T, D)`` look sane; none for T = 0."""
    if not features.size:
        return {}
    norms = np.linalg.norm(features, axis=1)
    result = {
        "mean": float(features.mean()),
        "standard_deviation": float(features.std()),
        "minimum": float(features.min()),
        "maximum": float(features.max()),
        "zeros_fraction": float((features == 0).mean()),
        "mean_norm": float(norms.mean()),
    }
    if len(features) > 1 and norms.min() > 0:
        units = features / norms[:, None]
        result["cosine_to_next_step"] = float((units[1:] * units[:-1]).sum(axis=1).mean())
    return result


def _prediction_clip(path: Path, clip_id: str | None) -> dict[str, Any]:
    shard = read_predictions(path)
    if clip_id is None:
        if not shard.clip_ids:
            return {"clips": {"rows": 0}}
        clip_id = shard.clip_ids[0]
    if clip_id not in shard.clip_ids:
        raise SourceError(f"{path} does not hold the clip {clip_id!r}")
    row = shard.clip_ids.index(clip_id)
    cosines = shard.embedding @ shard.embedding[row]
    order = np.argsort(-cosines, kind="stable")
    nearest = order[order != row][:MAX_LABELS_LISTED]
    return {
        "clip": {"clip_id": clip_id, "embedding_width": shard.embedding.shape[1]},
        "categories": _best(shard.category_scores[row], shard.categories),
        "tags": _best(shard.tag_scores[row], shard.tags),
        "nearest_clips": [
            {"clip": shard.clip_ids[other], "cosine": round(float(cosines[other]), 4)} for other in nearest
        ],
    }


def _best(scores: npt.NDArray[np.float32], names: tuple[str, ...]) -> list[dict[str, object]]:
    order = np.argsort(-scores, kind="stable")[:MAX_LABELS_LISTED]
    return [{"label": names[index], "probability": round(float(scores[index]), 4)} for index in order]


def look_at_tar(path: Path, clip_id: str | None, png: Path | None) -> dict[str, Any]:
    """Return the account of a decoded shard and one of its clips.

    Raises:
        SourceError: It does not hold the clip.
        ShardError: It is damaged.
    """
    outcomes, chosen = [], None
    for clip in read_tar_shard(path):
        outcomes.append(clip.outcome)
        if chosen is None and (clip.outcome.clip_id == clip_id or (clip_id is None and clip.matroska is not None)):
            chosen = clip
    tally = Tally.of(outcomes)
    found: dict[str, Any] = {"file": str(path), "clips": {"rows": tally.rows, **tally.counts, **tally.codes}}
    if chosen is None:
        if clip_id is not None:
            raise SourceError(f"{path} does not hold the clip {clip_id!r}")
        return found
    return {**found, "clip": _decoded_clip(chosen, png)}


def _decoded_clip(clip: DecodedClip, png: Path | None) -> dict[str, Any]:
    outcome = clip.outcome
    about: dict[str, Any] = {
        "clip_id": outcome.clip_id,
        "outcome": " ".join(filter(None, (outcome.status, outcome.code, outcome.detail))),
        **clip.about,
    }
    if clip.matroska is None:
        return about
    frames, waveform = read_frames(clip.matroska), read_waveform(clip.matroska)
    if frames is not None:
        about["frames_shape"] = str(frames.images.shape)
        about["time_seconds"] = " ".join(f"{second:g}" for second in frames.time_seconds[:MAX_CLIPS_LISTED])
        if png is not None:
            write_contact_sheet(frames.images, png)
            about["picture"] = str(png)
    if waveform is not None:
        about["sound_peak"] = float(np.abs(waveform.samples).max())
        about["sound_root_mean_square"] = float(np.sqrt((waveform.samples**2).mean()))
    return about


def write_contact_sheet(images: npt.NDArray[np.uint8], path: Path) -> None:
    """Write up to eight frames of ``(T, H, W, 3)`` in a row, evenly chosen, as a PNG."""
    from PIL import Image  # noqa: PLC0415 - only pictures need it

    chosen = images[np.unique(np.linspace(0, len(images) - 1, 8).round().astype(int))]
    width = round(CONTACT_SHEET_PIXELS * images.shape[2] / images.shape[1])
    small = [np.asarray(Image.fromarray(image).resize((width, CONTACT_SHEET_PIXELS))) for image in chosen]
    Image.fromarray(np.concatenate(small, axis=1)).save(path, "PNG")


def write_heat_map(features: npt.NDArray[np.float32], title: str, path: Path) -> None:
    """Write ``(T, D)`` features as a PNG: time downwards, one column a dimension, colours centred on 0.

    Raises:
        SourceError: The clip has no features.
        ToolError: matplotlib is not installed.
    """
    if not features.size:
        raise SourceError(f"{title} has no features to draw: choose another clip with --clip")
    try:
        from matplotlib.figure import Figure  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise ToolError("heat maps need matplotlib: pip install 'short-video-pipeline[report]'") from error
    limit = float(np.percentile(np.abs(features), 99)) or 1.0
    height = min(8.0, 1.6 + 0.22 * len(features))
    figure = Figure(figsize=(11, height), layout="constrained")
    axes = figure.subplots()
    picture = axes.imshow(features, aspect="auto", cmap="RdBu_r", vmin=-limit, vmax=limit, interpolation="nearest")
    axes.set(xlabel="dimension", ylabel="step")
    # An id is no formula, whatever dollar signs it holds.
    axes.set_title(title, parse_math=False)
    figure.colorbar(picture, ax=axes, label="value (clipped at the 99th percentile)")
    with warnings.catch_warnings():
        # matplotlib's own font lacks Chinese: such a title shows boxes, the picture is whole.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font", category=UserWarning)
        figure.savefig(path, dpi=110)


def _position(reader: ShardReader, clip_id: str) -> int:
    try:
        return reader.position(clip_id)
    except KeyError:
        raise SourceError(f"{reader.path} does not hold the clip {clip_id!r}") from None
