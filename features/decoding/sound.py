"""The sound of a clip: the filters that make 16 kHz mono of it, and what ffmpeg's log tells of it.

The place of a sample is its time. A missing packet becomes silence, and a clock that runs slow or fast stretches the
sound. ``aresample`` compares the time of each decoded frame with the number of samples before it: below ``min_comp`` it
does nothing, from ``min_hard_comp`` on it adds silence or drops samples, and between the two it resamples with a rate
that differs by as many seconds a second as the two are apart.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import IO, TYPE_CHECKING

from features.base.errors import ShardError
from features.formats.tar_shard import SAMPLE_RATE_HZ

if TYPE_CHECKING:
    from collections.abc import Iterator

    import av
    import numpy as np
    import numpy.typing as npt

    Int16 = npt.NDArray[np.int16]

# Times of whole clips are within 0.001 s in every container, and a lost packet is 0.02 s or longer (AAC 1,024 samples,
# Opus 20 ms).
_EXACT = "min_comp=0.003:min_hard_comp=0.015"
# For clocks that jitter: the times of a browser's or phone's recorder, MP3 frames that begin inside an AVI chunk.
_LOOSE = "min_comp=0.03:min_hard_comp=0.1"
# At most 2 % faster or slower.
_ASYNC = "async=1:{thresholds}:max_soft_comp=0.02:comp_duration=0.5"
# The time of a sample is the number of samples before it.
_COUNTED = "asetpts=STARTPTS+N/SR/TB"
# Times of a stored clip are rounded to milliseconds.
_ROUNDING_SAMPLES = 2 * SAMPLE_RATE_HZ // 1000
# Frames of 128 ms, whose FLAC is smaller than that of shorter ones. The frames of a file may have a single sample, and
# ffmpeg 9 can neither open its FLAC encoder with a first frame below 16 samples nor look ahead in one below 80.
_FRAMES = "asetnsamples=n=2048:p=0"
# The stereo mix of ITU-R BS.775 (centre and surrounds at -3 dB), not scaled down, in floats that do not clip; its mean;
# and a limiter, which changes nothing below its limit.
_STEREO_MIX = "aformat=sample_fmts=fltp:channel_layouts=stereo", "pan=mono|c0=0.5*c0+0.5*c1"
_LIMITER = "alimiter=limit=0.98:level=disabled:latency=1"

# The first channel of ambisonics (RFC 8486) is the sound from all directions.
_OMNIDIRECTIONAL = "pan=mono|c0=c0"
AMBISONIC = "Input channel layout 'ambisonic"

# A larger share of the sound that is lost makes a clip partial.
MAX_LOST_FRACTION = 0.05
# So often in both directions, and a clock jitters.
_JITTERS = 3
# A header with a wrong rate adds silence at nearly every packet; a clip has a few gaps.
_MANY_SILENCES = 10

_GRAPH = re.compile(r"^\[Parsed_aresample\S* @ \S+\] \[verbose\] ch:", re.MULTILINE)
_CONVERTED = re.compile(r"\[verbose\] ch:(\d+) chl:.*? r:(\d+)Hz -> ")
_READ = re.compile(
    r"\[verbose\]   Input stream #(\d+:\d+) \(audio\): (\d+) packets read \(\d+ bytes\); \d+ frames decoded;?"
    r"(?: (\d+) decode errors)? \((\d+) samples\)"
)
# ffmpeg 5.1 counts no errors, but names each.
_ERROR = "[error] Error while decoding stream #{}: "
_SILENCE = re.compile(r"\[verbose\] adding (\d+) audio samples of silence")
_DROPPED = re.compile(r"\[verbose\] discarding \d+ audio samples")
_DRIFT = re.compile(r"\[verbose\] compensating audio timestamp drift:(-?)")


@dataclass(frozen=True)
class SoundPlan:
    """How the sound of one file is filtered.

    Attributes:
        clock: ``exact``; ``loose`` for times that jitter; ``counted`` for times that are nonsense.
        surround: Whether it has more than two channels.
        ambisonic: Whether its channels are a sound field, which no matrix of speakers mixes.
    """

    clock: str = "exact"
    surround: bool = False
    ambisonic: bool = False


@dataclass(frozen=True)
class SoundReport:
    """What ffmpeg's log tells of the sound that it decoded; 0 where it tells nothing.

    Attributes:
        num_channels: Largest number of channels on the way.
        num_packets: Packets that were read.
        num_errors: Packets that could not be decoded.
        decoded_seconds: Length of what was decoded.
        silence_seconds: Silence that was added in gaps.
        num_silences: How often.
        num_dropped: How often samples were dropped, because their time had passed.
        num_late: How often the clock was ahead of the samples, and was followed.
        num_early: How often it was behind.
        num_graphs: How often the filters were built: once, and again where rate or channels change.
    """

    num_channels: int = 0
    num_packets: int = 0
    num_errors: int = 0
    decoded_seconds: float = 0.0
    silence_seconds: float = 0.0
    num_silences: int = 0
    num_dropped: int = 0
    num_late: int = 0
    num_early: int = 0
    num_graphs: int = 0


def sound_filters(plan: SoundPlan, max_seconds: float) -> str:
    """Return the filters that turn sound of any rate and layout into 16 kHz; ``-ac 1`` makes it mono.

    Args:
        plan: What the sound of the file asks for.
        max_seconds: Time at which it is cut. The option ``-t`` would count from the first sample.
    """
    clock = [_COUNTED] if plan.clock == "counted" else []
    thresholds = _LOOSE if plan.clock == "loose" else _EXACT
    resampled = f"aresample={SAMPLE_RATE_HZ}:{_ASYNC.format(thresholds=thresholds)}"
    field = [_OMNIDIRECTIONAL] if plan.ambisonic else []
    mixed, limited = (_STEREO_MIX, (_LIMITER,)) if plan.surround else ((), ())
    return ",".join([*clock, *field, *mixed, resampled, f"atrim=end={max_seconds!r}", _FRAMES, *limited])


def sound_report(log: str) -> SoundReport:
    """Return what ffmpeg's log tells of the sound, read with its levels (``-v level+verbose``)."""
    converted = [(int(channels), int(rate)) for channels, rate in _CONVERTED.findall(log)]
    read = _READ.search(log)
    if not converted or read is None:
        return SoundReport()
    stream, packets, errors, samples = read.groups()
    rate_hz = max(rate for _, rate in converted)
    silences = [int(samples) for samples in _SILENCE.findall(log)]
    drifts = _DRIFT.findall(log)
    return SoundReport(
        num_channels=max(channels for channels, _ in converted),
        num_packets=int(packets),
        num_errors=log.count(_ERROR.format(stream)) if errors is None else int(errors),
        decoded_seconds=int(samples) / rate_hz,
        silence_seconds=sum(silences) / rate_hz,
        num_silences=len(silences),
        num_dropped=len(_DROPPED.findall(log)),
        num_late=drifts.count(""),
        num_early=drifts.count("-"),
        num_graphs=len(_GRAPH.findall(log)),
    )


