"""One fixed-width row per clip from its ragged embeddings: the input of the baselines."""

import numpy as np
import numpy.typing as npt

from features.base.errors import SettingError
from models.data.batching import ClipSource

Float32 = npt.NDArray[np.float32]


def pool(source: ClipSource, indices: npt.NDArray[np.integer]) -> Float32:
    """Return ``(N, D)`` features of the clips at `indices`: each modality's mean over its steps, in a row.

    D is the sum of the modalities' widths, in the order of their names, plus one presence flag per modality
    at the end: 1.0 where the clip has it. A missing modality (T = 0) is zeros with the flag 0.0. ``(0, D)``
    for no clips.
    """
    modalities = sorted(source.modality_dims)
    widths = [source.modality_dims[modality] for modality in modalities]
    starts = np.concatenate([[0], np.cumsum(widths)]).astype(int)
    pooled = np.zeros((len(indices), starts[-1] + len(modalities)), dtype=np.float32)
    for row, index in enumerate(indices):
        clip = source[int(index)]
        for position, modality in enumerate(modalities):
            steps = clip[modality]  # (T, D)
            if len(steps):
                pooled[row, starts[position] : starts[position + 1]] = steps.mean(axis=0, dtype=np.float32)
                pooled[row, starts[-1] + position] = 1.0
    return pooled


def thin_out(indices: npt.NDArray[np.integer], limit: int, generator: np.random.Generator) -> npt.NDArray[np.int64]:
    """Return at most `limit` of the `indices`, drawn evenly and in their old order; all where they are fewer.

    Drawn, because every k-th clip would miss whole categories of a corpus that lists them in turn.

    Raises:
        SettingError: `limit` is below 1.
    """
    if limit < 1:
        raise SettingError(f"the limit of clips is {limit}: it must be 1 or more")
    if len(indices) <= limit:
        return indices.astype(np.int64)
    positions = np.sort(generator.choice(len(indices), size=limit, replace=False))
    return indices[positions].astype(np.int64)
