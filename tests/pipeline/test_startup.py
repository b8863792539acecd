from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import luigi.configuration
import pytest

import pipeline
from pipeline.startup import RUN_SETTINGS, set_run_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    Configure = Callable[[Mapping[str, Mapping[str, str]]], None]


def _python(code: str, **options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **options},
        timeout=60,
    )


def test_run_settings_fill_what_is_open_and_respect_what_is_set(configure: Configure) -> None:
    configure({"retcode": {"task_failed": "99"}})

    set_run_settings()

    config = luigi.configuration.get_config()
    assert config.get("retcode", "task_failed") == "99"
    assert config.get("retcode", "missing_data") == RUN_SETTINGS["retcode"]["missing_data"] == "20"
    assert config.get("core", "local_scheduler") == "true"


def test_every_stage_is_exported() -> None:
    assert set(pipeline.__all__) == {
        "Ablation", "CrossValidate", "Decode", "Download", "Evaluate", "Extract", "Manifest", "Predict", "Recognize",
        "RunAll", "SampleCorpus", "Train",
    }  # fmt: skip


def test_importing_loads_no_library_of_arrays_or_networks() -> None:
    done = _python(
        "import sys, pipeline;"
        "heavy = ('torch', 'transformers', 'h5py', 'av', 'sklearn', 'numpy', 'PIL', 'sqlite3');"
        "print([name for name in heavy if name in sys.modules])"
    )

    assert done.stdout.strip() == "[]", done.stdout + done.stderr


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_signals_end_the_process_in_order(number: signal.Signals, code: int) -> None:
    done = _python(f"import os, luigi.cmdline, pipeline; os.kill(os.getpid(), {int(number)})")

    assert done.returncode == code
    assert "Traceback" not in done.stderr


def test_a_notebook_keeps_its_signal_handlers() -> None:
    done = _python(
        "import signal; before = [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)];"
        " import pipeline; print([signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)] == before)"
    )

    assert done.stdout.strip() == "True", done.stderr


def test_a_command_outside_the_main_thread_installs_no_handler() -> None:
    done = _python(
        "import importlib, luigi.cmdline, signal, threading; before = signal.getsignal(signal.SIGTERM);"
        " thread = threading.Thread(target=importlib.import_module, args=('pipeline',));"
        " thread.start(); thread.join(); print(signal.getsignal(signal.SIGTERM) == before)"
    )

    assert done.stdout.strip() == "True", done.stderr


def test_another_package_called_models_is_named(tmp_path: Path) -> None:
    intruder = tmp_path / "models"
    intruder.mkdir()
    (intruder / "__init__.py").write_text("", encoding="utf-8")

    done = _python(
        f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import importlib.util as u;"
        " from pipeline.startup import check_packages; check_packages()",
        PYTHONPATH=str(tmp_path),
    )

    assert done.returncode == 40 or "No module named 'models." in done.stderr, done.stderr


def test_a_misspelt_key_of_a_task_is_an_error(configure: Configure) -> None:
    configure({"RunAll": {"forse": "Train"}})

    with pytest.raises(luigi.parameter.UnconsumedParameterWarning, match="forse"):
        pipeline.RunAll()
