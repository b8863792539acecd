"""What ffmpeg's messages mean: the reason of a failure, missing bytes, and the line that tells most."""

from __future__ import annotations

import re
import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from features.decoding.input_streams import InputStreams

# Exit codes of a process ended from outside: by a user, or by the kernel when memory ran out.
OUTSIDE_SIGNALS = frozenset({-signal.SIGKILL, -signal.SIGTERM, -signal.SIGINT, -signal.SIGHUP})
RECEIVED_SIGNAL = re.compile(r"^(?:\[[a-z]+\] )?Exiting normally, received signal", re.MULTILINE)
# A line's level, behind the names of the components that say it.
_LEVEL = re.compile(r"^((?:\[[^\[\]]* @ 0x[0-9a-f]+\] )*)\[(fatal|error|warning|info|verbose)\] ")
# What a demuxer says where bytes are missing. A decoder's words are about one message within a packet.
CUT = re.compile(
    r"^\[(?:in#0\b[^\]]*|(?:mov|matroska|avi|flv|mpegts|mpeg|ogg|wav|gif|webp_anim)(?:,[^\]]*)?) @ 0x[0-9a-f]+\]"
    r".*(?:partial file|Error during demuxing|ended prematurely|truncat|Packet corrupt)",
    re.IGNORECASE,
)
CUT_STREAM = re.compile(r"\bstream (?:= )?(\d+)")
# Lines of ffmpeg's log that tell most, best first. The order of two lines may differ from run to run, so the choice
# depends on their texts alone.
TELLING = (
    CUT,
    re.compile(r"no decoder|not supported|not found|Picture size|Cannot allocate"),
    re.compile(r"^\[[^\]]*\] .*(?:error|invalid)", re.IGNORECASE),
    re.compile(r"error|invalid|not|fail|missing|corrupt|partial", re.IGNORECASE),
    re.compile(r""),
)
# Lines about the output, and hints that follow an error.
IDLE = re.compile(
    r"deprecated pixel format|Codec AVOption|muxing overhead|^frame=|^size=|Last message repeated|^Output #|^Input #"
    r"|^Conversion failed"
    r"|^Consider increasing|Terminating thread|Task finished|before EOF|^Stream mapping|^Press "
)

# Text in ffmpeg's log -> code, the first match counts.
_REASONS = (
    ("does not contain any stream", "no_video_stream"),
    ("matches no streams", "no_video_stream"),
    # Those given are for a decoder of pictures.
    ("is not a decoding option", "no_video_stream"),
    ("Unknown input format", "format_not_supported"),
    ("Format not on whitelist", "format_not_allowed"),
    ("not in allowed", "format_not_allowed"),
    ("moov atom not found", "invalid_data"),
    ("exceeds specified max pixel count", "too_many_pixels"),
    ("Picture size", "too_many_pixels"),
    ("Cannot allocate memory", "too_much_memory"),
    ("Invalid data found", "invalid_data"),
)

# Since ffmpeg 9 streams that refer to each other are a group.
_GROUP = "  Stream group #0:"
_GROUPED_STREAM = "    Stream #0:"
_TILES = ": Tile Grid:"


def lacks_bytes(log: str, streams: InputStreams) -> bool:
    """Return whether a demuxer says that bytes of the picture or the sound are missing."""
    used = {stream.number for stream in (*streams.pictures[:1], *streams.sounds[:1])}
    for line in filter(CUT.search, _own_lines(log)):
        number = CUT_STREAM.search(line)
        if number is None or not used or int(number[1]) in used:
            return True
    return False


def was_killed(returncode: int, log: str) -> bool:
    """Return whether a process was ended by a signal from outside, and not because of the file."""
    return returncode in OUTSIDE_SIGNALS or RECEIVED_SIGNAL.search(log) is not None


def plain_log(log: str) -> str:
    """Return a log with levels as ffmpeg writes it by default: without them, and without ``verbose`` lines.

    Streams that ffmpeg lists as a group, such as a picture and the track of its timecode, are listed as all others. A
    group of tiles is one picture and stays as it is.
    """
    lines = []
    is_grouped = False
    for line in log.splitlines(keepends=True):
        match = _LEVEL.match(line)
        if match is not None and match[2] == "verbose":
            continue
        plain = line if match is None else match[1] + line[match.end() :]
        if plain.startswith(_GROUP):
            is_grouped = _TILES not in plain
        elif not plain.startswith("    "):
            # What belongs to a group is indented further.
            is_grouped = False
        lines.append(plain[2:] if is_grouped and plain.startswith(_GROUPED_STREAM) else plain)
    return "".join(lines)


def reason(log: str) -> tuple[str, str]:
    """Return code and detail of a file without any output."""
    for text, code in _REASONS:
        lines = {_without_prefix(line) for line in _own_lines(log) if text in line}
        if lines:
            return code, min(lines, key=lambda line: (IDLE.search(line) is not None, line))
    return "decode_failed", last_line(log)


def last_line(log: str) -> str:
    """Return the most informative line of ffmpeg's log, whatever the order of its lines."""
    lines = [line for line in _own_lines(log) if line.strip() and not IDLE.search(line)]
    for test in TELLING:
        found = {_without_prefix(line).strip() for line in lines if test.search(line)}
        if found:
            return min(found)
    return "ffmpeg said nothing"


def _own_lines(log: str) -> list[str]:
    """Return ffmpeg's own lines, without the indented ones, which repeat texts of the file such as a title."""
    return [line for line in log.splitlines() if not line.startswith(" ")]


def _without_prefix(line: str) -> str:
    """Return a line without the names of ffmpeg's components, whose addresses differ in each run."""
    return re.sub(r"\[[^\[\]]* @ 0x[0-9a-f]+\]\s*", "", line)
