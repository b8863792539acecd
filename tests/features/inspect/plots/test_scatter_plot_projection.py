from __future__ import annotations

import numpy as np
import pytest

from features.inspect.plots.scatter_plot import project


def test_pca_finds_the_direction_of_a_line() -> None:
    along = np.array([3, 4, 0], np.float32) / 5
    steps = np.array([-2, 0, 1, 5], np.float32)
    plane = project((steps[:, None] * along + 7).astype(np.float32), "pca")
    np.testing.assert_allclose(plane.points[:, 0], steps - steps.mean(), atol=1e-5)
    np.testing.assert_allclose(plane.points[:, 1], 0, atol=1e-5)
    assert plane.axes == ("principal axis 1 (100 % of the variance)", "principal axis 2 (0 % of the variance)")


def test_pca_is_the_eigenvectors_of_the_covariance() -> None:
    vectors = np.random.default_rng(1).normal(size=(30, 5)).astype(np.float32) * [1, 5, 2, 1, 1]
    values, directions = np.linalg.eigh(np.cov(vectors.T))
    expected = (vectors - vectors.mean(axis=0)) @ directions[:, ::-1][:, :2]
    found = project(vectors.astype(np.float32), "pca")
    np.testing.assert_allclose(np.abs(found.points), np.abs(expected), atol=1e-4)
    assert found.axes[0] == f"principal axis 1 ({100 * values[-1] / values.sum():.0f} % of the variance)"


@pytest.mark.parametrize("projection", ["pca", "tsne"])
@pytest.mark.parametrize(
    "vectors", [np.ones((5, 4)), np.ones((3, 1)), np.eye(3), np.random.default_rng(0).normal(size=(60, 70))]
)
def test_any_vectors_become_finite_points_the_same_every_time(vectors: np.ndarray, projection: str) -> None:
    first = project(vectors.astype(np.float32), projection)
    again = project(vectors.astype(np.float32), projection)
    assert first.points.shape == (len(vectors), 2)
    assert np.isfinite(first.points).all()
    assert first.points.tobytes() == again.points.tobytes()
    assert first.axes == again.axes


def test_tsne_keeps_two_heaps_apart() -> None:
    draw = np.random.default_rng(2)
    heaps = np.concatenate([draw.normal(size=(20, 8)), draw.normal(size=(20, 8)) + 30]).astype(np.float32)
    points = project(heaps, "tsne").points
    nearest = [np.argsort(np.linalg.norm(points - point, axis=1))[1] for point in points]
    assert all((row < 20) == (other < 20) for row, other in enumerate(nearest))
