"""Small made-up clips for the tests of the learning half."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from models.config.network import NetworkConfig
from models.data.labels import Labels

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from models.data.sources import ClipFeatures

# A network that a test can afford, without dropout.
SMALL_NETWORK = NetworkConfig(
    cover_width=8,
    hidden_width=32,
    embedding_width=16,
    dropout=0.0,
    modality_dropout=0.0,
    nextvlad_clusters=4,
    nextvlad_groups=2,
    nextvlad_width=16,
    trn_width=16,
    text_width=8,
    textcnn_channels=4,
    bilstm_width=4,
)


class ListSource:
    """Clips held in a list."""

    def __init__(self, clips: Sequence[ClipFeatures], modality_dims: Mapping[str, int]) -> None:
        self._clips = clips
        self.modality_dims = modality_dims
        self.num_reads = 0

    def __len__(self) -> int:
        return len(self._clips)

    def __getitem__(self, index: int) -> ClipFeatures:
        self.num_reads += 1
        return self._clips[index]

    def token_ids(self, index: int) -> npt.NDArray[np.int32]:
        """One of ten tokens for each step of a text, told by its first unit."""
        first = self._clips[index]["text"][:, 0].astype(np.float64)
        return (np.floor(first * 4).astype(np.int32) % 10) * 100


def random_source(
    num_clips: int, modality_dims: Mapping[str, int], *, seed: int = 0, missing: float = 0.2
) -> ListSource:
    """Clips of normal noise with 1 to 7 steps (a cover: 1); each modality is missing with a probability."""
    generator = np.random.default_rng(seed)
    clips = []
    for _ in range(num_clips):
        clip = {}
        for name, width in modality_dims.items():
            num_steps = 1 if name == "cover" else int(generator.integers(1, 8))
            steps = 0 if generator.random() < missing else num_steps
            clip[name] = generator.normal(size=(steps, width)).astype(np.float16)
        clips.append(clip)
    return ListSource(clips, modality_dims)


def random_labels(num_clips: int, *, num_categories: int = 3, num_tags: int = 4, seed: int = 0) -> Labels:
    """Labels that have nothing to do with any feature."""
    generator = np.random.default_rng([seed, 1])
    return make_labels(
        generator.integers(0, num_categories, num_clips),
        generator.random((num_clips, num_tags)) < 0.4,
        num_categories=num_categories,
    )


def make_labels(
    category: npt.NDArray[np.int64],
    tags: npt.NDArray[np.bool_],
    *,
    num_categories: int,
    tags_known: npt.NDArray[np.bool_] | None = None,
) -> Labels:
    """Labels with numbered names; the tags of every clip are known unless told."""
    return Labels(
        category_names=tuple(f"category{i}" for i in range(num_categories)),
        tag_names=tuple(f"tag{i}" for i in range(tags.shape[1])),
        category=category,
        tags=tags,
        tags_known=np.ones(len(tags), dtype=bool) if tags_known is None else tags_known,
    )
