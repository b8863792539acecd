from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
import transformers

from features.backbones.vision.processor import ImageProcessor
from features.base.errors import ShardError, SourceError
from tests.features.backbones.tiny_models import photo

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

IMAGES = [photo(60, 80), photo(90, 70)]
CROP = {"size": {"shortest_edge": 36}, "crop_size": {"height": 32, "width": 32}}


# Any, here and below: transformers' processors have no common type.
def _of_one_mean() -> Any:  # noqa: ANN401
    return transformers.ViTImageProcessor(size={"height": 32, "width": 32})


def _of_unlike_means() -> Any:  # noqa: ANN401
    return transformers.CLIPImageProcessor(**CROP)


def _without_normalisation() -> Any:  # noqa: ANN401
    return transformers.CLIPImageProcessor(**CROP, do_normalize=False)


def _without_rescaling() -> Any:  # noqa: ANN401
    return transformers.CLIPImageProcessor(**CROP, do_rescale=False)


def _that_swaps_red_and_blue() -> Any:  # noqa: ANN401
    return transformers.MobileViTImageProcessor(**CROP)


def _that_scales_floats() -> Any:  # noqa: ANN401
    return transformers.DINOv3ViTImageProcessor(size={"height": 32, "width": 32})


def _that_shifts_after_rescaling() -> Any:  # noqa: ANN401
    return transformers.EfficientNetImageProcessor(
        size={"height": 32, "width": 32}, rescale_factor=1 / 127.5, rescale_offset=True, include_top=False
    )


@pytest.mark.parametrize(
    ("make", "in_bytes"),
    [
        (_of_one_mean, True),
        (_of_unlike_means, True),
        (_without_normalisation, True),
        (_without_rescaling, True),
        (_that_swaps_red_and_blue, True),
        (_that_scales_floats, False),
        (_that_shifts_after_rescaling, False),
    ],
)
def test_the_network_sees_what_the_processor_makes_of_a_picture(make: Callable[[], Any], in_bytes: bool) -> None:
    preprocess = ImageProcessor(make(), "a/model").preprocess(IMAGES)
    expected = make()(images=IMAGES, return_tensors="pt", input_data_format="channels_last")["pixel_values"]
    np.testing.assert_allclose(preprocess.preprocessed(IMAGES), expected, rtol=0, atol=1e-4)
    assert (preprocess.inside is not None) == in_bytes
    dtypes = {array.dtype for array in preprocess.prepare(IMAGES)}
    assert dtypes == {np.dtype(np.uint8 if in_bytes else np.float32)}


def test_threads_keep_out_of_each_others_way_and_torch_out_of_theirs() -> None:
    seen: set[int] = set()

    class Watched(transformers.CLIPImageProcessor):
        """Notes how many threads torch would use."""

        def resize(self, *args: Any, **kwargs: Any) -> torch.Tensor:  # noqa: ANN401
            seen.add(torch.get_num_threads())
            resized: torch.Tensor = super().resize(*args, **kwargs)
            return resized

    with _torch_threads(3):
        processor = ImageProcessor(Watched(**CROP), "a/model")
        expected = processor.planes(IMAGES)
        with ThreadPoolExecutor(4) as pool:
            for found in pool.map(lambda _: processor.planes(IMAGES), range(40)):
                assert torch.equal(found, expected)
        assert seen == {1}
        assert torch.get_num_threads() == 3


@contextmanager
def _torch_threads(number: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


# One cuts a picture into many, the other into patches of varying number.
@pytest.mark.parametrize("kind", ["LlavaNextImageProcessor", "Siglip2ImageProcessor"])
def test_a_processor_that_gives_other_things_is_named(kind: str) -> None:
    with pytest.raises(SourceError, match=rf"image processor {kind}\w* of 'a/model' does not give pixel_values of"):
        ImageProcessor(getattr(transformers, kind)(), "a/model").preprocess(IMAGES)


class Moody(transformers.CLIPImageProcessor):
    """Refuses small pictures."""

    def resize(self, image: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:  # noqa: ANN401
        if image.shape[-1] < 10:
            raise ValueError("too small\nfor me")
        resized: torch.Tensor = super().resize(image, *args, **kwargs)
        return resized


def test_a_picture_that_the_processor_refuses_is_a_problem_of_its_clip() -> None:
    preprocess = ImageProcessor(Moody(**CROP), "a/model").preprocess(IMAGES)
    with pytest.raises(ShardError, match=r"Moody of 'a/model' cannot use a picture of 9 x 30 \(too small for me\)"):
        preprocess.prepare([np.zeros((30, 9, 3), np.uint8)])


def test_a_processor_that_refuses_every_picture_is_refused() -> None:
    with pytest.raises(SourceError, match=r"does not work on plain pictures \(too small for me\)"):
        ImageProcessor(Moody(**CROP), "a/model").preprocess([np.zeros((30, 9, 3), np.uint8)])
