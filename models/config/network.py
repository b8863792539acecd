"""Every setting of a network, checked when it is made. Imports no torch.

The fields are plain (``str``, ``int``, ``float``, ``bool``), so that a configuration file maps onto them one to one.
The defaults are for a few hundred to a few thousand clips on two CPU cores.
"""

from __future__ import annotations

from dataclasses import dataclass

from features.base.errors import SettingError
from features.base.modalities import network_group
from features.base.settings import at_least, check_fraction_below_one, check_settings, one_of, setting
from models.aggregators import AGGREGATORS
from models.fusion import FUSIONS
from models.heads import HEADS
from models.tag_heads import TAG_HEADS

# Input of a text token: its stored embedding, a row of a trained table, or both side by side.
TEXT_EMBEDDINGS = ("frozen", "trained", "both")

# Input of the fusion for a modality that a clip lacks: a learned vector, or zeros that are masked out.
MISSING = ("learned", "masked")

# Fusions that can leave out a missing modality.
_GATED = ("gate_fusion", "low_rank")
# Aggregators over evenly picked steps.
_RELATIONS = ("trn", "trn_centred", "trn_x")


def _size(default: int, low: int, **arguments: str) -> int:
    """Return a field of a size of at least ``low``: ``arguments`` names the modules that it belongs to."""
    return setting(default, check=at_least(low), arguments=arguments)


@dataclass(frozen=True)
class NetworkConfig:
    """The shape of a network; stored in its checkpoint.

    Attributes:
        modalities: Names of the modalities that the network uses, separated by commas; empty = all that there
            are features of.
        frames_aggregator: Name of the aggregator of the frames and of every other sequence modality without a
            setting of its own, such as motion. The default depends on the order of the frames: a mean or
            NeXtVLAD cannot distinguish a pan to the left from a pan to the right.
        audio_aggregator: Name of the aggregator of the audio windows. The default captures which sounds occur,
            at any moment, and whether a tone rises or falls.
        text_aggregator: Name of the aggregator of the text tokens.
        text_embedding: Input for a token: ``frozen`` (its stored embedding), ``trained`` (a row of a trained
            table over the tokens of the training clips, initialised by the mean of each token's stored
            embeddings), or ``both``, side by side.
        fusion: Name of the fusion of the modality vectors.
        missing: Input of the fusion for a modality that a clip lacks: ``learned`` (a vector of its own) or
            ``masked`` (zeros, left out of gates and products).
        heads: ``independent`` (category and tags each read the embedding), ``cascade`` (the tags also read the
            category's hidden layer and probabilities) or ``hierarchical`` (local and global branches, category
            above tags, blended).
        tag_head: ``linear``, or ``moe`` (a mixture of experts for each tag).
        modality_heads: Whether each modality gets heads of its own, for an auxiliary loss in training.
        num_experts: Whole networks side by side whose logits a gate mixes, and into which the mixture is
            distilled (the mixture of the NeXtVLAD paper); 1 = no mixture.
        max_steps: Most steps of a clip that are used, one of each of as many even parts; at least 1.
        random_steps: Whether in training a random step of each even part is used, instead of the middle one,
            by ``max_steps`` and by the segments of the temporal relations.
        max_tokens: Most text tokens of a clip that are used, the first ones; at least 1.
        cover_width: Width of the dense layer over the cover's embedding; 0 = the embedding itself.
        hidden_width: Width of the dense layer after the fusion; 0 = no such layer.
        embedding_width: Width of the clip's embedding, which the heads read; at least 1.
        dropout: Fraction of the units that is dropped in training, 0 to below 1.
        modality_dropout: Probability, per clip in training, that a modality is dropped; 0 to below 1. At least
            one modality of a clip is kept.
        nextvlad_clusters: K of the paper; at least 1.
        nextvlad_groups: G of the paper; at least 1.
        nextvlad_expansion: Lambda of the paper; at least 1.
        nextvlad_width: H of the paper, the output width; at least 1.
        text_width: Width to which each token is reduced before the text aggregator; 0 = not reduced.
        trn_segments: Steps that the temporal relations read, picked evenly; at least 2.
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
    frames_aggregator: str = setting("trn_centred", check=one_of(AGGREGATORS))
    audio_aggregator: str = setting("nextvlad+trn_centred", check=one_of(AGGREGATORS))
    text_aggregator: str = setting("textcnn+bilstm", check=one_of(AGGREGATORS))
    text_embedding: str = setting("frozen", check=one_of(TEXT_EMBEDDINGS))
    fusion: str = setting("se_gate", check=one_of(FUSIONS))
    missing: str = setting("learned", check=one_of(MISSING), arguments=dict.fromkeys(_GATED, "missing"))
    heads: str = setting("independent", check=one_of(HEADS))
    tag_head: str = setting("linear", check=one_of(TAG_HEADS))
    modality_heads: bool = False
    num_experts: int = setting(1, check=at_least(1))
    max_steps: int = setting(64, check=at_least(1))
    random_steps: bool = setting(False, arguments=dict.fromkeys(_RELATIONS, "random_steps"))
    max_tokens: int = setting(64, check=at_least(1))
    cover_width: int = setting(128, check=at_least(0))
    hidden_width: int = setting(256, check=at_least(0))
    embedding_width: int = setting(128, check=at_least(1))
    dropout: float = setting(
        0.3, check=check_fraction_below_one, arguments=dict.fromkeys(("nextvlad", *_RELATIONS), "dropout")
    )
    modality_dropout: float = setting(0.1, check=check_fraction_below_one)
    nextvlad_clusters: int = _size(16, 1, nextvlad="num_clusters")
    nextvlad_groups: int = _size(4, 1, nextvlad="num_groups")
    nextvlad_expansion: int = _size(2, 1, nextvlad="expansion")
    nextvlad_width: int = _size(128, 1, nextvlad="output_width")
    trn_segments: int = _size(8, 2, **dict.fromkeys(_RELATIONS, "num_segments"))
    trn_max_scale: int = _size(4, 2, trn="max_scale", trn_centred="max_scale")
    trn_max_relations: int = _size(6, 1, trn="max_relations", trn_centred="max_relations")
    trn_width: int = _size(128, 1, **dict.fromkeys(_RELATIONS, "width"))
    trn_neighbours: int = _size(0, 0, trn_x="num_neighbours")
    text_width: int = setting(128, check=at_least(0))
    textcnn_channels: int = _size(32, 1, textcnn="num_channels")
    bilstm_width: int = _size(64, 1, bilstm="width")
    attention_width: int = _size(128, 1, attention="width", trn_x="attention_width")
    se_reduction: int = _size(8, 1, se_gate="reduction")
    fusion_width: int = _size(128, 1, gate_fusion="width", low_rank="width")
    fusion_rank: int = _size(4, 1, low_rank="rank")
    head_width: int = _size(128, 1, cascade="width", hierarchical="width")
    moe_experts: int = _size(2, 1, moe="num_experts")

    def __post_init__(self) -> None:
        check_settings(self)
        if len(set(self.modality_names())) < len(self.modality_names()):
            raise SettingError(f"modalities is {self.modalities!r}: list each modality once")

    def modality_names(self) -> tuple[str, ...]:
        """Return the modalities that the network is restricted to, in the order listed; empty = all there are."""
        return tuple(part.strip() for part in self.modalities.split(",") if part.strip())

    def aggregator_of(self, modality: str) -> str:
        """Return the aggregator name of a sequence modality, which its group decides."""
        name: str = getattr(self, f"{network_group(modality)}_aggregator")
        return name
