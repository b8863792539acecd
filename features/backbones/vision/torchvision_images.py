"""``torchvision:NAME`` or ``NAME.WEIGHTS``: any image classification network, without its last layer."""

from __future__ import annotations

import difflib
import logging
import pickle
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlparse

import numpy as np
import torch
import torchvision
from PIL import Image
from torch import nn

from features.backbones.extractor.extractor import Backbone
from features.backbones.families import torchvision_parts
from features.backbones.pretrained.model_files import sha256_of_file
from features.backbones.vision.image_extractor import ImageExtractor, probe_images
from features.backbones.vision.preprocess import CentreCrop, Normalisation, Preprocess
from features.base.errors import SettingError, SourceError
from features.base.modalities import MODALITIES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from features.backbones.extractor.extract_config import ExtractConfig
    from features.backbones.vision.preprocess import Prepare
    from features.formats.clip_data import Float32, UInt8

logger = logging.getLogger(__name__)

BYTE_RANGE = 255.0
# Bytes are scaled like Pillow does, in fixed-point numbers, whose last bit may differ; and a little for floats.
TWO_LEVELS = 2.001
# The settings of torchvision's preset for classification.
PRESET = ("resize_size", "crop_size", "interpolation", "mean", "std")


def load(config: ExtractConfig) -> ImageExtractor:
    """Return the extractor: the network's own transforms, and the input of its last layer as the embedding.

    Raises:
        SettingError: torchvision has no classification network, or no weights, of that name.
        SourceError: The weights cannot be downloaded or read.
    """
    config.check_backbone_exists()
    name, weights_name = torchvision_parts(config.name)
    weights = torchvision.models.get_model_weights(name)[weights_name]
    checkpoint = fetch_checkpoint(config.name, weights.url)
    transforms = weights.transforms()
    preprocess = preprocess_of(transforms)
    return ImageExtractor(
        config,
        Backbone(
            network=_cut_network(name, weights, preprocess),
            prepare=preprocess.prepare,
            preprocessing=f"{' '.join(repr(transforms).split())}; input of the last layer",
            weights_sha256=sha256_of_file(checkpoint),
            packages=("torchvision",),
        ),
    )


def check_exists(name: str, modality: str) -> None:
    """Check that torchvision has a network and its weights.

    Raises:
        SettingError: It has no classifier of that name, of pictures or, for motion, of videos; or no such weights.
    """
    models: Any = torchvision.models
    network, weights = torchvision_parts(name)
    known = models.list_models(module=models.video if MODALITIES[modality].kind == "video" else models)
    if network not in known:
        near = difflib.get_close_matches(network, known, n=3)
        hint = f"did you mean {' or '.join(near)}?" if near else "see torchvision.models.list_models()"
        raise SettingError(f"[extract_{modality}] unknown torchvision backbone {network!r}: {hint}")
    members = models.get_model_weights(network).__members__
    if weights not in members:
        raise SettingError(
            f"[extract_{modality}] torchvision:{network} has no weights {weights!r}: expected one of"
            f" {', '.join(members)}"
        )


def fetch_checkpoint(name: str, url: str) -> Path:
    """Return the file with the weights below ``TORCH_HOME``, downloaded if it is not there.

    It is opened once without running any code that it may hold.

    Raises:
        SourceError: It cannot be downloaded, or is damaged.
    """
    path = Path(torch.hub.get_dir()) / "checkpoints" / Path(urlparse(url).path).name
    try:
        torch.hub.load_state_dict_from_url(url, map_location="cpu", progress=False, check_hash=True, weights_only=True)
    except (RuntimeError, ValueError, EOFError, pickle.UnpicklingError) as error:
        if not path.is_file():
            raise _not_fetched(name, url, path, error) from error
        raise SourceError(
            f"weights of torchvision:{name} at {path} are damaged ({_first_line(error)}): delete that file"
        ) from error
    except OSError as error:
        raise _not_fetched(name, url, path, error) from error
    promised = path.stem.rpartition("-")[2]
    if not sha256_of_file(path).startswith(promised):
        logger.warning(
            "%s does not have the sha256 that its name promises (%s...): these are other weights than torchvision's",
            path, promised,
        )  # fmt: skip
    return path


