"""A corpus of five clips on the disk, and stages that are published without their work."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from typing import TYPE_CHECKING

from features.base.outcomes import Outcome, Tally
from features.formats.tar_shard import TarShardWriter
from tasks.core.console import Progress
from tasks.core.receipts import FileReceipt, Success, write_receipt, write_success
from tasks.stages.manifest import Manifest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from tasks.core.stage import Stage

    Sections = Mapping[str, Mapping[str, str]]
    Configure = Callable[[Sections], None]

# Enough of a file to be taken for what it claims to be.
MP4 = b"\x00\x00\x00\x18ftypisom" + bytes(100)
JPEG = b"\xff\xd8\xff\xe0" + bytes(100)
CLIPS = ("a", "b", "c", "d", "e")
ROWS: tuple[dict[str, object], ...] = tuple(
    {
        "id": clip,
        "video": f"{clip}.mp4",
        "cover": f"{clip}.jpg",
        "text": f"title {clip}",
        "category": "xy"[number % 2],
        "tags": ["p"] if number else ["p", "q"],
    }
    for number, clip in enumerate(CLIPS)
)


def write_manifest(folder: Path, rows: Sequence[Mapping[str, object]] = ROWS) -> Path:
    """Write a manifest and, beside it, the media that it names."""
    folder.mkdir(parents=True, exist_ok=True)
    for row in rows:
        (folder / str(row["video"])).write_bytes(MP4 + str(row["id"]).encode())
        (folder / str(row["cover"])).write_bytes(JPEG + str(row["id"]).encode())
    path = folder / "clips.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def sections_of(manifest: Path, /, **sections: Mapping[str, str]) -> dict[str, Mapping[str, str]]:
    """Return a configuration about a manifest, in shards of two clips."""
    own: dict[str, Mapping[str, str]] = {
        "corpus": {"manifest": str(manifest)},
        "manifest": {"clips_per_shard": "2", "test_fraction": "0.2", "validation_fraction": "0.2"},
    }
    return {**own, **sections}


def publish_manifest(configure: Configure, manifest: Path, /, **sections: Mapping[str, str]) -> Manifest:
    """Configure the corpus, and run Manifest in this process."""
    configure(sections_of(manifest, **sections))
    stage = Manifest()
    stage.run()
    return stage


def publish(stage: Stage, files: Mapping[str, Sequence[Outcome]], **changes: object) -> Success:
    """Publish files that hold their own names, as if the stage had built them with these outcomes."""
    stage.folder.mkdir(parents=True, exist_ok=True)
    receipts = []
    for name, outcomes in files.items():
        path = stage.folder / name
        if not path.exists():
            path.write_text(f"{stage.stage_name}/{name}", encoding="utf-8")
        receipts.append(FileReceipt.of_shard(path, name, f"key of {name}", Tally.of(outcomes)))
        write_receipt(stage.folder, receipts[-1])
    rows = Tally.of(outcome for outcomes in files.values() for outcome in outcomes)
    success = Success(
        stage=stage.stage_name,
        fingerprint=stage.fingerprint,
        inputs={name: above.published_success().digest for name, above in stage.inputs().items()},
        files=tuple(replace(receipt, problems=()) for receipt in receipts),
        totals=rows.counts,
        codes=rows.codes,
        started_at="2026-01-01T00:00:00+00:00",
        seconds=1.5,
        built=len(receipts),
    )
    success = replace(success, **changes)  # type: ignore[arg-type]  # fields of the account
    write_success(stage.folder, success)
    return success


def ok(*clips: str) -> list[Outcome]:
    """Return the outcomes of clips without problems."""
    return [Outcome(clip, "ok") for clip in clips]


def shards(suffix: str) -> dict[str, list[Outcome]]:
    """Return the three shards of the corpus, as ``publish`` takes them."""
    parts = (CLIPS[:2], CLIPS[2:4], CLIPS[4:])
    return {f"shard-{number:05d}{suffix}": ok(*part) for number, part in enumerate(parts)}


def publish_decoded(stage: Stage) -> None:
    """Publish decoded shards of the corpus with a picture and no frames."""
    stage.folder.mkdir(parents=True, exist_ok=True)
    for name, outcomes in shards(".tar").items():
        with TarShardWriter(stage.folder / name) as writer:
            for outcome in outcomes:
                clip = outcome.clip_id
                writer.add(outcome, io.BytesIO(clip.encode()), io.BytesIO(b"jpeg"), {"cover_sha256": clip})
    publish(stage, shards(".tar"))


def no_progress() -> Progress:
    """Return a progress that counts into nowhere."""
    return Progress("test", 0, None)