def revised_sound(
    plan: SoundPlan, report: SoundReport, stored_seconds: float, room_seconds: float, kind: str
) -> SoundPlan:
    """Return the plan of another command, or ``plan`` where the result of this one stands.

    Args:
        plan: How the sound was filtered.
        report: What the log told of it.
        stored_seconds: Length of the result.
        room_seconds: From where the sound starts to where the clip is cut.
        kind: Kind of the file.
    """
    surround = plan.surround or report.num_channels > 2  # noqa: PLR2004 - stereo
    clock = plan.clock
    if clock == "exact" and kind == "avi" and _is_nonsense(report, stored_seconds, room_seconds):
        clock = "counted"
    elif clock == "exact" and _jitters(report):
        clock = "loose"
    return replace(plan, clock=clock, surround=surround)


def _is_nonsense(report: SoundReport, stored_seconds: float, room_seconds: float) -> bool:
    """Return whether the times of the sound, which AVI computes from rates in its header, contradict its samples."""
    stretched = report.num_silences >= _MANY_SILENCES and (
        report.silence_seconds > MAX_LOST_FRACTION * report.decoded_seconds
    )
    return stretched or _is_dropped(report, stored_seconds, room_seconds)


def _jitters(report: SoundReport) -> bool:
    """Return whether the times of the sound go back and forth about the number of its samples."""
    followed = min(report.num_late, report.num_early)
    return max(followed, min(report.num_silences, report.num_dropped)) >= _JITTERS


