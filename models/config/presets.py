"""Networks by name, each with the training that goes with it. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass

from models.config.network import NetworkConfig
from models.config.training import TrainConfig


@dataclass(frozen=True)
class Preset:
    """One named network.

    Attributes:
        about: Its purpose, in a sentence.
        network: Its shape.
        train: How it is trained.
    """

    about: str
    network: NetworkConfig
    train: TrainConfig


PRESETS: dict[str, Preset] = {
    "default": Preset(
        "A few million parameters at most, for hundreds to thousands of clips.",
        NetworkConfig(text_embedding="both"),
        TrainConfig(),
    ),
    "trn_light": Preset(
        "The light temporal network for frames and sound, TextCNN for text: the cheapest that sees the order.",
        NetworkConfig(
            frames_aggregator="trn_x",
            audio_aggregator="trn_x",
            text_aggregator="textcnn",
            hidden_width=128,
        ),
        TrainConfig(),
    ),
    # Sizes of Lin et al. 2018, arXiv 1811.05014, section 4: K = 128, G = 8, lambda = 2, H = 2048.
    "nextvlad_large": Preset(
        "NeXtVLAD at its published size, for hundreds of thousands of clips and a GPU.",
        NetworkConfig(
            frames_aggregator="nextvlad",
            audio_aggregator="nextvlad",
            nextvlad_clusters=128,
            nextvlad_groups=8,
            nextvlad_expansion=2,
            nextvlad_width=2048,
            tag_head="moe",
            hidden_width=1024,
            embedding_width=512,
            dropout=0.5,
            max_steps=300,
        ),
        TrainConfig(batch_size=160, learning_rate=2e-4, schedule="exponential", epochs=20, ema_decay=0.999),
    ),
    "seed_baseline": Preset(
        "Bi-LSTM over the title, a dense layer over the cover, a mean over the windows of a 3D network, concatenated.",
        NetworkConfig(
            modalities="text, cover, motion",
            frames_aggregator="mean",
            text_aggregator="bilstm",
            fusion="concat",
            modality_dropout=0.0,
        ),
        TrainConfig(label_smoothing=0.0),
    ),
    "mean_linear": Preset(
        "The mean of every modality, concatenated, and no hidden layer: what all else has to beat.",
        NetworkConfig(
            frames_aggregator="mean",
            audio_aggregator="mean",
            text_aggregator="mean",
            fusion="concat",
            cover_width=0,
            text_width=0,
            hidden_width=0,
            dropout=0.0,
            modality_dropout=0.0,
        ),
        TrainConfig(),
    ),
}
