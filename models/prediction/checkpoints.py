"""A checkpoint is a folder: ``model.safetensors`` (the weights) and ``model.json`` (all that is not a tensor).

``model.json`` is written last and names the sha256 of the weights, so that a pair that does not belong together
is refused.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, cast

import safetensors.torch
import torch
from safetensors import SafetensorError

from features.base.errors import CheckpointError, PipelineError
from features.base.files import publish_bytes
from models.config.artifacts import DESCRIPTION_NAME, WEIGHTS_NAME, recipe_difference
from models.config.network import NetworkConfig
from models.network.network import VideoNetwork

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

FORMAT_VERSION = 2


@dataclass(frozen=True)
class CheckpointInfo:
    """Description of the network of a checkpoint, as ``model.json`` has it.

    Attributes:
        network: Sizes and names of the network.
        modality_dims: Modality -> width of its features, for those that it uses, in the order of the fusion.
        feature_recipes: Modality -> text that identifies how its features were made.
        category_names: The K categories, in the order of the scores.
        tag_names: The C tags, in the order of the scores.
        num_tokens: Tokens in the trained table of the text; 0 without one.
        selected_epoch: The epoch whose weights these are, from 1.
        validation_score: Its validation result, 0 to 1; None when the validation clips gave none.
    """

    network: NetworkConfig
    modality_dims: Mapping[str, int]
    feature_recipes: Mapping[str, str]
    category_names: tuple[str, ...]
    tag_names: tuple[str, ...]
    num_tokens: int
    selected_epoch: int
    validation_score: float | None


@dataclass(frozen=True)
class Checkpoint:
    """A network in evaluation mode, with its description."""

    network: VideoNetwork
    info: CheckpointInfo


def save(folder: Path, network: VideoNetwork, info: CheckpointInfo) -> None:
    """Write the checkpoint of ``network`` into ``folder``, which exists; an older one there is replaced."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    weights = safetensors.torch.save(tensors)
    description = {
        "format_version": FORMAT_VERSION,
        "weights_sha256": hashlib.sha256(weights).hexdigest(),
        **asdict(info),
        # A list: the order of the modalities is the order of the fusion.
        "modality_dims": [[name, width] for name, width in info.modality_dims.items()],
    }
    publish_bytes(folder / WEIGHTS_NAME, weights)
    text = json.dumps(description, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    publish_bytes(folder / DESCRIPTION_NAME, text.encode())


def load(
    folder: Path,
    *,
    expected_dims: Mapping[str, int] | None = None,
    expected_recipes: Mapping[str, str] | None = None,
) -> Checkpoint:
    """Return the checkpoint in ``folder``, on the CPU.

    Args:
        folder: Written by :func:`save`.
        expected_dims: Modality -> width of the features that the network will be given; None skips the check.
        expected_recipes: Modality -> recipe of those features; None skips the check. Both may name
            modalities that the network does not use.

    Raises:
        CheckpointError: A file is missing, damaged or of another format version, or the features are not
            those that the network was trained on.
    """
    description, weights = _read(folder)
    info = _parse_info(folder, description)
    for name, width in info.modality_dims.items():
        if expected_dims is not None:
            _check_same(folder, f"width of {name}", trained=width, given=expected_dims.get(name))
        if expected_recipes is not None:
            _check_recipe(folder, name, info.feature_recipes.get(name, ""), expected_recipes.get(name, ""))
    try:
        # Initial weights are drawn and overwritten at once; they must not advance the caller's generator.
        with torch.random.fork_rng(devices=()):
            network = VideoNetwork(
                info.network,
                info.modality_dims,
                len(info.category_names),
                len(info.tag_names),
                num_tokens=info.num_tokens,
            )
        network.load_state_dict(safetensors.torch.load(weights), strict=True)
    except (SafetensorError, RuntimeError) as error:
        reason = str(error).replace("\n", " ")
        raise CheckpointError(
            f"{folder / WEIGHTS_NAME} does not fit {DESCRIPTION_NAME} beside it ({reason}): train again"
        ) from error
    return Checkpoint(network.eval(), info)


def _read(folder: Path) -> tuple[dict[str, object], bytes]:
    """Return the description and the bytes of the weights, whose digest it names."""
    path = folder / DESCRIPTION_NAME
    try:
        description = json.loads(path.read_bytes())
        weights = (folder / WEIGHTS_NAME).read_bytes()
    except OSError as error:
        raise CheckpointError(f"no checkpoint in {folder} ({error}): train one first") from error
    except ValueError as error:
        raise CheckpointError(f"{path} is no JSON ({error}): train again") from error
    version = description.get("format_version") if isinstance(description, dict) else None
    if version != FORMAT_VERSION:
        raise CheckpointError(f"{path} has format version {version}; this program reads {FORMAT_VERSION}: train again")
    digest = hashlib.sha256(weights).hexdigest()
    if digest != description.get("weights_sha256"):
        raise CheckpointError(
            f"{folder / WEIGHTS_NAME} has sha256 {digest[:12]}..., not the one that {DESCRIPTION_NAME} "
            "names: it was damaged or exchanged; train again"
        )
    return description, weights


def _parse_info(folder: Path, description: Mapping[str, object]) -> CheckpointInfo:
    try:
        return CheckpointInfo(
            network=NetworkConfig(**cast("dict[str, Any]", description["network"])),
            modality_dims=dict(cast("list[tuple[str, int]]", description["modality_dims"])),
            feature_recipes=cast("dict[str, str]", description["feature_recipes"]),
            category_names=tuple(cast("list[str]", description["category_names"])),
            tag_names=tuple(cast("list[str]", description["tag_names"])),
            num_tokens=cast("int", description["num_tokens"]),
            selected_epoch=cast("int", description["selected_epoch"]),
            validation_score=cast("float | None", description["validation_score"]),
        )
    except (KeyError, TypeError, ValueError, PipelineError) as error:
        raise CheckpointError(f"{folder / DESCRIPTION_NAME} cannot be understood ({error}): train again") from error


def _check_recipe(folder: Path, modality: str, trained: str, given: str) -> None:
    if trained != given:
        raise CheckpointError(
            f"the {modality} features were made otherwise than those that the network in {folder} was trained on: "
            f"{recipe_difference(trained, given)}; extract them with those settings, or train again"
        )


def _check_same(folder: Path, what: str, *, trained: object, given: object) -> None:
    if trained != given:
        raise CheckpointError(
            f"the {what} features is {given!r}, but the network in {folder} was trained on {trained!r}: "
            "extract features of that kind, or train again"
        )
