"""Decode: what runs side by side, whose processor time counts, and which media are deleted when."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest

from features.base.errors import StageFailedError
from features.base.outcomes import Outcome
from features.base.parallel import WorkerPool
from features.decoding.shard import Decoding
from features.formats.tar_shard import TarShardWriter
from tasks.config.run import settings
from tasks.core.stage import root_folder
from tasks.stages import decode as decode_module
from tasks.stages.decode import Decode
from tasks.stages.download import Download
from tests.tasks.stages.small import CLIPS, publish_manifest, write_manifest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from features.decoding.config import DecodeConfig
    from features.downloads.download_rows import DownloadedClip, MediaFile
    from tests.tasks.stages.small import Configure

pytestmark = pytest.mark.usefixtures("in_this_process")
FAILURES: dict[str, str] = {}


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Path | None]]:
    """Decode without ffmpeg: clips in FAILURES fail; return the clips, each with the older shard, as they come."""
    seen: list[tuple[str, Path | None]] = []
    FAILURES.clear()

    def decode_shard(
        clips: Sequence[DownloadedClip],
        config: DecodeConfig,
        locate: Callable[[MediaFile], Path],
        path: Path,
        pool: object,
        on_clip: Callable[[], None],
        previous: Path | None,
    ) -> Decoding:
        assert config == settings().decode
        outcomes = []
        with TarShardWriter(path) as writer:
            for clip in clips:
                name = clip.outcome.clip_id
                assert clip.video is not None
                assert locate(clip.video).is_file()
                seen.append((name, previous))
                code = FAILURES.get(name, "")
                outcomes.append(Outcome(name, "failed" if code else "ok", code))
                writer.add(outcomes[-1], io.BytesIO(b"frames"), None, {})
                on_clip()
        return Decoding(tuple(outcomes), 0.5)

    monkeypatch.setattr("tasks.stages.decode.decode_shard", decode_shard)
    monkeypatch.setattr(Decode, "ffmpeg_version", lambda _: "7.0.2")
    return seen


@pytest.fixture
def swept(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Record the calls of the collector of media."""
    told: list[object] = []

    class Spy:
        def __init__(self, folder: Path, rows: Mapping[str, Path]) -> None:
            assert folder == root_folder() / "media"
            assert {name: path.name for name, path in rows.items()} == {
                f"shard-0000{number}.tar": f"shard-0000{number}.jsonl" for number in range(3)
            }

        def shard_done(self, name: str, *, keep: set[str], hold: set[str]) -> None:
            told.append((name, keep, hold))

        def finish(self) -> None:
            told.append("finish")

    monkeypatch.setattr("features.downloads.store.MediaCollector", Spy)
    return told


def _downloaded(configure: Configure, folder: Path, **sections: Mapping[str, str]) -> None:
    publish_manifest(configure, write_manifest(folder / "corpus"), **sections)
    Download().run()


def test_every_clip_of_every_shard_is_decoded_and_ffmpegs_time_is_counted(
    configure: Configure, tmp_path: Path, decoded: list[tuple[str, Path | None]]
) -> None:
    _downloaded(configure, tmp_path)

    Decode().run()

    assert sorted(name for name, _ in decoded) == list(CLIPS)
    found = Decode().published_success()
    assert found.file_names(".tar") == [f"shard-0000{number}.tar" for number in range(3)]
    assert found.totals["ok"] == 5
    assert found.timings["child_cpu_seconds"] == 1.5
    assert set(found.timings) == {"child_cpu_seconds", "wall_seconds"}
    assert not list(Decode().folder.glob(".tmp-*"))


