"""Ablations through the command that people type, and in this process, on a small embedded corpus."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING

import numpy as np
import pytest
from sklearn.metrics import f1_score

from features.base.errors import StageFailedError
from features.formats.prediction_shard import PredictionShard
from features.manifests.corpus import read_splits
from models.ablation.runs import FailedRun
from models.prediction.predict import predict
from pipeline.commands.clean import clean
from pipeline.commands.status import read_status
from tasks.core import stage as stage_module
from tasks.stages import ablation as ablation_module
from tasks.stages.ablation import Ablation, read_ablation
from tasks.training.worker_pool import JobResult
from tests.end_to_end.run import wait_until
from tests.pipeline.learning import SETTINGS, VARIANTS, ablation_settings, accuracy_of, clips_of, records_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from tests.end_to_end.run import Workplace

    Configure = Callable[[Mapping[str, Mapping[str, str]]], None]


def _trainings(place: Workplace) -> dict[str, int]:
    """Run -> the moment at which its training ended."""
    files = (place.root / "ablation" / "runs").glob("*/training.json")
    return {path.parent.name: path.stat().st_mtime_ns for path in files}


@pytest.mark.slow
def test_an_ablation_that_is_stopped_goes_on_and_a_further_variant_runs_alone(place: Workplace) -> None:
    settings = ablation_settings(place, workers="2")
    # Long enough to be stopped on the way.
    place.configure({**settings, "train": {**SETTINGS["train"], "epochs": "40"}})
    before = _trainings(place)
    with place.start("Ablation") as process:
        wait_until(lambda: len(_trainings(place)) > len(before) or process.poll() is not None)
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM, output
    stopped = _trainings(place)

    further = ablation_settings(place, f"{VARIANTS}[dropout]\nnetwork.dropout = 0.5\n")
    place.configure({**further, "train": {**SETTINGS["train"], "epochs": "40"}})
    done = place.luigi("Ablation")

    assert done.returncode == 0, done.stdout
    finished = _trainings(place)
    # What was done before is kept, to the moment, though it was done for another list of variants.
    assert len(stopped) > len(before)
    assert stopped.items() <= finished.items()
    # Three trainings with two seeds; the variant that hides the sound shares one.
    assert len(finished) - len(before) == 6
    table = json.loads((place.root / "ablation" / "latest" / "ablation.json").read_text(encoding="utf-8"))
    names = ["default", "no sound", "fgm", "dropout", "majority", "logistic_regression"]
    assert sorted({run["variant"] for run in table["runs"]}) == sorted(names)
    assert len(table["runs"]) == 12
    assert all(name.replace("_", " ") in done.stdout for name in names)


@pytest.fixture(autouse=True)
def _unlocked(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is called in this process must not lock the place, for as long as the process lives, for those below."""
    for module in ("pipeline.commands.clean", "tasks.core.stage"):
        monkeypatch.setattr(f"{module}.hold_root", lambda _: None)


@pytest.fixture
def ablation(place: Workplace, configure: Configure, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ablation]:
    """The ablation of the place, in this process."""
    # The tests play the process of the task; it must not be told to die with anyone.
    monkeypatch.setattr(stage_module, "die_with_parent", lambda: None)
    place.configure(ablation_settings(place))
    assert place.luigi("Ablation").returncode == 0
    configure({**ablation_settings(place), "paths": {"root": str(place.root)}})
    yield Ablation()
    place.configure(ablation_settings(place))


@pytest.mark.slow
def test_a_run_is_scored_on_the_split_with_the_modalities_that_are_left(place: Workplace, ablation: Ablation) -> None:
    splits, clips, records = read_splits(place.root / "manifest" / "latest"), clips_of(place), records_of(place)
    scored = np.array([row for row, clip_id in enumerate(clips.clip_ids) if splits[clip_id] == "validation"])
    for run in ablation.runs()[:2]:
        # The calibration beside the checkpoint was fitted to these very clips.
        assert (run.plan.folder / "calibration.json").exists()
        found = predict(
            run.plan.folder,
            clips,
            scored,
            feature_recipes=clips.recipes(),
            calibrated=False,
            hidden=run.scoring.hidden,
        )
        labels = json.loads((run.plan.folder / "model.json").read_text(encoding="utf-8"))
        shard = PredictionShard(
            tuple(clips.clip_ids[row] for row in scored),
            tuple(labels["category_names"]),
            tuple(labels["tag_names"]),
            found.category_scores,
            found.tag_scores,
            found.embedding,
        )
        expected = accuracy_of(shard, records, range(len(scored)))
        assert run.result().metrics["category accuracy"] == pytest.approx(expected)
        known = [row for row, clip_id in enumerate(shard.clip_ids) if records[clip_id].tags is not None]
        tags = np.array([[tag in (records[shard.clip_ids[row]].tags or ()) for tag in shard.tags] for row in known])
        micro_f1 = f1_score(tags, found.tag_scores[known] >= 0.5, average="micro", zero_division=0)
        assert run.result().metrics["tag micro_f1"] == pytest.approx(micro_f1)
        hidden = ("audio",) if run.variant == "no sound" else ()
        assert run.scoring.hidden == hidden
    text = (ablation.folder / "ablation.md").read_text(encoding="utf-8")
    assert "Scored on the validation split. Its clips also choose the epoch" in text


