"""The streams of a file as ffmpeg's log lists them, and what the log says against one of them."""

from __future__ import annotations

import re
from dataclasses import dataclass

# The lines of the log that this module reads; before them a decoder may complain of every packet.
LISTING = re.compile(
    rb"(?:\[info\] )?(?:Input #0|  Duration: |  (?:  )?Stream #0:|  Stream group #0:|Stream mapping:|Output #0)"
)
# The listing ends with the first of these lines.
END_OF_INPUT = re.compile(r"^(?:Stream mapping:|Output #0)", re.MULTILINE)
# Two blanks: texts of the file are indented further.
_STREAM = re.compile(
    r"^  Stream #0:(\d+)(?:\[0x([0-9a-f]+)\])?(?:\([^\n]*?\))?: (Video|Audio|Subtitle|Data|Attachment): ([^\n]*)",
    re.MULTILINE,
)
_ATTACHED_PICTURE = "(attached pic)"
_TAG = re.compile(r"\(([^()\[\] ]{1,16}) / 0x[0-9A-Fa-f]+\)")
_TRANSPORT_STREAM = re.compile(r"^Input #0, mpegts,", re.MULTILINE)
# SAMPLE-AES of H.264, AAC, AC-3 and E-AC-3 (Apple, MPEG-2 Stream Encryption Format for HTTP Live Streaming).
_ENCRYPTED_TYPE = re.compile(r"\(\[(?:219|207|193|194)\]\[0\]\[0\]\[0\] / ")
# What the log says of a stream of which nothing can be decoded, in words. ffmpeg names the stream by its number, in one
# of the forms of `_own_lines`, or not at all: then a line is about any sound.
_NO_LAYOUT = re.compile(r"Input channel layout [^\n]* is not supported|Rematrix is needed between [^\n]* and")
_COMPLAINTS = (
    (
        re.compile(r"no decoder found for|Decoder \([^\n]*\) not found|: unknown codec$"),
        "this ffmpeg has no decoder for it",
    ),
    (_NO_LAYOUT, "this ffmpeg cannot mix its channels"),
    (re.compile(r"Error while opening decoder"), "its description is missing or damaged"),
    (
        re.compile(r"Error submitting packet to decoder|Error while decoding stream|Decode error rate"),
        "its packets are damaged",
    ),
)
# Nothing at all came of the stream, or nothing that tells its format.
_NO_FORMAT = re.compile(
    r"Could not find codec parameters|Cannot determine format of input|Error (?:re)?initializing filters|Neither number"
)
_NO_CHANNELS = "Neither number of channels nor channel layout specified"


@dataclass(frozen=True)
class InputStream:
    """One stream of a file.

    Attributes:
        number: Its place among all streams.
        pid: Its number within an MPEG transport stream, or the id of its track; -1 for none.
        media: ``Video``, ``Audio``, ``Subtitle``, ``Data`` or ``Attachment``.
        codec: Codec, or its name in the container where ffmpeg does not know it.
        is_encrypted: Whether its type in a transport stream is that of encrypted samples. ffmpeg decodes them as if
            they were plain.
    """

    number: int
    pid: int
    media: str
    codec: str
    is_encrypted: bool = False

    @property
    def name(self) -> str:
        """The stream in words."""
        return f"the {'picture' if self.media == 'Video' else 'sound'} ({self.codec})"


@dataclass(frozen=True)
class InputStreams:
    """The streams of a file, without attached pictures.

    Attributes:
        pictures: Video streams.
        sounds: Sound streams.
        num_others: Subtitles, data and attached files.
    """

    pictures: tuple[InputStream, ...] = ()
    sounds: tuple[InputStream, ...] = ()
    num_others: int = 0

    @property
    def num_unused(self) -> int:
        """Streams beside the first picture and the first sound."""
        return self.num_others + len(self.pictures[1:]) + len(self.sounds[1:])


def input_streams(log: str) -> InputStreams:
    """Return the streams that ffmpeg's log lists for the input, by their numbers.

    Args:
        log: As ``features.decoding.messages.plain_log`` returns it.
    """
    found: dict[str, dict[int, InputStream]] = {"Video": {}, "Audio": {}}
    others = set()
    is_transport_stream = _TRANSPORT_STREAM.search(log) is not None
    for number, pid, media, text in _STREAM.findall(END_OF_INPUT.split(log, maxsplit=1)[0]):
        if _ATTACHED_PICTURE in text:
            continue
        if media in found:
            is_encrypted = is_transport_stream and _ENCRYPTED_TYPE.search(text) is not None
            pid_number = int(pid, 16) if pid else -1
            # A stream that belongs to several groups is listed in each.
            found[media][int(number)] = InputStream(int(number), pid_number, media, _codec(text), is_encrypted)
        else:
            others.add(number)
    pictures, sounds = (tuple(by_number[number] for number in sorted(by_number)) for by_number in found.values())
    return InputStreams(pictures, sounds, len(others))


def _codec(text: str) -> str:
    """Return the codec of a stream by its description, the name in the container where ffmpeg knows no codec."""
    codec, tag = text.split(",", maxsplit=1)[0].split(" (", maxsplit=1)[0].strip(), _TAG.search(text)
    unknown = tag[1] if tag else "of a codec that ffmpeg does not know"
    return unknown if codec in {"none", "unknown"} else codec


def complaint(log: str, stream: InputStream) -> tuple[str, str]:
    """Return code and detail of what the log has against a stream of which nothing could be stored.

    The code is ``picture_not_decodable`` or ``sound_not_decodable``, and ``""`` where the log has no such line.
    """
    lines = _own_lines(log, stream)
    for test, words in _COMPLAINTS:
        if any(test.search(line) for line in lines):
            code = "picture_not_decodable" if stream.media == "Video" else "sound_not_decodable"
            return code, f"{stream.name} cannot be decoded: {words}"
    return "", ""


def is_blamed(log: str, stream: InputStream) -> bool:
    """Return whether the log of a command that stored nothing has any line against a stream."""
    return bool(complaint(log, stream)[0]) or any(_NO_FORMAT.search(line) for line in _own_lines(log, stream))


def absence(stream: InputStream) -> tuple[str, str]:
    """Return code and detail of a stream that the file names and of which nothing came."""
    if stream.media == "Video":
        return "no_video_stream", f"the file names a {stream.name[4:]}, but no frame of it was read"
    return "sound_empty", f"the file names {stream.name[4:]}, but nothing of it was read"


def _own_lines(log: str, stream: InputStream) -> list[str]:
    """Return the lines of the log that are about a stream, in each of the forms of ffmpeg 5 to 9."""
    letter, number = stream.media[0].lower(), stream.number
    forms = [
        rf"\[{letter}ist#0:{number}/",
        rf"\[{letter}f#",
        rf"stream #?0:{number}\b",
        rf"for stream {number}\b",
        rf"of input 0:{number}\b",
    ]
    if letter == "a":
        forms += [_NO_LAYOUT.pattern, _NO_CHANNELS]
    own = re.compile("|".join(forms))
    return [line for line in log.splitlines() if not line.startswith(" ") and own.search(line)]
