"""The errors of this package.

FeaturesError
├── SettingError   a setting or an argument has a value that cannot be used
├── SourceError    an input is not there or cannot be read: a manifest, a model folder, a media folder
├── ToolError      an external program or an optional package is missing or too old
├── ShardError     a published file is damaged or follows another schema
└── ClipError      one clip cannot be handled; the stage turns it into that clip's outcome and goes on

Every message says what was wrong, the value, the rule, and the way out, in one line.
"""


class FeaturesError(Exception):
    """Root of every error that this package raises on purpose."""


class SettingError(FeaturesError):
    """A setting or an argument has a value that cannot be used."""


class SourceError(FeaturesError):
    """An input is not there or cannot be read."""


class ToolError(FeaturesError):
    """An external program or an optional package is missing or too old."""


class ShardError(FeaturesError):
    """A published file is damaged or follows another schema."""


class ClipError(FeaturesError):
    """One clip cannot be handled.

    Attributes:
        code: Short machine-readable reason such as ``no_video_stream``; it is counted in the summaries.
        detail: One line for a person.
    """

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail
