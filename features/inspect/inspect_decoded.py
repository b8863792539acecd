"""Inspects a decoded shard, and one of its clips: its streams of frames, cover and sound."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np

from features.base.errors import ShardError, SourceError
from features.base.outcomes import Tally
from features.formats.matroska import frame_streams, read_cover, read_waveform, stored_pictures
from features.formats.tar_shard import COVER, MATROSKA, index_tar_shard, read_parts
from features.inspect.plots.contact_sheet import Cell, small_picture, write_sheet
from features.inspect.plots.sound_plot import draw_sound
from features.inspect.result import Drawing, InspectResult

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from features.formats.clip_data import Picture
    from features.formats.tar_shard import StoredClip
    from features.inspect.result import InspectQuery

MAX_FRAMES = 64
COVER_HEIGHT = 420  # pixels at most


def inspect_decoded(path: Path, query: InspectQuery) -> InspectResult:
    """Return the outcomes of a decoded shard, and one of its clips; only the media of that clip are read.

    Raises:
        SourceError: It has no such clip.
        ShardError: It is damaged.
    """
    clips = index_tar_shard(path)
    tally = Tally.of([clip.outcome for clip in clips.values()])
    values: dict[str, Any] = {
        "kind": "decoded shard", "clips": {"rows": tally.rows, **tally.counts, **tally.codes}
    }  # fmt: skip
    clip = _chosen(path, clips, query.clip_id)
    if clip is None:
        return InspectResult(values)
    about: dict[str, Any] = {
        "clip_id": clip.outcome.clip_id,
        **query.labels(clip.outcome.clip_id),
        "outcome": " ".join(filter(None, (clip.outcome.status, clip.outcome.code, clip.outcome.detail))),
        **clip.about,
    }
    try:
        drawings = _drawings(read_parts(path, clip), about, query.heading(clip.outcome.clip_id))
    except ShardError as error:
        raise ShardError(f"{path}: {error}: delete the shard and run again") from error
    return InspectResult({**values, "clip": about}, tuple(drawings))


def _drawings(parts: Mapping[str, bytes], about: dict[str, Any], heading: str) -> list[Drawing]:
    """Return the pictures of a clip; adds the facts about its streams to ``about``."""
    drawings: list[Drawing] = []
    if MATROSKA in parts:
        for modality, position in frame_streams(about).items():
            drawings += _frames(parts[MATROSKA], about, heading, modality, position)
    if COVER in parts:
        drawings += _cover(parts[COVER], about, heading)
    if MATROSKA in parts:
        drawings += _sound(parts[MATROSKA], about, heading)
    return drawings


def _chosen(path: Path, clips: Mapping[str, StoredClip], clip_id: str | None) -> StoredClip | None:
    if clip_id is None:
        decoded = (clip for clip in clips.values() if MATROSKA in clip.parts)
        return next(decoded, next(iter(clips.values()), None))
    if clip_id not in clips:
        raise SourceError(f"{path} has no clip {clip_id!r}")
    return clips[clip_id]


def _frames(matroska: bytes, about: dict[str, Any], heading: str, name: str, position: int) -> list[Drawing]:
    pictures = list(stored_pictures(io.BytesIO(matroska), position))
    if not pictures:
        return []
    # The sampled frames are the first stream.
    what, prefix = (f"frames for {name}", f"{name}_") if position else ("frames", "")
    height, width, _ = pictures[0].pixels().shape
    about[f"{name}_shape"] = [len(pictures), height, width, 3]
    about[f"{prefix}time_seconds"] = [round(picture.time_seconds, 4) for picture in pictures]
    return [
        Drawing(
            name,
            f"{min(len(pictures), MAX_FRAMES)} of {len(pictures)} {what}, with their times",
            lambda path: write_frames(pictures, f"{heading}   {what}", path),
        )
    ]


def write_frames(pictures: Sequence[Picture], heading: str, path: Path) -> None:
    """Write at most 64 frames of a clip, evenly chosen, as a sheet with their times."""
    rows = np.unique(np.linspace(0, len(pictures) - 1, min(len(pictures), MAX_FRAMES)).round().astype(int))
    chosen = [pictures[row] for row in rows]
    cells = [Cell(small_picture(picture.pixels()), (f"{picture.time_seconds:.2f} s",)) for picture in chosen]
    cut = f" ({len(cells)} of {len(pictures)})" if len(cells) < len(pictures) else ""
    write_sheet(cells, heading + cut, path)


def _cover(jpeg: bytes, about: dict[str, Any], heading: str) -> list[Drawing]:
    pixels = read_cover(jpeg).images[0]
    about["cover_shape"] = list(pixels.shape)
    height, width, _ = pixels.shape
    line = f"cover, {width} x {height} pixels"

    def draw(place: Path) -> None:
        write_sheet([Cell(small_picture(pixels, min(height, COVER_HEIGHT)), (line,))], heading, place)

    return [Drawing("cover", "cover", draw)]


def _sound(matroska: bytes, about: dict[str, Any], heading: str) -> list[Drawing]:
    sound = read_waveform(matroska)
    if sound is None:
        return []
    about["sound_seconds"] = round(len(sound.samples) / sound.sample_rate_hz, 4)
    about["sound_peak"] = float(np.abs(sound.samples).max())
    about["sound_root_mean_square"] = float(np.sqrt((sound.samples**2).mean()))
    return [Drawing("sound", "waveform and log-mel spectrum", lambda path: draw_sound(sound, heading, path))]
