"""How extractors are loaded and kept; what they promise is in the contracts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from features.backbones.extractor.extract_config import ExtractConfig
from features.backbones.extractor.extractor import MAX_KEPT_EXTRACTORS, forget_extractors, load_extractor
from tests.features.backbones import tiny_models

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def nothing_kept() -> Iterator[None]:
    forget_extractors()
    yield
    forget_extractors()


def _config(backbone: str, modality: str = "frames", **changes: int) -> ExtractConfig:
    return ExtractConfig(modality, backbone, runtime="torch", device="cpu", num_threads=1, **changes)  # type: ignore[arg-type]


def test_frames_and_cover_share_an_extractor(tmp_path: Path) -> None:
    backbone = tiny_models.save_vit(tmp_path)
    frames, cover = _config(backbone), _config(backbone, "cover")
    assert load_extractor(frames) is load_extractor(cover)


def test_an_extractor_of_other_settings_or_weights_is_another(tmp_path: Path) -> None:
    backbone = tiny_models.save_clip(tmp_path)
    first = load_extractor(_config(backbone))
    assert load_extractor(_config(backbone, batch_size=3)) is not first
    forget_extractors()
    first = load_extractor(_config(backbone))
    (tmp_path / "config.json").write_text((tmp_path / "config.json").read_text() + "\n")
    assert load_extractor(_config(backbone)) is not first


def test_no_more_than_the_latest_are_kept() -> None:
    configs = [ExtractConfig("audio", "dsp:logmel", window_seconds=1.0 + number) for number in range(3)]
    first, *others = [load_extractor(config) for config in configs]
    assert MAX_KEPT_EXTRACTORS == 2
    assert [load_extractor(config) for config in configs[1:]] == others
    assert load_extractor(configs[0]) is not first


def test_log_mel_has_no_network_and_loads_none() -> None:
    extractor = load_extractor(ExtractConfig("audio", "dsp:logmel"))
    list(extractor.extract([tiny_models.sound(16_000, seed=1).sound()]))
    assert extractor.network_seconds == 0.0


def test_a_network_counts_the_time_in_which_it_runs(tmp_path: Path) -> None:
    extractor = load_extractor(_config(tiny_models.save_vit(tmp_path)))
    before = extractor.network_seconds
    assert len(list(extractor.extract([tiny_models.frames(3, seed=1).pictures()]))) == 1
    assert extractor.network_seconds > before
