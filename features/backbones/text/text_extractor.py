"""Token embeddings of texts: hidden states of a bundled or any other transformers encoder."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import transformers
from torch import nn

from features.backbones.extractor.extract_config import TEXT_FIELDS
from features.backbones.extractor.extractor import Backbone, NetworkExtractor, StepLabels
from features.backbones.extractor.streaming import Item
from features.backbones.pretrained.model_files import BUNDLED_TEXTS
from features.backbones.pretrained.transformers_models import Pretrained, quiet
from features.backbones.text.tokenizer import LENGTH_STEP, Int64, Tokens
from features.base.errors import SettingError, SourceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from features.backbones.extractor.extract_config import ExtractConfig
    from features.backbones.extractor.streaming import Piece
    from features.formats.clip_data import Float32, Int32

LAST_LAYER = -1
# Two batches of unlike size and length (in tokens), in the two scripts that titles have.
PROBES = (
    (LENGTH_STEP, ("a dog runs on the beach", "运动")),
    (2 * LENGTH_STEP, ("slow pan to the left over a city at night", "2024", "一个人在海边跑步的短视频")),
)
# What models raise for a text that they cannot take.
MODEL_ERRORS = (TypeError, ValueError, AttributeError, IndexError, RuntimeError)


class TextExtractor(NetworkExtractor["Mapping[str, str]"]):
    """One embedding for each token of each text field of a clip, with the token's id and the field's.

    A clip's fields go through the network one by one, in the order of ``TEXT_FIELDS``, each with special tokens of
    its own. These (``[CLS]``, ``[SEP]``, ...) are part of the result, so the mean over a field is what sentence
    encoders such as MiniLM were trained for; they count towards ``max_tokens``. A field that is empty, blank, or
    has special tokens only gives no token.
    """

    output_ndim = 3
    step = "token"
    advice = "a text encoder"

    def __init__(self, config: ExtractConfig, pretrained: Pretrained) -> None:
        self._tokens = Tokens(config, pretrained)
        self._fields = config.text_fields()
        examples = [self._tokens.batch(texts, length) for length, texts in PROBES]
        layer = "last hidden state" if config.layer == LAST_LAYER else f"hidden state {config.layer}"
        backbone = Backbone(
            network=_network(config, pretrained, examples[0]),
            prepare=self._tokens.padded,
            preprocessing=(
                f"{', '.join(self._fields)}, each by itself; {self._tokens.describe()}; {layer} of every token, "
                "special tokens included; blank text gives no token"
            ),
            weights_sha256=pretrained.digest(),
            packages=("transformers", "tokenizers"),
        )
        super().__init__(config, backbone, examples, checks_full_batch=True)

    def pieces(self, clip: Mapping[str, str]) -> Iterator[Piece[StepLabels, Float32]]:
        """Yield a call for each field that has text; times are zeros."""
        for name in self._fields:
            # Here and not in the piece: a tokenizer must not be used by two threads at a time.
            ids = self._tokens.ids(clip.get(name, ""))
            if ids.size:
                yield partial(self._items, ids, TEXT_FIELDS.index(name))

    def _items(self, ids: Int32, field_id: int) -> list[Item[StepLabels]]:
        labels = StepLabels(np.zeros(ids.size, np.float32), ids, np.full(ids.size, field_id, np.uint8))
        return [Item(self.prepare(ids), labels)]


def load(config: ExtractConfig) -> TextExtractor:
    """Return the extractor that ``bundled:`` or ``transformers:`` names.

    Raises:
        ToolError: The package with the bundled weights is not installed.
        SourceError: The model or its tokenizer is missing, damaged, or of no use for text.
        SettingError: ``max_tokens`` is more than the model takes, or it has no such ``layer``.
    """
    with quiet():
        return TextExtractor(config, pretrained_text_model(config))


def _network(config: ExtractConfig, pretrained: Pretrained, example: tuple[Int64, Int64]) -> nn.Module:
    """Return the network up to the layer wanted, after trying it on an example and on a text of ``max_tokens``."""
    encoder = text_encoder(pretrained)
    input_ids, mask = (torch.from_numpy(array) for array in example)
    try:
        with torch.inference_mode():
            HiddenStates(encoder, LAST_LAYER)(input_ids, mask)
        network = network_up_to(encoder, config.layer, input_ids, mask)
    except MODEL_ERRORS as error:
        raise SourceError(
            f"{type(encoder).__name__} of {config.name!r} does not run on text alone ({error}): choose a text encoder"
        ) from error
    _check_length(network, input_ids, config)
    return network


def _check_length(network: nn.Module, input_ids: torch.Tensor, config: ExtractConfig) -> None:
    """Check that the network takes texts of ``max_tokens``, which the tokenizer may not state.

    Raises:
        SettingError: It does not.
    """
    if _takes(network, input_ids, config.max_tokens):
        return
    longest, too_long = 0, config.max_tokens
    while too_long - longest > 1:
        middle = (longest + too_long) // 2
        longest, too_long = (middle, too_long) if _takes(network, input_ids, middle) else (longest, middle)
    raise SettingError(
        f"max_tokens {config.max_tokens} is more than {config.backbone!r} takes: set it to {longest} or less"
    )


def _takes(network: nn.Module, input_ids: torch.Tensor, num_tokens: int) -> bool:
    """Return whether a text of ``num_tokens`` goes through: the first tokens of ``input_ids`` over and over."""
    ids = input_ids[:1, :1].repeat(1, num_tokens)
    try:
        with torch.inference_mode():
            network(ids, torch.ones_like(ids))
    except MODEL_ERRORS:
        return False
    return True


def pretrained_text_model(config: ExtractConfig) -> Pretrained:
    """Return the files that ``bundled:`` or ``transformers:`` names, the bundled ones verified.

    Raises:
        ToolError: The package with the bundled weights is not installed.
        SourceError: A bundled file is damaged, or a model folder does not exist.
    """
    if config.source == "bundled":
        model = BUNDLED_TEXTS[config.name]
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


# Any: transformers' auto classes promise nothing about what they return.
def _loader(pretrained: Pretrained) -> Callable[..., Any]:
    """Return what loads the model: of T5 and its like the encoder alone, for their checkpoints may have no decoder."""
    settings = pretrained.part(transformers.AutoConfig.from_pretrained, "configuration")
    is_listed = type(settings) in transformers.MODEL_FOR_TEXT_ENCODING_MAPPING
    auto = transformers.AutoModelForTextEncoding if is_listed else transformers.AutoModel
    loader: Callable[..., Any] = auto.from_pretrained
    return loader


class HiddenStates(nn.Module):
    """``(B, L)`` token ids and mask to ``(B, L, D)`` hidden states, zero where the mask is 0.

    Args:
        encoder: A model of transformers that takes token ids and a mask.
        layer: 0 is what goes into the first layer, n what comes out of the n-th, as transformers' ``hidden_states``
            has them; -1 is its ``last_hidden_state``, after the final normalisation where there is one, and -2, -3,
            ... count backwards from there.
    """

    def __init__(self, encoder: nn.Module, layer: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.layer = layer

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Return the hidden states."""
        hidden: torch.Tensor
        if self.layer == LAST_LAYER:
            hidden = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        else:
            hidden = all_hidden_states(self.encoder, input_ids, attention_mask)[self.layer]
        return hidden.masked_fill(attention_mask.unsqueeze(-1) == 0, 0.0)


