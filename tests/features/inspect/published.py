"""Small published files to look at."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np
from tokenizers import Tokenizer, decoders, models

from features.base.outcomes import Outcome
from features.formats.clip_data import ClipFeatures
from features.formats.hdf5_shard import ShardReader, ShardWriter
from features.formats.prediction_shard import PredictionShard, write_predictions
from features.formats.records import ClipRecord

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy.typing as npt

FEATURES = np.array([[3.0, 4.0], [6.0, 8.0], [0.0, 5.0]], np.float32)
PREDICTIONS = PredictionShard(
    clip_ids=("one", "two", "three"),
    categories=("a", "b"),
    tags=("x", "y", "z"),
    category_scores=np.array([[0.9, 0.1], [0.2, 0.8], [0.5, 0.5]], np.float32),
    tag_scores=np.array([[0.1, 0.7, 0.3], [0, 0, 1], [0.5, 0.5, 0.5]], np.float32),
    embedding=np.array([[1, 0], [1, 0], [0.6, 0.8]], np.float32),
)


def embeddings(path: Path, clips: Sequence[npt.NDArray[np.float32]], dim: int = 2) -> ShardReader:
    """Write clips named clip0, clip1, ... with a step every half second, and open them."""
    with ShardWriter(path, dim, {"modality": "frames", "backbone": "b:n"}, has_tokens=False) as writer:
        for number, features in enumerate(clips):
            outcome = Outcome(f"clip{number}", "ok", "" if len(features) else "no_video")
            found = ClipFeatures(features, np.arange(len(features)).astype(np.float32) / np.float32(2))
            digest = hashlib.sha256(features.tobytes()).digest()
            writer.add(outcome, found, expected=4, input_digest=digest)
    return ShardReader(path)


def text_embeddings(
    path: Path, backbone: str, tokens: Sequence[int], fields: Sequence[int], features: npt.NDArray[np.float32]
) -> ShardReader:
    """Write one clip of text, and open it."""
    attributes = {"modality": "text", "backbone": backbone}
    with ShardWriter(path, features.shape[1], attributes, has_tokens=True) as writer:
        found = ClipFeatures(
            features, np.zeros(len(tokens), np.float32), np.array(tokens, np.int32), np.array(fields, np.uint8)
        )
        writer.add(Outcome("clip0", "ok"), found, expected=len(tokens), input_digest=bytes(32))
    return ShardReader(path)


def predictions(path: Path, shard: PredictionShard = PREDICTIONS) -> ShardReader:
    """Write predictions, and open them."""
    write_predictions(path, shard, {"stage": "predict"})
    return ShardReader(path)


def word_model(folder: Path) -> tuple[str, list[str]]:
    """Write what a text encoder's folder has beside its weights; return the backbone's name and the words by id."""
    words = ["[UNK]", "[CLS]", "[SEP]", "dog", "##s", "海"]
    vocabulary = {word: number for number, word in enumerate(words)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token=words[0]))
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "config.json").write_text("{}", encoding="utf-8")
    return f"transformers:{folder}", words


def records(categories: Mapping[str, str | None]) -> dict[str, ClipRecord]:
    """Return records: id -> category; the title of each is "film of" and its id."""
    return {name: ClipRecord(name, category=kind, title=f"film of {name}") for name, kind in categories.items()}
