"""The ffmpeg command of Decode for a clip, and what it shares with the one for a cover.

Both are restricted for untrusted files: one protocol, the one demuxer of the file's kind, a limit of pixels, one
thread, and no streams but picture and sound.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from features.base.errors import ClipError
from features.decoding.colour import SCALER_FLAGS, TONE_MAPPING, picture_codec, picture_filters, source_tags
from features.decoding.ffmpeg import filters_of
from features.decoding.frame_selection import candidates_filter, max_candidates, middles_filter
from features.decoding.plan import Plan, first_plan
from features.decoding.sound import sound_filters

if TYPE_CHECKING:
    from features.decoding.config import DecodeConfig
    from features.decoding.edit_lists import EmptyEdits, Interval, Part

# Kind of a video by its first bytes -> the only demuxer allowed. No other one probes the file, so a playlist (HLS,
# DASH, concat) or any text that names other files is never interpreted.
VIDEO_FORMATS = {
    "mp4": "mov", "matroska": "matroska", "avi": "avi", "flv": "flv", "mpegts": "mpegts", "mpegps": "mpeg",
    "ogg": "ogg", "mp3": "mp3", "aac": "aac", "wav": "wav", "flac": "flac", "gif": "gif", "webp": "webp_anim",
    "heif_sequence": "mov",
}  # fmt: skip
# Tiny pictures, and one more of them where the picture ends.
CLOCK = "scale=16:16,setsar=1,tpad=stop=1"
# Times of pictures are rounded to the clock of their track.
MILLISECOND = 0.001
# A picture that starts later than this starts late on purpose: in seconds, or where a frame lasts long in frames up to
# some seconds. Two frames are held back for B pictures; the half allows for rounded times.
LATE_SECONDS = 0.3
LATE_FRAMES = 2.5
SLOW_LATE_SECONDS = 0.5
# Frames that a decoder of an AVI holds back at most; what is more is the start that the header states.
DECODER_DELAY_FRAMES = 4.5
# The picture where it is not the first video stream (V excludes attached pictures). Moving HEIF has a still picture in
# front, which has no track and so no language.
_PICTURES = {"heif_sequence": "0:V:m:language"}
# Stands for the file in a command that is kept; no word of a command is like it.
_INPUT = "file:"
GLOBAL_OPTIONS = ("-hide_banner", "-nostdin", "-nostats")
# What is said of the sound, each line with its level.
_TALKATIVE = ("-loglevel", "level+verbose")
# Packets of one stream wait for those of the other one so long; the frames of ten minutes are some ten megabytes. After
# 10 s, as ffmpeg has it, the order of the packets would depend on its threads where a stream pauses or ends early.
MAX_PAUSE_SECONDS = 600.0
PLAIN_OUTPUT = {
    "map_metadata": -1,
    "map_chapters": -1,
    "sn": None,
    "dn": None,
    "fflags": "+bitexact",
    "threads": 1,
}


def clip_command(binary: str, path: str, kind: str, config: DecodeConfig, plan: Plan | None = None) -> list[str]:
    """Return the command that writes a clip's sampled frames and 16 kHz mono sound to its standard output.

    The output is Matroska with all streams on one clock: the sampled frames, the denser frames of other
    modalities where the settings ask for them, the sound. A stream that the file lacks is omitted; denser frames and
    ``fast`` need a picture.

    Args:
        binary: The ffmpeg to run.
        path: The file.
        kind: Its kind.
        config: The settings.
        plan: What depends on the file; ``None`` = the plan of the first command.

    Raises:
        ClipError: ``format_not_allowed`` for a kind that is no video.
    """
    words = _clip_command(binary, kind, config, first_plan(config) if plan is None else plan)
    return [f"file:{path}" if word == _INPUT else word for word in words]


# The package takes 0.8 ms for a command, as long as ffmpeg for some frames.
@functools.lru_cache(maxsize=64)
def _clip_command(binary: str, kind: str, config: DecodeConfig, plan: Plan) -> tuple[str, ...]:
    """Return the command with ``_INPUT`` in place of the file."""
    import ffmpeg  # noqa: PLC0415 - 10 ms that only decoding needs

    options = guards(VIDEO_FORMATS, kind, config)
    if plan.empty.end_seconds:
        # All times are those of the media; the filters choose and place its parts.
        options.update(ignore_editlist=1, copyts=None)
    elif plan.mix.clock != "counted":
        # Times that are nonsense say nothing of where to stop.
        options["t"] = config.max_seconds
    if plan.one_clock:
        options["dts_delta_threshold"] = config.max_seconds
    if plan.one_graph:
        options.update({"reinit_filter:v": 0, "noautorotate": None})
    if kind == "mp4":
        # The header has what other kinds are probed for, and frames of a probe would be decoded twice.
        options.update(analyzeduration=0, fpsprobesize=0)
    if plan.sampling == "fast":
        options.update(skip_frame="noref", skip_loop_filter="all")
    source = ffmpeg.input(_INPUT, **options)
    output = ffmpeg.output(
        source,
        "pipe:1",
        af=",".join([*_sound_parts(plan.empty), sound_filters(plan.mix, config.max_seconds), *_silent_inside(plan)]),
        ac=1,
        format="matroska",
        **{"c:a": "flac", "sample_fmt:a": "s16", "flags:a": "+bitexact"},
        **picture_codec(config.codec),
        **PLAIN_OUTPUT,
        # The last frame may last longer than the input is read.
        t=plan.max_seconds(config),
        max_interleave_delta=round(1e6 * min(config.max_seconds, MAX_PAUSE_SECONDS)),
    )
    words = [str(word) for word in output.global_args(*GLOBAL_OPTIONS, *_TALKATIVE).compile(binary)]
    # The package has no way to give an option twice.
    after_input = words.index("-i") + 2
    return (*words[:after_input], *_streams(binary, kind, config, plan), *words[after_input:])


def hdr_facts(binary: str, plan: Plan) -> dict[str, str]:
    """Return the facts about a picture of high dynamic range, none for another one.

    ``hdr`` is its transfer, ``tone_mapping`` the operator, ``""`` where the ffmpeg at hand lacks the filters.
    """
    if not plan.colours.hdr:
        return {}
    is_mapped = plan.colours.needed_filters() <= filters_of(binary)
    return {"hdr": plan.colours.hdr, "tone_mapping": TONE_MAPPING if is_mapped else ""}


def guards(formats: dict[str, str], kind: str, config: DecodeConfig) -> dict[str, object]:
    """Return the options before the input that bound what a file can do.

    Raises:
        ClipError: ``format_not_allowed`` for a kind that is not in ``formats``.
    """
    if kind not in formats:
        raise ClipError("format_not_allowed", f"{kind or 'an unknown kind'} is not read: expected {', '.join(formats)}")
    return {
        "protocol_whitelist": "file",
        # Matched against each of a demuxer's names, of which the first is the one above.
        "format_whitelist": formats[kind],
        "f": formats[kind],
        "max_pixels": config.max_pixels,
        "threads": 1,
    }


def _streams(binary: str, kind: str, config: DecodeConfig, plan: Plan) -> list[str]:
    """Return the options that map the streams of frames and the sound.

    With denser frames one graph has an output for each stream of frames: two graphs of one decoder deadlock where
    one of them waits for frames (``estdif`` for the next one) while the other is full (ffmpeg 9.0.2; seen at 2 and 12
    frames a second).
    """
    # A filter that holds pictures back comes behind the one that makes all of them alike.
    alike = [f"scale=w=iw:h=ih:flags={SCALER_FLAGS}"] if plan.one_graph else []
    whole = [] if plan.every_picture else [*alike, "estdif=mode=frame:deint=interlaced"]
    available = filters_of(binary) if plan.colours.needed_filters() else frozenset()

    def filters(sampled: str, short_side_pixels: int) -> str:
        chosen = [] if plan.every_picture else [sampled]
        pictures = picture_filters(kind, short_side_pixels, config.codec, colours=plan.colours, filters=available)
        return ",".join([*chosen, *whole, *pictures])

    sound = ["-map", f"0:a:{plan.sound_track}?"] if plan.sound else []
    if not plan.picture:
        return sound
    picture = _PICTURES.get(kind, "0:V:0")
    first = plan.first_picture
    in_time = ",".join(
        [
            *source_tags(plan.colours, available),
            *_picture_parts(plan.empty),
            *([] if plan.keeps_start(kind, config) else [_first_picture_in_time(kind)]),
            *_pictures_outside(plan.empty),
        ]
    )
    chains = {"frames": filters("trim=end_frame=1" if first else _sampled(config, plan), config.short_side_pixels)}
    for one in config.dense_frames():
        sampled = "trim=end_frame=1" if first == "all" else _at_rate(one.frames_per_second, one.max_frames)
        chains[one.modality] = filters(sampled, one.short_side_pixels)
    # Times of an encoder are otherwise multiples of the picture's nominal interval.
    is_timed = bool(first) or plan.every_picture
    times = [word for number in range(len(chains)) for word in _exact_times(number)] if is_timed else []
    if plan.has_clock(config):
        times += _exact_times(len(chains))
        is_short = not (plan.every_time or plan.every_picture)
        chains["clock"] = ",".join([*(["select='eq(n,0)'"] if is_short else []), CLOCK])
    if len(chains) == 1:
        return [
            "-map",
            picture if kind in _PICTURES else f"{picture}?",
            *sound,
            "-vf",
            ",".join(filter(None, (in_time, chains["frames"]))),
            *times,
        ]
    copies = "".join(f"[{name}_in]" for name in chains)
    parts = [f"[{name}_in]{chain}[{name}]" for name, chain in chains.items()]
    graph = ";".join([f"[{picture}]{in_time}{',' if in_time else ''}split={len(chains)}{copies}", *parts])
    maps = [word for name in chains for word in ("-map", f"[{name}]")]
    return ["-filter_complex_threads", "1", "-filter_complex", graph, *maps, *sound, *times]


def _picture_parts(empty: EmptyEdits) -> list[str]:
    """Return the filters that choose the parts of the picture's media and place them in the presentation."""
    if not empty.picture_parts:
        return []
    inside = _inside(tuple((at, at + seconds) for _, at, seconds in empty.picture_parts), MILLISECOND)
    return [f"select='{inside}'", f"setpts='{_placed(empty.picture_parts, empty.picture_end_seconds)}'"]


