"""``torchvision:NAME``: any image classification network with its default weights, without its last layer."""

from __future__ import annotations

import difflib
import pickle
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlparse

import torch
import torchvision
from torch import nn

from features.errors import SettingError, SourceError
from features.extractors.digests import sha256_of_file
from features.extractors.visual import VisualBackbone, VisualExtractor, probe_images

if TYPE_CHECKING:
    from collections.abc import Callable

    from features.extractors.config import ExtractConfig
    from features.extractors.protocol import Float32, UInt8


def load(config: ExtractConfig) -> VisualExtractor:
    """Return the extractor: the network's own transforms, and the input of its last layer as the embedding.

    Raises:
        SettingError: torchvision has no classification network of that name.
        SourceError: The weights cannot be downloaded or read.
    """
    names = torchvision.models.list_models(module=torchvision.models)
    if config.name not in names:
        close = difflib.get_close_matches(config.name, names, n=3) or names[:3]
        raise SettingError(
            f"torchvision {torchvision.__version__} has no classification network {config.name!r}: "
            f"expected a name such as {', '.join(close)}"
        )
    weights = torchvision.models.get_model_weights(config.name).DEFAULT
    checkpoint = fetch_checkpoint(config.name, weights.url)
    transforms = weights.transforms()
    preprocess = _preprocess_with(transforms)
    return VisualExtractor(
        config,
        VisualBackbone(
            network=_cut_network(config.name, weights, preprocess),
            preprocess=preprocess,
            preprocessing=f"{' '.join(repr(transforms).split())}; input of the last layer",
            weights_sha256=sha256_of_file(checkpoint),
            packages=("torchvision",),
        ),
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
    return path


def cut_before_last_layer(network: nn.Module, images: torch.Tensor, num_classes: int) -> None:
    """Replace the layer that gives the class scores by the identity, so that the network gives its input.

    That layer is the linear layer (or 1 x 1 convolution) with ``num_classes`` outputs that runs last for
    ``images``, ``(B, 3, h, w)``.

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
def _cut_network(name: str, weights: Any, preprocess: Callable[[UInt8], Float32]) -> nn.Module:  # noqa: ANN401
    try:
        network: nn.Module = torchvision.models.get_model(name, weights=weights, progress=False)
    except (RuntimeError, KeyError) as error:
        raise SourceError(
            f"weights of torchvision:{name} do not fit the network ({_first_line(error)}): "
            f"delete {Path(urlparse(weights.url).path).name} below {torch.hub.get_dir()}"
        ) from error
    network.eval()
    images = torch.from_numpy(preprocess(probe_images()[0]))
    cut_before_last_layer(network, images, len(weights.meta["categories"]))
    return network


# Any: torchvision has no types.
def _preprocess_with(transforms: Any) -> Callable[[UInt8], Float32]:  # noqa: ANN401
    def preprocess(images: UInt8) -> Float32:
        planes = torch.from_numpy(images.transpose(0, 3, 1, 2).copy())
        result: Float32 = transforms(planes).numpy()
        return result

    return preprocess


def _num_outputs(module: nn.Module) -> int | None:
    if isinstance(module, nn.Linear):
        return module.out_features
    if isinstance(module, nn.Conv2d):
        return module.out_channels
    return None


def _not_fetched(name: str, url: str, path: Path, error: Exception) -> SourceError:
    return SourceError(
        f"weights of torchvision:{name} cannot be downloaded ({_first_line(error)}): "
        f"place {url} by hand as {path} (the folder follows TORCH_HOME)"
    )


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
