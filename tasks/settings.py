"""The sections of ``luigi.cfg`` -> frozen dataclasses, every key checked.

Each section is a dataclass that stands beside the code it steers. A ``luigi.Config`` class is made of it, so
that Luigi reads ``luigi.cfg`` and ``LUIGI_CONFIG_PATH`` and takes ``--decode-frames-per-second 4`` as well.
"""

from __future__ import annotations

import difflib
import math
from dataclasses import Field, asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any, TypeVar, cast, get_type_hints

import luigi
import luigi.configuration
from luigi.task_register import Register

from features.decoding.ffmpeg import DecodeConfig
from features.downloads.download import DownloadConfig
from features.errors import FeaturesError, SettingError
from features.extractors.config import ONLY_FOR, ExtractConfig
from features.manifests.config import CorpusConfig, ManifestConfig
from features.recognition.config import AsrConfig, OcrConfig
from features.sample.config import SampleConfig
from models.config import NetworkConfig, TrainConfig
from models.errors import ModelsError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from _typeshed import DataclassInstance

MODALITIES = ("frames", "motion", "audio", "cover", "text")
# Motion needs a second stream of frames, which Decode does not store unless it is asked to.
DEFAULT_MODALITIES = ("frames", "audio", "cover", "text")
Settings = TypeVar("Settings")


@dataclass(frozen=True)
class PathsConfig:
    """Where everything is written.

    Attributes:
        root: Folder of the run's files; made when it is missing. Relative to the current folder.
    """

    root: str = "runs"

    def __post_init__(self) -> None:
        if not self.root:
            raise SettingError("root is empty: name a folder")


@dataclass(frozen=True)
class FeaturesConfig:
    """Which embeddings are extracted and learnt from.

    Attributes:
        modalities: Names separated by commas, of frames, motion, audio, cover, text.
        max_failed_fraction: An Extract or Recognize stage fails when a larger share of its clips failed.
    """

    modalities: str = ", ".join(DEFAULT_MODALITIES)
    max_failed_fraction: float = 0.2

    def __post_init__(self) -> None:
        names = self.names()
        unknown = [name for name in names if name not in MODALITIES]
        if unknown or not names or len(set(names)) < len(names):
            raise SettingError(
                f"modalities is {self.modalities!r}: list each of {', '.join(MODALITIES)} at most once,"
                " separated by commas, at least one"
            )

        if not 0 <= self.max_failed_fraction <= 1:
            raise SettingError(f"max_failed_fraction is {self.max_failed_fraction}: give a share, 0 to 1")

    def names(self) -> tuple[str, ...]:
        """Return the modalities in the order in which they were listed."""
        return tuple(part.strip() for part in self.modalities.split(",") if part.strip())


@dataclass(frozen=True)
class PredictConfig:
    """What predicts.

    Attributes:
        checkpoint: Folder of a checkpoint; empty = the one that Train makes in this run.
        batch_size: Clips that the network sees at once.
        top_k: Labels listed for each clip in ``predictions.jsonl``.
    """

    checkpoint: str = ""
    batch_size: int = 256
    top_k: int = 5

    def __post_init__(self) -> None:
        for name in ("batch_size", "top_k"):
            if getattr(self, name) < 1:
                raise SettingError(f"{name} is {getattr(self, name)}: give 1 or more")


@dataclass(frozen=True)
class EvaluateConfig:
    """What is measured.

    Attributes:
        split: ``test``, ``validation`` or ``train``.
        num_pictures: Worst errors that the report shows with a picture.
    """

    split: str = "test"
    num_pictures: int = 12

    def __post_init__(self) -> None:
        if self.split not in {"test", "validation", "train"}:
            raise SettingError(f"unknown split {self.split!r}: expected one of test, validation, train")
        if self.num_pictures < 0:
            raise SettingError(f"num_pictures is {self.num_pictures}: give 0 or more")


