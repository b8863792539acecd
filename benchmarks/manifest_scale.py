"""How long a manifest of 562,342 rows takes to become a corpus, and how much memory.

The rows are synthetic, with the duplicate structure of the Xinpianchang data set: 562,342 rows, 499,607 ids
of which one has 9 categories, 343,020 distinct titles, 31 categories in both languages. The corpus is
built in a process of its own; then the written files are read again, and groups are joined again, over ids,
titles and the group field, without the code that made the splits.
"""

from __future__ import annotations

import argparse
import gzip
import json
import multiprocessing
import random
import re
import tempfile
import time
import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING

from features.manifests.categories import ENGLISH_TO_CHINESE
from features.manifests.config import CorpusConfig, ManifestConfig
from features.manifests.corpus import SPLITS_NAME, build_corpus

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.connection import Connection

NUM_ROWS = 562_342
NUM_IDS = 499_607
NUM_TITLES = 343_020
MAX_CATEGORIES_OF_AN_ID = 9
WORDS = (
    "woman", "man", "walking", "beach", "city", "sunset", "drone", "aerial", "view", "of", "the", "happy", "people",
    "in", "green", "forest", "clouds", "night", "海滩", "城市", "航拍", "日落", "夜景",
)  # fmt: skip


def main() -> None:
    """Measure, print, and keep the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fraction", type=float, default=1.0, help="of the rows, for a quick look")
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/manifest_scale.json"))
    options = parser.parse_args()
    figures = measure(options.fraction)
    for name, value in figures.items():
        print(f"{name:<24} {value:>12,}")
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


def measure(fraction: float) -> dict[str, float]:
    """Return the figures of a corpus of ``fraction`` of the rows, from an own process for each form of the file."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        manifest = folder / "manifest.jsonl"
        write_manifest(manifest, fraction)
        figures = _in_child(manifest, folder / "corpus")
        with manifest.open("rb") as source, gzip.open(folder / "manifest.jsonl.gz", "wb", compresslevel=1) as target:
            while piece := source.read(1 << 20):
                target.write(piece)
        packed = _in_child(folder / "manifest.jsonl.gz", folder / "corpus-gz")
        figures["gz_seconds"], figures["gz_cpu_seconds"] = packed["seconds"], packed["cpu_seconds"]
        figures.update(prove_splits(folder / "corpus"))
    return figures


def write_manifest(path: Path, fraction: float = 1.0) -> None:
    """Write synthetic rows with the data set's duplicates, in an order without sense."""
    source = random.Random(0)  # noqa: S311 - the same rows each time
    num_ids, num_titles, num_rows = (round(fraction * number) for number in (NUM_IDS, NUM_TITLES, NUM_ROWS))
    counts = [1] * num_ids
    counts[0] = MAX_CATEGORIES_OF_AN_ID
    for _ in range(num_rows - num_ids - MAX_CATEGORIES_OF_AN_ID + 1):
        position = source.randrange(1, num_ids)
        while counts[position] == MAX_CATEGORIES_OF_AN_ID - 1:
            position = source.randrange(1, num_ids)
        counts[position] += 1
    # Every title once, and the few that are in fashion again and again.
    titles = [*range(num_titles), *(int(num_titles * source.random() ** 3) for _ in range(num_ids - num_titles))]
    source.shuffle(titles)
    pairs = [
        (number, category)
        for number, count in enumerate(counts)
        for category in source.sample(sorted(ENGLISH_TO_CHINESE), count)
    ]
    source.shuffle(pairs)
    with path.open("w", encoding="utf-8") as stream:
        for number, category in pairs:
            stream.write(json.dumps(_row(number, category, titles[number]), ensure_ascii=False) + "\n")


def _row(number: int, category: str, title: int) -> dict[str, str]:
    words = random.Random(title)  # noqa: S311 - the same title each time
    clip_id = f"{number + 10_000_000:09d}"
    return {
        "mp4_id": clip_id,
        "mp4_download_url": f"https://media.example/{clip_id}_main_xl.mp4",
        "mp4_time": f"{title % 3}:{title % 60:02d}",
        "mp4_background_image_url": f"https://media.example/{clip_id}_iconl.jpeg",
        "mp4_txt_brief": f" {' '.join(words.choices(WORDS, k=8))} {title}",
        "video_label": ENGLISH_TO_CHINESE[category] if number % 2 else category,
    }