def lost_sound(report: SoundReport, stored_seconds: float, room_seconds: float) -> str:
    """Return in words how much of the sound in the file's packets is missing from the result, ``""`` for little.

    Args:
        report: What the log told of it.
        stored_seconds: Length of the result.
        room_seconds: From where the sound starts to where the clip is cut.
    """
    # One may be a tag at the end of a file.
    if report.num_errors > max(1, MAX_LOST_FRACTION * report.num_packets):
        return f"{report.num_errors} of {report.num_packets} packets of the sound cannot be decoded"
    if _is_dropped(report, stored_seconds, room_seconds):
        kept, held = _kept_and_held(report, stored_seconds, room_seconds)
        return f"{kept:.2f} s of {held:.2f} s of the sound are kept: its times overlap"
    return ""


def _is_dropped(report: SoundReport, stored_seconds: float, room_seconds: float) -> bool:
    kept, held = _kept_and_held(report, stored_seconds, room_seconds)
    return held - kept > MAX_LOST_FRACTION * held


def _kept_and_held(report: SoundReport, stored_seconds: float, room_seconds: float) -> tuple[float, float]:
    """Return how many seconds of decoded sound are in the result, and how many were decoded before the cut."""
    return max(0.0, stored_seconds - report.silence_seconds), min(report.decoded_seconds, room_seconds)


def place_sound(matroska: IO[bytes], placed: IO[bytes]) -> None:
    """Copy a stored clip with each sample of its sound at its time: silence fills holes, and what overlaps is dropped.

    Where rate or channels change, ffmpeg builds its filters anew. The new ``aresample`` knows nothing of the samples
    before it, so that packets follow each other at times that their samples do not add up to.

    Args:
        matroska: The clip.
        placed: The file for the copy.

    Raises:
        ShardError: The clip cannot be read.
    """
    import av  # noqa: PLC0415 - loads the codec libraries

    matroska.seek(0)
    try:
        with (
            av.open(matroska, "r", format="matroska") as source,
            av.open(placed, "w", format="matroska", container_options={"fflags": "+bitexact"}) as target,
        ):
            pictures = {one.index: target.add_stream_from_template(one, opaque=True) for one in source.streams.video}
            sound = target.add_stream("flac", rate=SAMPLE_RATE_HZ, layout="mono", format="s16")
            sound.codec_context.flags |= av.codec.context.Flags.bitexact
            blocks = _Blocks()
            for packet in source.demux():
                if packet.stream.index in pictures:
                    if packet.size:
                        packet.stream = pictures[packet.stream.index]
                        target.mux(packet)
                    continue
                for frame in packet.decode():
                    for block in blocks.placed(frame):
                        target.mux(sound.encode(block))
            target.mux(sound.encode(None))
    except av.FFmpegError as error:
        raise ShardError(f"stored sound cannot be read ({error})") from error


class _Blocks:
    """Puts frames of 16 kHz mono sound where their times say."""

    def __init__(self) -> None:
        self._at: int | None = None

    def placed(self, frame: av.AudioFrame) -> Iterator[av.AudioFrame]:
        """Yield the silence before a frame, and what of the frame lies behind all earlier ones."""
        import numpy as np  # noqa: PLC0415 - see place_sound

        samples: Int16 = frame.to_ndarray().astype(np.int16)
        due = round((frame.time or 0.0) * SAMPLE_RATE_HZ)
        at = due if self._at is None else self._at
        late = due - at
        if late > _ROUNDING_SAMPLES:
            for start in range(at, due, SAMPLE_RATE_HZ):
                yield _block(np.zeros((1, min(SAMPLE_RATE_HZ, due - start)), np.int16), start)
            at = due
        elif late < -_ROUNDING_SAMPLES:
            samples = np.ascontiguousarray(samples[:, -late:])
        if samples.size:
            yield _block(samples, at)
        self._at = at + samples.size


def _block(samples: Int16, at: int) -> av.AudioFrame:
    """Return a frame of ``(1, S)`` samples that begins ``at`` samples behind 0."""
    import av  # noqa: PLC0415 - see place_sound

    block = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
    block.sample_rate, block.time_base, block.pts = SAMPLE_RATE_HZ, Fraction(1, SAMPLE_RATE_HZ), at
    return block
