"""Every setting of a network and of a training run, checked when it is made.

The fields are plain (`str`, `int`, `float`, `bool`), so that a configuration file maps onto them one to one.
The defaults are for a few hundred to a few thousand clips on two CPU cores. This module imports no torch.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from models.errors import SettingError

SEQUENCE_AGGREGATORS = ("bilstm", "mean", "nextvlad", "nextvlad+trn", "textcnn", "textcnn+bilstm", "trn")
"""Names in `models.aggregators.AGGREGATORS`."""

FUSIONS = ("concat", "se_gate")
"""Names in `models.fusion.FUSIONS`."""

SELECTION_METRICS = ("map", "loss")
"""What early stopping looks at on the validation clips: mean average precision, or the loss."""


@dataclass(frozen=True)
class NetworkConfig:
    """The shape of a network; stored in its checkpoint.

    Attributes:
        frames_aggregator: Name of the aggregator of the frames and of every other sequence modality that has
            no setting of its own, such as motion. The default sees the order of the frames: a mean or
            NeXtVLAD cannot tell a pan to the left from a pan to the right.
        audio_aggregator: Name of the aggregator of the audio windows. The default hears what sounds, whatever
            its moment, and whether a tone rises or falls.
        text_aggregator: Name of the aggregator of the text tokens.
        fusion: Name of the fusion of the modality vectors.
        max_steps: Most steps of a clip that are used, picked evenly over the clip; at least 1.
        max_tokens: Most text tokens of a clip that are used, the first ones; at least 1.
        cover_width: Width of the dense layer over the cover's embedding; at least 1.
        hidden_width: Width of the dense layer after the fusion; at least 1.
        embedding_width: Width of the clip's embedding, which the heads read; at least 1.
        dropout: Share of the units that is dropped in training, 0 to below 1.
        modality_dropout: Probability, per clip in training, that a modality which is there is hidden;
            0 to below 1. Never are all of a clip's modalities hidden.
        nextvlad_clusters: K of the paper; at least 1.
        nextvlad_groups: G of the paper; at least 1.
        nextvlad_expansion: Lambda of the paper; at least 1.
        nextvlad_width: H of the paper, the output width; at least 1.
        text_width: Width to which each token is reduced before the text aggregator; at least 1.
        trn_segments: Steps that the temporal relations look at, picked evenly; at least 2.
        trn_max_scale: Most steps in one relation; at least 2, and capped by `trn_segments`.
        trn_max_relations: Most relations of one scale; at least 1.
        trn_width: Width of a step and of a relation, and half the output width; at least 1.
        textcnn_channels: Filters of each of the four window widths 2 to 5; at least 1.
        bilstm_width: Width of the LSTM in each direction; at least 1.
        se_reduction: Factor by which the gate's bottleneck is narrower than its input; at least 1.
    """

    frames_aggregator: str = "trn"
    audio_aggregator: str = "nextvlad+trn"
    text_aggregator: str = "textcnn+bilstm"
    fusion: str = "se_gate"
    max_steps: int = 64
    max_tokens: int = 64
    cover_width: int = 128
    hidden_width: int = 256
    embedding_width: int = 128
    dropout: float = 0.3
    modality_dropout: float = 0.1
    nextvlad_clusters: int = 16
    nextvlad_groups: int = 4
    nextvlad_expansion: int = 2
    nextvlad_width: int = 128
    trn_segments: int = 8
    trn_max_scale: int = 4
    trn_max_relations: int = 6
    trn_width: int = 128
    text_width: int = 128
    textcnn_channels: int = 32
    bilstm_width: int = 64
    se_reduction: int = 8

    def __post_init__(self) -> None:
        for name in ("frames_aggregator", "audio_aggregator", "text_aggregator"):
            _check_choice(name, getattr(self, name), SEQUENCE_AGGREGATORS)
        _check_choice("fusion", self.fusion, FUSIONS)
        for name, value in vars(self).items():
            if isinstance(value, int):
                _check_range(name, value, low=1)
        # One step has no order.
        for name in ("trn_segments", "trn_max_scale"):
            _check_range(name, getattr(self, name), low=2)
        _check_share("dropout", self.dropout)
        _check_share("modality_dropout", self.modality_dropout)


@dataclass(frozen=True)
class TrainConfig:
    """How a network is trained.

    Attributes:
        epochs: Most passes over the training clips; at least 1.
        batch_size: Clips in one step; at least 1. One-clip batches teach nothing to a batch norm.
        learning_rate: Highest learning rate, reached at the end of the warm-up; above 0.
        weight_decay: AdamW's decoupled decay of weight matrices; biases, norms and learned vectors have
            none. At least 0.
        warmup_fraction: Share of all steps in which the learning rate rises linearly, 0 to below 1; after it
            the rate falls along a half cosine to 0.
        gradient_clip: Largest norm of the whole gradient; 0 turns the clipping off.
        ema_decay: Decay per step of the running mean of the weights that is validated and saved; 0 turns
            it off. Below 1.
        label_smoothing: Probability mass of a category label that is spread over all categories, 0 to
            below 1.
        category_weight: Factor of the category loss; at least 0.
        tag_weight: Factor of the tag loss (a mean over tags, hence small); at least 0.
        selection_metric: What picks the epoch to keep: `map` (mean of category and tag mean average
            precision) or `loss`, both on the validation clips.
        patience_epochs: Epochs without a better validation result after which training ends; 0 never ends
            early.
        cache_megabytes: Memory for clips that were read once, in MB (10^6 bytes); 0 reads every epoch anew.
            It changes no result.
        num_threads: Threads of the CPU that torch computes with; 0 leaves torch's own number. A small network
            is hardly faster with two than with one, and many times slower when the threads must wait for a
            busy core. Sums are split by thread, so the last bits of a result depend on it.
        seed: Seed of the weights, the order of the clips and the dropout; at least 0.
    """

    epochs: int = 60
    batch_size: int = 32
    learning_rate: float = 1e-3
    weight_decay: float = 0.05
    warmup_fraction: float = 0.1
    gradient_clip: float = 1.0
    ema_decay: float = 0.97
    label_smoothing: float = 0.1
    category_weight: float = 1.0
    tag_weight: float = 5.0
    selection_metric: str = "map"
    patience_epochs: int = 20
    cache_megabytes: int = 2000
    num_threads: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        _check_choice("selection_metric", self.selection_metric, SELECTION_METRICS)
        _check_range("epochs", self.epochs, low=1)
        _check_range("batch_size", self.batch_size, low=1)
        if not self.learning_rate > 0:
            raise SettingError(f"learning_rate is {self.learning_rate}: give a number above 0")
        for name in ("weight_decay", "gradient_clip", "category_weight", "tag_weight"):
            _check_range(name, getattr(self, name), low=0)
        for name in ("patience_epochs", "cache_megabytes", "num_threads", "seed"):
            _check_range(name, getattr(self, name), low=0)
        for name in ("warmup_fraction", "ema_decay", "label_smoothing"):
            _check_share(name, getattr(self, name))


def _check_choice(name: str, value: str, allowed: Sequence[str]) -> None:
    if value not in allowed:
        raise SettingError(f"unknown {name} {value!r}: give one of {', '.join(allowed)}")


def _check_range(name: str, value: float, *, low: int) -> None:
    if not value >= low:
        raise SettingError(f"{name} is {value}: give a number of at least {low}")


def _check_share(name: str, value: float) -> None:
    if not 0 <= value < 1:
        raise SettingError(f"{name} is {value}: give a number from 0 to below 1")
