"""The outcome of one clip in one stage. The failure of a clip is data: rows in = rows out."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal

from features.base.errors import one_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

Status = Literal["ok", "partial", "failed"]
# How a status is stored in the `/status` data set of an embedding shard.
STATUS_NUMBERS: dict[Status, int] = {"ok": 0, "partial": 1, "failed": 2}
STATUS_NAMES: dict[int, Status] = {number: name for name, number in STATUS_NUMBERS.items()}

MAX_DETAIL_CHARACTERS = 300

# Codes of failures that another attempt may not meet: their cause is the network, the disk or a setting, not the file.
TRANSIENT_CODES = frozenset(
    {"connection_failed", "timeout", "too_slow", "incomplete_body", "certificate_refused",
     "retry_after_too_long", "host_down",
     "encoding_not_allowed",
     "http_408", "http_425", "http_429", "http_500", "http_502", "http_503", "http_504",
     "http_520", "http_521", "http_522", "http_523", "http_524",
     "file_missing", "file_unreadable", "changed_since_download", "store_not_safe", "decode_timeout",
     "decoder_killed", "too_much_memory"}
)  # fmt: skip

# Codes of a clip with a whole picture and sound that is empty or cannot be decoded: it counts as a clip without sound.
SILENT_CODES = frozenset({"sound_empty", "sound_not_decodable"})


# Answers that refuse nothing and are no file either, such as 202 and 206: the server may have it later.
NO_REFUSALS = ("http_1", "http_2")


def is_transient(code: str) -> bool:
    """Return whether another attempt at a clip that failed with ``code`` may succeed."""
    code = code.removeprefix("cover_")
    return code in TRANSIENT_CODES or code.startswith(NO_REFUSALS)


def leading_code(codes: Sequence[str]) -> str:
    """Return the one of several codes that counts: the first transient one, so that a retry sees it, else the first."""
    return next(filter(is_transient, codes), codes[0])


@dataclass(frozen=True)
class Outcome:
    """One row of a stage's outcomes.

    A modality that the clip never had (no sound track, no title) is ``ok`` with a code such as ``no_audio``.

    Attributes:
        clip_id: The clip.
        status: ``ok``, ``partial`` (usable, but less than expected) or ``failed``.
        code: Short reason, ``""`` for a plain success.
        detail: One line for a person.
    """

    clip_id: str
    status: Status
    code: str = ""
    detail: str = ""

    def __post_init__(self) -> None:
        line = one_line(self.detail)[:MAX_DETAIL_CHARACTERS]
        object.__setattr__(self, "detail", line)

    def to_json(self) -> dict[str, str]:
        """Return the row as plain JSON values."""
        return asdict(self)


@dataclass(frozen=True)
class Tally:
    """The counts of the outcomes of one shard or stage.

    Attributes:
        rows: Clips in, and out.
        counts: Clips by status.
        codes: Clips by code, without those that have none.
        problems: The outcomes that are not ``ok``.
    """

    rows: int
    counts: Mapping[str, int]
    codes: Mapping[str, int]
    problems: tuple[Outcome, ...]

    @classmethod
    def of(cls, outcomes: Iterable[Outcome]) -> Tally:
        """Return the counts of ``outcomes``."""
        counts: Counter[str] = Counter(dict.fromkeys(STATUS_NUMBERS, 0))
        codes: Counter[str] = Counter()
        problems: list[Outcome] = []
        for outcome in outcomes:
            counts[outcome.status] += 1
            if outcome.code:
                codes[outcome.code] += 1
            if outcome.status != "ok":
                problems.append(outcome)
        ordered = dict(sorted(codes.items(), key=lambda item: (-item[1], item[0])))
        return cls(sum(counts.values()), dict(counts), ordered, tuple(problems))
