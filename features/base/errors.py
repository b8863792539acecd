"""The errors of this project, and how they become one line.

PipelineError
├── SettingError      a setting or an argument has a value that cannot be used
├── SourceError       an input is missing or cannot be read: a manifest, a model folder, a media folder
├── ToolError         an external program or an optional package is missing or too old
├── ShardError        a published file is damaged or follows another schema
├── ClipError         one clip cannot be handled; the stage records it as that clip's outcome and continues
│   └── TransientError  a request failed in a way that another attempt may not meet
├── DataError         features or labels do not fit each other or the network
├── CheckpointError   a checkpoint is missing, damaged, or was made for other features
└── StageFailedError  a stage ran to its end and too much of it failed

Every message states what was wrong, the value, the rule, and the way out, in one line.
"""

from __future__ import annotations


class PipelineError(Exception):
    """Root of every error that this project raises on purpose."""


class SettingError(PipelineError):
    """A setting or an argument has a value that cannot be used."""


class SourceError(PipelineError):
    """An input is missing or cannot be read."""


class ToolError(PipelineError):
    """An external program or an optional package is missing or too old."""


class ShardError(PipelineError):
    """A published file is damaged or follows another schema."""


class ClipError(PipelineError):
    """One clip cannot be handled.

    Attributes:
        code: Short machine-readable reason such as ``no_video_stream``; it is counted in the summaries.
        detail: One line for a person.
    """

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail


class TransientError(ClipError):
    """A request failed in a way that another attempt may not meet."""


class DataError(PipelineError):
    """Features or labels do not fit each other or the network."""


class CheckpointError(PipelineError):
    """A checkpoint is missing, damaged, or was made for other features."""


class StageFailedError(PipelineError):
    """A stage ran to its end and too much of it failed."""


def one_line(error: BaseException | str) -> str:
    """Return the message of an error with every run of whitespace as one space."""
    return " ".join(str(error).split())
