"""Every setting of a network, checked when it is made.

The fields are plain (``str``, ``int``, ``float``, ``bool``), so that a configuration file maps onto them one to one.
The defaults are for a few hundred to a few thousand clips on two CPU cores. This module imports no torch.
"""

from __future__ import annotations

from dataclasses import dataclass

from features.base.checks import check_choice, check_range, check_share
from features.base.errors import SettingError

# Names in ``models.aggregators.AGGREGATORS``.
AGGREGATORS = (
    "attention",
    "bilstm",
    "max",
    "mean",
    "nextvlad",
    "nextvlad+trn_centred",
    "textcnn",
    "textcnn+bilstm",
    "trn",
    "trn_centred",
    "trn_x",
)

# Names in ``models.fusion.FUSIONS``.
FUSIONS = ("concat", "gate_fusion", "low_rank", "se_gate")

# Names in ``models.heads.HEADS``.
HEADS = ("cascade", "hierarchical", "independent")

# What gives the logits of the tags.
TAG_HEADS = ("linear", "moe")

# What a text token is for the network: its stored embedding, a row of a trained table, or both side by side.
TEXT_EMBEDDINGS = ("frozen", "trained", "both")

# What stands for a modality that a clip lacks: a learned vector, or nothing.
MISSING = ("learned", "masked")


@dataclass(frozen=True)
class NetworkConfig:
    """The shape of a network; stored in its checkpoint.

    Attributes:
        modalities: Names of the modalities that the network uses, separated by commas; empty = all that there
            are features of.
        frames_aggregator: Name of the aggregator of the frames and of every other sequence modality that has
            no setting of its own, such as motion. The default sees the order of the frames: a mean or
            NeXtVLAD cannot tell a pan to the left from a pan to the right.
        audio_aggregator: Name of the aggregator of the audio windows. The default hears what sounds, whatever
            its moment, and whether a tone rises or falls.
        text_aggregator: Name of the aggregator of the text tokens.
        text_embedding: What a token is: ``frozen`` (its stored embedding), ``trained`` (a row of a table that is
            trained, over the tokens of the training clips, and starts as the mean of each token's stored
            embeddings), or ``both``, side by side.
        fusion: Name of the fusion of the modality vectors.
        missing: What stands for a modality that a clip lacks: ``learned`` (a vector of its own) or ``masked``
            (nothing: zeros, left out of gates and products).
        heads: ``independent`` (category and tags each read the embedding), ``cascade`` (the tags also read the
            category's hidden layer and probabilities) or ``hierarchical`` (local and global branches, category
            above tags, blended).
        tag_head: ``linear``, or ``moe`` (a mixture of experts for each tag).
        modality_heads: Whether each modality gets heads of its own, for an auxiliary loss in training.
        num_experts: Whole networks side by side whose answers a gate mixes, each taught by the mixture as
            well (the mixture of the NeXtVLAD paper); 1 = no mixture.
        max_steps: Most steps of a clip that are used, one of each of as many even parts; at least 1.
        random_steps: Whether in training a random step of each even part is used, instead of the middle one,
            by ``max_steps`` and by the segments of the temporal relations.
        max_tokens: Most text tokens of a clip that are used, the first ones; at least 1.
        cover_width: Width of the dense layer over the cover's embedding; 0 = the embedding itself.
        hidden_width: Width of the dense layer after the fusion; 0 = no such layer.
        embedding_width: Width of the clip's embedding, which the heads read; at least 1.
        dropout: Share of the units that is dropped in training, 0 to below 1.
        modality_dropout: Probability, per clip in training, that a modality which is there is hidden;
            0 to below 1. Never are all of a clip's modalities hidden.
        nextvlad_clusters: K of the paper; at least 1.
        nextvlad_groups: G of the paper; at least 1.
        nextvlad_expansion: Lambda of the paper; at least 1.
        nextvlad_width: H of the paper, the output width; at least 1.
        text_width: Width to which each token is reduced before the text aggregator; 0 = not reduced.
        trn_segments: Steps that the temporal relations look at, picked evenly; at least 2.
        trn_max_scale: Most steps in one relation; at least 2, and capped by ``trn_segments``.
        trn_max_relations: Most relations of one scale; at least 1.
        trn_width: Width of a step and of a relation; at least 1.
        trn_neighbours: Segments on either side with which ``trn_x`` averages each one; 0 averages none.
        textcnn_channels: Filters of each of the four window widths 2 to 5; at least 1.
        bilstm_width: Width of the LSTM in each direction; at least 1.
        attention_width: Width of the hidden layer of attention pooling; at least 1.
        se_reduction: Factor by which the SE gate's bottleneck is narrower than its input; at least 1.
        fusion_width: Width of each modality inside ``gate_fusion``, and of the output of ``low_rank``; at least 1.
        fusion_rank: Rank of ``low_rank``; at least 1.
        head_width: Width of the hidden layers of the heads ``cascade`` and ``hierarchical``; at least 1.
        moe_experts: Experts of each tag of the tag head ``moe``; at least 1.
    """

    modalities: str = ""
    frames_aggregator: str = "trn_centred"
    audio_aggregator: str = "nextvlad+trn_centred"
    text_aggregator: str = "textcnn+bilstm"
    text_embedding: str = "frozen"
    fusion: str = "se_gate"
    missing: str = "learned"
    heads: str = "independent"
    tag_head: str = "linear"
    modality_heads: bool = False
    num_experts: int = 1
    max_steps: int = 64
    random_steps: bool = False
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
    trn_neighbours: int = 0
    text_width: int = 128
    textcnn_channels: int = 32
    bilstm_width: int = 64
    attention_width: int = 128
    se_reduction: int = 8
    fusion_width: int = 128
    fusion_rank: int = 4
    head_width: int = 128
    moe_experts: int = 2

    def __post_init__(self) -> None:
        for name in ("frames_aggregator", "audio_aggregator", "text_aggregator"):
            check_choice(name, getattr(self, name), AGGREGATORS)
        check_choice("text_embedding", self.text_embedding, TEXT_EMBEDDINGS)
        check_choice("fusion", self.fusion, FUSIONS)
        check_choice("missing", self.missing, MISSING)
        check_choice("heads", self.heads, HEADS)
        check_choice("tag_head", self.tag_head, TAG_HEADS)
        # No layer at all is a choice of these.
        optional = {"cover_width", "hidden_width", "text_width", "trn_neighbours"}
        for name, value in vars(self).items():
            if isinstance(value, int) and not isinstance(value, bool):
                check_range(name, value, low=0 if name in optional else 1)
        # One step has no order.
        for name in ("trn_segments", "trn_max_scale"):
            check_range(name, getattr(self, name), low=2)
        check_share("dropout", self.dropout)
        check_share("modality_dropout", self.modality_dropout)
        if len(set(self.modality_names())) < len(self.modality_names()):
            raise SettingError(f"modalities is {self.modalities!r}: list each modality once")

    def modality_names(self) -> tuple[str, ...]:
        """The modalities that the network is restricted to, in the order listed; none = all there are."""
        return tuple(part.strip() for part in self.modalities.split(",") if part.strip())
