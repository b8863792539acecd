from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from torch import nn

from features.backbones.extractor.extract_config import ExtractConfig
from features.backbones.extractor.extractor import Backbone
from features.backbones.vision.image_extractor import ImageExtractor, probe_images
from features.base.errors import SettingError, ShardError, SourceError
from features.formats.clip_data import DecodedPicture, Float32, ImageSequence, Picture, UInt8

if TYPE_CHECKING:
    from collections.abc import Sequence

    from features.backbones.vision.preprocess import Prepare

CONFIG = ExtractConfig("frames", "torchvision:resnet18", batch_size=4, runtime="torch", device="cpu")
SIDE = 8


class MeanAndInverse(nn.Module):
    """The mean of each colour, and the inverse of the first mean: infinite for a black picture."""

    def __init__(self) -> None:
        super().__init__()
        self.batch_sizes: list[int] = []

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.batch_sizes.append(images.shape[0])
        means = images.mean(dim=(2, 3))
        return torch.cat([means, 1.0 / means[:, :1]], dim=1)


class Damaged:
    """A picture that cannot be decoded."""

    time_seconds = 1.0

    def pixels(self) -> UInt8:
        raise ShardError("a stored frame cannot be decoded")


def _planes(images: Sequence[UInt8]) -> list[Float32]:
    corners = [image[:SIDE, :SIDE] for image in images]
    return [corner.transpose(2, 0, 1).astype(np.float32) for corner in corners]


def _extractor(network: nn.Module, preprocess: Prepare = _planes) -> ImageExtractor:
    return ImageExtractor(CONFIG, Backbone(network, preprocess, "none", "0" * 64, ("torch",)))


def _grey(*levels: int, size: int = SIDE) -> ImageSequence:
    images = np.stack([np.full((size, size, 3), level, np.uint8) for level in levels])
    return ImageSequence(images, np.arange(len(levels), dtype=np.float32) * np.float32(0.5))


def test_every_batch_is_full_and_reaches_across_clips() -> None:
    network = MeanAndInverse()
    extractor = _extractor(network)
    network.batch_sizes.clear()
    clips = [_grey(1, 2).pictures(), None, _grey(3).pictures(), [], _grey(4, 5, 6).pictures()]
    results = list(extractor.extract(clips))
    assert network.batch_sizes == [4, 4]
    assert [result.features[:, 0].tolist() for result in results] == [[1, 2], [], [3], [], [4, 5, 6]]
    assert results[4].time_seconds.tolist() == [0.0, 0.5, 1.0]


def test_pictures_of_one_clip_may_differ_in_size_and_number() -> None:
    levels = list(range(1, 21))
    clip = [_grey(level, size=SIDE + level).pictures()[0] for level in levels]
    (result,) = _extractor(MeanAndInverse()).extract([clip])
    assert result.features[:, 0].tolist() == levels


def test_a_damaged_picture_is_a_problem_of_its_clip_alone() -> None:
    torn: list[Picture] = [*_grey(1, 2).pictures(), Damaged(), *_grey(3).pictures()]
    results = list(_extractor(MeanAndInverse()).extract([_grey(7).pictures(), torn, _grey(8).pictures()]))
    assert [result.problem for result in results] == ["", "a stored frame cannot be decoded", ""]
    assert [result.features[:, 0].tolist() for result in results] == [[7], [], [8]]
    assert results[1].time_seconds.shape == (0,)


def test_features_that_are_not_finite_are_given_as_they_are() -> None:
    (result,) = _extractor(MeanAndInverse()).extract([_grey(10, 0).pictures()])
    np.testing.assert_allclose(result.features, [[10, 10, 10, 0.1], [0, 0, 0, np.inf]])


def test_only_the_middle_of_a_ribbon_is_looked_at() -> None:
    image = np.zeros((1, 4000, 3), np.uint8)
    # 16 times the short side, in the middle.
    image[:, 1992:2008] = 200
    (result,) = _extractor(MeanAndInverse()).extract([[DecodedPicture(image, 0.0)]])
    assert result.features[0, 0] == 200


def test_pictures_that_cannot_be_written_to_are_taken() -> None:
    # Pillow gives such arrays, and torch warns of them, which is an error here.
    (picture,) = _grey(9).pictures()
    picture.image.flags.writeable = False

    def through_torch(images: Sequence[UInt8]) -> list[Float32]:
        return _planes([torch.from_numpy(image).numpy() for image in images])

    (result,) = _extractor(MeanAndInverse(), through_torch).extract([[picture]])
    assert result.features[0, 0] == 9


def test_preprocessing_that_keeps_the_form_of_a_picture_is_refused() -> None:
    with pytest.raises(SourceError, match=r"\(240, 320, 3\) for a picture of 320 x 240 and \(240, 150, 3\)"):
        _extractor(MeanAndInverse(), list)


def test_a_network_without_one_vector_a_picture_is_refused() -> None:
    with pytest.raises(SourceError, match=r"gives shape \(3, 3, 8, 8\), not one embedding"):
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
