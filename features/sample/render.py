"""Writes the embedded sample corpus: media files and their manifest."""

from __future__ import annotations

import json
import os
import tempfile
import wave
from concurrent.futures import ThreadPoolExecutor, as_completed
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from PIL import Image

from features.base.errors import ClipError, SettingError, ToolError
from features.base.files import TEMPORARY_PREFIX, publish_bytes, remove_leftovers
from features.base.process import Limits, run
from features.sample.config import MANIFEST_NAME
from features.sample.filming import build_world, film_clip, picture_cover
from features.sample.plan import TAGS, plan_corpus
from features.sample.sound import WAV_RATE_HZ, record_sound

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    import numpy.typing as npt

    from features.sample.config import SampleConfig
    from features.sample.painter import UInt8
    from features.sample.plan import ClipPlan

Options: TypeAlias = "dict[str, str | int]"

TIMEOUT_SECONDS = 120.0
SOUND_NAME = "sound.wav"
INPUT: Options = {"loglevel": "error", "threads": 1, "filter_threads": 1}
# Constant quality, and a key frame (g, keyint_min) wherever 2 frames a second are sampled: such a frame is
# coded by itself, so that no trace of the running direction is left in it.
VIDEO_CODING: Options = {
    "c:v": "libx264",
    "preset": "veryfast",
    "qp": 27,
    "sc_threshold": 0,
    "bf": 0,
    "threads": 1,
    "pix_fmt": "yuv420p",
    "flags:v": "+bitexact",
    "sws_flags": "bilinear+accurate_rnd+bitexact",
}
# The fast coder takes 21 ms a clip, the default one 55.
SOUND_CODING: Options = {"c:a": "aac", "aac_coder": "fast", "b:a": "32k", "flags:a": "+bitexact"}
CONTAINER: Options = {
    "map_metadata": -1,
    "fflags": "+bitexact",
    "movflags": "+faststart",
    "f": "mp4",
}
MEDIA_NAME = "media"
ERROR_PAGE = b"<!DOCTYPE html>\n<html><title>404</title><body>This file was removed.</body></html>\n"
# A file cut here still has its header and its first frames.
TRUNCATED_FRACTION = 0.6