def cut_before_last_layer(network: nn.Module, images: torch.Tensor, num_classes: int) -> None:
    """Replace the layer that gives the class scores by the identity, so that the network gives its input.

    That layer is the linear layer (or 1 x 1 convolution) with ``num_classes`` outputs that runs last for
    ``images``, whatever the network takes.

    Raises:
        SourceError: There is no such layer.
    """
    ran: list[str] = []
    hooks = [
        module.register_forward_hook(lambda *_, name=name: ran.append(name))
        for name, module in network.named_modules()
        if _num_outputs(module) == num_classes
    ]
    with torch.inference_mode():
        network(images)
    for hook in hooks:
        hook.remove()
    if not ran:
        raise SourceError(
            f"{type(network).__name__} has no last layer with {num_classes} outputs: choose another network"
        )
    parent, _, child = ran[-1].rpartition(".")
    setattr(network.get_submodule(parent), child, nn.Identity())


# Any: torchvision has no types.
def preprocess_of(transforms: Any) -> Preprocess:  # noqa: ANN401
    """Return how pictures get from bytes to what ``transforms`` makes of them.

    Torchvision's preset for classification is taken apart: scaling and cutting are done with bytes, which
    differs from the preset by two levels of 255 at most, and the rest inside the network. Others are called as
    they are. They are given Pillow's images, with which the weights were evaluated; of a tensor the preset
    makes something else, as it scales in floats.
    """
    called = Preprocess(_called(transforms))
    if not all(hasattr(transforms, name) for name in PRESET):
        return called
    crop = CentreCrop(transforms.resize_size[0], transforms.crop_size[0], transforms.interpolation)
    mean, std = (tuple(BYTE_RANGE * value for value in values) for values in (transforms.mean, transforms.std))
    in_bytes = Preprocess(lambda images: [crop(image) for image in images], Normalisation(mean, std))
    images = list(probe_images()[1])
    return in_bytes if in_bytes.matches(called.preprocessed(images), images, within=TWO_LEVELS / min(std)) else called


def _called(transforms: Callable[[Image.Image], torch.Tensor]) -> Prepare:
    def prepare(images: Sequence[UInt8]) -> list[Float32]:
        return [transforms(Image.fromarray(image)).numpy() for image in images]

    return prepare


# Any: torchvision has no types.
def network_with(name: str, weights: Any) -> nn.Module:  # noqa: ANN401
    """Return the network of torchvision with weights that ``fetch_checkpoint`` has fetched.

    Raises:
        SourceError: The weights are another network's.
    """
    try:
        network: nn.Module = torchvision.models.get_model(name, weights=weights, progress=False)
    except (RuntimeError, KeyError) as error:
        raise SourceError(
            f"weights of torchvision:{name} do not fit the network ({_first_line(error)}): "
            f"delete {Path(urlparse(weights.url).path).name} below {torch.hub.get_dir()}"
        ) from error
    return network


# Any: torchvision has no types.
def _cut_network(name: str, weights: Any, preprocess: Preprocess) -> nn.Module:  # noqa: ANN401
    network = network_with(name, weights)
    whole = preprocess.attach(network.eval())
    images = torch.from_numpy(np.stack(preprocess.prepare(list(probe_images()[0]))))
    cut_before_last_layer(whole, images, len(weights.meta["categories"]))
    return whole


def _num_outputs(module: nn.Module) -> int | None:
    if isinstance(module, nn.Linear):
        return module.out_features
    if isinstance(module, nn.Conv2d | nn.Conv3d):
        return module.out_channels
    return None


def _not_fetched(name: str, url: str, path: Path, error: Exception) -> SourceError:
    return SourceError(
        f"weights of torchvision:{name} cannot be downloaded ({_first_line(error)}): "
        f"place {url} by hand as {path} (the folder follows TORCH_HOME)"
    )


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
