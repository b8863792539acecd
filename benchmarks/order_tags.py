"""Does the order of frames matter: TRN against mean pooling on the embedded corpus.

For several group-aware splits of the corpus, the same network is trained with each aggregator on the cached
embeddings, and the test clips that carry exactly one tag of a pair (pan left or pan right, ...) are counted:
how often is the right one scored higher. Chance is 0.5. Needs a finished `make demo`.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

import pipeline  # noqa: F401 - sets Luigi's settings
from features.splits.stratified_split import assign_splits
from models.config.network import NetworkConfig
from models.config.training import TrainConfig
from models.data.labels import positions_of
from models.metrics.arrays import average_precision_per_class
from models.prediction.predict import predict
from models.training.train import train
from tasks.stages.dataset import LabelledCorpus, open_clips, read_labelled_corpus
from tasks.stages.manifest import Manifest

FRAME_PAIRS = (("pan left", "pan right"), ("fade in", "fade out"))
SOUND_PAIRS = (("rising tone", "falling tone"),)


def main() -> None:
    """Measure, print a table, and keep the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--aggregators", nargs="+", default=["trn_centred", "trn", "trn_x", "mean"])
    parser.add_argument("--splits", type=int, default=5)
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/order_tags.json"))
    options = parser.parse_args()
    corpus = read_labelled_corpus(Manifest())
    rows = []
    for aggregator in options.aggregators:
        results = [_one_split(corpus, aggregator, seed) for seed in range(options.splits)]
        for key in results[0]:
            values = [result[key] for result in results]
            rows.append(
                {
                    "aggregator": aggregator,
                    "figure": key,
                    "mean": round(float(np.mean(values)), 3),
                    "standard_error": round(float(np.std(values, ddof=1) / np.sqrt(len(values))), 3),
                }
            )
            print(f"{aggregator:<10} {key:<34} {rows[-1]['mean']:.3f} +- {rows[-1]['standard_error']:.3f}", flush=True)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


def _one_split(corpus: LabelledCorpus, aggregator: str, seed: int) -> dict[str, float]:
    """Train on one split; return right-in-pair fractions and average precisions on its test clips."""
    records = [replace(record, split="") for record in corpus.records]
    splits = assign_splits(records, validation_fraction=0.15, test_fraction=0.25, seed=seed)
    clips = open_clips()
    network = replace(NetworkConfig(), frames_aggregator=aggregator, audio_aggregator=aggregator)
    test = positions_of(splits, "test")
    with tempfile.TemporaryDirectory() as folder:
        train(
            clips,
            corpus.labels,
            positions_of(splits, "train"),
            positions_of(splits, "validation"),
            network,
            replace(TrainConfig(), seed=seed),
            Path(folder),
            feature_recipes=clips.recipes(),
        )
        scores = predict(Path(folder), clips, test, feature_recipes=clips.recipes()).tag_scores
    return _figures(scores, corpus.labels.tags[test], corpus.labels.tag_names)


def _figures(scores: npt.NDArray[np.float32], tags: npt.NDArray[np.bool_], names: tuple[str, ...]) -> dict[str, float]:
    result = {}
    precisions = average_precision_per_class(scores, tags)
    for pair in (*FRAME_PAIRS, *SOUND_PAIRS):
        first, second = (names.index(name) for name in pair)
        one = tags[:, first] != tags[:, second]
        right = (scores[:, first] > scores[:, second]) == tags[:, first]
        result[f"right within {pair[0]} / {pair[1]}"] = float(right[one].mean())
        for index in (first, second):
            result[f"average precision of {names[index]}"] = float(precisions[index])
    result["tag mAP"] = float(np.nanmean(precisions))
    return result


if __name__ == "__main__":
    main()
