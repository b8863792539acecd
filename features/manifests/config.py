"""Settings of the corpus and of its split into shards, labels and splits."""

from __future__ import annotations

from dataclasses import dataclass, fields

from features.base.errors import SettingError
from features.base.settings import at_least, check_settings, one_of, setting
from features.formats.records import ClipRecord
from features.manifests.categories import LANGUAGES

_PLAIN = {
    "clip_id": "id",
    "video": "video",
    "cover": "cover",
    "title": "text",
    "asr": "asr",
    "ocr": "ocr",
    "category": "category",
    "tags": "tags",
    "duration_seconds": "duration_seconds",
    "group": "group",
    "split": "split",
    "video_checksum": "video_checksum",
    "cover_checksum": "cover_checksum",
}
_XINPIANCHANG = {
    "clip_id": "mp4_id",
    "video": "mp4_download_url",
    "cover": "mp4_background_image_url",
    "title": "mp4_txt_brief",
    "category": "video_label",
    "duration_seconds": "mp4_time",
}
FOLDER_PRESET = "xinpianchang-folder"
# Record field -> name of the field in the manifest.
FIELD_MAPS: dict[str, dict[str, str]] = {
    "plain": _PLAIN,
    "csv": _PLAIN,
    "xinpianchang": _XINPIANCHANG,
    FOLDER_PRESET: _XINPIANCHANG,
}
# Presets whose categories are the 31 of the data set, which has them in both languages.
_ENGLISH_PRESETS = ("xinpianchang", FOLDER_PRESET)
CATEGORY_LANGUAGES = ("auto", "written", *LANGUAGES)


@dataclass(frozen=True)
class CorpusConfig:
    """The corpus of a run, and the format of its manifest.

    Attributes:
        manifest: JSON lines (.jsonl), CSV (.csv) or TSV (.tsv), UTF-8, one clip a line, also as .gz or .zst;
            for the preset xinpianchang-folder a folder; empty = the embedded sample corpus. Paths in it start
            from its own folder.
        preset: Field map to start from, one of plain, csv, xinpianchang, xinpianchang-folder.
        fields: Changes to it, ``record_field=manifest_field`` separated by commas, such as
            ``title=brief, category=label``.
        category_language: Name of a category that has a Chinese and an English one: ``en``, ``zh``, ``written``
            = as the manifest has it, ``auto`` = ``en`` for the xinpianchang presets and else ``written``.
        tag_separator: Separator of tags in a cell of CSV; a cell may also be a JSON list.
        max_manifest_bytes: Limit of the decompressed text of a manifest; a larger one is an error.
    """

    manifest: str = setting("", identity=False)
    preset: str = "plain"
    fields: str = ""
    category_language: str = setting("auto", check=one_of(CATEGORY_LANGUAGES))
    tag_separator: str = "|"
    max_manifest_bytes: int = setting(20_000_000_000, identity=False, check=at_least(1))

    def __post_init__(self) -> None:
        check_settings(self)
        self.field_map()
        if not self.tag_separator:
            raise SettingError("tag_separator is empty: give the separator of two tags, such as |")

    def field_map(self) -> dict[str, str]:
        """Return record field -> manifest field.

        Raises:
            SettingError: An unknown preset, or a change that names no record field.
        """
        if self.preset not in FIELD_MAPS:
            raise SettingError(f"unknown preset {self.preset!r}: expected one of {', '.join(sorted(FIELD_MAPS))}")
        return {**FIELD_MAPS[self.preset], **self.changed_fields()}

    def changed_fields(self) -> dict[str, str]:
        """Return the part of the field map that the setting ``fields`` gives.

        Raises:
            SettingError: A change that names no record field, or one that was named before.
        """
        result: dict[str, str] = {}
        known = [item.name for item in fields(ClipRecord)]
        for change in filter(None, (part.strip() for part in self.fields.split(","))):
            name, equals, source = (part.strip() for part in change.partition("="))
            if not equals or name not in known or not source:
                raise SettingError(
                    f"cannot read {change!r} in the setting fields: expected record_field=manifest_field,"
                    f" with record_field one of {', '.join(known)}"
                )
            if name in result:
                raise SettingError(f"the setting fields names {name!r} twice: give it once")
            result[name] = source
        return result

    def language(self) -> str:
        """Return ``en`` or ``zh`` where known categories are translated, else ``""``."""
        if self.category_language == "auto":
            return "en" if self.preset in _ENGLISH_PRESETS else ""
        return "" if self.category_language == "written" else self.category_language


@dataclass(frozen=True)
class ManifestConfig:
    """How records become shards, label space and splits.

    Attributes:
        clips_per_shard: Records in one shard of every later stage.
        min_clips_per_label: A label with fewer clips is left out of the label space; its clips stay.
        validation_fraction: Share of the clips in the validation split, 0 to 1.
        test_fraction: Share of the clips in the test split, 0 to 1.
        seed: Seed of the split.
    """

    clips_per_shard: int = setting(1000, check=at_least(1))
    min_clips_per_label: int = setting(2, check=at_least(1))
    validation_fraction: float = 0.15
    test_fraction: float = 0.15
    seed: int = 7

    def __post_init__(self) -> None:
        check_settings(self)
        fractions = (self.validation_fraction, self.test_fraction)
        if not (min(fractions) >= 0 and sum(fractions) < 1):
            raise SettingError(
                f"validation_fraction and test_fraction are {fractions}: give two fractions of 0 or more"
                " that leave something for training"
            )
