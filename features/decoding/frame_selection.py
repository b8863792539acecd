"""Selects a fixed number of frames, spread over a clip of a duration that is unknown beforehand.

One pass of ffmpeg keeps candidates whose distance grows with their time ``t``: it is ``t / (2 n)``, and never less
than 1/20 s. So whatever the duration ``D`` turns out to be, every time before ``D`` has a candidate within
``D / (4 n)``, and the number of candidates grows with the logarithm of ``D`` only. Then the ``n`` that lie nearest
to the middles of ``n`` equal parts are kept; the stored pictures are copied, not encoded again.
"""

from __future__ import annotations

import math
from typing import IO, TYPE_CHECKING

from features.base.errors import ShardError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from features.decoding.config import DecodeConfig

# Position of a frame in its stream, and the time at which it is stored.
Chosen = tuple[int, float]
# Times are stored in milliseconds.
_ROUNDING_SECONDS = 0.0005
_UNEVEN_SECONDS = 0.000013
CANDIDATES_PER_SECOND = 20
# Candidates for each wanted frame: the distance between two of them is this part of the frames' distance or less.
FINENESS = 2


def candidates_filter(num_frames: int) -> str:
    """Return the filter that selects the candidates for ``num_frames`` frames."""
    # Rounded down to whole slots, with a tenth of slack, since a time and a sum of floats are compared.
    distance = f"max(1/{CANDIDATES_PER_SECOND},prev_selected_t/{FINENESS * num_frames})-0.9/{CANDIDATES_PER_SECOND}"
    return f"fps={CANDIDATES_PER_SECOND}:round=up,select='isnan(prev_selected_t)+gte(t-prev_selected_t,{distance})'"


def can_be_spread(seconds: float, num_frames: int) -> bool:
    """Return whether each of ``num_frames`` parts of a picture has slots of its own."""
    return num_frames > 0 and seconds * CANDIDATES_PER_SECOND >= FINENESS * num_frames


def middles_filter(num_frames: int, seconds: float) -> str:
    """Return the filter that selects the slots nearest to the middles of equal parts of a picture of ``seconds``."""
    # The number of middles up to a time t is floor(t n / D + 1/2). The halves of a slot are a little uneven, so that no
    # middle lies on the border of two.
    parts = f"*{num_frames / seconds!r}+0.5"
    half = 0.5 / CANDIDATES_PER_SECOND
    until, since = f"floor((t+{half + _UNEVEN_SECONDS!r}){parts})", f"floor((t-{half - _UNEVEN_SECONDS!r}){parts})"
    return f"fps={CANDIDATES_PER_SECOND}:round=up,select='gt({until},{since})'"


def max_candidates(config: DecodeConfig) -> int:
    """Return an upper bound of the number of candidates: linear up to the first growth, then logarithmic."""
    parts = FINENESS * config.num_frames
    # Rounding down makes a distance of one slot last until it would be two, and leaves two thirds of longer ones.
    growth = math.log(max(1.0, config.max_seconds * CANDIDATES_PER_SECOND / parts))
    return 2 * math.ceil(parts * (1 + growth)) + 2


def choose_positions(seconds: Sequence[float], num_frames: int, end_seconds: float) -> list[int]:
    """Return positions of ``num_frames`` candidates nearest to the middles of equal parts, in order, none twice.

    Args:
        seconds: Times of the candidates, rising.
        num_frames: Number wanted; with fewer candidates all of them come back.
        end_seconds: Time at which the picture ends.
    """
    if len(seconds) <= num_frames:
        return list(range(len(seconds)))
    start = seconds[0]
    positions: list[int] = []
    at = 0
    for part in range(num_frames):
        target = start + (part + 0.5) * (end_seconds - start) / num_frames
        # As many candidates must be left as frames are still to come.
        last = len(seconds) - (num_frames - part)
        while at < last and abs(seconds[at + 1] - target) <= abs(seconds[at] - target):
            at += 1
        positions.append(at)
        at += 1
    return positions


def sampled_rate(config: DecodeConfig) -> tuple[float, int]:
    """Return the rate of the sampled frames, or of their candidates, and how many there are at most."""
    if config.num_frames:
        return CANDIDATES_PER_SECOND, math.ceil(config.max_seconds * CANDIDATES_PER_SECOND)
    return config.frames_per_second, config.max_frames


def times_below(end_seconds: float, frames_per_second: float, max_frames: int) -> list[float]:
    """Return the times 0, 1/r, 2/r, ... before an end, ``max_frames`` at most."""
    count = min(max_frames, math.ceil(round(end_seconds * frames_per_second, 6)))
    return [position / frames_per_second for position in range(count)]


def on_screen(seconds: Sequence[float], wanted: Iterable[float]) -> list[Chosen]:
    """Return the frame that is on screen at each of the wanted times, with that time.

    Args:
        seconds: Times at which frames start, rising.
        wanted: Times, rising; where none has a frame, the first frame comes back at its own time.
    """
    chosen: list[Chosen] = []
    at = -1
    for time in wanted:
        while at + 1 < len(seconds) and seconds[at + 1] <= time + _ROUNDING_SECONDS:
            at += 1
        if at >= 0:
            chosen.append((at, time))
    return chosen or [(0, second) for second in seconds[:1]]


def select_frames(matroska: IO[bytes], selected: IO[bytes], chosen: Sequence[Sequence[Chosen]]) -> None:
    """Copy a clip with some of its frames, some more than once, and without its clock, which is its last video stream.

    Args:
        matroska: The clip.
        selected: The file for the copy.
        chosen: Of each other video stream the frames that are copied, rising.

    Raises:
        ShardError: The clip cannot be read.
    """
    import av  # noqa: PLC0415 - loads the codec libraries

    try:
        matroska.seek(0)
        options = {"fflags": "+bitexact"}
        with (
            av.open(matroska, "r", format="matroska") as source,
            av.open(selected, "w", format="matroska", container_options=options) as target,
        ):
            *pictures, clock = [stream.index for stream in source.streams.video] or [-1]
            if len(pictures) != len(chosen):
                raise ShardError(f"a stored clip has {len(pictures)} streams of frames, {len(chosen)} were wanted")
            times: dict[int, dict[int, list[float]]] = {index: {} for index in pictures}
            for index, frames in zip(pictures, chosen, strict=True):
                for position, second in frames:
                    times[index].setdefault(position, []).append(second)
            positions = dict.fromkeys(pictures, -1)
            streams = {
                stream.index: target.add_stream_from_template(stream, opaque=True)
                for stream in source.streams
                if stream.index != clock
            }
            for packet in source.demux():
                index = packet.stream.index
                if packet.size == 0 or packet.pts is None or index == clock:
                    continue
                packet.stream = streams[index]
                if index not in times:
                    target.mux(packet)
                    continue
                positions[index] += 1
                for second in times[index].get(positions[index], ()):
                    copy = av.Packet(packet)
                    copy.stream, copy.time_base, copy.is_keyframe = streams[index], packet.time_base, packet.is_keyframe
                    copy.pts = copy.dts = round(second / packet.time_base)
                    target.mux(copy)
    except av.FFmpegError as error:
        raise ShardError(f"stored streams cannot be read ({error})") from error