def _sound_parts(empty: EmptyEdits) -> list[str]:
    """Return the same for the sound, cut at a millisecond or two; what is missing between parts becomes silence."""
    if not empty.sound_parts:
        return []
    inside = _inside(tuple((at, at + seconds) for _, at, seconds in empty.sound_parts), MILLISECOND)
    placed = f"asetpts='{_placed(empty.sound_parts, empty.sound_end_seconds)}'"
    return ["asetnsamples=n=64:p=0", f"aselect='{inside}'", placed]


def _placed(parts: tuple[Part, ...], end_seconds: float) -> str:
    """Return the time of the presentation for one of the media; behind the last part that is the end."""
    terms = [
        f"gte(T,{at - MILLISECOND:.6f})*lt(T,{at + seconds - MILLISECOND:.6f})*(T{start - at:+.6f})"
        for start, at, seconds in parts
    ]
    _, at, seconds = parts[-1]
    behind = f"gte(T,{at + seconds - MILLISECOND:.6f})*{end_seconds:.6f}"
    return f"round(({'+'.join([*terms, behind])})/TB)"


def _pictures_outside(empty: EmptyEdits) -> list[str]:
    """Return the filter that drops the pictures of empty edits, so that the last one before each stands in it."""
    is_wanted = bool(empty.picture) and not empty.picture_parts
    return [f"select='not({_inside(empty.picture, MILLISECOND)})'"] if is_wanted else []


