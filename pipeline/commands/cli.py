"""``python -m pipeline``: commands that inspect and maintain runs."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from features.base.errors import PipelineError, SettingError
from pipeline.commands.clean import clean, render_unused
from pipeline.commands.doctor import examine, render_findings
from pipeline.commands.inspect import Inspection, inspect_file, render_inspection
from pipeline.commands.retry import render_retry, retry
from pipeline.commands.settings_docs import settings_reference
from pipeline.commands.status import read_status, render_status
from pipeline.commands.verify import render_verification, verify
from tasks.core.console import UNUSABLE_SETTINGS, say

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    0; 1 when ``doctor`` found a fault or ``verify`` damage; 10 while a run has locked the root; 30 when a stage that
    ``retry`` started failed; 40 for an error of the settings or of an input.
    """
    parser = build_parser()
    options = parser.parse_args(arguments)
    try:
        return int(options.run(options))
    except PipelineError as error:
        say(f"error: {error}")
        return UNUSABLE_SETTINGS
    except BrokenPipeError:
        # The reader (such as `head`) has closed the pipe: enough was printed.
        sys.stderr.close()
        return 0


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    parser = argparse.ArgumentParser(
        prog="python -m pipeline",
        description="Inspects and maintains the runs of `luigi --module pipeline RunAll`, with the settings of the same"
        " luigi.cfg.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    status = commands.add_parser("status", help="state of every stage, with the outcomes of its clips")
    status.add_argument("--json", action="store_true", help="print JSON")
    status.set_defaults(run=_status)

    inspect = commands.add_parser("inspect", help="content of a published file as text and pictures")
    inspect.add_argument(
        "file",
        type=Path,
        help="an embedding or prediction shard (.h5), a decoded shard (.tar), or a file of rows (.jsonl)",
    )
    inspect.add_argument("--clip", help="id of the clip to show in detail; the first with content if left out")
    inspect.add_argument("--pictures", type=Path, metavar="FOLDER", help="write all pictures of the file there")
    inspect.add_argument(
        "--png",
        type=Path,
        metavar="FILE",
        help="write the first picture: heat map of features, frames, or scatter plot",
    )
    inspect.add_argument(
        "--scatter", choices=("pca", "tsne"), default="pca", help="projection of the scatter plot (pca)"
    )
    inspect.add_argument("--json", action="store_true", help="print JSON")
    inspect.set_defaults(run=_inspect)

    doctor = commands.add_parser("doctor", help="check the installation and the configuration")
    doctor.add_argument("--json", action="store_true", help="print JSON")
    doctor.add_argument("--load", action="store_true", help="load each network that a run would use, too")
    doctor.set_defaults(run=_doctor)

    stats = commands.add_parser("stats", help="corpus statistics: size, duplicates, missing fields, download cost")
    stats.add_argument("--html", type=Path, help="write a page with plots and covers to this file")
    stats.add_argument("--category", help="category of the covers on the page; the largest if left out")
    stats.add_argument("--pictures", type=_positive, default=24, help="maximal number of covers on the page (24)")
    stats.add_argument("--json", action="store_true", help="print JSON")
    stats.set_defaults(run=_stats)

    retry = commands.add_parser("retry", help="run transient failures again")
    retry.add_argument("--json", action="store_true", help="print JSON")
    retry.set_defaults(run=_retry)

    verify = commands.add_parser("verify", help="re-read every published file and compare its digest")
    verify.add_argument("--media", action="store_true", help="read the media files too")
    verify.add_argument("--dry-run", action="store_true", help="report only: leave damaged files in place")
    verify.add_argument("--json", action="store_true", help="print JSON")
    verify.set_defaults(run=_verify)

    clean = commands.add_parser("clean", help="files below the root that the current configuration does not use")
    clean.add_argument("--yes", action="store_true", help="delete them")
    clean.add_argument("--json", action="store_true", help="print JSON")
    clean.set_defaults(run=_clean)

    settings = commands.add_parser("settings", help="the reference of all settings, as Markdown")
    settings.set_defaults(run=_settings)
    return parser


def _status(options: argparse.Namespace) -> int:
    status = read_status()
    _print(status if options.json else render_status(status))
    return 0


def _inspect(options: argparse.Namespace) -> int:
    found = inspect_file(Inspection(options.file, options.clip, options.png, options.pictures, options.scatter))
    _print(found if options.json else render_inspection(found))
    return 0


def _doctor(options: argparse.Namespace) -> int:
    findings = examine(load_networks=options.load)
    _print([vars(finding) for finding in findings] if options.json else render_findings(findings))
    return int(any(finding.state == "fault" for finding in findings))


def _stats(options: argparse.Namespace) -> int:
    from pipeline.stats.collect import read_corpus, read_stats  # noqa: PLC0415 - as above
    from pipeline.stats.covers import contact_sheet  # noqa: PLC0415 - as above
    from pipeline.stats.page import write_stats_page  # noqa: PLC0415 - as above
    from pipeline.stats.text import render_stats  # noqa: PLC0415 - as above

    if options.category is not None and options.html is None:
        raise SettingError("--category chooses the covers of the page: give --html FILE too")
    corpus = read_corpus()
    stats = read_stats(corpus)
    if options.html is not None:
        write_stats_page(options.html, stats, contact_sheet(corpus, options.category, options.pictures))
    _print(stats.to_json() if options.json else render_stats(stats))
    return 0


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number}: give 1 or more")
    return number


def _retry(options: argparse.Namespace) -> int:
    found, code = retry()
    _print(found.to_json() if options.json else render_retry(found))
    return code


def _verify(options: argparse.Namespace) -> int:
    found = verify(media=options.media, dry_run=options.dry_run)
    _print(found.to_json() if options.json else render_verification(found))
    return int(bool(found.damages))


def _clean(options: argparse.Namespace) -> int:
    found = clean(delete=options.yes)
    _print([vars(item) for item in found] if options.json else render_unused(found, deleted=options.yes))
    return 0


def _settings(options: argparse.Namespace) -> int:  # noqa: ARG001 - the signature of a command
    _print(settings_reference().rstrip("\n"))
    return 0


def _print(value: Any) -> None:  # noqa: ANN401 - text, or any JSON value
    text = value if isinstance(value, str) else json.dumps(value, indent=1, ensure_ascii=False)
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
