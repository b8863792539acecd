"""Many-dimensional vectors as points on a plane."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

PROJECTIONS = {"pca": "PCA", "tsne": "t-SNE"}
# Fewer points say nothing.
MIN_POINTS = 3
# Directions that t-SNE is given: more cost time and are mostly noise, as its authors advise.
TSNE_WIDTH = 50
# Neighbours that t-SNE keeps together, its usual value; a small set has fewer.
PERPLEXITY = 30.0


@dataclass(frozen=True)
class Plane:
    """Points on a plane.

    Attributes:
        points: ``(N, 2)``.
        axes: What the two axes are.
    """

    points: npt.NDArray[np.float32]
    axes: tuple[str, str]


def project(vectors: npt.NDArray[np.float32], projection: str) -> Plane:
    """Return ``(N, D)`` vectors, N >= 3, as points: by ``pca``, or by ``tsne`` from a fixed start.

    The same vectors give the same points: the largest weight of a principal axis is positive.
    """
    if projection == "tsne":
        return _tsne(vectors)
    return _pca(vectors)


def _pca(vectors: npt.NDArray[np.float32]) -> Plane:
    from sklearn.decomposition import PCA  # noqa: PLC0415 - loads scipy

    count = min(2, vectors.shape[1])
    model = PCA(n_components=count, svd_solver="full")
    with np.errstate(invalid="ignore", divide="ignore"):
        # Vectors that are all the same have no variance to divide.
        points = model.fit_transform(vectors)
    signs = np.sign(model.components_[np.arange(count), np.abs(model.components_).argmax(axis=1)])
    shares = np.nan_to_num(model.explained_variance_ratio_)
    flat = np.zeros((len(vectors), 2), np.float32)
    flat[:, :count] = points * np.where(signs == 0, 1, signs)
    names = [f"principal axis {i + 1} ({100 * share:.0f} % of the variance)" for i, share in enumerate(shares)]
    return Plane(flat, (names[0], names[1] if count > 1 else ""))


def _tsne(vectors: npt.NDArray[np.float32]) -> Plane:
    from sklearn.decomposition import PCA  # noqa: PLC0415 - loads scipy
    from sklearn.manifold import TSNE  # noqa: PLC0415 - loads scipy

    if min(vectors.shape) > TSNE_WIDTH:
        vectors = PCA(n_components=TSNE_WIDTH, svd_solver="full").fit_transform(vectors)
    perplexity = min(PERPLEXITY, (len(vectors) - 1) / 3)
    model = TSNE(perplexity=perplexity, init="random", random_state=0)
    points = np.asarray(model.fit_transform(vectors), np.float32)
    return Plane(points, ("t-SNE, first axis (no unit)", "t-SNE, second axis (no unit)"))
