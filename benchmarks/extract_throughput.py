"""How fast Extract is: beside the way other extractors work, and beside the least that the work can take.

The other way: for each clip the stored JPEGs are opened by Pillow, transformed, and run through torch, eager and in
float32, as one batch on all cores. The least: the network alone over the batches of Extract, held in memory, with
as many in flight, plus the decoding of the same JPEGs by as many threads and nothing else. Loading the networks is not
counted. Rounds are interleaved; each ratio is taken within a round.
"""

from __future__ import annotations

import argparse
import io
import os
import statistics
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torchvision
from PIL import Image
from torchvision.transforms import v2

from benchmarks.clips import add_data_option, decode, media_files
from benchmarks.floors import Recorder, decode_jpegs, stored_frames
from benchmarks.machine import in_turns, keep, machine_facts, median_ratio
from features.backbones.extractor.clip_inputs import media_inputs
from features.backbones.extractor.extract_config import ExtractConfig
from features.backbones.extractor.extraction import extract_shard
from features.backbones.extractor.extractor import load_extractor
from features.backbones.pretrained.model_files import BUNDLED_IMAGES
from features.backbones.runtime.runner import worst_cosine
from features.backbones.vision.efficientnet_lite import efficientnet_lite
from features.backbones.vision.torchvision_images import cut_before_last_layer
from features.formats.hdf5_shard import ShardReader
from features.formats.matroska import StoredPicture, stored_pictures
from features.formats.tar_shard import open_tar_shard

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt
    from torch import nn

BUNDLED_NAME = "efficientnet_lite0"
BACKBONES = (f"bundled:{BUNDLED_NAME}", "torchvision:convnext_tiny", "torchvision:vit_b_16")
# The large networks see fewer clips: theirs take a second each.
FRACTION_OF_CLIPS = {f"bundled:{BUNDLED_NAME}": 1.0}
OTHER_FRACTION = 0.1
PACKAGES = ("openvino", "torch", "torchvision", "timm", "av", "pillow", "h5py")


@dataclass(frozen=True)
class OtherWay:
    """A network and its transforms as a program uses them that goes clip by clip."""

    network: nn.Module
    transforms: Callable[[Any], torch.Tensor]

    def embed(self, matroska: bytes) -> npt.NDArray[np.float32]:
        """Return ``(T, D)``."""
        pictures = [Image.open(io.BytesIO(picture.data)).convert("RGB") for picture in _stored(matroska)]
        return self.run([self.transforms(picture) for picture in pictures])

    def run(self, planes: list[torch.Tensor]) -> npt.NDArray[np.float32]:
        """Return ``(T, D)`` for transformed pictures."""
        with torch.inference_mode():
            found: npt.NDArray[np.float32] = self.network(torch.stack(planes)).numpy()
        return found


def main() -> None:
    """Measure, print a table, and keep the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_data_option(parser)
    parser.add_argument("--clips", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--backbones", nargs="+", default=list(BACKBONES))
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["TORCH_HOME"] = str(folder / "torch")
        clips = media_files(options.data, options.clips, folder / "sample")
        figures: dict[str, object] = {"machine": machine_facts(*PACKAGES), "rounds": options.rounds}
        for backbone in options.backbones:
            fraction = FRACTION_OF_CLIPS.get(backbone, OTHER_FRACTION)
            shard = folder / "decoded.tar"
            decode(clips[: max(2, round(fraction * len(clips)))], shard)
            figures[backbone] = _measure(backbone, shard, folder, options.rounds)
    keep("extract_throughput", figures, options.output)


def _measure(backbone: str, shard: Path, folder: Path, rounds: int) -> dict[str, object]:
    other = _bundled_way() if backbone.startswith("bundled:") else _torchvision_way(backbone.partition(":")[2], folder)
    extractor = load_extractor(ExtractConfig("frames", backbone, device="cpu"))
    embedded = folder / "embedded.h5"

    def extract() -> None:
        extract_shard(media_inputs(open_tar_shard(shard), "frames"), extractor, embedded, {"modality": "frames"})

    with Recorder.of(extractor) as recorder:
        extract()
    pictures = stored_frames(shard)
    num_frames = sum(map(len, pictures))
    cosine = _worst_cosine(other, pictures, ShardReader(embedded))
    works: dict[str, Callable[[], object]] = {
        "other_way": lambda: [other.embed(clip.matroska.read()) for clip in open_tar_shard(shard) if clip.matroska],
        "extract": extract,
        "network": recorder.replay,
        "jpeg": lambda: decode_jpegs([picture for clip in pictures for picture in clip]),
    }
    found = in_turns(works, rounds)
    floor = [network + jpeg for network, jpeg in zip(found["network"], found["jpeg"], strict=True)]
    return {
        "runtime": recorder.name,
        "num_clips": len(pictures),
        "num_frames": num_frames,
        "median_ms_per_frame": {
            name: round(statistics.median(times) * 1000 / num_frames, 2) for name, times in found.items()
        },
        "clips_per_second": round(len(pictures) / statistics.median(found["extract"]), 2),
        "speed_over_other_way": median_ratio(found["other_way"], found["extract"]),
        "extract_over_floor": median_ratio(found["extract"], floor),
        "worst_cosine_to_other_way": round(cosine, 6),
    }


def _stored(matroska: bytes) -> list[StoredPicture]:
    return list(stored_pictures(io.BytesIO(matroska)))


def _worst_cosine(other: OtherWay, clips: list[list[StoredPicture]], embedded: ShardReader) -> float:
    """Return the worst cosine to plain torch on the same pixels: decoders of JPEG differ by a level or two."""
    worst = 1.0
    for position, pictures in enumerate(clips):
        planes = [other.transforms(Image.fromarray(picture.pixels())) for picture in pictures]
        worst = min(worst, worst_cosine(other.run(planes), embedded[position].astype(np.float32)))
    return worst


def _bundled_way() -> OtherWay:
    model = BUNDLED_IMAGES[BUNDLED_NAME]
    network = efficientnet_lite(BUNDLED_NAME, model.verified_folder() / model.weights_name).eval()
    steps = [
        v2.Resize(256, interpolation=v2.InterpolationMode.BICUBIC),
        v2.CenterCrop(224),
        v2.PILToTensor(),
        lambda image: (image.float() - 127.0) / 128.0,
    ]
    return OtherWay(network, v2.Compose(steps))


def _torchvision_way(name: str, folder: Path) -> OtherWay:
    """Return the network with random weights, saved where Extract looks for the downloaded ones."""
    weights = torchvision.models.get_model_weights(name).DEFAULT
    checkpoints = folder / "torch" / "hub" / "checkpoints"
    checkpoints.mkdir(parents=True, exist_ok=True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = torchvision.models.get_model(name, weights=None).eval()
    torch.save(network.state_dict(), checkpoints / weights.url.rsplit("/", 1)[1])
    cut_before_last_layer(network, torch.zeros(1, 3, 224, 224), len(weights.meta["categories"]))
    return OtherWay(network, weights.transforms())


if __name__ == "__main__":
    main()
