"""Lines on stderr, exit codes, and errors without tracebacks."""

from __future__ import annotations

import logging
import sys

from features.base.errors import PipelineError, one_line

# Exit code of a command whose settings cannot be used, as of any error before something is scheduled.
UNUSABLE_SETTINGS = 40


def say(line: str) -> None:
    """Print one line on stderr, as every progress line."""
    print(line, file=sys.stderr, flush=True)


class OneLineErrors(logging.Filter):
    """Log filter that rewrites Luigi's report of a failed task as one line.

    Luigi logs every exception of a task with its traceback. A ``PipelineError`` is one clear line; a stop (SIGTERM,
    Ctrl-C) is no failure to explain. Luigi's scheduling messages below WARNING are dropped, its execution summary is
    kept; ``--log-level DEBUG`` shows everything.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether a record is shown, after rewriting it where needed."""
        if logging.getLogger(record.name).isEnabledFor(logging.DEBUG):
            return True
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, (SystemExit, KeyboardInterrupt)):
            return False
        if isinstance(error, PipelineError):
            task = record.args[2] if isinstance(record.args, tuple) and len(record.args) > 2 else ""  # noqa: PLR2004
            record.msg, record.args = f"{_family(task)} failed: {one_line(error)}", ()
            record.exc_info, record.exc_text = None, None
            return True
        if record.levelno >= logging.WARNING:
            return "Data for" not in record.getMessage()
        return "Execution Summary" in record.getMessage()


def _family(task: object) -> str:
    modality = getattr(task, "modality", "")
    name = str(getattr(task, "task_family", task) or "a stage")
    return f"{name} --modality {modality}" if modality else name