@pytest.mark.slow
def test_a_run_whose_process_dies_is_reported_and_the_others_are_in_the_table(
    ablation: Ablation, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lost = next(run for run in ablation.runs() if (run.variant, run.seed) == ("fgm", 1))
    kept = [(path, path.read_bytes()) for path in lost.files()]
    for path, _ in kept:
        path.unlink()
    (ablation.folder / "_SUCCESS.json").unlink()
    asked: list[object] = []

    def die(command: Sequence[str], jobs: Sequence[object], num_workers: int) -> Iterator[JobResult]:
        asked.extend(jobs)
        yield JobResult(0, None, "killed by signal 9")

    monkeypatch.setattr(ablation_module, "run_jobs", die)
    with pytest.raises(
        StageFailedError, match=r"1 run\(s\) ended with their process \(killed by signal 9\).*attempts them"
    ):
        ablation.run()

    assert len(asked) == 1
    assert not ablation.complete()
    assert "fgm, seed 1, failed: killed by signal 9" in capsys.readouterr().err
    table = read_ablation(ablation.folder)
    assert {run.seed for run in table.runs if run.variant == "fgm"} == {0}
    assert {run.seed for run in table.runs if run.variant == "no sound"} == {0, 1}
    assert table.failures == (FailedRun("fgm", 1, "killed by signal 9"),)
    for path, content in kept:
        path.write_bytes(content)


@pytest.mark.slow
def test_a_run_that_cannot_be_is_a_row_less_and_no_failure(
    ablation: Ablation, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lost = next(run for run in ablation.runs() if (run.variant, run.seed) == ("fgm", 0))
    kept = [(path, path.read_bytes()) for path in lost.files()]
    for path, _ in kept:
        path.unlink()
    (ablation.folder / "_SUCCESS.json").unlink()

    def refuse(command: Sequence[str], jobs: Sequence[object], num_workers: int) -> Iterator[JobResult]:
        yield JobResult(0, {"error": "the loss became infinite"})

    monkeypatch.setattr(ablation_module, "run_jobs", refuse)
    ablation.run()

    assert ablation.complete()
    assert ablation.published_success().facts["failed"] == ["fgm, seed 0"]
    assert "fgm, seed 0, failed: the loss became infinite" in capsys.readouterr().err
    assert read_ablation(ablation.folder).failures == (FailedRun("fgm", 0, "the loss became infinite"),)
    for name in ("ablation.md", "report.html"):
        assert "fgm (seed 0): the loss became infinite" in (ablation.folder / name).read_text(encoding="utf-8")
    for path, content in kept:
        path.write_bytes(content)


@pytest.mark.slow
def test_clean_names_the_runs_of_other_variants_alone_and_status_tells_of_all(
    place: Workplace, ablation: Ablation, configure: Configure
) -> None:
    used = {run.plan.folder.name for run in ablation.runs()}
    configure({**ablation_settings(place), "paths": {"root": str(place.root)}})
    names = [row["stage"] for row in read_status()["stages"]]
    assert {"train-fold-0", "train-fold-1", "crossvalidate", "ablation"} <= set(names)
    assert len(set(names)) == len(names)

    others = {
        item.path.rpartition("/")[2] for item in clean(delete=False) if item.reason == "a run of another ablation"
    }

    assert used.isdisjoint(others)
    assert others == {name for name in _trainings(place) if name not in used}
    fewer = ablation_settings(place, "[default]\n")
    configure({**fewer, "paths": {"root": str(place.root)}})
    more = {item.path.rpartition("/")[2] for item in clean(delete=False) if item.reason == "a run of another ablation"}
    assert more - others == used - {run.plan.folder.name for run in Ablation().runs()}
    assert len(more - others) == 2


@pytest.mark.slow
def test_force_does_every_run_again(ablation: Ablation, monkeypatch: pytest.MonkeyPatch) -> None:
    forgotten: list[Path] = []
    monkeypatch.setattr(ablation_module, "forget", forgotten.extend)
    folders = {ablation.baselines().folder, *(run.plan.folder for run in ablation.runs())}

    assert ablation.complete()
    Ablation(force="Ablation").run()

    assert set(forgotten) == folders
    assert len(forgotten) == len(folders) == 5


@pytest.mark.slow
def test_a_wrong_variant_ends_the_command_before_anything_runs(place: Workplace) -> None:
    place.configure(ablation_settings(place, "[default]\nnetwork.fusin = concat\n"))
    before = sorted(place.root.glob("ablation/*"))

    done = place.luigi("Ablation")

    assert done.returncode == 40
    line = next(line for line in done.stdout.splitlines() if line.startswith("error:"))
    assert "[default] of " in line
    assert "[network] has no 'fusin': did you mean 'fusion'?" in line
    assert sorted(place.root.glob("ablation/*")) == before
