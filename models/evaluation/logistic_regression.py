"""Logistic regression of both heads on fixed-width features, with the regularisation chosen on the validation split."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from features.base.errors import DataError, SettingError
from models.data.labels import UNKNOWN_CATEGORY, Labels
from models.metrics.arrays import mean_average_precision

BoolArray = npt.NDArray[np.bool_]
Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]


@dataclass(frozen=True)
class LogisticSettings:
    """Settings of the logistic regression.

    Attributes:
        inverse_regularisations: The grid of scikit-learn's C, smallest first. Per head the one with the best
            validation mAP is taken; of equal ones, which separable classes make common, the one with the
            lowest cross-entropy: a shrunken model still ranks well, but predicts the majority. The largest
            where no validation clip has a label.
        max_clips: Clips that are drawn from a larger train or validation split. 5,000 clips of 3,000
            features take about 3.5 s a fit on one core, and each grid value takes 1 + number of tags fits.
        max_iterations: Limit of a fit; one that has not converged by then is used as it is.
        seed: Of the draw of clips.
    """

    inverse_regularisations: tuple[float, ...] = (0.001, 0.01, 0.1, 1.0)
    max_clips: int = 5000
    max_iterations: int = 500
    seed: int = 0

    def __post_init__(self) -> None:
        grid = self.inverse_regularisations
        if not grid or min(grid) <= 0 or list(grid) != sorted(grid):
            raise SettingError(f"inverse_regularisations is {grid}: give positive numbers, smallest first")
        if self.max_clips < 1 or self.max_iterations < 1:
            raise SettingError(
                f"max_clips is {self.max_clips}, max_iterations {self.max_iterations}: both must be 1 or more"
            )


@dataclass(frozen=True)
class Split:
    """Features ``(N, D)`` of the clips of one split, and their labels."""

    features: Float32
    labels: Labels


@dataclass(frozen=True)
class Standardiser:
    """Map from features to inputs of the classifiers, fitted on the train split alone.

    Attributes:
        mean: ``(D,)`` of the train split.
        scale: ``(D,)`` its deviation; 1 for a constant feature, which is only centred.
        basis: ``(D, N)`` orthonormal columns that span the N train clips; None where N >= D. With an L2 penalty
            the weights are a sum of train clips, and a rotation leaves the penalty as it is: fitting in N
            dimensions gives the same model (240 clips of 3,000 features, 12 tags, whole grid: 1.8 s instead of
            12.2 on one core).
    """

    mean: Float64
    scale: Float64
    basis: Float64 | None

    @classmethod
    def fit(cls, features: Float32) -> Standardiser:
        """Return the standardiser of ``(N, D)`` train features, N >= 1."""
        mean, deviation = features.mean(axis=0, dtype=np.float64), features.std(axis=0, dtype=np.float64)
        scale = np.where(deviation > 0, deviation, 1.0)
        if len(features) >= len(mean):
            return cls(mean, scale, None)
        return cls(mean, scale, np.linalg.qr(((features - mean) / scale).T).Q)

    def __call__(self, features: Float32) -> Float64:
        """Return the inputs, ``(M, D)`` or ``(M, N)``, of ``(M, D)`` features."""
        standardised: Float64 = (features - self.mean) / self.scale
        return standardised if self.basis is None else standardised @ self.basis


@dataclass(frozen=True)
class Classifier:
    """One fitted model over exclusive classes; ``model`` is None where the train split has a single class."""

    model: LogisticRegression | None
    present: Int64
    num_classes: int

    def predict(self, features: Float64) -> Float32:
        """Return ``(N, num_classes)`` probabilities; 0 for a class that the train split lacks."""
        scores = np.zeros((len(features), self.num_classes), dtype=np.float32)
        if self.model is None:
            scores[:, self.present] = 1.0
        elif len(features):  # scikit-learn refuses to predict nothing
            scores[:, self.present] = self.model.predict_proba(features)
        return scores


@dataclass(frozen=True)
class Head:
    """The classifiers of one head: a single one for exclusive classes, else one per class.

    Attributes:
        classifiers: One multinomial classifier, or one of "absent, present" per class.
        exclusive: Whether a clip has exactly one of the classes.
        inverse_regularisation: The chosen C.
    """

    classifiers: tuple[Classifier, ...]
    exclusive: bool
    inverse_regularisation: float

    def predict(self, features: Float64) -> Float32:
        """Return ``(N, classes)`` probabilities of ``(N, D)`` standardised features."""
        if self.exclusive:
            return self.classifiers[0].predict(features)
        return np.column_stack([classifier.predict(features)[:, 1] for classifier in self.classifiers])


@dataclass(frozen=True)
class LogisticModel:
    """A fitted model; a head is None where no train clip has a label of it."""

    standardise: Standardiser
    category: Head | None
    tags: Head | None

    def predict(self, features: Float32) -> tuple[Float32 | None, Float32 | None]:
        """Return category ``(N, K)`` and tag ``(N, C)`` probabilities of ``(N, D)`` features."""
        inputs = self.standardise(features)
        return (
            None if self.category is None else self.category.predict(inputs),
            None if self.tags is None else self.tags.predict(inputs),
        )


def fit_logistic(train: Split, validation: Split, settings: LogisticSettings) -> LogisticModel:
    """Return L2-regularised logistic regression, multinomial for the category, one against the rest for tags.

    Features are standardised by the train split alone. A tag that is constant there gets that value, 0 or 1; a
    category that is not there gets 0.

    Raises:
        DataError: The train split is empty or has no features, the splits differ in width, or a feature is
            not finite.
    """
    _check(train, validation)
    standardise = Standardiser.fit(train.features)
    inputs, validation_inputs = standardise(train.features), standardise(validation.features)
    heads = []
    for known in (known_categories, known_tags):
        rows, labels = known(train.labels)
        validation_rows, validation_labels = known(validation.labels)
        heads.append(
            _choose_head(
                (inputs[rows], labels),
                (validation_inputs[validation_rows], validation_labels),
                known is known_categories,
                settings,
            )
        )
    return LogisticModel(standardise, heads[0], heads[1])


def known_categories(labels: Labels) -> tuple[Int64, BoolArray]:
    """Return the ``(M,)`` rows with a known category, and their labels ``(M, K)`` with one True per row."""
    rows = np.flatnonzero(labels.category != UNKNOWN_CATEGORY)
    return rows, labels.category[rows, np.newaxis] == np.arange(len(labels.category_names))


def known_tags(labels: Labels) -> tuple[Int64, BoolArray]:
    """Return the ``(M,)`` rows with known tags, and their tags ``(M, C)``."""
    rows = np.flatnonzero(labels.tags_known)
    return rows, labels.tags[rows]


def _choose_head(
    train: tuple[Float64, BoolArray],
    validation: tuple[Float64, BoolArray],
    exclusive: bool,
    settings: LogisticSettings,
) -> Head | None:
    """Return the head with the best validation mAP, None without a train label; pairs of inputs, labels."""
    if not train[1].size:
        return None
    grid = reversed(settings.inverse_regularisations)
    heads = [_fit_head(train, exclusive, c, settings) for c in grid]
    return max(heads, key=lambda head: _quality(head.predict(validation[0]), validation[1]))


def _quality(probabilities: Float32, labels: BoolArray) -> tuple[float, float]:
    """Return mAP and minus the cross-entropy per cell of ``(M, classes)`` probabilities; higher is better."""
    if not labels.size:
        return 0.0, 0.0
    of_truth = np.where(labels, probabilities, 1 - probabilities)
    return mean_average_precision(probabilities, labels), float(np.log(np.maximum(of_truth, 1e-7)).mean())


def _fit_head(
    train: tuple[Float64, BoolArray],
    exclusive: bool,
    inverse_regularisation: float,
    settings: LogisticSettings,
) -> Head:
    """Return one head fitted on ``(M, D)`` inputs and ``(M, classes)`` labels, M >= 1."""
    inputs, labels = train
    # exclusive: one target over all classes; else one "absent, present" target per class
    targets = [labels.argmax(axis=1)] if exclusive else list(labels.T.astype(np.int64))
    num_classes = labels.shape[1] if exclusive else 2
    classifiers = []
    for target in targets:
        present = np.unique(target)
        model = None
        if len(present) > 1:
            model = LogisticRegression(C=inverse_regularisation, max_iter=settings.max_iterations)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)  # used as it is
                model.fit(inputs, target)
        classifiers.append(Classifier(model, present, num_classes))
    return Head(tuple(classifiers), exclusive, inverse_regularisation)


def _check(train: Split, validation: Split) -> None:
    """Raise DataError unless both splits can be used together."""
    if not train.features.size:
        raise DataError(
            f"the train split has {train.features.shape[0]} clips of {train.features.shape[1]} features: "
            "a baseline needs one of each; check the splits of the manifest"
        )
    for name, split in (("train", train), ("validation", validation)):
        if split.features.shape != (len(split.labels), train.features.shape[1]):
            raise DataError(
                f"{name} features have shape {split.features.shape} for {len(split.labels)} labelled clips "
                f"and {train.features.shape[1]} features in train: pool all splits from one source"
            )
        if not np.isfinite(split.features).all():
            raise DataError(f"the {name} features hold a value that is not finite: rebuild their shards")
