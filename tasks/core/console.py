"""What a person sees while stages run: plain lines or a bar, and errors without tracebacks."""

from __future__ import annotations

import logging
import sys

from features.base.errors import PipelineError, one_line

# Exit code of a command whose settings cannot be used, as of any error before something is scheduled.
UNUSABLE_SETTINGS = 40
# Errors that are the user's to mend: their message says everything.
OWN_ERRORS = (PipelineError,)


def say(line: str) -> None:
    """Print one line for a person, on stderr like every progress line."""
    print(line, file=sys.stderr, flush=True)


class OwnErrorsInOneLine(logging.Filter):
    """Rewrites Luigi's report of a failed task where the error says all there is to say.

    Luigi logs any exception of a task with its traceback. For an error of ours that is one clear line; a stop
    (SIGTERM, Ctrl-C) is no failure to explain at all. Luigi's own chatter on scheduling is dropped below the
    level WARNING, its execution summary stays; ``--log-level DEBUG`` shows everything.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether a record is shown, after rewriting it where needed."""
        if logging.getLogger(record.name).isEnabledFor(logging.DEBUG):
            return True
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, (SystemExit, KeyboardInterrupt)):
            return False
        if isinstance(error, OWN_ERRORS):
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
