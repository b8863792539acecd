"""Settings of the tasks themselves; those of media, features and networks are beside their code."""

from __future__ import annotations

from dataclasses import dataclass

from features.base.errors import SettingError
from features.base.modalities import MODALITIES
from features.base.settings import check_device, check_fraction, setting
from features.formats.records import SPLITS
from models.config.presets import PRESETS

MIN_FOLDS = 2


@dataclass(frozen=True)
class PathsConfig:
    """Where everything is written.

    Attributes:
        root: Folder of the run's files; made when it is missing. Relative to the current folder.
    """

    root: str = setting("runs", identity=False)

    def __post_init__(self) -> None:
        if not self.root:
            raise SettingError("root is empty: name a folder")


@dataclass(frozen=True)
class FeaturesConfig:
    """Which embeddings are extracted and learnt from.

    Attributes:
        modalities: Names separated by commas, of frames, motion, audio, cover, text.
        max_failed_fraction: An Extract or Recognize stage fails when a larger fraction of its clips failed.
    """

    modalities: str = ", ".join(name for name, entry in MODALITIES.items() if entry.is_default)
    max_failed_fraction: float = setting(0.2, identity=False)

    def __post_init__(self) -> None:
        names = self.names()
        unknown = [name for name in names if name not in MODALITIES]
        if unknown or not names or len(set(names)) < len(names):
            raise SettingError(
                f"modalities is {self.modalities!r}: list each of {', '.join(MODALITIES)} at most once,"
                " separated by commas, at least one"
            )
        check_fraction("max_failed_fraction", self.max_failed_fraction)

    def names(self) -> tuple[str, ...]:
        """Return the modalities in the order in which they were listed."""
        return tuple(part.strip() for part in self.modalities.split(",") if part.strip())


@dataclass(frozen=True)
class PresetConfig:
    """Where [network] and [train] start from.

    Attributes:
        preset: Name of a network with its training, one of default, trn_light, nextvlad_large, seed_baseline,
            mean_linear: it gives every key of [network] and [train] that is not set. The resulting values are part
            of a stage's identity, the name is not.
    """

    preset: str = "default"

    def __post_init__(self) -> None:
        if self.preset not in PRESETS:
            raise SettingError(f"unknown preset {self.preset!r}: expected one of {', '.join(PRESETS)}")


@dataclass(frozen=True)
class EnsembleConfig:
    """Several networks whose probabilities are averaged.

    Attributes:
        folds: The clips outside the test split are cut into so many folds, stratified and without cutting a group;
            each network learns from all but one and is validated on that one. 0 = no folds.
        seeds: With ``folds`` = 0: networks that differ by seed, on the ordinary splits; the first is the one that
            there is without an ensemble.
    """

    folds: int = 0
    seeds: int = 1

    def __post_init__(self) -> None:
        if self.folds != 0 and self.folds < MIN_FOLDS:
            raise SettingError(f"folds is {self.folds}: give 0 for none, or {MIN_FOLDS} or more")
        if self.seeds < 1:
            raise SettingError(f"seeds is {self.seeds}: give 1 or more")
        if self.folds and self.seeds > 1:
            raise SettingError(f"folds is {self.folds} and seeds is {self.seeds}: set folds = 0, or seeds = 1")


@dataclass(frozen=True)
class PredictConfig:
    """What predicts.

    Attributes:
        checkpoint: Folder of a checkpoint; empty = the one that Train makes in this run.
        batch_size: Clips that the network sees at once.
        top_k: Labels listed for each clip in ``predictions.jsonl``.
        device: ``auto`` (the first GPU, else the CPU), ``cpu``, ``cuda`` or ``cuda:N``.
    """

    checkpoint: str = setting("", identity=False)
    batch_size: int = setting(256, identity=False)
    top_k: int = 5
    device: str = setting("auto", identity=False)

    def __post_init__(self) -> None:
        for name in ("batch_size", "top_k"):
            if getattr(self, name) < 1:
                raise SettingError(f"{name} is {getattr(self, name)}: give 1 or more")
        check_device("device", self.device)


@dataclass(frozen=True)
class AblationConfig:
    """Which settings are compared, each trained with several seeds on the same embeddings.

    Attributes:
        variants: An INI file with a section for each variant and in it ``network.KEY``, ``train.KEY`` and
            ``predict.hidden`` (modalities that are taken away when it is scored); empty = a list of the usual
            questions. A variant with a ``network.preset`` is that preset, whatever [network] and [train] say.
            Relative to the current folder.
        seeds: Runs of each variant, from ``[train] seed`` upwards.
        split: Split that is scored: ``validation``, without calibration, or ``test`` for the final once.
        reference: Variant that the others are compared with.
        workers: Processes side by side, each with one thread.
    """

    variants: str = setting("", identity=False)
    seeds: int = 5
    split: str = "validation"
    reference: str = "default"
    workers: int = setting(1, identity=False)

    def __post_init__(self) -> None:
        for name in ("seeds", "workers"):
            if getattr(self, name) < 1:
                raise SettingError(f"{name} is {getattr(self, name)}: give 1 or more")
        check_split(self.split)


@dataclass(frozen=True)
class EvaluateConfig:
    """What is measured.

    Attributes:
        split: ``test``, ``validation`` or ``train``; with [ensemble] folds only ``test``, which is in no fold.
        num_pictures: Worst errors that the report shows with a picture.
        ablation: Whether the report shows the table of the task Ablation, which then runs first.
    """

    split: str = "test"
    num_pictures: int = 12
    ablation: bool = False

    def __post_init__(self) -> None:
        check_split(self.split)
        if self.num_pictures < 0:
            raise SettingError(f"num_pictures is {self.num_pictures}: give 0 or more")


def check_split(name: str) -> None:
    """Raise SettingError unless ``name`` is a split."""
    if name not in SPLITS:
        raise SettingError(f"unknown split {name!r}: expected one of {', '.join(reversed(SPLITS))}")