@dataclass(frozen=True)
class Section:
    """One section of the configuration.

    Attributes:
        kind: The dataclass it becomes.
        fixed: Fields that are no settings.
        defaults: Defaults that differ from the dataclass's.
        free: Settings that change no byte of the output, so that changing them re-runs nothing.
    """

    kind: Callable[..., Any]
    fixed: Mapping[str, object] = field(default_factory=dict)
    defaults: Mapping[str, object] = field(default_factory=dict)
    free: frozenset[str] = frozenset()

    def names(self) -> dict[str, object]:
        """Return setting -> default."""
        items: tuple[Field[Any], ...] = fields(cast("type[DataclassInstance]", self.kind))
        return {item.name: self.defaults.get(item.name, item.default) for item in items if item.name not in self.fixed}


def _extract_section(modality: str, backbone: str) -> Section:
    others = {name for other, names in ONLY_FOR.items() if other != modality for name in names}
    not_ours = {item.name: item.default for item in fields(ExtractConfig) if item.name in others}
    return Section(
        ExtractConfig,
        fixed={"modality": modality, **not_ours},
        defaults={"backbone": backbone},
        free=frozenset({"batch_size", "device", "runtime", "num_threads", "workers"}),
    )


# What may be taken, and from where, decides which clips fail for good; how long to try does not: what fails of
# that is tried again.
_FREE_OF_DOWNLOAD = frozenset(
    {"workers", "keep_media", "max_failed_fraction", "max_attempts", "timeout_seconds", "max_seconds",
     "min_bytes_per_second", "speed_window_seconds", "connections_per_host", "requests_per_second_per_host",
     "max_retry_after_seconds", "user_agent"}
)  # fmt: skip
_FREE_OF_DECODE = frozenset(
    {
        "ffmpeg",
        "workers",
        "store",
        "memory_megabytes",
        "max_process_megabytes",
        "max_failed_fraction",
        "timeout_seconds",
    }
)

SECTIONS: dict[str, Section] = {
    "paths": Section(PathsConfig, free=frozenset({"root"})),
    # Not the manifest's path but its content and its folder are hashed.
    "corpus": Section(CorpusConfig, free=frozenset({"manifest", "max_manifest_bytes"})),
    "sample": Section(SampleConfig),
    "manifest": Section(ManifestConfig),
    "download": Section(DownloadConfig, free=_FREE_OF_DOWNLOAD),
    "decode": Section(DecodeConfig, free=_FREE_OF_DECODE),
    "features": Section(FeaturesConfig, free=frozenset({"max_failed_fraction"})),
    "extract_frames": _extract_section("frames", "bundled:efficientnet_lite0"),
    "extract_motion": _extract_section("motion", "torchvision:r3d_18"),
    "extract_audio": _extract_section("audio", "dsp:logmel"),
    "extract_cover": _extract_section("cover", "bundled:efficientnet_lite0"),
    "extract_text": _extract_section("text", "bundled:all-minilm-l6-v2"),
    "ocr": Section(OcrConfig, free=frozenset({"num_threads"})),
    "asr": Section(AsrConfig, free=frozenset({"batch_size", "device", "num_threads"})),
    "network": Section(NetworkConfig),
    "train": Section(TrainConfig, free=frozenset({"cache_megabytes"})),
    "predict": Section(PredictConfig, free=frozenset({"checkpoint", "batch_size"})),
    "evaluate": Section(EvaluateConfig),
}


def _config_class(name: str, section: Section) -> type[luigi.Config]:
    """Return a Luigi config class whose parameters are texts; ``load`` turns them into values."""
    parameters = {
        key: luigi.Parameter(default="" if default is None else str(default), significant=False)
        for key, default in section.names().items()
    }
    namespace = {"__doc__": section.kind.__doc__, "__module__": __name__, **parameters}
    return Register(name, (luigi.Config,), namespace)  # type: ignore[return-value]  # Luigi's metaclass


