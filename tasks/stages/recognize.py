"""Text from the media: what is said in a clip (asr), what is written in its pictures (ocr)."""

from __future__ import annotations

import functools
import json
from typing import TYPE_CHECKING, Any, ClassVar

import luigi

from features.backbones.pretrained.model_files import without_folder
from features.base.errors import SettingError
from features.base.settings import identity_values
from features.recognition.recognition_config import AsrConfig, OcrConfig, recognizer_identity
from features.recognition.recognized_shard import recognize_shard, reusable_texts
from tasks.config.run import settings
from tasks.stages.absence import RECOGNIZE, absent_source_line
from tasks.stages.clip_stage import ClipStage
from tasks.stages.decode import Decode, decode_settings_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from features.backbones.extractor.shard_loop import ShardRun
    from features.recognition.recognizer import Recognizer
    from tasks.core.receipts import Success
    from tasks.core.sharded import ShardJob
    from tasks.stages.clip_stage import ClipOpener

# Text field -> the modality that it is read from.
FIELD_SOURCES = {"asr": "audio", "ocr": "frames"}


def recognized_fields() -> tuple[str, ...]:
    """Return the text fields that are read from the media: those whose section names a backbone."""
    return tuple(name for name in FIELD_SOURCES if _config(name).backbone)


def _config(field: str) -> AsrConfig | OcrConfig:
    return settings().asr if field == "asr" else settings().ocr


class Recognize(ClipStage):
    """Recognised text of one field, ``shard-00000.jsonl``: one row a clip with the text and its place."""

    field: str = luigi.Parameter(default="", description=f"One of {', '.join(FIELD_SOURCES)}")

    suffix: ClassVar[str] = ".jsonl"
    parts: ClassVar[tuple[str, ...]] = tuple(FIELD_SOURCES)

    @property
    def stage_name(self) -> str:
        """Name of the stage's folder."""
        return f"{RECOGNIZE}{self.field}"

    def check_settings(self) -> None:
        """Check the field first, for it names the section."""
        if self.field not in FIELD_SOURCES:
            raise SettingError(f"unknown field {self.field!r}: expected one of {', '.join(FIELD_SOURCES)}")
        if not _config(self.field).backbone:
            raise SettingError(f"[{self.field}] backbone is empty, so nothing is recognised: name one")
        super().check_settings()

    def identity_settings(self) -> Mapping[str, object]:
        """Return the settings of the recognizer that are part of the identity, and the identity of its weights."""
        config = _config(self.field)
        backbone = without_folder(config.backbone)
        return {**identity_values(config), "backbone": backbone, "weights": recognizer_identity(config)}

    def modalities(self) -> tuple[str, ...]:
        """Return the one that the text is read from."""
        return (FIELD_SOURCES[self.field],)

    def remark(self, success: Success) -> str:
        """Return that no clip has it, where that is so."""
        return absent_source_line(success, self.field)

    def recipe(self) -> dict[str, object]:
        """Return the settings that decide the text; the same for every corpus."""
        return {"decode": decode_settings_of(FIELD_SOURCES[self.field]), "recognize": dict(self.identity_settings())}

    def max_failed_fraction(self) -> float:
        """Return the setting."""
        return settings().features.max_failed_fraction

    @functools.cached_property
    def model(self) -> Recognizer[Any]:
        """The networks, loaded when the first shard needs them."""
        config = _config(self.field)
        if isinstance(config, OcrConfig):
            from features.recognition.ocr import load_ocr  # noqa: PLC0415 - loads a network library

            return load_ocr(config)
        from features.recognition.asr import load_asr  # noqa: PLC0415 - loads a network library

        return load_asr(config)

    def run_model(self, job: ShardJob, path: Path, opener: ClipOpener, on_clip: Callable[[], None]) -> ShardRun:
        """Write the recognised text of a job's clips, and return its outcomes and timings."""
        from features.backbones.extractor.clip_inputs import media_inputs  # noqa: PLC0415 - loads codecs

        made_by = {
            **self.model.provenance,
            "decoder": f"ffmpeg {Decode().ffmpeg_version()}",
            "params": json.dumps(self.recipe(), sort_keys=True),
            "stage_versions": f"recognize {self.stage_version}, decode {Decode.stage_version}",
        }
        reusable = reusable_texts(self.reusable_paths(job), made_by)
        clips = media_inputs(opener.open(job, path, reusable), FIELD_SOURCES[self.field])
        return recognize_shard(clips, self.model, path, made_by, on_clip, reusable)