def test_transient_failures_are_attempted_again_beside_the_shard_of_before(
    configure: Configure, tmp_path: Path, decoded: list[tuple[str, Path | None]]
) -> None:
    _downloaded(configure, tmp_path)
    FAILURES.update(a="decode_timeout", c="no_video_stream")
    stage = Decode()
    configured = settings().decode.max_failed_fraction
    assert stage.max_failed_fraction() == configured
    with pytest.raises(StageFailedError, match="2 of 5 clips failed"):
        stage.run()
    decoded.clear()
    FAILURES.clear()

    stage.run()

    previous = stage.folder / "shard-00000.tar"
    assert sorted(decoded) == [("a", previous), ("b", previous)]
    # Another attempt would meet the rest again.
    assert stage.published_success().codes == {"no_video_stream": 1}


def test_media_are_kept_where_that_is_configured(
    configure: Configure, tmp_path: Path, decoded: list[object], swept: list[object]
) -> None:
    _downloaded(configure, tmp_path)
    Decode().run()
    assert swept == []


def test_media_are_released_shard_by_shard_and_those_of_failed_clips_at_the_end(
    configure: Configure, tmp_path: Path, decoded: list[object], swept: list[object]
) -> None:
    FAILURES.update(b="decode_timeout", c="no_video_stream")
    _downloaded(configure, tmp_path, download={"keep_media": "false"}, decode={"max_failed_fraction": "0.5"})

    Decode().run()

    shards = sorted((row for row in swept if row != "finish"), key=str)
    assert shards == [
        # A failure that may pass needs its file again; one that has come to stay may yet fail the stage.
        ("shard-00000.tar", {"b"}, {"b"}),
        ("shard-00001.tar", set(), {"c"}),
        ("shard-00002.tar", set(), set()),
    ]
    assert swept[-1] == "finish"
    assert swept.count("finish") == 1


def test_a_stage_that_failed_with_its_clips_deletes_none_of_their_files(
    configure: Configure, tmp_path: Path, decoded: list[object], swept: list[object]
) -> None:
    FAILURES.update(dict.fromkeys(CLIPS[:3], "no_video_stream"))
    _downloaded(configure, tmp_path, download={"keep_media": "false"})

    with pytest.raises(StageFailedError):
        Decode().run()

    assert len(swept) == 3
    assert "finish" not in swept


def test_shards_of_an_earlier_run_release_their_media_too(
    configure: Configure, tmp_path: Path, decoded: list[object], swept: list[object]
) -> None:
    _downloaded(configure, tmp_path, download={"keep_media": "false"})
    Decode().run()
    swept.clear()
    (Decode().folder / "shard-00001.tar").unlink()

    Decode().run()

    assert [row[0] for row in swept if isinstance(row, tuple)] == [
        "shard-00000.tar", "shard-00002.tar", "shard-00001.tar"
    ]  # fmt: skip


@pytest.mark.parametrize("workers", ["0", "3"])
def test_ffmpeg_runs_in_as_many_workers_as_configured_or_one_a_cpu(
    configure: Configure, tmp_path: Path, decoded: list[object], monkeypatch: pytest.MonkeyPatch, workers: str
) -> None:
    _downloaded(configure, tmp_path, decode={"workers": workers})
    numbers: list[int] = []
    monkeypatch.setattr(decode_module, "num_cpus", lambda: 2)

    def pool(number: int) -> WorkerPool:
        numbers.append(number)
        return WorkerPool(number)

    monkeypatch.setattr(decode_module, "WorkerPool", pool)

    Decode().run()

    assert numbers == [int(workers) or 2]


def test_the_identity_names_the_version_of_the_ffmpeg_that_is_configured(
    configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure({"decode": {"ffmpeg": "/my/ffmpeg"}})
    monkeypatch.setattr(decode_module, "find_ffmpeg", lambda name: f"found {name}")
    monkeypatch.setattr(decode_module, "ffmpeg_version", lambda path: f"version of {path}")

    stage = Decode()

    assert stage.identity_settings()["ffmpeg_version"] == "version of found /my/ffmpeg"
    assert "ffmpeg" not in stage.sampling()
    assert "ffmpeg_version" not in stage.sampling()
    assert dict(stage.identity_settings()) == {**stage.sampling(), "ffmpeg_version": "version of found /my/ffmpeg"}
    assert stage.can_retry
