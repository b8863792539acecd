"""Frozen embeddings of one modality."""

from __future__ import annotations

import functools
import json
from typing import TYPE_CHECKING, Any, ClassVar

import luigi

from features.backbones.pretrained.model_files import without_folder
from features.base.errors import SettingError
from features.base.files import sha256_of_json
from features.base.modalities import MODALITIES
from features.base.settings import identity_values
from features.manifests.corpus import read_records
from features.recognition.recognized_shard import read_recognized
from tasks.config.run import settings
from tasks.config.schema import extract_section
from tasks.core.stage import exit_on_error
from tasks.stages.absence import absent_modalities_line
from tasks.stages.clip_stage import ClipStage
from tasks.stages.decode import Decode, decode_settings_of
from tasks.stages.manifest import Manifest
from tasks.stages.recognize import Recognize, recognized_fields

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from features.backbones.extractor.clip_inputs import ClipInput
    from features.backbones.extractor.extract_config import ExtractConfig
    from features.backbones.extractor.extractor import Extractor
    from features.backbones.extractor.shard_loop import ShardRun
    from features.base.modalities import Modality
    from features.formats.reuse import ReusableShard
    from tasks.core.receipts import Success
    from tasks.core.sharded import ShardJob
    from tasks.core.stage import Stage
    from tasks.stages.clip_stage import ClipOpener


class Extract(ClipStage):
    """Embedding shards of one modality: ``shard-00000.h5``, rows of float16 per clip."""

    modality: str = luigi.Parameter(default="", description=f"One of {', '.join(MODALITIES)}")

    stage_version: ClassVar[int] = 3
    suffix: ClassVar[str] = ".h5"
    parts: ClassVar[tuple[str, ...]] = tuple(MODALITIES)

    @property
    def stage_name(self) -> str:
        """Name of the stage's folder."""
        return f"extract-{self.modality}"

    @property
    def entry(self) -> Modality:
        """The modality's entry in the table."""
        return MODALITIES[self.modality]

    @property
    def config(self) -> ExtractConfig:
        """The settings of this modality."""
        return settings().extract[self.modality]

    def check_settings(self) -> None:
        """Check the modality first, for it names the section."""
        if self.modality not in MODALITIES:
            raise SettingError(f"unknown modality {self.modality!r}: expected one of {', '.join(MODALITIES)}")
        rate = self.entry.rate_setting
        if rate and not getattr(settings().decode, rate):
            raise SettingError(
                f"[decode] {rate} is 0, so there are no frames for the modality {self.modality}: set it to what"
                f" the network of [{extract_section(self.modality)}] was trained with, such as 15, or leave"
                f" {self.modality} out"
            )
        super().check_settings()

    def identity_settings(self) -> Mapping[str, object]:
        """Return the settings of the extractor, and the identity of its weights."""
        config = self.config
        unused = config.unused_fields()
        used = {name: value for name, value in identity_values(config).items() if name not in unused}
        return {**used, "backbone": without_folder(config.backbone), "weights": config.weights_identity()}

    def deps(self) -> Any:  # noqa: ANN401 - as in Luigi
        """Return the required tasks, after checking that the backbone exists."""
        with exit_on_error():
            self.config.check_backbone_exists()
        return super().deps()

    @property
    def decodes_media(self) -> bool:
        """Whether the stage decodes media itself."""
        return self.entry.is_decoded and super().decodes_media

    def inputs(self) -> Mapping[str, Stage]:
        """Return the stages of records and recognised texts for text, else the stage with the clips."""
        if self.entry.is_decoded:
            return super().inputs()
        recognized = {stage.stage_name: stage for stage in self.recognized().values()}
        return {"manifest": Manifest(), **recognized}

    def recognized(self) -> dict[str, Recognize]:
        """Return the stages whose texts are embedded, by the field that they fill."""
        fields = () if self.entry.is_decoded else self.config.text_fields()
        return {name: Recognize(field=name) for name in recognized_fields() if name in fields}

    def key_settings(self) -> Mapping[str, object]:
        """Return the settings, and for a decoded modality what decides how a clip is read."""
        return super().key_settings() if self.entry.is_decoded else self.identity_settings()

    def upstream_fingerprints(self) -> Mapping[str, str]:
        """Return the fingerprints of the stages that decide the clips."""
        if self.entry.is_decoded:
            return super().upstream_fingerprints()
        return {name: stage.fingerprint for name, stage in self.inputs().items()}

    def max_failed_fraction(self) -> float:
        """Return the setting."""
        return settings().features.max_failed_fraction

    def modalities(self) -> tuple[str, ...]:
        """Return the one that is embedded."""
        return (self.modality,)

    def remark(self, success: Success) -> str:
        """Return that no clip has it, where that is so."""
        return absent_modalities_line([success])

    def recipe(self) -> dict[str, object]:
        """Return the settings that decide the meaning of the numbers; the same for every corpus."""
        if self.entry.is_decoded:
            read = {"decode": decode_settings_of(self.modality)}
        else:
            read = {stage.stage_name: dict(stage.recipe()) for stage in self.recognized().values()}
        return {**read, "extract": dict(self.identity_settings())}

    @functools.cached_property
    def model(self) -> Extractor[Any]:
        """The network, loaded when the first shard needs it."""
        from features.backbones.extractor.extractor import load_extractor  # noqa: PLC0415 - loads a network library

        return load_extractor(self.config)

    def run_model(self, job: ShardJob, path: Path, opener: ClipOpener, on_clip: Callable[[], None]) -> ShardRun:
        """Write the embedding shard of a job, and return its outcomes and timings."""
        from features.backbones.extractor.extraction import extract_shard, reusable_embeddings  # noqa: PLC0415 - loads HDF5

        attributes = {**self.model.provenance, **self._attributes()}
        reusable = reusable_embeddings(self.reusable_paths(job), {**attributes, "dim": self.model.dim})
        clips = self._clips(job, path, opener, reusable)
        return extract_shard(clips, self.model, path, attributes, on_clip, reusable)

    def _attributes(self) -> dict[str, str]:
        recipe = self.recipe()
        attributes = {
            "stage": self.stage_name,
            # Of another version of this program the rows are not reused.
            "stage_versions": f"extract {self.stage_version}",
            "modality": self.modality,
            "params": json.dumps(recipe, sort_keys=True),
            "recipe": sha256_of_json(recipe)[:12],
        }
        if self.entry.is_decoded:
            attributes["stage_versions"] += f", decode {Decode.stage_version}"
            # Recorded, but not in the recipe: a checkpoint accepts features of another version of ffmpeg.
            attributes["decoder"] = f"ffmpeg {Decode().ffmpeg_version()}"
        return attributes

    def _clips(
        self, job: ShardJob, path: Path, opener: ClipOpener, reusable: ReusableShard[Any]
    ) -> Iterator[ClipInput]:
        from features.backbones.extractor.clip_inputs import media_inputs, text_inputs  # noqa: PLC0415 - loads codecs

        if self.entry.is_decoded:
            return media_inputs(opener.open(job, path, reusable), self.modality)
        texts = {
            name: (row.text for row in read_recognized(job.inputs[stage.stage_name]))
            for name, stage in self.recognized().items()
        }
        return text_inputs(read_records(job.inputs["manifest"]), self.config.text_fields(), texts)
