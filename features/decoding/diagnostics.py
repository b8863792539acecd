"""Reads ffmpeg's log and output: the duration of a file, whether it was decoded completely, and what failed.

ffmpeg exits with 0 even for a truncated file: one cut to a tenth yields a tenth of the frames.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from fractions import Fraction
from typing import IO, TYPE_CHECKING

from features.base.errors import ShardError
from features.decoding.frame_selection import CANDIDATES_PER_SECOND, FINENESS
from features.decoding.input_streams import input_streams
from features.decoding.messages import lacks_bytes, last_line

if TYPE_CHECKING:
    from features.decoding.config import DecodeConfig, DenseFrames

# Headers may leave out the last frame's duration, and streams may end a little later than stated.
HANGING_SECONDS = 0.25
# Sizes of one picture, stored twice, differ by this much at most.
SAME_PICTURE_BYTES = 2
MIN_STANDING_SECONDS = 0.001
# The start is that of the container, and the streams seldom end together.
START_SLACK_SECONDS = 0.5
# Rounding of the last frame: a clip with this fraction of what is expected is complete.
COMPLETE_FRACTION = 0.9
DURATION = re.compile(r"^  Duration: (\d+):(\d\d):(\d\d\.\d+)(?:, start: (\d+\.\d+))?", re.MULTILINE)
# ffmpeg's demuxers of files whose stated duration is the time at which they end, and those where it may be.
ENDS_AT_DURATION = re.compile(r"^Input #0, (?:matroska|flv)", re.MULTILINE)
MAY_END_AT_DURATION = re.compile(r"^Input #0, (?:matroska|flv|mov)", re.MULTILINE)
OUTPUT = re.compile(r"^Output #0", re.MULTILINE)
TURNED = re.compile(r"^ +displaymatrix:|because display matrix changed", re.MULTILINE)
# The form of the picture, said by each graph of filters when it is built.
GRAPH_INPUT = re.compile(r" input from stream 0:\d+ @ 0x[0-9a-f]+\] \[verbose\] (w:[^\n]*)")
# The last packet of sound ends up to so much later than the picture: 1,024 samples of AAC at 44.1 kHz are 0.023 s.
SOUND_TAIL_SECONDS = 0.03
FRAME_RATE = re.compile(r"^  Stream #0:\d+[^\n]*: Video: [^\n]*?, (\d+(?:\.\d+)?) fps", re.MULTILINE)
PICTURE_PACKETS = re.compile(r"\[verbose\]   Input stream #\d+:\d+ \(video\): (\d+) packets read")
# ffmpeg estimates the duration of these files from the clocks at both ends, which may be two clocks.
ESTIMATED = re.compile(r"^Input #0, (?:mpegts|mpeg),", re.MULTILINE)
# ffmpeg guesses the duration of a stream of frames without a header by the size of the first ones.
GUESSED = "Estimating duration from bitrate"


@dataclass(frozen=True)
class StoredStreams:
    """The content of a stored clip, counted without decoding it.

    Attributes:
        num_frames: Frames.
        frames_end_seconds: Time of the last frame, 0 without frames.
        audio_seconds: Length of the sound.
        audio_end_seconds: Time at which the sound ends, 0 without sound.
        num_dense_frames: Frames of each further video stream, in the order of ``DecodeConfig.dense_frames``.
        dense_seconds: Times of their frames.
        frame_seconds: Times of the frames.
        standing_from_seconds: Time of the first of the frames at the end that are, by their size, one picture.
        clock_seconds: Times of the stream that is a clock; without one, or where the picture went on when the reading
            ended, its last time is not that of the picture's end.
    """

    num_frames: int
    frames_end_seconds: float
    audio_seconds: float
    audio_end_seconds: float
    num_dense_frames: tuple[int, ...] = ()
    dense_seconds: tuple[tuple[float, ...], ...] = field(default=(), compare=False)
    frame_seconds: tuple[float, ...] = field(default=(), compare=False)
    standing_from_seconds: float = field(default=0.0, compare=False)
    clock_seconds: tuple[float, ...] = field(default=(), compare=False)

    @property
    def audio_start_seconds(self) -> float:
        """Return the time at which the sound starts, 0 without sound."""
        return self.audio_end_seconds - self.audio_seconds


def measure(matroska: IO[bytes], *, has_clock: bool = False) -> StoredStreams:
    """Return how many frames and how much sound a stored clip has; the file is read from its start.

    Args:
        matroska: The stored clip.
        has_clock: Whether its last video stream is a clock.

    Raises:
        ShardError: It is no stored clip, or it is damaged.
    """
    import av  # noqa: PLC0415 - loads the codec libraries

    frame_seconds: list[float] = []
    clock_seconds: list[float] = []
    standing_from = audio_end = 0.0
    frame_bytes = 0
    audio_start: float | None = None
    matroska.seek(0)
    try:
        # The header has the rates of the streams: no packet is read for them.
        container = av.open(matroska, mode="r", format="matroska", options={"fpsprobesize": "0"})
    except av.FFmpegError as error:
        raise ShardError(f"a stored clip cannot be opened ({error})") from error
    with container:
        dense: dict[int, list[float]] = {stream.index: [] for stream in container.streams.video[1:]}
        clock = dense.popitem()[0] if has_clock and dense else None
        pictures = {stream.index for stream in container.streams.video}
        # Quotients of whole numbers: fractions take most of the time on a clip with sound.
        ticks = {stream.index: (stream.time_base or Fraction(1)).as_integer_ratio() for stream in container.streams}
        try:
            for packet in container.demux():
                if packet.size == 0 or packet.pts is None:
                    continue
                numerator, denominator = ticks[index := packet.stream.index]
                seconds = packet.pts * numerator / denominator
                if index == clock:
                    clock_seconds.append(seconds)
                    continue
                if index in pictures:
                    if index in dense:
                        dense[index].append(seconds)
                        continue
                    frame_seconds.append(seconds)
                    if abs(packet.size - frame_bytes) > SAME_PICTURE_BYTES:
                        standing_from = seconds
                    frame_bytes = packet.size
                    continue
                audio_start = seconds if audio_start is None else audio_start
                audio_end = seconds + (packet.duration or 0) * numerator / denominator
        except av.FFmpegError as error:
            raise ShardError(f"stored streams cannot be read ({error})") from error
    audio_seconds = max(0.0, audio_end - (audio_start or 0.0))
    frames_end = frame_seconds[-1] if frame_seconds else 0.0
    return StoredStreams(
        len(frame_seconds),
        frames_end,
        audio_seconds,
        audio_end,
        tuple(len(seconds) for seconds in dense.values()),
        tuple(tuple(seconds) for seconds in dense.values()),
        tuple(frame_seconds),
        standing_from,
        tuple(clock_seconds),
    )


def duration_seconds(log: str, stored: StoredStreams | None = None) -> float | None:
    """Return the duration of the input as its header states it, ``None`` when the file states none.

    Of a clip whose clock starts later than 0, some headers state the time at which it ends: always in FLV and mostly
    in Matroska, also in a segment of a fragmented MP4. There the start is subtracted, unless the decoded streams are
    longer than that; in MP4 only where they end then.

    Args:
        log: ffmpeg's log.
        stored: What was decoded.
    """
    match = DURATION.search(log)
    if match is None:
        return None
    hours, minutes, seconds, start = match.groups()
    stated = int(hours) * 3600 + int(minutes) * 60 + float(seconds)
    shorter = round(stated - float(start or 0), 2)
    if shorter in {0.0, stated} or stored is None or not MAY_END_AT_DURATION.search(log):
        return stated
    end = max(stored.frames_end_seconds, stored.audio_end_seconds)
    if shorter < 0 or end > shorter + START_SLACK_SECONDS:
        return stated
    return shorter if ENDS_AT_DURATION.search(log) or end >= _lower_bound(shorter) else stated


def stands_too_long(stored: StoredStreams, log: str) -> bool:
    """Return whether the last picture is stored for longer than the file can last by its header and its sound."""
    known = _known_end_seconds(stored, log)
    if known is None or len(stored.frame_seconds) < 2:  # noqa: PLR2004 - no distance
        return False
    distance = stored.frame_seconds[-1] - stored.frame_seconds[-2]
    is_last_picture = stored.standing_from_seconds <= known + distance + HANGING_SECONDS
    end = max(stored.frames_end_seconds, stored.clock_seconds[-1] if stored.clock_seconds else 0.0)
    return is_last_picture and end > known + HANGING_SECONDS


def picture_end_seconds(stored: StoredStreams, log: str, max_seconds: float) -> float:
    """Return the time at which the picture ends, in a result with a clock.

    That is the time of the last picture and its duration. Where nothing states a duration and ffmpeg took the
    distance to the picture before, the picture ends with the sound and by the header at the latest.

    Args:
        stored: What was decoded, one frame at least.
        log: ffmpeg's log.
        max_seconds: Only so much is read.
    """
    clock, frames = stored.clock_seconds, stored.frame_seconds
    distance = frames[-1] - frames[-2] if len(frames) > 1 else 0.0
    if len(clock) < 2:  # noqa: PLR2004 - the start alone: the end lies behind what is read
        return max(frames[-1] + MIN_STANDING_SECONDS, min(max_seconds, frames[-1] + distance))
    known = _known_end_seconds(stored, log)
    # Sound that ends before the last picture starts says nothing of it.
    if known is None or not stands_too_long(stored, log) or known < clock[-2] - HANGING_SECONDS:
        return clock[-1]
    return min(clock[-1], max(known, clock[-2] + MIN_STANDING_SECONDS))


def _known_end_seconds(stored: StoredStreams, log: str) -> float | None:
    """Return when the file ends by its header and its sound, ``None`` where neither tells."""
    header = None if ESTIMATED.search(log) else duration_seconds(log, stored)
    ends = ([] if header is None else [header]) + ([stored.audio_end_seconds] if stored.audio_seconds else [])
    return max(ends, default=None)


def has_picture(log: str) -> bool:
    """Return whether ffmpeg found a video stream in the input, one that is no attached picture."""
    return bool(input_streams(log).pictures)


def graph_inputs(log: str) -> tuple[str, ...]:
    """Return the forms of the picture for which filters were built, from a log with levels (``level+verbose``)."""
    return tuple(GRAPH_INPUT.findall(log))


def is_turned(log: str) -> bool:
    """Return whether ffmpeg turned the picture or some of its frames.

    A turn by a half that the frames alone state is not seen.
    """
    source, *target = OUTPUT.split(log)
    sizes = [
        re.search(r"^  Stream #0:\d+[^\n]*: Video: [^\n]*, (\d+)x(\d+)", part, re.MULTILINE)
        for part in (source, *target)
    ]
    is_high = [int(size[2]) > int(size[1]) for size in sizes if size]
    return TURNED.search(log) is not None or len(set(is_high)) > 1


def num_picture_packets(log: str) -> int:
    """Return the packets of the picture that were read, from a log with levels (``level+verbose``); 0 = unknown."""
    found = PICTURE_PACKETS.search(log)
    return int(found[1]) if found else 0


def lacks_edge(stored: StoredStreams, log: str, config: DecodeConfig, num_packets: int = 0) -> bool:
    """Return whether frames at the beginning or the end are missing.

    Args:
        stored: What was decoded, one frame at least.
        log: ffmpeg's log.
        config: The settings.
        num_packets: Packets of the picture that were read; 0 = unknown.
    """
    duration = _without_sound_tail(duration_seconds(log, stored), log, num_packets)
    if stored.frame_seconds[0] > 0 or duration is None:
        return stored.frame_seconds[0] > 0
    if stored.clock_seconds and config.num_frames:
        # The parts must not shift by more than an eighth of one.
        return stored.clock_seconds[-1] < min(duration, config.max_seconds) * (1 - 1 / (8 * config.num_frames))
    return stored.num_frames < expected_frames(duration, config)


def _without_sound_tail(duration: float | None, log: str, num_packets: int) -> float | None:
    """Return the duration without sound that goes on behind the picture for less than a packet.

    A picture that starts late ends late, by a frame at least.
    """
    rate = FRAME_RATE.search(log)
    frame_seconds = 1 / float(rate[1]) if rate and float(rate[1]) else 0.0
    if duration is None or not num_packets or not frame_seconds:
        return duration
    picture_seconds = num_packets * frame_seconds
    is_tail = 0 <= duration - picture_seconds < min(SOUND_TAIL_SECONDS, 0.9 * frame_seconds)
    return picture_seconds if is_tail else duration


def expected_frames(duration: float | None, config: DecodeConfig) -> int:
    """Return the number of frames of a whole file of ``duration`` seconds, 1 when the duration is unknown."""
    if duration is None:
        return 1
    seconds = min(duration, config.max_seconds)
    if config.num_frames:
        return max(1, min(config.num_frames, math.floor(seconds * CANDIDATES_PER_SECOND)))
    return _frames_at_rate(seconds, config.frames_per_second, config.max_frames)


def expected_dense_frames(duration: float | None, config: DecodeConfig, dense: DenseFrames) -> int:
    """Return the number of frames in a denser stream of such a file, 1 when the duration is unknown."""
    if duration is None:
        return 1
    seconds = min(duration, config.max_seconds)
    return _frames_at_rate(seconds, dense.frames_per_second, dense.max_frames)


def _frames_at_rate(seconds: float, frames_per_second: float, max_frames: int) -> int:
    # Times 0, 1/r, 2/r, ... below the duration, which ffmpeg states in hundredths.
    return max(1, min(max_frames, math.ceil(round(seconds * frames_per_second, 6))))


def what_is_missing(
    stored: StoredStreams, duration: float | None, config: DecodeConfig, log: str
) -> tuple[str, str] | None:
    """Return code and detail of what is missing from a decoded file, ``None`` for a whole one.

    ``no_video_stream``: only sound was decoded. ``truncated``: picture and sound (or the only stream) ended before
    the duration that the header states, or one of them did and ffmpeg reported missing bytes. A picture that is
    shorter than the sound, or the reverse, is no damage. Where the duration may be that of a stream which is not
    stored, or none is stated, missing bytes alone decide.

    Args:
        stored: What was decoded, before the selection of frames.
        duration: Duration that the header states, in seconds.
        config: The settings.
        log: ffmpeg's log.
    """
    if not stored.num_frames:
        return "no_video_stream", "only sound could be decoded"
    streams = input_streams(log)
    was_cut = lacks_bytes(log, streams)
    if duration is None:
        return ("truncated", f"no duration is stated; {last_line(log)}") if was_cut else None
    is_short = [_picture_is_short(stored, duration, config)]
    if stored.audio_seconds:
        is_short.append(stored.audio_end_seconds < _lower_bound(min(duration, config.max_seconds)))
    is_sure = was_cut or not (streams.num_unused or (streams.sounds and not stored.audio_seconds))
    if not ((all(is_short) and is_sure) or (was_cut and any(is_short))):
        return None
    if is_short[0] and not config.num_frames:
        return "truncated", f"{stored.num_frames} of {expected_frames(duration, config)} frames; {last_line(log)}"
    seconds = stored.frames_end_seconds if is_short[0] else stored.audio_end_seconds
    what = "frames" if is_short[0] else "sound"
    return "truncated", f"{what} up to {seconds:.1f} of {duration:.1f} s; {last_line(log)}"


def sound_is_cut(
    stored: StoredStreams, duration: float | None, config: DecodeConfig, log: str
) -> tuple[str, str] | None:
    """Return code and detail of sound alone that ends before the duration that the header states, else ``None``.

    The arguments are those of :func:`what_is_missing`.
    """
    streams = input_streams(log)
    if duration is None or GUESSED in log or not stored.audio_seconds:
        return None
    is_sure = lacks_bytes(log, streams) or not (streams.num_unused or streams.pictures)
    if not is_sure or stored.audio_end_seconds >= _lower_bound(min(duration, config.max_seconds)):
        return None
    return "truncated", f"sound up to {stored.audio_end_seconds:.1f} of {duration:.1f} s"


def believed_seconds(duration: float | None, stored: StoredStreams, config: DecodeConfig, log: str) -> float | None:
    """Return the stated duration, or the end of the streams where it was estimated from a clock that jumps."""
    end = max(stored.frames_end_seconds, stored.audio_end_seconds)
    if duration is None or not ESTIMATED.search(log) or end >= _lower_bound(min(duration, config.max_seconds)):
        return duration
    return round(end, 2)


def _picture_is_short(stored: StoredStreams, duration: float, config: DecodeConfig) -> bool:
    if config.num_frames:
        # The last candidate may lie one distance before the end.
        seconds = min(duration, config.max_seconds) * (1 - 1 / (FINENESS * config.num_frames))
        return stored.frames_end_seconds < _lower_bound(seconds)
    expected = expected_frames(duration, config)
    # How far it goes counts, and not how many frames there are: a picture may start late.
    reached = round(stored.frames_end_seconds * config.frames_per_second) + 1
    # One frame of slack: sound that is a little longer than the picture is no damage.
    return reached < min(COMPLETE_FRACTION * expected, expected - 1)


def _lower_bound(seconds: float) -> float:
    # Half a second of slack: streams of one file seldom end together.
    return min(COMPLETE_FRACTION * seconds, seconds - 0.5)