def _silent_inside(plan: Plan) -> list[str]:
    """Return the filter that silences sound of any number of channels in empty edits of its track."""
    is_wanted = bool(plan.empty.sound) and not plan.empty.sound_parts and not plan.sound_track
    return [f"aeval='val(ch)*not({_inside(plan.empty.sound, 0.0)})':c=same"] if is_wanted else []


def _inside(intervals: tuple[Interval, ...], earlier: float) -> str:
    return "+".join(f"gte(t,{start - earlier:.6f})*lt(t,{end - earlier:.6f})" for start, end in intervals)


def _exact_times(stream: int) -> list[str]:
    return [f"-enc_time_base:v:{stream}", "1:1000"]


def _first_picture_in_time(kind: str) -> str:
    """Return the filter that lets a picture start at 0 which starts late only because its pictures are reordered.

    AVI has no times of presentation, so that the whole picture comes late by what the decoder holds back. In other
    kinds the times are right, and the first picture shows a little earlier.
    """
    if kind == "avi":
        return f"setpts='PTS-if(lte(STARTT,{LATE_SECONDS})+lte(STARTT*FR,{DECODER_DELAY_FRAMES}),STARTPTS,0)'"
    late = f"lte(T,{LATE_SECONDS})+lte(T,{SLOW_LATE_SECONDS})*lte(T*FR,{LATE_FRAMES})"
    return f"setpts='if(eq(N,0)*({late}),0,PTS)'"


def _sampled(config: DecodeConfig, plan: Plan) -> str:
    """Return the filters that select the frames; any video gives at least one.

    The number is limited here since the option ``-frames:v`` would end the sound with the picture.
    """
    if plan.stated_seconds:
        return middles_filter(config.num_frames, plan.stated_seconds)
    if config.num_frames:
        return f"{candidates_filter(config.num_frames)},trim=end_frame={max_candidates(config)}"
    return _at_rate(config.frames_per_second, config.max_frames)


def _at_rate(frames_per_second: float, max_frames: int) -> str:
    return f"fps={frames_per_second!r}:round=up,trim=end_frame={max_frames}"
