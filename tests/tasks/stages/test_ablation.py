"""Ablation: what is identity, which runs are missing, and what of their failures fails the stage."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from features.base.errors import StageFailedError
from tasks.stages import ablation as ablation_module
from tasks.stages.ablation import DATA_NAME, DOCUMENT_NAME, MARKDOWN_NAME, PAGE_NAME, Ablation, read_ablation
from tasks.stages.dataset import extract_stages
from tasks.stages.decode import Decode
from tasks.stages.download import Download
from tasks.training.ablation_runs import TRAINING_NAME
from tasks.training.training_job import TrainingData
from tasks.training.worker_pool import JobResult
from tests.tasks.stages.small import publish, publish_manifest, shards, write_manifest

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence
    from pathlib import Path

    from tests.tasks.stages.small import Configure

pytestmark = pytest.mark.usefixtures("in_this_process")

VARIANTS = "[default]\n[hidden]\npredict.hidden = audio\n[fgm]\ntrain.adversarial = fgm\n"
SCORES = {"category accuracy": 0.5, "tag map": 0.25}
# Variant -> how its runs go wrong.
ERRORS: dict[str, str] = {}
DEATHS: dict[str, str] = {}


def _configure(configure: Configure, folder: Path, text: str = VARIANTS, **ablation: str) -> None:
    path = folder / "variants.ini"
    path.write_text(text, encoding="utf-8")
    publish_manifest(
        configure,
        write_manifest(folder / "corpus"),
        features={"modalities": "text, audio"},
        ablation={"variants": str(path), "seeds": "2", **ablation},
    )
    for stage in (Download(), Decode(), *extract_stages().values()):
        publish(stage, shards(stage.suffix))


@pytest.fixture
def asked(configure: Configure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Do the runs without a network; return the jobs that the workers were given."""
    monkeypatch.setattr(Decode, "ffmpeg_version", lambda _: "7.0.2")
    _configure(configure, tmp_path)
    ERRORS.clear()
    DEATHS.clear()
    jobs_done: list[dict[str, Any]] = []

    def run_jobs(
        command: Sequence[str], jobs: Sequence[dict[str, Any]], num_workers: int
    ) -> Generator[JobResult, None, None]:
        assert command[-1].endswith(DATA_NAME)
        for number, job in enumerate(jobs):
            jobs_done.append(job)
            kind = "baselines" if "baselines" in job else job["plan"]["train"]["adversarial"]
            if kind in DEATHS:
                yield JobResult(number, None, DEATHS[kind])
                continue
            if kind not in ERRORS:
                _write(job)
            yield JobResult(number, {"error": ERRORS.get(kind, "")})

    monkeypatch.setattr(ablation_module, "run_jobs", run_jobs)
    return jobs_done


def _write(job: Mapping[str, Any]) -> None:
    """Leave what a worker leaves of a job."""
    if "baselines" in job:
        path = ablation_module.Ablation().baselines().file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(dict.fromkeys(("majority", "logistic_regression"), SCORES)), encoding="utf-8")
        return
    runs = [run for run in Ablation().runs() if str(run.plan.folder) == job["plan"]["folder"]]
    for run in runs:
        run.plan.folder.mkdir(parents=True, exist_ok=True)
        (run.plan.folder / TRAINING_NAME).write_text(
            '{"num_parameters": 7, "seconds_per_epoch": 0.5}', encoding="utf-8"
        )
        run.files()[1].write_text(json.dumps(SCORES), encoding="utf-8")


def _adversarial(jobs: Sequence[Mapping[str, Any]]) -> list[str]:
    return ["baselines" if "baselines" in job else job["plan"]["train"]["adversarial"] for job in jobs]


def test_every_training_is_done_once_and_summed_up(asked: list[dict[str, Any]]) -> None:
    stage = Ablation()

    stage.run()

    # The variant that hides sound shares the training of the default.
    assert _adversarial(asked) == ["baselines", "none", "fgm", "none", "fgm"]
    found = stage.published_success()
    assert [item.name for item in found.files] == [DOCUMENT_NAME, MARKDOWN_NAME, PAGE_NAME]
    assert found.facts == {"runs": 6, "failed": []}
    table = read_ablation(stage.folder)
    assert [row.name for row in table.variants][:3] == ["default", "hidden", "fgm"]
    assert {row.name for row in table.variants[3:]} == {"majority", "logistic_regression"}
    assert table.reference == "default"
    data = TrainingData.read(stage.folder / DATA_NAME)
    assert list(data.shards) == ["text", "audio"]
    assert len(data.splits) == 5


