from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from features.base.parallel import STOPPING
from tests.features.fetches import Fetches
from tests.features.media import render_clip, render_picture
from tests.features.server import Site, serve

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of tiny media that no test changes."""
    folder = tmp_path_factory.mktemp("media")
    render_clip(folder / "both.mp4")
    render_clip(folder / "silent.mp4", sound=False)
    render_clip(folder / "sound.mp4", picture=False)
    render_clip(folder / "portrait.mp4", size="48x96", sound=False)
    render_clip(folder / "odd.mkv", size="65x49", seconds=1, options=("-c:v", "ffv1"), sound=False)
    render_clip(folder / "short.mp4", seconds=0.1, sound=False)
    render_clip(folder / "large.mp4", size="640x360", rate=25, seconds=3)
    render_picture(folder / "cover.jpg")
    render_picture(folder / "cover.png")
    render_picture(folder / "cover.webp")
    (folder / "page.mp4").write_text("<!DOCTYPE html><html><body>404</body></html>", encoding="utf-8")
    (folder / "empty.mp4").touch()
    whole = (folder / "large.mp4").read_bytes()
    (folder / "tenth.mp4").write_bytes(whole[: len(whole) // 10])
    (folder / "half.mp4").write_bytes(whole[: len(whole) // 2])
    return folder


@pytest.fixture
def site() -> Iterator[Site]:
    """A web server on the loopback interface."""
    with serve() as running:
        yield running


@pytest.fixture
def fetches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fetches:
    """What fetches from that server, without pauses between attempts."""
    STOPPING.clear()
    made = Fetches(tmp_path / "store")

    def draw(_low: float, high: float) -> float:
        made.longest_pauses.append(high)
        return 0.0

    monkeypatch.setattr("features.downloads.fetching.random.uniform", draw)
    return made


@pytest.fixture
def f32_openvino(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let OpenVINO compute in f32 where the processor has bf16 too, for tests that compare many digits."""
    monkeypatch.setattr("features.backbones.runtime.runner.openvino_precisions", lambda: ("f32",))
