"""Writes the embedded sample corpus: media files and their manifest."""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor, as_completed
from io import BytesIO
from typing import TYPE_CHECKING

from PIL import Image

from features.base.errors import SettingError
from features.sample.corpus.encode import encode_clip
from features.sample.corpus.filming import build_world, film_clip, picture_cover
from features.sample.corpus.labels import TAGS
from features.sample.corpus.plan import plan_corpus
from features.sample.corpus.sound import record_sound

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from features.sample.corpus.config import SampleConfig
    from features.sample.corpus.plan import ClipPlan
    from features.sample.worlds.painter import UInt8

MANIFEST_NAME = "manifest.jsonl"
MEDIA_NAME = "media"
ERROR_PAGE = b"<!DOCTYPE html>\n<html><title>404</title><body>This file was removed.</body></html>\n"
# A file cut here still has its header and its first frames.
TRUNCATED_SHARE = 0.6


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
    _publish(folder / MANIFEST_NAME, lines.encode())
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
        os.truncate(video, round(TRUNCATED_SHARE * video.stat().st_size))
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


def _publish(path: Path, data: bytes) -> None:
    """Write a file so that it is either whole or not there."""
    temporary = path.with_name(f".{path.name}.partial")
    with temporary.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