def test_runs_that_are_there_are_not_done_again(
    configure: Configure, tmp_path: Path, asked: list[dict[str, Any]]
) -> None:
    Ablation().run()
    first = Ablation().folder
    asked.clear()
    _configure(configure, tmp_path, VARIANTS + "[pgd]\ntrain.adversarial = pgd\n")

    Ablation().run()

    assert Ablation().folder != first
    assert _adversarial(asked) == ["pgd", "pgd"]
    asked.clear()
    run = Ablation().runs()[0]
    run.files()[0].unlink()
    (Ablation().folder / "_SUCCESS.json").unlink()
    Ablation().run()
    assert _adversarial(asked) == ["none"]


def test_force_does_all_of_them_again(asked: list[dict[str, Any]]) -> None:
    Ablation().run()
    before = _adversarial(asked)
    asked.clear()
    Ablation(force="Ablation").run()
    assert _adversarial(asked) == before


def test_a_variant_that_cannot_be_trained_is_a_row_less(
    asked: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    ERRORS["fgm"] = "the loss is not finite"

    Ablation().run()

    assert Ablation().published_success().facts == {"runs": 6, "failed": ["fgm, seed 0", "fgm, seed 1"]}
    assert "ablation        fgm, seed 0, failed: the loss is not finite" in capsys.readouterr().err
    table = read_ablation(Ablation().folder)
    assert "fgm" not in [row.name for row in table.variants]
    assert [(row.variant, row.seed, row.reason) for row in table.failures] == [
        ("fgm", 0, "the loss is not finite"), ("fgm", 1, "the loss is not finite")
    ]  # fmt: skip
    assert Ablation().complete()


def test_a_process_that_died_fails_the_stage_which_attempts_it_again(asked: list[dict[str, Any]]) -> None:
    DEATHS["fgm"] = "killed by signal 9"
    with pytest.raises(StageFailedError, match=r"2 run\(s\) ended with their process \(killed by signal 9\)"):
        Ablation().run()
    # What there is can be read meanwhile.
    assert (Ablation().folder / MARKDOWN_NAME).is_file()
    assert not Ablation().complete()
    DEATHS.clear()
    asked.clear()

    Ablation().run()

    assert _adversarial(asked) == ["fgm", "fgm"]
    assert Ablation().complete()


def test_baselines_that_failed_are_told_by_their_names(asked: list[dict[str, Any]]) -> None:
    ERRORS["baselines"] = "no clip is labelled"
    Ablation().run()
    assert Ablation().published_success().facts["failed"] == ["majority", "logistic_regression"]
    assert len(read_ablation(Ablation().folder).variants) == 3


def test_values_are_identity_and_the_file_that_holds_them_is_not(
    configure: Configure, tmp_path: Path, asked: list[dict[str, Any]]
) -> None:
    before = Ablation().fingerprint
    (tmp_path / "elsewhere").mkdir()

    def fingerprint(text: str = VARIANTS, **ablation: str) -> str:
        path = tmp_path / "elsewhere" / "other.ini"
        path.write_text(text, encoding="utf-8")
        _configure(configure, tmp_path, **{"variants": str(path), **ablation})
        return Ablation().fingerprint

    assert fingerprint() == before
    assert fingerprint("# a comment\n" + VARIANTS) == before
    assert fingerprint(workers="3") == before
    assert fingerprint(VARIANTS.replace("fgm]", "renamed]")) != before
    assert fingerprint(VARIANTS.replace("= audio", "= text")) != before
    assert fingerprint(split="test") != before
    assert fingerprint(seeds="3") != before


def test_a_wrong_variant_is_named_before_anything_runs(
    configure: Configure, tmp_path: Path, asked: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    _configure(configure, tmp_path, VARIANTS + "[x]\nnetwork.fusion = glue\n")
    with pytest.raises(SystemExit) as stopped:
        Ablation()
    assert stopped.value.code == 40
    assert "[x] of " in capsys.readouterr().err
    assert asked == []


def test_all_ablations_of_a_root_share_their_runs(asked: list[dict[str, Any]]) -> None:
    stage = Ablation()
    assert stage.runs_folder() == stage.folder.parent / "runs"
    assert {run.plan.folder.parent for run in stage.runs()} == {stage.runs_folder()}
    assert stage.baselines().folder.parent == stage.runs_folder()
    assert Ablation.is_training
