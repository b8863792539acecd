"""Token embeddings of texts: hidden states of a bundled or any other transformers encoder."""

from __future__ import annotations

from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
import torch

from features.backbones.extractor.config import TEXT_FIELDS
from features.backbones.extractor.streaming import BatchSettings, Item, Steps, embed_clips
from features.backbones.pretrained.transformers_models import quiet
from features.backbones.runtime.runner import Runner, RuntimeSettings, load_runner
from features.backbones.text.hidden_states import LAST_LAYER, HiddenStates, network_up_to
from features.backbones.text.text_models import pretrained_text_model, text_encoder
from features.backbones.text.tokenizer import LENGTH_STEP, Int64, Tokens
from features.base.errors import SettingError, SourceError
from features.base.parallel import num_cpus
from features.base.versions import tool_versions

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from torch import nn

    from features.backbones.extractor.config import ExtractConfig
    from features.backbones.extractor.streaming import Piece
    from features.backbones.pretrained.transformers_models import Pretrained
    from features.formats.clip_data import ClipFeatures, Int32

# Two batches of unlike size and length (in tokens), in the two scripts that titles have.
PROBES = (
    (LENGTH_STEP, ("a dog runs on the beach", "运动")),
    (2 * LENGTH_STEP, ("slow pan to the left over a city at night", "2024", "一个人在海边跑步的短视频")),
)
# What models raise for a text that they cannot take.
MODEL_ERRORS = (TypeError, ValueError, AttributeError, IndexError, RuntimeError)


class TextExtractor:
    """One embedding for each token of each text field of a clip, with the token's id and the field's.

    A clip's fields go through the network one by one, in the order of ``TEXT_FIELDS``, each with special tokens of
    its own. These (``[CLS]``, ``[SEP]``, ...) are part of the result, so the mean over a field is what sentence
    encoders such as MiniLM were trained for; they count towards ``max_tokens``. A field that is empty, blank, or
    has special tokens only gives no token.
    """

    def __init__(self, config: ExtractConfig, pretrained: Pretrained) -> None:
        self._tokens = Tokens(config, pretrained)
        self._fields = config.text_fields()
        examples = [self._tokens.batch(texts, length) for length, texts in PROBES]
        network = _network(config, pretrained, examples[0])
        self._runner: Runner = load_runner(
            network,
            examples,
            RuntimeSettings(config.device, config.runtime, config.num_threads, config.batch_size),
        )
        self._settings = BatchSettings(config.batch_size, config.workers or num_cpus())
        self._dim: int = self._runner(*examples[0]).shape[-1]
        layer = "last hidden state" if config.layer == LAST_LAYER else f"hidden state {config.layer}"
        self._provenance = {
            "backbone": config.backbone,
            "weights_sha256": pretrained.digest(),
            "preprocessing": (
                f"{', '.join(self._fields)}, each by itself; {self._tokens.describe()}; {layer} of every token, "
                "special tokens included; blank text gives no token"
            ),
            "runtime": self._runner.name,
            "versions": tool_versions("transformers", "tokenizers", "torch", self._runner.name.split(maxsplit=1)[0]),
        }

    @property
    def dim(self) -> int:
        """Width D of the embeddings."""
        return self._dim

    @property
    def provenance(self) -> Mapping[str, str]:
        """How the features come about, one line for each of ``PROVENANCE_KEYS``."""
        return MappingProxyType(self._provenance)

    def extract(self, clips: Iterable[Mapping[str, str] | None]) -> Iterator[ClipFeatures]:
        """Yield ``(T, D)`` token embeddings per clip, in order, with token and field ids; times are zeros."""
        return embed_clips(clips, self._pieces, self._runner, self._dim, self._settings)

    def _pieces(self, texts: Mapping[str, str]) -> Iterator[Piece]:
        for name in self._fields:
            # Here and not in the piece: a tokenizer must not be used by two threads at a time.
            ids = self._tokens.ids(texts.get(name, ""))
            if ids.size:
                yield partial(self._items, ids, TEXT_FIELDS.index(name))

    def _items(self, ids: Int32, field_id: int) -> list[Item]:
        steps = Steps(np.zeros(ids.size, np.float32), ids, np.full(ids.size, field_id, np.uint8))
        return [Item(self._tokens.padded(ids), steps)]


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
    """Check that the network takes texts of ``max_tokens``, which the tokenizer may not know.

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
