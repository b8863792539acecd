from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torchvision.transforms import InterpolationMode

from features.backbones.vision.preprocess import CentreCrop, FromPixels, within_aspect
from tests.features.backbones.tiny_models import photo


def test_the_network_gets_planes_less_the_mean_over_the_deviation() -> None:
    pixels = torch.tensor([[[[10, 20, 30], [40, 50, 60]]]], dtype=torch.uint8)  # (1, 1, 2, 3)
    seen = FromPixels(nn.Identity(), [10.0, 0.0, 20.0], [2.0, 1.0, 5.0])(pixels)
    assert seen.tolist() == [[[[0.0, 15.0]], [[20.0, 50.0]], [[2.0, 8.0]]]]
    assert seen.is_contiguous(memory_format=torch.channels_last)


def test_one_number_counts_for_all_colours() -> None:
    pixels = torch.tensor([[[[127, 255, 0]]]], dtype=torch.uint8)
    assert FromPixels(nn.Identity(), [127.0], [128.0])(pixels).flatten().tolist() == [0.0, 1.0, -127 / 128]


def test_mean_and_deviation_are_no_weights() -> None:
    assert list(FromPixels(nn.Linear(1, 1), [0.0], [1.0]).state_dict()) == ["network.weight", "network.bias"]


def test_a_picture_with_the_short_side_is_cut_and_nothing_else() -> None:
    image = np.random.default_rng(0).integers(0, 256, (256, 301, 3), dtype=np.uint8)
    cut = CentreCrop(256, 224)(image)
    # (256 - 224) / 2 = 16 and (301 - 224) / 2 = 38.5, of which torchvision makes 38.
    np.testing.assert_array_equal(cut, image[16:240, 38:262])
    assert cut.flags.c_contiguous


@pytest.mark.parametrize(("height", "width"), [(427, 640), (400, 300), (120, 200)])
@pytest.mark.parametrize("kind", ["BICUBIC", "BILINEAR"])
def test_scaling_and_cutting_is_what_pillow_does_up_to_one_level(height: int, width: int, kind: str) -> None:
    image = photo(height, width)
    short_side = min(height, width)
    size = (256 * width // short_side, 256 * height // short_side)
    scaled = Image.fromarray(image).resize(size, Image.Resampling[kind])
    left, top = round((scaled.width - 224) / 2), round((scaled.height - 224) / 2)
    expected = np.asarray(scaled.crop((left, top, left + 224, top + 224)), np.int16)
    found = CentreCrop(256, 224, InterpolationMode[kind])(image)
    assert np.abs(found.astype(np.int16) - expected).max() <= 1


@pytest.mark.parametrize("shape", [(1, 1), (1, 16), (16, 1)])
def test_the_smallest_pictures_can_be_scaled(shape: tuple[int, int]) -> None:
    cut = CentreCrop(256, 224)(np.full((*shape, 3), 77, np.uint8))
    assert cut.shape == (224, 224, 3)
    assert np.unique(cut).tolist() == [77]


@pytest.mark.parametrize(
    ("shape", "kept"), [((1, 4000), (1, 16)), ((4000, 2), (32, 2)), ((1, 16), (1, 16)), ((20, 300), (20, 300))]
)
def test_a_ribbon_is_cut_to_16_times_its_short_side(shape: tuple[int, int], kept: tuple[int, int]) -> None:
    assert within_aspect(np.zeros((*shape, 3), np.uint8)).shape == (*kept, 3)


def test_the_middle_of_a_ribbon_is_kept() -> None:
    image = np.arange(40, dtype=np.uint8)[None, :, None].repeat(3, axis=2)
    assert within_aspect(image)[0, :, 0].tolist() == list(range(12, 28))
