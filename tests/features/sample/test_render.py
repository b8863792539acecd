import json
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import pytest
from PIL import Image, UnidentifiedImageError

from features.base.errors import SettingError, ToolError
from features.sample.config import SampleConfig
from features.sample.filming import build_world, count_frames, film_clip
from features.sample.plan import ClipPlan, plan_corpus
from features.sample.render import encode_clip, render_corpus
from features.sample.sound import record_sound

CONFIG = SampleConfig(num_clips=24, width=96, height=72)
FFMPEG = imageio_ffmpeg.get_ffmpeg_exe()


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    assert render_corpus(CONFIG, folder, ffmpeg=FFMPEG, workers=1) == 24
    return folder


def decode(path: Path, *options: str) -> list[str]:
    """Return the hash of every decoded frame and block of sound; of a damaged file what can be read."""
    argv = [FFMPEG, "-v", "quiet", "-i", str(path), *options, "-f", "framemd5", "-"]
    lines = subprocess.run(argv, capture_output=True, text=True, check=False).stdout.splitlines()
    return [line.split(",")[-1].strip() for line in lines if not line.startswith("#")]


def read_rows(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "manifest.jsonl").read_text("utf-8").splitlines()]


def by_damage(damage: str) -> ClipPlan:
    return next(plan for plan in plan_corpus(CONFIG) if plan.damage == damage)


def test_a_second_rendering_gives_the_same_whatever_its_workers_and_what_a_killed_one_left(
    corpus: Path, tmp_path: Path
) -> None:
    names = sorted(path.name for path in (corpus / "media").iterdir())
    (tmp_path / "media").mkdir()
    (tmp_path / "media" / names[1]).write_bytes(b"half a file")
    (tmp_path / ".tmp-killed-manifest.jsonl").write_text("half a row")
    ticks: list[int] = []
    render_corpus(CONFIG, tmp_path, ffmpeg=FFMPEG, workers=3, on_clip=lambda: ticks.append(1))
    assert len(ticks) == 24
    assert sorted(path.name for path in tmp_path.iterdir()) == ["manifest.jsonl", "media"]
    assert sorted(path.name for path in (tmp_path / "media").iterdir()) == names
    assert (tmp_path / "manifest.jsonl").read_bytes() == (corpus / "manifest.jsonl").read_bytes()
    for name in names:
        one, other = corpus / "media" / name, tmp_path / "media" / name
        if name.endswith(".mp4"):
            assert decode(one) == decode(other)
        else:
            assert one.read_bytes() == other.read_bytes()


def test_rows_name_files_that_exist_and_leave_out_what_is_missing(corpus: Path) -> None:
    rows = read_rows(corpus)
    plans = plan_corpus(CONFIG)
    assert [row["id"] for row in rows] == [plan.clip_id for plan in plans]
    for row, plan in zip(rows, plans, strict=True):
        assert (corpus / row["video"]).is_file()
        assert ("cover" in row, "text" in row) == (plan.has_cover, bool(plan.title))
        assert ("category" in row, "tags" in row) == (plan.has_category, plan.has_tags)
        assert not plan.has_cover or (corpus / row["cover"]).is_file()
        assert set(row.get("tags", plan.tags)) == plan.tags


def test_whole_clips_hold_every_frame_and_sound_where_planned(corpus: Path) -> None:
    plans = [plan for plan in plan_corpus(CONFIG) if plan.damage in {"", "cover"}]
    assert any(not plan.has_sound for plan in plans)
    for plan in plans:
        path = corpus / "media" / f"{plan.clip_id}.mp4"
        assert len(decode(path, "-map", "0:v")) == count_frames(plan, CONFIG)
        assert bool(decode(path, "-vn")) == plan.has_sound


def test_damaged_files_are_damaged_each_in_its_way(corpus: Path) -> None:
    media = corpus / "media"
    assert (media / f"{by_damage('html').clip_id}.mp4").read_bytes().startswith(b"<!DOCTYPE html>")
    assert (media / f"{by_damage('empty').clip_id}.mp4").stat().st_size == 0
    truncated = by_damage("truncated")
    frames = decode(media / f"{truncated.clip_id}.mp4", "-map", "0:v")
    assert 0 < len(frames) < 0.9 * count_frames(truncated, CONFIG)
    with pytest.raises(UnidentifiedImageError), Image.open(media / f"{by_damage('cover').clip_id}.jpg"):
        pass


@pytest.mark.parametrize(("forward", "backward"), [("pan right", "pan left"), ("fade in", "fade out")])
def test_sampled_frames_of_a_pair_are_the_same_ones_in_opposite_order(
    forward: str, backward: str, tmp_path: Path
) -> None:
    base = plan_corpus(CONFIG)[0]
    sampled = {}
    for move in (forward, backward):
        plan = replace(base, move=move)
        frames = film_clip(build_world(plan, CONFIG), plan, CONFIG)
        target = tmp_path / f"{move}.mp4"
        sound = record_sound(plan, CONFIG)
        encode_clip(frames, sound, target, ffmpeg=FFMPEG, frames_per_second=CONFIG.frames_per_second)
        sampled[move] = decode(target, "-map", "0:v", "-vf", "fps=2:round=up")
    assert len(set(sampled[forward])) == base.half_seconds + 1
    assert sampled[forward] == sampled[backward][::-1]


@pytest.fixture
def broken_ffmpeg(tmp_path: Path) -> Path:
    program = tmp_path / "ffmpeg"
    program.write_text("#!/bin/sh\necho 'Unknown encoder libx264' >&2\nexit 8\n")
    program.chmod(0o755)
    return program


def test_an_ffmpeg_that_cannot_encode_is_an_error_and_leaves_no_manifest(broken_ffmpeg: Path, tmp_path: Path) -> None:
    with pytest.raises(ToolError, match=r"exit code 8, Unknown encoder libx264; use an ffmpeg with libx264"):
        render_corpus(CONFIG, tmp_path / "out", ffmpeg=str(broken_ffmpeg))
    assert not (tmp_path / "out" / "manifest.jsonl").exists()


def test_a_missing_ffmpeg_is_named(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="cannot start /nowhere/ffmpeg"):
        render_corpus(CONFIG, tmp_path, ffmpeg="/nowhere/ffmpeg")


def test_no_workers_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="workers = 0 is too small; use 1 or more"):
        render_corpus(CONFIG, tmp_path, ffmpeg=FFMPEG, workers=0)
