from __future__ import annotations

import itertools
import resource
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

import features.formats.sharded_clips
from features.base.errors import ShardError
from features.base.outcomes import Outcome
from features.formats.clip_data import ClipFeatures
from features.formats.hdf5_shard import ShardWriter
from features.formats.sharded_clips import ShardedClips, allow_open_files

SIZES = [3, 1, 4]
DIMS = {"frames": 6, "audio": 4}


def rows(clip: int, dim: int) -> npt.NDArray[np.float32]:
    """The features of a clip: none for every third one, else as many rows as its number says."""
    return np.full((0 if clip % 3 == 2 else clip + 1, dim), clip, np.float32)


def write(path: Path, clips: range, dim: int, *, recipe: str = "r", weights: str = "w", prefix: str = "clip") -> Path:
    attributes = {"backbone": "b", "recipe": recipe, "params": f'{{"setting": "{recipe}"}}', "weights_sha256": weights}
    with ShardWriter(path, dim, attributes, has_tokens=False) as writer:
        for clip in clips:
            found = rows(clip, dim)
            outcome = Outcome(f"{prefix}{clip}", "ok")
            writer.add(
                outcome,
                ClipFeatures(found, np.zeros(len(found), np.float32)),
                expected=len(found),
                input_digest=bytes(32),
            )
    return path


@pytest.fixture
def paths(tmp_path: Path) -> dict[str, list[Path]]:
    bounds = np.cumsum([0, *SIZES]).tolist()
    cuts = [range(start, end) for start, end in itertools.pairwise(bounds)]
    return {
        name: [write(tmp_path / f"{name}-{index}.h5", cut, dim) for index, cut in enumerate(cuts)]
        for name, dim in DIMS.items()
    }


def open_files(folder: Path) -> int:
    links = [link for link in Path("/proc/self/fd").iterdir() if link.exists()]
    return sum(link.resolve().is_relative_to(folder) for link in links)


def test_clips_of_all_shards_come_by_position(paths: dict[str, list[Path]]) -> None:
    clips = ShardedClips(paths)
    assert len(clips) == 8
    assert clips.clip_ids == tuple(f"clip{clip}" for clip in range(8))
    assert clips.modality_dims == DIMS
    for clip in (7, 0, 3, 2, 4, 6, 5, 1):
        found = clips[clip]
        assert list(found) == ["frames", "audio"]
        for name, dim in DIMS.items():
            np.testing.assert_array_equal(found[name], rows(clip, dim))


def test_positions_outside_are_refused(paths: dict[str, list[Path]]) -> None:
    clips = ShardedClips(paths)
    for position in (8, -1):
        with pytest.raises(IndexError, match=f"clip {position} of 8"):
            clips[position]


def test_few_files_are_open_however_many_shards(
    paths: dict[str, list[Path]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(features.formats.sharded_clips, "MIN_OPEN_SHARDS", 2)
    monkeypatch.setattr(
        features.formats.sharded_clips, "allow_open_files", lambda _: features.formats.sharded_clips.FILES_FOR_OTHERS
    )
    clips = ShardedClips(paths)
    clips.recipes()
    assert open_files(tmp_path) == 0
    for clip in (0, 3, 4, 0, 7, 3, 1, 2, 5):
        np.testing.assert_array_equal(clips[clip]["audio"], rows(clip, 4))
        # Of the other modality nothing was asked for.
        assert 1 <= open_files(tmp_path) <= 2


def test_shards_that_do_not_belong_together_are_named(paths: dict[str, list[Path]], tmp_path: Path) -> None:
    with pytest.raises(ShardError, match="audio and frames have different numbers of shards: run Extract again"):
        ShardedClips({**paths, "audio": paths["audio"][:2]})
    other = write(tmp_path / "other.h5", range(3), 4, prefix="other")
    with pytest.raises(ShardError, match=r"other\.h5 and .*frames-0\.h5 have different clips: run Extract again"):
        ShardedClips({**paths, "audio": [other, *paths["audio"][1:]]})
    with pytest.raises(ShardError, match="no modality to read"):
        ShardedClips({})


def test_a_recipe_names_what_made_the_features(paths: dict[str, list[Path]], tmp_path: Path) -> None:
    assert ShardedClips(paths).recipes() == dict.fromkeys(DIMS, '{"setting": "r", "weights_sha256": "w"}')
    other = write(tmp_path / "other.h5", range(4, 8), 4, recipe="s")
    told = (
        r"other\.h5 was made by b with recipe s and weights w, .*audio-0\.h5 by b with recipe r and weights w: delete"
    )
    with pytest.raises(ShardError, match=told):
        ShardedClips({**paths, "audio": [*paths["audio"][:2], other]}).recipes()
    other = write(tmp_path / "weights.h5", range(4, 8), 4, weights="v")
    with pytest.raises(
        ShardError, match=r"weights\.h5 was made by b with recipe r and weights v, .* weights w: delete"
    ):
        ShardedClips({**paths, "audio": [*paths["audio"][:2], other]}).recipes()


def test_shards_of_another_width_are_refused_by_name(paths: dict[str, list[Path]], tmp_path: Path) -> None:
    other = write(tmp_path / "other.h5", range(4, 8), 5)
    with pytest.raises(ShardError, match=r"other.h5 has features of width 5, .*audio-0.h5 of width 4: delete"):
        ShardedClips({**paths, "audio": [*paths["audio"][:2], other]})


def test_limit_of_open_files_is_raised_and_never_lowered() -> None:
    before, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
        assert allow_open_files(300) == 300
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (300, hard)
        assert allow_open_files(10) == 300
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (300, hard)
        if hard != resource.RLIM_INFINITY:
            assert allow_open_files(hard + 1) == hard
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (before, hard))
