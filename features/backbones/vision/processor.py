"""Calls the image processor of a transformers model, from any thread."""

from __future__ import annotations

import copy
import json
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from features.backbones.vision.preprocess import Normalisation, Preprocess
from features.base.errors import ShardError, SourceError, one_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt

    from features.formats.clip_data import Float32, UInt8

PIXELS = "pixel_values"
PLANES_NDIM = 4
# Normalising inside the network may differ from the processor's own by no more than rounding does.
ROUNDING = 1e-4
CALL_ERRORS = (ValueError, RuntimeError, TypeError, KeyError, AttributeError, ZeroDivisionError)
BYTES_ONLY = {"do_rescale": False, "do_normalize": False}
# The settings of an image processor that decide the input of the network.
_DESCRIBED = (
    *("do_resize", "size", "resample", "do_center_crop", "crop_size", "crop_pct"),
    *("do_rescale", "rescale_factor", "do_normalize", "image_mean", "image_std"),
)


class ImageProcessor:
    """A processor that any thread may call: each has a copy, and torch's own threads stay out of it.

    Args:
        processor: Of transformers; it is not called by other threads than the caller's.
        name: The model, for errors.
    """

    # Any, here and below: transformers' processors have no common type.
    def __init__(self, processor: Any, name: str) -> None:  # noqa: ANN401
        self._processor = processor
        self._name = name
        self._own = threading.local()
        self._num_torch_threads = torch.get_num_threads()

    @property
    def kind(self) -> str:
        """Name of the processor's class."""
        return type(self._processor).__name__

    def describe(self) -> str:
        """Return the kind and the settings that decide the network's input, on one line."""
        settings = self._processor.to_dict()
        described = {key: settings[key] for key in _DESCRIBED if settings.get(key) is not None}
        return f"{self.kind} {json.dumps(described, sort_keys=True, default=str)}"

    def preprocess(self, images: Sequence[UInt8]) -> Preprocess:
        """Return the fastest way from pictures to what the processor makes of them, tried on ``images``.

        Where all that happens after scaling and cutting is ``(x - mean) / std``, that part is left to the
        network, and the processor returns bytes.

        Raises:
            SourceError: It does not give ``(3, h, w)`` pictures.
        """
        whole = Preprocess(self._floats)
        inside = self._normalisation()
        try:
            expected = self.planes(images)
            plain = self.planes(images, **BYTES_ONLY)
        except CALL_ERRORS as error:
            raise SourceError(
                f"image processor {self.kind} of {self._name!r} does not work on plain pictures ({_reason(error)}): "
                "choose a model for single pictures"
            ) from error
        if inside is None or plain.dtype != torch.uint8:
            return whole
        in_bytes = Preprocess(self._bytes, inside)
        return in_bytes if in_bytes.matches(expected, images, within=ROUNDING) else whole

    def planes(self, images: Sequence[UInt8], **options: bool) -> torch.Tensor:
        """Return ``(n, 3, h, w)`` of ``(H, W, 3)`` pictures, as the processor gives them with ``options``.

        Raises:
            SourceError: It gives something else.
        """
        with self._one_torch_thread():
            found = self._of_this_thread()(
                images=list(images), return_tensors="pt", input_data_format="channels_last", **options
            )
        planes = found.get(PIXELS)
        if not isinstance(planes, torch.Tensor) or planes.ndim != PLANES_NDIM:
            raise SourceError(
                f"image processor {self.kind} of {self._name!r} does not give {PIXELS} of shape (n, 3, h, w): "
                "choose a model for single pictures of one size"
            )
        return planes

    # Any: as above.
    def _of_this_thread(self) -> Any:  # noqa: ANN401
        try:
            return self._own.processor
        except AttributeError:
            self._own.processor = copy.deepcopy(self._processor)
            return self._own.processor

    @contextmanager
    def _one_torch_thread(self) -> Iterator[None]:
        """Keep torch from starting threads of its own for each of the threads that prepare pictures."""
        # In a thread that is new to torch the first question sets the number to that of all threads, which another one
        # may have put back just now: asked before, it cannot undo what follows.
        torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            yield
        finally:
            # The number also holds for threads that begin later, so it is the one from before any of these.
            torch.set_num_threads(self._num_torch_threads)

    def _normalisation(self) -> Normalisation | None:
        mean: tuple[float, ...]
        std: tuple[float, ...]
        settings = self._processor.to_dict()
        scale = float(settings["rescale_factor"]) if settings.get("do_rescale") else 1.0
        if settings.get("do_normalize"):
            mean, std = _numbers(settings.get("image_mean")), _numbers(settings.get("image_std"))
        else:
            mean, std = (0.0,), (1.0,)
        if not mean or not std:
            return None
        return Normalisation(tuple(value / scale for value in mean), tuple(value / scale for value in std))

    def _floats(self, images: Sequence[UInt8]) -> list[Float32]:
        return list(self._planes_of_clip(images).float().numpy())

    def _bytes(self, images: Sequence[UInt8]) -> list[npt.NDArray[np.uint8]]:
        pixels = self._planes_of_clip(images, **BYTES_ONLY).numpy().transpose(0, 2, 3, 1)
        return list(np.ascontiguousarray(pixels))

    def _planes_of_clip(self, images: Sequence[UInt8], **options: bool) -> torch.Tensor:
        try:
            return self.planes(images, **options)
        except CALL_ERRORS as error:
            # The processor was tried when it was loaded, so these pictures are the cause.
            sizes = ", ".join(sorted({f"{image.shape[1]} x {image.shape[0]}" for image in images}))
            raise ShardError(
                f"{self.kind} of {self._name!r} cannot use a picture of {sizes} ({_reason(error)})"
            ) from error


def _reason(error: Exception) -> str:
    return one_line(str(error) or type(error).__name__)[:200]


def _numbers(value: object) -> tuple[float, ...]:
    if isinstance(value, (int, float)):
        return (float(value),)
    return tuple(float(part) for part in value) if isinstance(value, (list, tuple)) else ()
