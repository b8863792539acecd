"""Sampled frames, 16 kHz sound and covers of every clip."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from features.decoding import decode_shard
from features.download import read_downloaded
from features.ffmpeg import DecodeConfig, ffmpeg_version, find_ffmpeg
from features.outcomes import Tally
from tasks.corpus import Manifest
from tasks.download import Download, media_folders
from tasks.settings import load, significant
from tasks.sharded import ShardedStage

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from tasks.engine import ShardJob
    from tasks.stage import Stage


class Decode(ShardedStage):
    """Decoded shards: ``shard-00000.tar`` in WebDataset's naming."""

    suffix: ClassVar[str] = ".tar"

    def settings(self) -> Mapping[str, object]:
        """Return what decides which frames and which sound are kept."""
        return {**self.sampling(), "ffmpeg_version": ffmpeg_version(find_ffmpeg(load("decode", DecodeConfig).ffmpeg))}

    def sampling(self) -> Mapping[str, object]:
        """Return the settings alone, whatever ffmpeg follows them."""
        load("decode", DecodeConfig)
        return significant("decode")

    def inputs(self) -> Mapping[str, Stage]:
        """Return the downloaded media."""
        return {"download": Download(force=self.force)}

    def shard_inputs(self) -> Mapping[str, tuple[Stage, str]]:
        """Return the rows of the downloaded clips."""
        return {"download": (self.inputs()["download"], ".jsonl")}

    def max_failed_fraction(self) -> float:
        """Return the setting."""
        return load("decode", DecodeConfig).max_failed_fraction

    def build_shard(self, job: ShardJob, path: Path, on_clip: Callable[[], None]) -> tuple[Tally, dict[str, float]]:
        """Decode the clips of one shard."""
        clips = read_downloaded(job.inputs["download"])
        folders = media_folders(Manifest(force=self.force))
        return Tally.of(decode_shard(clips, load("decode", DecodeConfig), folders, path, on_clip)), {}
