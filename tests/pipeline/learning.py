"""A place in which networks are trained, and what the tests compute by themselves about it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
from sklearn.metrics import accuracy_score

from features.formats.sharded_clips import ShardedClips
from features.manifests.corpus import read_records

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from features.formats.prediction_shard import PredictionShard
    from features.formats.records import ClipRecord
    from tests.end_to_end.run import Workplace

SETTINGS: dict[str, dict[str, str]] = {
    "sample": {"num_clips": "32"},
    "manifest": {"clips_per_shard": "15"},
    "features": {"modalities": "audio, cover"},
    "decode": {"frames_per_second": "1"},
    "network": {"preset": "mean_linear"},
    "train": {"epochs": "3", "cache_megabytes": "10"},
    "ensemble": {"folds": "2"},
}
VARIANTS = """
[default]
[no sound]
predict.hidden = audio
[fgm]
train.adversarial = fgm
"""


def ablation_settings(place: Workplace, variants: str = VARIANTS, **ablation: str) -> dict[str, dict[str, str]]:
    """Settings of an ablation in a file of the place."""
    path = place.folder / "variants.ini"
    path.write_text(variants, encoding="utf-8")
    return {**SETTINGS, "ablation": {"variants": str(path), "seeds": "2", **ablation}}


def records_of(place: Workplace) -> dict[str, ClipRecord]:
    """The clips of the place by their ids."""
    folder = place.root / "manifest" / "latest"
    return {record.clip_id: record for path in sorted(folder.glob("*.jsonl")) if path.name.startswith("shard-")
            for record in read_records(path)}  # fmt: skip


def clips_of(place: Workplace) -> ShardedClips:
    """The features of the place's clips."""
    names = ("audio", "cover")
    return ShardedClips({name: sorted((place.root / f"extract-{name}" / "latest").glob("*.h5")) for name in names})


def metrics_of(place: Workplace, stage: str) -> dict[str, object]:
    """What a stage of the place has published in numbers."""
    found: dict[str, object] = json.loads((place.root / stage / "latest" / "metrics.json").read_text(encoding="utf-8"))
    return found


def accuracy_of(shard: PredictionShard, records: Mapping[str, ClipRecord], rows: Sequence[int]) -> float:
    """Share of right categories, by scikit-learn."""
    known = [row for row in rows if records[shard.clip_ids[row]].category in shard.categories]
    predicted = [shard.categories[int(np.argmax(shard.category_scores[row]))] for row in known]
    return float(accuracy_score([records[shard.clip_ids[row]].category for row in known], predicted))
