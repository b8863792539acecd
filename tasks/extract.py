"""Frozen embeddings of one modality."""

from __future__ import annotations

import functools
import json
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar

import luigi

from features.errors import SettingError
from features.extractors.config import ExtractConfig
from features.extractors.identity import check_backbone_exists, weights_identity
from features.files import sha256_of_json
from features.manifests.corpus import read_records
from features.outcomes import Tally
from tasks.corpus import Manifest
from tasks.decode import Decode
from tasks.settings import MODALITIES, FeaturesConfig, load, significant
from tasks.sharded import ShardedStage
from tasks.stage import exit_on_own_errors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from features.extractors.protocol import Extractor
    from tasks.engine import ShardJob
    from tasks.progress import Progress
    from tasks.sharded import ShardBuilder
    from tasks.stage import Stage

TEXT = "text"


class Extract(ShardedStage):
    """Embedding shards of one modality: ``shard-00000.h5``, rows of float16 per clip."""

    modality: str = luigi.Parameter(default="", description=f"One of {', '.join(MODALITIES)}")

    stage_version: ClassVar[int] = 2
    suffix: ClassVar[str] = ".h5"

    @property
    def stage_name(self) -> str:
        """Name of the stage's folder."""
        return f"extract-{self.modality}"

    @property
    def config(self) -> ExtractConfig:
        """The settings of this modality."""
        return load(f"extract_{self.modality}", ExtractConfig)

    def check_settings(self) -> None:
        """Check the modality first, for it names the section."""
        if self.modality not in MODALITIES:
            raise SettingError(f"unknown modality {self.modality!r}: expected one of {', '.join(MODALITIES)}")
        super().check_settings()

    def settings(self) -> Mapping[str, object]:
        """Return which network looks at what, and the identity of its weights."""
        settings = significant(f"extract_{self.modality}")
        used = {name: value for name, value in settings.items() if name not in self.config.unused_fields()}
        return {**used, "weights": weights_identity(self.config)}

    def deps(self) -> Any:  # noqa: ANN401 - as in Luigi
        """Return the required tasks, after a look whether the backbone exists at all."""
        with exit_on_own_errors():
            check_backbone_exists(self.config)
        return super().deps()

    def inputs(self) -> Mapping[str, Stage]:
        """Return the records for text, the decoded shards for everything else."""
        if self.modality == TEXT:
            return {"manifest": Manifest(force=self.force)}
        return {"decode": Decode(force=self.force)}

    def shard_inputs(self) -> Mapping[str, tuple[Stage, str]]:
        """Return the shards that are read."""
        inputs = self.inputs()
        return (
            {"manifest": (inputs["manifest"], ".jsonl")}
            if self.modality == TEXT
            else {"decode": (inputs["decode"], ".tar")}
        )

    def max_failed_fraction(self) -> float:
        """Return the setting."""
        return load("features", FeaturesConfig).max_failed_fraction

    def recipe(self) -> dict[str, object]:
        """Return the settings that decide what the numbers mean; the same for every corpus."""
        decode = {} if self.modality == TEXT else {"decode": dict(Decode(force=self.force).sampling())}
        return {**decode, "extract": dict(self.settings())}

    @functools.cached_property
    def extractor(self) -> Extractor[Any]:
        """The network, loaded when the first shard needs it."""
        from features.extractors.loading import load_extractor  # noqa: PLC0415 - loads a network library

        return load_extractor(self.config)

    @contextmanager
    def shard_builder(self, progress: Progress) -> Iterator[ShardBuilder]:
        """Yield what runs the network over one shard; the network is loaded with the first."""
        yield functools.partial(self._extract, on_clip=progress.advance)

    def _extract(self, job: ShardJob, path: Path, on_clip: Callable[[], None]) -> tuple[Tally, dict[str, float]]:
        from features.extraction import extract_shard, media_inputs, text_inputs  # noqa: PLC0415 - loads HDF5

        clips = (
            text_inputs(read_records(job.inputs["manifest"]))
            if self.modality == TEXT
            else media_inputs(job.inputs["decode"], self.modality)
        )
        started = time.perf_counter()
        extractor = self.extractor
        load_seconds = time.perf_counter() - started
        attributes = {
            **extractor.provenance,
            "stage": self.stage_name,
            "key": job.key,
            "modality": self.modality,
            "params": json.dumps(self.recipe(), sort_keys=True),
            "recipe": sha256_of_json(self.recipe())[:12],
        }
        found = extract_shard(clips, extractor, path, attributes, on_clip)
        timings = {
            "load_seconds": load_seconds,
            "input_seconds": found.input_seconds,
            "network_seconds": found.total_seconds - found.input_seconds,
        }
        return Tally.of(found.outcomes), timings
