"""A chain of stages with fake work, in this process: identity, completeness and publishing are the real ones."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from features.base.parallel import STOPPING
from pipeline.workflow import RunAll, chain
from tasks.config import load, run
from tasks.core import stage as stage_module
from tasks.core.receipts import FileReceipt
from tasks.core.sharded import ShardedStage
from tasks.stages.ablation import Ablation
from tasks.stages.crossvalidate import CrossValidate
from tasks.stages.decode import Decode
from tasks.stages.download import Download
from tasks.stages.evaluate import Evaluate
from tasks.stages.extract import Extract
from tasks.stages.manifest import Manifest, SampleCorpus
from tasks.stages.predict import Predict
from tasks.stages.recognize import Recognize
from tasks.stages.train import Train

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from tasks.config.schema import Settings
    from tasks.core.stage import Stage

    Configure = Callable[[Mapping[str, Mapping[str, str]]], None]

STAGES: tuple[type[Stage], ...] = (
    SampleCorpus, Manifest, Download, Decode, Recognize, Extract, Train, Predict, Ablation, Evaluate, CrossValidate
)  # fmt: skip


@pytest.fixture
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let the test act as the task process: it does not die with its parent and leaves its root unlocked."""
    monkeypatch.setattr(stage_module, "die_with_parent", lambda: None)
    monkeypatch.setattr(stage_module, "hold_root", lambda _: None)
    monkeypatch.setattr("pipeline.workflow.hold_root", lambda _: None)
    yield
    # Set by an error while shards are built side by side, for the rest of a process.
    STOPPING.clear()


@pytest.fixture
def built(configure: Configure, in_this_process: None, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Replace the work of every stage by one file; return the names of the stages that were built, as they are."""
    names: list[str] = []

    def build(self: Stage) -> tuple[Sequence[FileReceipt], int, Mapping[str, object]]:
        names.append(self.stage_name)
        name = f"shard-00000{self.suffix if isinstance(self, ShardedStage) else '.jsonl'}"
        (self.folder / name).write_text(f"{self.stage_name} {self.fingerprint}", encoding="utf-8")
        return [FileReceipt.of(self.folder, name, 1)], 1, {}

    for stage in STAGES:
        monkeypatch.setattr(stage, "build", build)
    monkeypatch.setattr(Train, "check_before_build", lambda _: None)
    monkeypatch.setattr(Decode, "ffmpeg_version", lambda _: "7.0.2")
    monkeypatch.setattr("pipeline.workflow.closing_table", lambda _: "")
    return names


def run_all(force: str = "") -> RunAll:
    """Run RunAll and all that it requires, in order, as far as it is not complete."""
    task = RunAll(force=force)
    if not task.complete():
        for stage in chain():
            if not stage.complete():
                stage.run()
        task.run()
    return task


@pytest.fixture
def finished(built: list[str]) -> list[str]:
    """A root on which RunAll is complete; return the list of what is built from now on."""
    run_all()
    built.clear()
    return built


@pytest.fixture
def parses(configure: Configure, monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Forget the settings and count from now on how often each section, and ``all`` of them, are parsed."""
    count: Counter[str] = Counter()
    read_section, read_settings = load.read_section, load.read_settings

    def counted_section(name: str, changes: Mapping[str, str] | None = None) -> object:
        count[name] += 1
        return read_section(name, changes)

    def counted_settings() -> Settings:
        count["all"] += 1
        return read_settings()

    monkeypatch.setattr(load, "read_section", counted_section)
    monkeypatch.setattr(run, "read_settings", counted_settings)
    configure({})
    return count
