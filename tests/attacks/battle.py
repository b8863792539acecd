"""Runs Manifest, Download and Decode over every attack, and looks at what was touched."""

from __future__ import annotations

import hashlib
import json
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from features.base.files import sha256_of
from features.base.outcomes import Outcome
from features.base.parallel import WorkerPool
from features.decoding.config import DecodeConfig
from features.decoding.shard import decode_shard
from features.downloads.config import DownloadConfig
from features.downloads.download import Downloader, download_shard
from features.downloads.download_rows import FROM_MANIFEST, FROM_STORE, DownloadedClip, MediaFile, read_downloaded
from features.manifests.config import CorpusConfig, ManifestConfig
from features.manifests.corpus import build_corpus, read_records
from tests.attacks.catalogue import Attack, Ground, build
from tests.attacks.network import datagrams, internet
from tests.features.media import read_parts

if TYPE_CHECKING:
    from pathlib import Path

LIMITS = DownloadConfig(
    max_bytes=2_000_000, timeout_seconds=0.5, max_seconds=2.0, max_attempts=2, min_bytes_per_second=0,
    requests_per_second_per_host=0, connections_per_host=8, workers=8,
)  # fmt: skip


@dataclass(frozen=True)
class Result:
    """How an attack ended.

    Attributes:
        attack: The attack.
        stage: The stage that ended it, ``none`` where the clip is as good as any.
        status: ``ok``, ``partial``, ``failed``, or ``rejected`` for a row that is no clip.
        code: The outcome.
    """

    attack: Attack
    stage: str
    status: str
    code: str


@dataclass(frozen=True)
class Battle:
    """All results, and what was touched.

    Attributes:
        results: One an attack, in their order.
        asked: Paths that the victim was asked for.
        datagrams: What arrived at the victim's port.
        escaped: Files that were changed or made outside the root.
        injected: Headers that no client of ours sends.
    """

    results: tuple[Result, ...]
    asked: tuple[str, ...]
    datagrams: tuple[bytes, ...]
    escaped: tuple[str, ...]
    injected: tuple[str, ...]


def fight(folder: Path) -> Battle:
    """Mount every attack below ``folder`` and return how they ended."""
    with ExitStack() as stack:
        web = stack.enter_context(internet())
        port, arrived = stack.enter_context(datagrams())
        ground = Ground(folder / "corpus", folder / "root" / "media", folder / "outside", web, port)
        attacks = _with_ids(build(ground))
        before = _digests(folder)
        rejected = _normalise(attacks, ground.folder, folder / "root")
        downloaded = _download(ground.folder, folder / "root")
        decoded = _decode([*downloaded.values(), *_fooled(attacks, ground.folder)], ground.folder, folder / "root")
        after = _digests(folder)
        changed = {path for path in {*before, *after} if before.get(path) != after.get(path)}
        escaped = tuple(sorted(path for path in changed if not path.startswith("root/")))
        results = tuple(_result(attack, rejected, downloaded, decoded) for attack in attacks)
        injected = tuple(name for _, headers in web.public.asked for name in headers if name.startswith("X-"))
        return Battle(results, tuple(web.victim.paths()), tuple(arrived), escaped, injected)


def _with_ids(attacks: list[Attack]) -> list[Attack]:
    return [replace(attack, row={"id": f"attack-{number}", **attack.row}) for number, attack in enumerate(attacks)]


def _normalise(attacks: list[Attack], folder: Path, root: Path) -> dict[str, str]:
    """Return the code of every rejected row by the id that the row gave."""
    rows = [attack.row for attack in attacks if not attack.claimed_kind]
    manifest = folder / "clips.jsonl"
    manifest.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    (root / "manifest").mkdir(parents=True)
    build_corpus(manifest, CorpusConfig(manifest=str(manifest)), ManifestConfig(), root / "manifest")
    manifest.unlink()
    lines = (root / "manifest" / "rejected.jsonl").read_text(encoding="utf-8").splitlines()
    return {str(rows[row["line"] - 1]["id"]): row["code"] for row in map(json.loads, lines)}


def _download(folder: Path, root: Path) -> dict[str, DownloadedClip]:
    folders = {FROM_MANIFEST: folder, FROM_STORE: root / "media"}
    path = root / "rows.jsonl"
    with Downloader(LIMITS, folders) as downloader, WorkerPool(LIMITS.workers, 1000) as pool:
        download_shard(read_records(root / "manifest" / "shard-00000.jsonl"), downloader, path, pool)
    return {clip.outcome.clip_id: clip for clip in read_downloaded(path)}


def _fooled(attacks: list[Attack], folder: Path) -> list[DownloadedClip]:
    """Return rows of a Download that believed what the attacker said."""
    rows = []
    for attack in attacks:
        if attack.claimed_kind:
            path = folder / str(attack.row["video"])
            size = path.stat().st_size
            file = MediaFile(FROM_MANIFEST, path.name, attack.claimed_kind, size, sha256_of(path))
            rows.append(DownloadedClip(Outcome(str(attack.row["id"]), "ok"), file))
    return rows


def _decode(clips: list[DownloadedClip], folder: Path, root: Path) -> dict[str, Outcome]:
    folders = {FROM_MANIFEST: folder, FROM_STORE: root / "media"}
    shard = root / "decode" / "shard-00000.tar"
    shard.parent.mkdir()
    with Downloader(LIMITS, folders) as downloader, WorkerPool(2) as pool:
        decode_shard(clips, DecodeConfig(timeout_seconds=20), downloader.restore, shard, pool)
    return {clip.outcome.clip_id: clip.outcome for clip in read_parts(shard)}


def _result(
    attack: Attack, rejected: dict[str, str], downloaded: dict[str, DownloadedClip], decoded: dict[str, Outcome]
) -> Result:
    clip_id = str(attack.row["id"])
    if not attack.claimed_kind and clip_id in rejected:
        return Result(attack, "manifest", "rejected", rejected[clip_id])
    clip_id = clip_id.strip()
    first = downloaded.get(clip_id)
    if first is not None and first.outcome.status != "ok":
        return Result(attack, "download", first.outcome.status, first.outcome.code)
    outcome = decoded[clip_id]
    stage = "none" if outcome.status == "ok" else "decode"
    return Result(attack, stage, outcome.status, outcome.code)


def _digests(folder: Path) -> dict[str, str]:
    """Return the digest of every plain file below ``folder`` by its path."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and not path.is_symlink()
    }
