"""The part of a model that embeds texts, and the table of its token embeddings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
import transformers
from torch import nn

from features.backbones.pretrained.bundled_weights import BUNDLED
from features.backbones.pretrained.transformers_models import Pretrained, quiet
from features.base.errors import SettingError, SourceError

if TYPE_CHECKING:
    from collections.abc import Callable

    from features.backbones.extractor.config import ExtractConfig
    from features.formats.clip_data import Float32


def pretrained_text_model(config: ExtractConfig) -> Pretrained:
    """Return the files that ``bundled:`` or ``transformers:`` names, the bundled ones verified.

    Raises:
        ToolError: The package with the bundled weights is not installed.
        SourceError: A bundled file is damaged, or a model folder does not exist.
    """
    if config.source == "bundled":
        model = BUNDLED[config.modality][config.name]
        return Pretrained(str(model.verified_folder()), pinned_sha256=model.weights_sha256)
    return Pretrained(config.name, config.revision)


def text_encoder(pretrained: Pretrained) -> nn.Module:
    """Return the part of a model that turns token ids into hidden states, ready for use.

    That is the encoder of an encoder-decoder, the text tower of a model of pictures or sound and text (CLIP,
    SigLIP, CLAP), and else the model.

    Raises:
        SourceError: It is missing, damaged or incomplete.
    """
    # Any: transformers' models have no common type.
    whole: Any
    whole, _ = pretrained.network(_loader(pretrained))
    if getattr(whole.config, "is_encoder_decoder", False):
        whole = whole.get_encoder()
    elif isinstance(getattr(whole, "text_model", None), nn.Module):
        whole = whole.text_model
    whole.config.use_cache = False
    encoder: nn.Module = whole.eval().requires_grad_(requires_grad=False)
    return encoder


def token_embeddings(config: ExtractConfig, token_ids: npt.NDArray[np.integer[Any]]) -> Float32:
    """Return the rows of a text model's input embeddings for some tokens, ``(V, D)``; the network is not run.

    They are the rows as the checkpoint holds them: before positions, norms and scales, and for some models
    (ALBERT, ELECTRA) narrower than the hidden states.

    Args:
        config: Settings of the modality text.
        token_ids: ``(V,)`` ids as the features of the same backbone carry them.

    Raises:
        ToolError: The package with the bundled weights is not installed.
        SourceError: The model is missing, damaged or incomplete, or has no such table.
        SettingError: An id is not in its vocabulary.
    """
    with quiet():
        # Any: as above.
        encoder: Any = text_encoder(pretrained_text_model(config))
    table = encoder.get_input_embeddings()
    if not isinstance(table, nn.Embedding):
        raise SourceError(f"{type(encoder).__name__} of {config.name!r} has no token embeddings: choose a text encoder")
    outside = token_ids[(token_ids < 0) | (token_ids >= table.num_embeddings)]
    if outside.size:
        raise SettingError(
            f"token {int(outside[0])} is not in the vocabulary of {config.backbone!r}, which has "
            f"{table.num_embeddings} tokens: give ids of features that this backbone made"
        )
    rows: Float32 = table.weight.detach()[torch.from_numpy(token_ids.astype(np.int64))].numpy()
    return rows


# Any: transformers' auto classes promise nothing about what they return.
def _loader(pretrained: Pretrained) -> Callable[..., Any]:
    """Return what loads the model: of T5 and its like the encoder alone, for their checkpoints may have no decoder."""
    settings = pretrained.part(transformers.AutoConfig.from_pretrained, "configuration")
    is_listed = type(settings) in transformers.MODEL_FOR_TEXT_ENCODING_MAPPING
    auto = transformers.AutoModelForTextEncoding if is_listed else transformers.AutoModel
    loader: Callable[..., Any] = auto.from_pretrained
    return loader
