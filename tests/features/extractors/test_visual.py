from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from features.errors import SettingError, SourceError
from features.extractors.config import ExtractConfig
from features.extractors.protocol import Float32, ImageSequence, UInt8
from features.extractors.visual import VisualBackbone, VisualExtractor, probe_images

CONFIG = ExtractConfig("frames", "torchvision:resnet18", batch_size=4, runtime="torch", device="cpu")


class MeanAndInverse(nn.Module):
    """The mean of each colour, and the inverse of the first mean: infinite for a black picture."""

    def __init__(self) -> None:
        super().__init__()
        self.batch_sizes: list[int] = []

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.batch_sizes.append(images.shape[0])
        means = images.mean(dim=(2, 3))
        return torch.cat([means, 1.0 / means[:, :1]], dim=1)


def _planes(images: UInt8) -> Float32:
    planes: Float32 = images.transpose(0, 3, 1, 2).astype(np.float32)
    return planes


def _extractor(network: nn.Module) -> VisualExtractor:
    return VisualExtractor(CONFIG, VisualBackbone(network, _planes, "none", "0" * 64, ("torch",)))


def _grey(*levels: int, size: int = 8) -> ImageSequence:
    images = np.stack([np.full((size, size, 3), level, np.uint8) for level in levels])
    return ImageSequence(images, np.arange(len(levels), dtype=np.float32) * np.float32(0.5))


def test_every_batch_is_full_and_reaches_across_clips() -> None:
    network = MeanAndInverse()
    extractor = _extractor(network)
    network.batch_sizes.clear()
    clips = [_grey(1, 2), None, _grey(3), _grey(4, 5, 6)]
    results = list(extractor.extract(clips))
    assert network.batch_sizes == [4, 4]
    assert [result.features[:, 0].tolist() for result in results] == [[1, 2], [], [3], [4, 5, 6]]
    assert results[3].time_seconds.tolist() == [0.0, 0.5, 1.0]


def test_pictures_of_unlike_sizes_stay_apart() -> None:
    clips = [_grey(1, size=8), _grey(2, size=16), _grey(3, size=8)]
    results = list(_extractor(MeanAndInverse()).extract(clips))
    assert [result.features[:, 0].tolist() for result in results] == [[1], [2], [3]]


def test_features_that_are_not_finite_are_given_as_they_are() -> None:
    (result,) = _extractor(MeanAndInverse()).extract([_grey(10, 0)])
    np.testing.assert_allclose(result.features, [[10, 10, 10, 0.1], [0, 0, 0, np.inf]])


def test_a_network_without_one_vector_a_picture_is_refused() -> None:
    with pytest.raises(SourceError, match=r"gives shape \(2, 3, 240, 320\), not one embedding"):
        _extractor(nn.Identity())


def test_probe_images_are_unlike_and_stay_the_same() -> None:
    images = np.concatenate(probe_images()).astype(float).reshape(5, -1)
    assert images.tobytes() == np.concatenate(probe_images()).astype(float).tobytes()
    # Unlike enough that a runtime that ignores its input cannot pass.
    assert (np.corrcoef(images[:4])[~np.eye(4, dtype=bool)] < 0.5).all()


@pytest.mark.parametrize(
    ("images", "times", "message"),
    [
        (np.zeros((2, 8, 8, 3), np.float32), np.zeros(2, np.float32), "images of type float32"),
        (np.zeros((2, 8, 8), np.uint8), np.zeros(2, np.float32), r"shape \(2, 8, 8\): expected uint8"),
        (np.zeros((2, 8, 8, 4), np.uint8), np.zeros(2, np.float32), r"shape \(2, 8, 8, 4\)"),
        (np.zeros((2, 8, 8, 3), np.uint8), np.zeros(3, np.float32), r"shape \(3,\) for 2 images"),
    ],
)
def test_a_sequence_that_is_none_is_refused(images: UInt8, times: Float32, message: str) -> None:
    with pytest.raises(SettingError, match=message):
        ImageSequence(images, times)
