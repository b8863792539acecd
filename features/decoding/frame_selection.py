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
    from collections.abc import Sequence

    from features.decoding.config import DecodeConfig

CANDIDATES_PER_SECOND = 20
# Candidates for each wanted frame: the distance between two of them is this part of the frames' distance or less.
FINENESS = 2


def candidates_filter(num_frames: int) -> str:
    """Return the filter that selects the candidates for ``num_frames`` frames."""
    # Rounded down to whole slots, with a tenth of slack, since a time and a sum of floats are compared.
    distance = f"max(1/{CANDIDATES_PER_SECOND},prev_selected_t/{FINENESS * num_frames})-0.9/{CANDIDATES_PER_SECOND}"
    return f"fps={CANDIDATES_PER_SECOND}:round=up,select='isnan(prev_selected_t)+gte(t-prev_selected_t,{distance})'"


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


def select_frames(matroska: IO[bytes], selected: IO[bytes], kept: Sequence[int], end_seconds: float) -> None:
    """Copy a clip with some of its sampled frames and without its clock, which is its last video stream.

    Args:
        matroska: The clip.
        selected: The file for the copy.
        kept: Positions of the sampled frames that are copied.
        end_seconds: Denser frames from this time on are left out.

    Raises:
        ShardError: The clip cannot be read.
    """
    import av  # noqa: PLC0415 - loads the codec libraries

    try:
        wanted = frozenset(kept)
        matroska.seek(0)
        options = {"fflags": "+bitexact"}
        with (
            av.open(matroska, "r", format="matroska") as source,
            av.open(selected, "w", format="matroska", container_options=options) as target,
        ):
            # Denser frames are the streams between the two.
            sampled, clock = source.streams.video[0].index, source.streams.video[-1].index
            streams = {
                stream.index: target.add_stream_from_template(stream, opaque=True)
                for stream in source.streams
                if stream.index != clock
            }
            position = -1
            for packet in source.demux():
                if packet.size == 0 or packet.pts is None or packet.stream.index == clock:
                    continue
                if packet.stream.index == sampled:
                    position += 1
                    if position not in wanted:
                        continue
                elif packet.stream.type == "video" and packet.pts * packet.time_base >= end_seconds:
                    continue
                packet.stream = streams[packet.stream.index]
                target.mux(packet)
    except av.FFmpegError as error:
        raise ShardError(f"stored streams cannot be read ({error})") from error
