from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from features.base.errors import ShardError, SourceError
from features.base.outcomes import Outcome
from features.decoding.config import DecodeConfig
from features.formats.tar_shard import TarShardWriter
from features.inspect import inspect_decoded as decoded_module
from features.inspect.inspect_decoded import inspect_decoded
from features.inspect.result import InspectQuery
from tests.features.inspect.published import records
from tests.features.media import ClipParts, add_parts, decode_to, downloaded, read_parts

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def shard(media: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("looking") / "a.tar"
    clips = [
        downloaded(media / "empty.mp4", clip_id="empty"),
        downloaded(media / "both.mp4", media / "cover.jpg", clip_id="both"),
        downloaded(media / "sound.mp4", clip_id="sound"),
    ]
    decode_to(path, clips, DecodeConfig(workers=1, frames_per_second=5.0, motion_frames_per_second=10.0))
    return path


def test_a_decoded_shard_shows_its_account_and_its_first_decoded_clip(shard: Path) -> None:
    found = inspect_decoded(shard, InspectQuery(records=records({"both": "nature"})))
    assert found.values["clips"] == {
        "rows": 3, "ok": 1, "partial": 1, "failed": 1, "invalid_data": 1, "no_video_stream": 1
    }  # fmt: skip
    clip = found.values["clip"]
    assert (clip["clip_id"], clip["outcome"]) == ("both", "ok")
    assert (clip["category"], clip["title"]) == ("nature", "film of both")
    assert clip["frames_shape"] == [10, 48, 64, 3]
    assert clip["time_seconds"] == pytest.approx([number / 5 for number in range(10)])
    assert clip["motion_shape"] == [20, 48, 64, 3]
    assert clip["motion_time_seconds"][:3] == pytest.approx([0, 0.1, 0.2])
    assert clip["cover_shape"] == [48, 64, 3]
    assert clip["sound_seconds"] == pytest.approx(2, abs=0.1)
    assert 0 < clip["sound_root_mean_square"] < clip["sound_peak"] <= 1
    assert [drawing.name for drawing in found.drawings] == ["frames", "motion", "cover", "sound"]


def test_every_picture_of_a_clip_is_drawn(shard: Path, tmp_path: Path) -> None:
    sizes = {}
    for drawing in inspect_decoded(shard, InspectQuery("both")).drawings:
        drawing.draw(tmp_path / f"{drawing.name}.png")
        with Image.open(tmp_path / f"{drawing.name}.png") as picture:
            assert picture.format == "PNG"
            sizes[drawing.name] = picture.size
    # Pictures of 213 x 160 in two rows of six and four rows of six.
    assert sizes["frames"] == (6 * 221 + 8, 36 + 2 * 188)
    assert sizes["motion"] == (6 * 221 + 8, 36 + 4 * 188)
    assert sizes["sound"][0] > 1000


def test_of_many_frames_evenly_chosen_ones_are_shown(
    shard: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoded_module, "MAX_FRAMES", 3)
    frames = inspect_decoded(shard, InspectQuery("both")).drawings[0]
    assert frames.caption == "3 of 10 frames, with their times"
    frames.draw(tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.size == (3 * 221 + 8, 36 + 188)


def test_one_decoded_clip_is_chosen_by_its_id(shard: Path) -> None:
    failed = inspect_decoded(shard, InspectQuery("empty"))
    assert failed.values["clip"]["outcome"].startswith("failed invalid_data ")
    assert failed.drawings == ()
    sound = inspect_decoded(shard, InspectQuery("sound"))
    assert "frames_shape" not in sound.values["clip"]
    assert [drawing.name for drawing in sound.drawings] == ["sound"]
    with pytest.raises(SourceError, match="has no clip 'nobody'"):
        inspect_decoded(shard, InspectQuery("nobody"))


def test_a_shard_without_clips_or_without_decoded_ones_is_shown(tmp_path: Path) -> None:
    with TarShardWriter(tmp_path / "a.tar"):
        pass
    assert inspect_decoded(tmp_path / "a.tar", InspectQuery()).values["clips"]["rows"] == 0
    with TarShardWriter(tmp_path / "b.tar") as writer:
        add_parts(writer, ClipParts(Outcome("only", "failed", "http_404")))
    assert inspect_decoded(tmp_path / "b.tar", InspectQuery()).values["clip"]["outcome"] == "failed http_404"


def test_damage_is_one_clear_line(shard: Path, tmp_path: Path) -> None:
    (tmp_path / "rubbish.tar").write_bytes(b"rubbish" * 1000)
    with pytest.raises(ShardError, match="is damaged"):
        inspect_decoded(tmp_path / "rubbish.tar", InspectQuery())
    whole = next(clip for clip in read_parts(shard) if clip.outcome.clip_id == "both")
    assert whole.matroska is not None
    assert whole.cover is not None
    broken = {
        "film": ClipParts(whole.outcome, b"no film" * 99, None),
        "cover": ClipParts(whole.outcome, None, whole.cover[: len(whole.cover) // 2]),
        "no cover": ClipParts(whole.outcome, None, b"no cover"),
    }
    for name, clip in broken.items():
        with TarShardWriter(tmp_path / f"{name}.tar") as writer:
            add_parts(writer, clip)
        with pytest.raises(ShardError, match=r"cannot be (read|opened|decoded).*again") as caught:
            inspect_decoded(tmp_path / f"{name}.tar", InspectQuery())
        assert "\n" not in str(caught.value)


def test_only_the_chosen_clip_is_read(tmp_path: Path, shard: Path) -> None:
    # Another clip's film is rubbish: it is not looked at.
    whole = next(clip for clip in read_parts(shard) if clip.outcome.clip_id == "both")
    with TarShardWriter(tmp_path / "a.tar") as writer:
        add_parts(writer, ClipParts(Outcome("bad", "ok"), b"rubbish" * 99, b"rubbish"))
        add_parts(writer, whole)
    clip = inspect_decoded(tmp_path / "a.tar", InspectQuery("both")).values["clip"]
    assert np.prod(clip["frames_shape"]) == 10 * 48 * 64 * 3