def _in_child(manifest: Path, folder: Path) -> dict[str, float]:
    # A fresh interpreter: the peak of its memory is that of the work alone.
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_build, args=(manifest, folder, sender))
    process.start()
    sender.close()
    figures: dict[str, float] = receiver.recv()
    process.join()
    return figures


def _build(manifest: Path, folder: Path, sender: Connection) -> None:
    wall, cpu = time.monotonic(), time.process_time()
    summary = build_corpus(manifest, CorpusConfig(preset="xinpianchang"), ManifestConfig(), folder)
    sender.send(
        {
            "seconds": round(time.monotonic() - wall, 1),
            "cpu_seconds": round(time.process_time() - cpu, 1),
            "peak_rss_mb": _peak_rss_megabytes(),
            "num_rows": summary.num_rows,
            "num_clips": summary.num_clips,
            "num_merged": summary.num_merged,
            "num_rejected": sum(summary.rejected.values()),
            "num_shards": sum(name.startswith("shard-") for name in summary.files),
            **{f"num_{name}": number for name, number in sorted(summary.clips_per_split.items())},
        }
    )


def _peak_rss_megabytes() -> int:
    # ru_maxrss would count the process that this one was started from.
    match = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text(encoding="ascii"))
    return int(match[1]) // 1024 if match else 0


def prove_splits(folder: Path) -> dict[str, float]:
    """Return how many groups the written corpus has, and how many of them are in two splits: 0 is right.

    The groups are found by flooding: from a clip to all its keys, from a key to all its clips.
    """
    keys_of_clip: dict[str, list[str]] = {}
    clips_of_key: dict[str, list[str]] = {}
    for record in _records(folder):
        clip_id = str(record["clip_id"])
        title = "".join(unicodedata.normalize("NFKC", str(record["title"])).casefold().split())
        keys = [key for key, value in ((f"t{title}", title), (f"g{record['group']}", record["group"])) if value]
        keys_of_clip[clip_id] = keys
        for key in keys:
            clips_of_key.setdefault(key, []).append(clip_id)
    with (folder / SPLITS_NAME).open(encoding="utf-8") as stream:
        split_of = {row["clip_id"]: row["split"] for row in map(json.loads, stream)}
    if split_of.keys() != keys_of_clip.keys():
        raise ValueError("clips of the shards and of the splits differ")
    num_groups = num_crossing = largest = 0
    seen: set[str] = set()
    for start in keys_of_clip:
        if start in seen:
            continue
        members = _flood(start, keys_of_clip, clips_of_key, seen)
        num_groups += 1
        num_crossing += len({split_of[clip] for clip in members}) > 1
        largest = max(largest, len(members))
    return {"num_groups": num_groups, "largest_group": largest, "groups_in_two_splits": num_crossing}


def _flood(
    start: str, keys_of_clip: dict[str, list[str]], clips_of_key: dict[str, list[str]], seen: set[str]
) -> list[str]:
    """Return the clips that hang together with one, and empty their keys."""
    members, front = [], [start]
    seen.add(start)
    while front:
        clip = front.pop()
        members.append(clip)
        for key in keys_of_clip[clip]:
            fresh = [other for other in clips_of_key[key] if other not in seen]
            clips_of_key[key] = []
            seen.update(fresh)
            front.extend(fresh)
    return members


def _records(folder: Path) -> Iterator[dict[str, object]]:
    """Yield the rows of every shard; a repeated id is an error."""
    seen: set[str] = set()
    for path in sorted(folder.glob("shard-*.jsonl")):
        with path.open(encoding="utf-8") as stream:
            for line in stream:
                row: dict[str, object] = json.loads(line)
                if row["clip_id"] in seen:
                    raise ValueError(f"{row['clip_id']} occurs twice")
                seen.add(str(row["clip_id"]))
                yield row


if __name__ == "__main__":
    main()