def encode_clip(
    frames: UInt8,
    sound: npt.NDArray[np.int16] | None,
    target: Path,
    *,
    ffmpeg: str,
    frames_per_second: int,
) -> None:
    """Write an .mp4 file of H.264 and AAC.

    Args:
        frames: ``(T, height, width, 3)``, height and width even.
        sound: ``(S,)`` at 16 kHz, or None for a file without sound.
        target: Written over if it exists.
        ffmpeg: Path of the program.
        frames_per_second: Even.

    Raises:
        ToolError: ffmpeg is missing, lacks an encoder, or takes too long.
    """
    _, height, width, _ = frames.shape
    picture: Options = {"f": "rawvideo", "pix_fmt": "rgb24", "s": f"{width}x{height}", "r": frames_per_second}
    coding: Options = {**VIDEO_CODING, "g": frames_per_second // 2, "keyint_min": frames_per_second // 2}
    with tempfile.TemporaryDirectory(prefix=f"{TEMPORARY_PREFIX}{os.getpid()}-", dir=target.parent) as folder:
        argv = [ffmpeg, "-hide_banner", "-y", *_options(INPUT), *_options(picture), "-i", "pipe:0"]
        if sound is not None:
            _write_wave(sound, Path(folder) / SOUND_NAME)
            argv += ["-i", f"file:{SOUND_NAME}", *_options(SOUND_CODING)]
        argv += [*_options(coding), *_options(CONTAINER), f"file:{target.absolute()}"]
        _run(argv, frames.tobytes(), Path(folder))


def _options(values: Options) -> list[str]:
    return [part for name, value in values.items() for part in (f"-{name}", str(value))]


def _write_wave(sound: npt.NDArray[np.int16], path: Path) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(WAV_RATE_HZ)
        file.writeframes(sound.astype("<i2").tobytes())


def _run(argv: list[str], stdin: bytes, folder: Path) -> None:
    try:
        completed = run(argv, Limits(TIMEOUT_SECONDS), stdin=stdin, folder=folder)
    except ClipError as error:
        raise ToolError(f"{argv[0]} cannot render the sample corpus: {error}; run it again") from error
    if completed.returncode < 0:
        raise ToolError(f"{argv[0]} was killed by signal {-completed.returncode} while it rendered: run it again")
    if completed.returncode != 0:
        lines = completed.stderr.strip().splitlines() or ["no message"]
        raise ToolError(
            f"{argv[0]} cannot render the sample corpus: exit code {completed.returncode}, {lines[-1]}; "
            "use an ffmpeg with libx264 and aac, such as the one of the package imageio-ffmpeg"
        )


def render_corpus(
    config: SampleConfig,
    folder: Path,
    *,
    ffmpeg: str,
    workers: int = 2,
    on_clip: Callable[[], None] | None = None,
) -> int:
    """Write ``folder/media/`` and then ``folder/manifest.jsonl``; return the number of its rows.

    The result does not depend on ``workers``. Files that are already there are written over, so a rendering
    that was killed can start again in the same folder.

    Args:
        config: What to render.
        folder: Created if missing.
        ffmpeg: Path of the program.
        workers: Clips made at the same time, at least 1.
        on_clip: Called after every clip, in the calling thread.

    Raises:
        SettingError: ``workers`` is below 1.
        ToolError: ffmpeg is missing or cannot encode.
    """
    if workers < 1:
        raise SettingError(f"workers = {workers} is too small; use 1 or more")
    plans = plan_corpus(config)
    media = folder / MEDIA_NAME
    media.mkdir(parents=True, exist_ok=True)
    remove_leftovers(folder)
    with ThreadPoolExecutor(workers) as pool:
        futures = [pool.submit(_render_clip, plan, config, media, ffmpeg) for plan in plans]
        try:
            for future in as_completed(futures):
                future.result()
                if on_clip is not None:
                    on_clip()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
    lines = "".join(json.dumps(_to_row(plan), ensure_ascii=False) + "\n" for plan in plans)
    publish_bytes(folder / MANIFEST_NAME, lines.encode())
    return len(plans)


def _render_clip(plan: ClipPlan, config: SampleConfig, media: Path, ffmpeg: str) -> None:
    world = build_world(plan, config)
    video = media / f"{plan.clip_id}.mp4"
    if plan.damage == "html":
        video.write_bytes(ERROR_PAGE)
    elif plan.damage == "empty":
        video.write_bytes(b"")
    else:
        sound = record_sound(plan, config) if plan.has_sound else None
        rate = config.frames_per_second
        encode_clip(film_clip(world, plan, config), sound, video, ffmpeg=ffmpeg, frames_per_second=rate)
    if plan.damage == "truncated":
        os.truncate(video, round(TRUNCATED_FRACTION * video.stat().st_size))
    if plan.has_cover:
        cover = ERROR_PAGE if plan.damage == "cover" else _to_jpeg(picture_cover(world, plan, config))
        (media / f"{plan.clip_id}.jpg").write_bytes(cover)


def _to_jpeg(picture: UInt8) -> bytes:
    buffer = BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=85)
    return buffer.getvalue()


def _to_row(plan: ClipPlan) -> dict[str, str | list[str]]:
    """Return one line of the manifest; what a clip lacks is left out."""
    row: dict[str, str | list[str]] = {"id": plan.clip_id, "video": f"{MEDIA_NAME}/{plan.clip_id}.mp4"}
    if plan.has_cover:
        row["cover"] = f"{MEDIA_NAME}/{plan.clip_id}.jpg"
    if plan.title:
        row["text"] = plan.title
    if plan.has_category:
        row["category"] = plan.category
    if plan.has_tags:
        row["tags"] = [tag for tag in TAGS if tag in plan.tags]
    if plan.group:
        row["group"] = plan.group
    return row