def all_hidden_states(
    encoder: nn.Module, input_ids: torch.Tensor, attention_mask: torch.Tensor
) -> Sequence[torch.Tensor]:
    """Return the hidden states of every layer, each ``(B, L, D)``; the first is what goes into the first layer."""
    states: Sequence[torch.Tensor] = encoder(
        input_ids=input_ids, attention_mask=attention_mask, output_hidden_states=True
    ).hidden_states
    return states


def network_up_to(encoder: nn.Module, layer: int, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> nn.Module:
    """Return the network that gives the hidden states of ``layer``, without the layers that it does not need.

    Args:
        encoder: The network; layers may be removed from it.
        layer: As ``HiddenStates`` takes it.
        input_ids: ``(B, L)`` an example; layers are taken away only if its hidden states stay the same.
        attention_mask: ``(B, L)`` its mask.

    Raises:
        SettingError: The encoder has no such layer.
    """
    if layer == LAST_LAYER:
        return HiddenStates(encoder, layer)
    with torch.inference_mode():
        states = all_hidden_states(encoder, input_ids, attention_mask)
        num_layers = len(states) - 1
        if not -num_layers - 1 <= layer <= num_layers:
            raise SettingError(
                f"layer {layer} is not in {type(encoder).__name__}, which has {num_layers} layers: set it to 0 (token "
                f"embeddings) to {num_layers}, or to -1 (the last) to {-num_layers - 1}"
            )
        position = layer % len(states)
        network = HiddenStates(encoder, position)
        # One layer more than needed, for some models put their final normalisation on whichever layer is last.
        _shorten(network, num_layers, position + 1, states[position], (input_ids, attention_mask))
    return network


def _shorten(
    network: HiddenStates,
    num_layers: int,
    keep: int,
    expected: torch.Tensor,
    example: tuple[torch.Tensor, torch.Tensor],
) -> None:
    """Remove the layers from ``keep`` on, unless the example then gives anything else than ``expected``."""
    stacks = [part for part in network.modules() if isinstance(part, nn.ModuleList) and len(part) == num_layers]
    if keep >= num_layers or len(stacks) != 1:
        return
    (stack,) = stacks
    removed = list(stack[keep:])
    del stack[keep:]
    try:
        same = torch.equal(all_hidden_states(network.encoder, *example)[network.layer], expected)
    except (IndexError, AttributeError, RuntimeError, ValueError):
        same = False
    if not same:
        stack.extend(removed)