_CONFIG_CLASSES = {name: _config_class(name, section) for name, section in SECTIONS.items()}


def load(name: str, kind: type[Settings]) -> Settings:
    """Return one section as its dataclass ``kind``.

    Raises:
        SettingError: An unknown key, or a value of the wrong type or out of range; the message names the
            section and the key.
    """
    result = _load(name)
    if not isinstance(result, kind):
        raise TypeError(f"section {name} is a {type(result).__name__}")
    return result


def _load(name: str) -> Any:  # noqa: ANN401 - the kind differs by section; load() checks it
    section = SECTIONS[name]
    check_keys()
    try:
        texts = vars(_CONFIG_CLASSES[name]())
    except ValueError as error:
        raise SettingError(
            f"[{name}] cannot be read: {error.__cause__ or error}; write %% for a per cent sign"
        ) from error
    hints = get_type_hints(section.kind)
    values = {key: _value(name, key, texts[key], hints[key]) for key in section.names()}
    try:
        return section.kind(**section.fixed, **values)
    except (FeaturesError, ModelsError) as error:
        raise SettingError(f"[{name}] {error}") from error


def check_sections() -> None:
    """Read every section.

    Raises:
        SettingError: Naming the first setting that cannot be used.
    """
    for name in SECTIONS:
        _load(name)
    if not load("decode", DecodeConfig).store and not load("download", DownloadConfig).keep_media:
        raise SettingError(
            "[decode] store = false needs [download] keep_media = true: with nothing decoded on the disk, every stage"
            " reads the media again"
        )


def significant(name: str) -> dict[str, object]:
    """Return the settings of a section that change what a stage writes."""
    values = asdict(_load(name))
    return {key: value for key, value in values.items() if key not in SECTIONS[name].free}


def _value(section: str, key: str, text: str, hint: object) -> object:
    try:
        if hint is bool:
            return {"true": True, "false": False}[text.strip().lower()]
        if hint is int:
            return int(text)
        if hint is float:
            return _finite(text)
    except (ValueError, KeyError) as error:
        wanted = {bool: "true or false", int: "a whole number", float: "a number"}[hint]  # type: ignore[index]
        raise SettingError(f"[{section}] {key} is {text!r}: expected {wanted}") from error
    if hint == int | None:
        return int(text) if text.strip() else None
    return text.strip()


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value


# Sections of Luigi's own that its modules read or register only when they are used.
_LUIGI_SECTIONS = frozenset(
    {
        "DEFAULT", "batch_notifier", "core", "cors", "email", "execution_summary", "formatters", "handlers",
        "loggers", "logging", "resources", "retcode", "scheduler", "smtp", "task_history", "worker",
    }
)  # fmt: skip


def check_keys() -> None:
    """Check that every section and key of the configuration is one that somebody reads.

    Raises:
        SettingError: Naming the first that nobody knows, and the nearest that somebody does.
    """
    config = luigi.configuration.get_config()
    known = {*SECTIONS, *_LUIGI_SECTIONS, *Register.task_names()}
    for section in config.sections():
        if section not in known and not section.startswith(("logger_", "handler_", "formatter_")):
            raise SettingError(f"unknown section [{section}] in the configuration{_nearest(section, [*SECTIONS])}")
        twin = section.lower()
        if section not in SECTIONS and twin in SECTIONS:
            raise SettingError(f"unknown section [{section}] in the configuration: the settings stand in [{twin}]")
        if section in SECTIONS:
            names = list(SECTIONS[section].names())
            for key in config[section]:
                if key not in names:
                    raise SettingError(f"unknown setting {key!r} in [{section}]{_nearest(key, names)}")


def _nearest(word: str, known: list[str]) -> str:
    near = difflib.get_close_matches(word, known, n=1)
    return f": did you mean {near[0]!r}?" if near else f": expected one of {', '.join(known)}"
