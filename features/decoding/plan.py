"""Which ffmpeg command a clip gets, where that depends on the file and not on the settings alone.

Most files need one command. What the log and the streams of a command show can ask for another one: then a rule of
this module gives the plan of the next command. Rules are pure; each knows one kind of file.
"""

from __future__ import annotations

import operator
import re
from dataclasses import dataclass, field, replace
from typing import IO, TYPE_CHECKING

from features.decoding.colour import ZSCALE_REFUSED, Colours, colours_of
from features.decoding.diagnostics import has_picture, is_turned, lacks_edge, stands_too_long
from features.decoding.edit_lists import EmptyEdits
from features.decoding.frame_selection import can_be_spread
from features.decoding.input_streams import absence, complaint, input_streams, is_blamed
from features.decoding.messages import plain_log, reason
from features.decoding.sound import AMBISONIC, SoundPlan, SoundReport, revised_sound

if TYPE_CHECKING:
    from collections.abc import Callable

    from features.decoding.config import DecodeConfig
    from features.decoding.diagnostics import StoredStreams
    from features.decoding.input_streams import InputStream

# Codes of a file that is refused whole: by a limit, or since its container is not read.
REFUSED_CODES = frozenset({"too_many_pixels", "too_much_memory", "format_not_supported", "format_not_allowed"})
NO_PICTURE = ("no_video_stream", "the file has no picture; its sound is kept")
# The line of ffmpeg's log after those about the input.
TOO_FEW_LINES = "Video of less than 3 "
END_OF_HEADER = "\nStream mapping:\n"
# Commands for one file. Each rule changes a plan once, and no two rules undo each other.
MAX_COMMANDS = 7
# Sound tracks that are tried.
MAX_SOUND_TRACKS = 3
# What ffmpeg adds to all times of an MPEG-TS, in microseconds.
CLOCK_WAS_MOVED = re.compile(r"timestamp discontinuity \(stream id=\d+\): -?\d+, new offset= (-?\d+)")
# So often back to where it was.
MOVES_BACK = 5
# Times are stored in milliseconds.
MILLISECOND = 0.001


@dataclass(frozen=True)
class Plan:
    """What the command of one file does, beside the settings.

    Attributes:
        picture: Whether the streams of frames are stored.
        sound: Whether the sound is stored.
        sampling: As ``DecodeConfig.sampling``.
        one_graph: Whether the filters stay as they are where size, format or colour tags of the picture change. ffmpeg
            would build them anew, and the pictures that they hold back would be lost.
        first_picture: The first picture at its own time instead of frames at given times, in no stream of frames, in
            ``sampled`` or in ``all`` of them.
        every_time: Whether the time of every picture is found out.
        every_picture: Whether all pictures are stored, and those for given times are chosen from them afterwards. Then
            no filter holds one back, and ffmpeg turns each picture as its own display matrix says.
        one_clock: Whether a gap of more than 10 s in one stream of an MPEG-TS is a gap, and no new clock of the file.
        mix: How the sound is filtered.
        sound_track: Number of the sound track that is stored, from 0.
        problems: Code and detail of each stream that is left out.
        is_swapped: Whether each of picture and sound was left out once.
        colours: What the log says of the picture's colours.
        empty: When the picture and the sound show nothing.
        in_time: Whether the picture was found to start late, and is looked at for a start that is 0 in truth.
        stated_seconds: Duration of the picture that is taken for right when a fixed number of frames is chosen; 0 =
            none, and candidates for any duration are stored.
    """

    picture: bool = True
    sound: bool = True
    sampling: str = "exact"
    one_graph: bool = False
    first_picture: str = ""
    colours: Colours = field(default_factory=Colours)
    every_time: bool = False
    every_picture: bool = False
    one_clock: bool = False
    mix: SoundPlan = field(default_factory=SoundPlan)
    sound_track: int = 0
    problems: tuple[tuple[str, str], ...] = ()
    is_swapped: bool = False
    empty: EmptyEdits = field(default_factory=EmptyEdits)
    in_time: bool = False
    stated_seconds: float = 0.0

    def keeps_start(self, kind: str, config: DecodeConfig) -> bool:
        """Return whether the time of the first picture stands: that of most MP4 is 0, and each filter costs.

        Args:
            kind: Kind of the file.
            config: The settings.
        """
        is_plain = not (self.one_graph or self.first_picture or self.every_picture or self.has_clock(config))
        return kind == "mp4" and is_plain and self.empty == EmptyEdits() and not self.in_time

    def has_clock(self, config: DecodeConfig) -> bool:
        """Return whether the last video stream of the output is a clock.

        It holds the times at which the picture starts and ends, or those of all pictures and of the end.
        """
        is_wanted = self.every_time or self.every_picture or bool(config.num_frames and not self.first_picture)
        return self.picture and is_wanted

    def max_seconds(self, config: DecodeConfig) -> float:
        """Return the time at which picture and sound end at the latest."""
        return min(config.max_seconds, self.empty.end_seconds or config.max_seconds)

    def without_picture(self, code: str, detail: str) -> Plan:
        """Return the plan for the sound alone; ``fast`` is an option of a decoder that is not there then."""
        return replace(self, picture=False, sampling="exact", problems=(*self.problems, (code, detail)))

    def without_sound(self, code: str, detail: str) -> Plan:
        """Return the plan for the picture alone."""
        return replace(self, sound=False, problems=(*self.problems, (code, detail)))


@dataclass(frozen=True)
class Attempt:
    """What one command gave.

    Attributes:
        output: Its output, empty where it gave nothing.
        returncode: Exit code.
        log: ffmpeg's log, without the file's path.
        stored: The streams of the output, ``None`` where it is empty or cannot be read.
        kind: Kind of the file.
        report: What the log tells of the sound.
        scrambled_pids: Numbers of the streams of a transport stream whose packets are scrambled.
        pictures: Forms of the picture for which filters were built, in their order.
        num_packets: Packets of the picture that were read; 0 = unknown.
    """

    output: IO[bytes]
    returncode: int
    log: str
    stored: StoredStreams | None
    kind: str = ""
    report: SoundReport = field(default_factory=SoundReport)
    scrambled_pids: frozenset[int] = frozenset()
    pictures: tuple[str, ...] = ()
    num_packets: int = 0

    @property
    def has_content(self) -> bool:
        """Whether any frame or sound was stored."""
        return self.stored is not None and bool(self.stored.num_frames or self.stored.audio_seconds)

    @property
    def has_sound(self) -> bool:
        """Whether any sound was stored."""
        return self.stored is not None and self.stored.audio_seconds > 0

    @property
    def is_refused(self) -> bool:
        """Whether nothing was stored for a reason that is no fault of a single stream."""
        return not self.has_content and reason(self.log)[0] in REFUSED_CODES


def first_plan(
    config: DecodeConfig,
    encrypted: frozenset[str] = frozenset(),
    empty: EmptyEdits | None = None,
    colours: Colours | None = None,
    stated_seconds: float = 0.0,
) -> Plan:
    """Return the plan of the first command for a file.

    Args:
        config: The settings.
        encrypted: Which of ``picture`` and ``sound`` are encrypted; they are left out.
        empty: Its empty edits.
        colours: What its header lets guess of its colours.
        stated_seconds: Duration of its picture by the header, 0 where that is unknown.
    """
    empty = empty or EmptyEdits()
    # Parts are taken from between pictures that others refer to.
    sampling = "exact" if empty.end_seconds else config.sampling
    plan = Plan(sampling=sampling, empty=empty, colours=colours or Colours())
    stated = min(stated_seconds, config.max_seconds)
    if sampling == "exact" and not empty.end_seconds and can_be_spread(stated, config.num_frames):
        plan = replace(plan, stated_seconds=round(stated, 3))
    if "sound" in encrypted:
        plan = plan.without_sound("encrypted", "the sound is encrypted")
    return plan.without_picture("encrypted", "the picture is encrypted") if "picture" in encrypted else plan


def revised_plan(plan: Plan, attempt: Attempt, config: DecodeConfig) -> Plan | None:
    """Return the plan of another command, ``None`` where the result of this one stands."""
    for rule in RULES:
        another = rule(plan, attempt, config)
        if another is not None and another != plan:
            return another
    return None


def header_asks_for_more(plan: Plan, config: DecodeConfig, log: str) -> bool | None:
    """Return whether ffmpeg's description of the input asks for another plan, ``None`` while it is not complete.

    Then the command can be ended before it has decoded anything.
    """
    # Asked at each line: most are spared the removal of levels.
    if END_OF_HEADER.strip() not in log or END_OF_HEADER not in (plain := plain_log(log)):
        return None
    colours = colours_of(plain, config.untagged_matrix, plan.colours)
    return plan.colours not in {colours, colours.nearest()}


def _with_colours(plan: Plan, attempt: Attempt, config: DecodeConfig) -> Plan:
    """Return the plan for the colours that the stream's tags state, or near ones where zscale refused those."""
    colours = colours_of(attempt.log, config.untagged_matrix, plan.colours)
    has_failed = attempt.stored is None or not attempt.stored.num_frames
    if plan.colours == colours and colours.needed_filters() and has_failed and ZSCALE_REFUSED.search(attempt.log):
        return replace(plan, colours=colours.nearest())
    return plan if plan.colours == colours.nearest() else replace(plan, colours=colours)


def _without_picture(plan: Plan, attempt: Attempt, config: DecodeConfig) -> Plan | None:
    """Return the plan for the sound alone where ffmpeg refused a command because the file has no picture.

    The input of a filter graph is not optional, and options of an absent decoder are an error.
    """
    needs_picture = bool(config.dense_frames()) or plan.sampling == "fast" or plan.has_clock(config)
    if attempt.stored is not None or not needs_picture or reason(attempt.log)[0] != "no_video_stream":
        return None
    pictures = input_streams(attempt.log).pictures
    return plan.without_picture(*(stream_problem(attempt, pictures[0]) if pictures else NO_PICTURE))


def _with_every_picture(plan: Plan, attempt: Attempt, config: DecodeConfig) -> Plan | None:
    """Return the plan with exact sampling where ``fast`` skipped a picture at an edge that no other one stands for."""
    if plan.sampling != "fast" or not has_picture(attempt.log):
        return None
    stored = attempt.stored
    if stored is not None and stored.num_frames and not lacks_edge(stored, attempt.log, config, attempt.num_packets):
        return None
    return replace(plan, sampling="exact", in_time=plan.keeps_start(attempt.kind, config))


def _with_candidates(plan: Plan, attempt: Attempt, config: DecodeConfig) -> Plan | None:
    """Return the plan with candidates for any duration where the picture is not as long as its header states."""
    if not plan.stated_seconds or plan.every_picture:
        return None
    stored = attempt.stored
    if stored is not None and stored.num_frames == config.num_frames and stored.clock_seconds:
        start, end = stored.clock_seconds[0], stored.clock_seconds[-1]
        # Without its second time the clock tells that the picture goes on when the reading ends.
        is_cut = len(stored.clock_seconds) == 1 and plan.stated_seconds >= config.max_seconds
        # An eighth of the distance of a frame from its middle that is allowed.
        slack = plan.stated_seconds / (32 * config.num_frames) + MILLISECOND
        if start <= MILLISECOND and (is_cut or abs(end - plan.stated_seconds) <= slack):
            return None
    return replace(plan, stated_seconds=0.0)


def _with_one_graph(plan: Plan, attempt: Attempt, config: DecodeConfig) -> Plan | None:  # noqa: ARG001 - as every rule
    """Return the plan that keeps the filters where ffmpeg built them anew on the way.

    A picture that is turned needs the filter that ffmpeg inserts, and that one cannot take another size.
    """
    if plan.every_picture or len(attempt.pictures) < 2:  # noqa: PLR2004 - built anew
        return None
    is_other_picture = is_turned(attempt.log) or any(map(operator.eq, attempt.pictures, attempt.pictures[1:]))
    return replace(plan, every_picture=True) if is_other_picture else replace(plan, one_graph=True)


def _with_one_clock(plan: Plan, attempt: Attempt, config: DecodeConfig) -> Plan | None:  # noqa: ARG001 - as every rule
    """Return the plan that keeps the clock of a file in which ffmpeg moved it back and forth.

    Where a stream of an MPEG-TS pauses for more than 10 s, ffmpeg takes its next packet for one of another clock and
    moves all that follows; the next packet of the other stream moves it back. A clock that was set anew moves once.
    """
    offsets = CLOCK_WAS_MOVED.findall(attempt.log)
    return replace(plan, one_clock=True) if len(offsets) >= len(set(offsets)) + MOVES_BACK else None


def _of_few_lines(plan: Plan, attempt: Attempt, config: DecodeConfig) -> Plan | None:  # noqa: ARG001 - as every rule
    """Return the plan without the filter for interlaced pictures, which refuses those of one or two lines."""
    return replace(plan, every_picture=True) if TOO_FEW_LINES in attempt.log else None


def _in_time(plan: Plan, attempt: Attempt, config: DecodeConfig) -> Plan | None:
    """Return the plan that looks whether a picture without a frame at 0 is late only because it is reordered."""
    stored = attempt.stored
    has_start = stored is not None and stored.num_frames > 0 and stored.frame_seconds[0] == 0
    if has_start or not plan.picture or not plan.keeps_start(attempt.kind, config) or not has_picture(attempt.log):
        return None
    return replace(plan, in_time=True)


def _with_the_first_picture(plan: Plan, attempt: Attempt, config: DecodeConfig) -> Plan | None:
    """Return the plan that stores the first picture where none is on screen at any of the times."""
    if (attempt.stored is not None and attempt.stored.num_frames) or not has_picture(attempt.log) or not plan.picture:
        return None
    # A picture can be too short for the denser frames, too.
    is_second = plan.first_picture == "sampled" and bool(config.dense_frames())
    return replace(plan, first_picture="all" if is_second else plan.first_picture or "sampled")


def _with_every_time(plan: Plan, attempt: Attempt, config: DecodeConfig) -> Plan | None:  # noqa: ARG001 - as all rules
    """Return the plan that tells how long the last picture lasts where it lasts longer than sound and header.

    A packet may state no duration; then ffmpeg takes the distance to the packet before.
    """
    if attempt.stored is None or not stands_too_long(attempt.stored, attempt.log):
        return None
    return replace(plan, every_time=True)


def _sound(plan: Plan, attempt: Attempt, config: DecodeConfig) -> Plan | None:
    """Return the plan with other filters for the sound where its layout or its clock asks for them."""
    if attempt.stored is None or not attempt.stored.audio_seconds:
        return None
    stored = attempt.stored
    room_seconds = config.max_seconds - stored.audio_start_seconds
    return replace(plan, mix=revised_sound(plan.mix, attempt.report, stored.audio_seconds, room_seconds, attempt.kind))


def _with_another_sound_track(plan: Plan, attempt: Attempt, _: DecodeConfig) -> Plan | None:
    """Return the plan for a further sound track where nothing came of the one before.

    Where that one cannot be decoded, tracks of its codec cannot either.
    """
    sounds = input_streams(attempt.log).sounds[:MAX_SOUND_TRACKS]
    if not plan.sound or attempt.has_sound or attempt.is_refused or plan.sound_track >= len(sounds):
        return None
    sound = sounds[plan.sound_track]
    if not attempt.has_content and not is_blamed(attempt.log, sound):
        return None
    is_undecodable = complaint(attempt.log, sound)[0] != ""
    for number, other in enumerate(sounds[plan.sound_track + 1 :], plan.sound_track + 1):
        if not (is_undecodable and other.codec == sound.codec):
            return replace(plan, sound_track=number)
    return None


def _without_a_bad_stream(plan: Plan, attempt: Attempt, _: DecodeConfig) -> Plan | None:
    """Return the plan without the stream that the log blames, where ffmpeg stored nothing of the other one either."""
    if attempt.has_content or attempt.is_refused or not (plan.picture and plan.sound):
        return None
    streams = input_streams(attempt.log)
    if not streams.pictures or plan.sound_track >= len(streams.sounds):
        return None
    picture, sound = streams.pictures[0], streams.sounds[plan.sound_track]
    if is_blamed(attempt.log, sound):
        return plan.without_sound(*stream_problem(attempt, sound))
    return plan.without_picture(*stream_problem(attempt, picture)) if is_blamed(attempt.log, picture) else None


def _without_encrypted_streams(plan: Plan, attempt: Attempt, _: DecodeConfig) -> Plan | None:
    """Return the plan without a stream whose type in a transport stream says that its samples are encrypted."""
    streams = input_streams(attempt.log)
    if plan.picture and any(stream.is_encrypted for stream in streams.pictures[:1]):
        plan = plan.without_picture("encrypted", f"{streams.pictures[0].name} is encrypted")
    if plan.sound and any(stream.is_encrypted for stream in streams.sounds[plan.sound_track :][:1]):
        plan = plan.without_sound("encrypted", f"{streams.sounds[plan.sound_track].name} is encrypted")
    return plan


def _of_a_sound_field(plan: Plan, attempt: Attempt, _: DecodeConfig) -> Plan | None:
    """Return the plan for ambisonics, of which ffmpeg makes no mono by itself."""
    return replace(plan, mix=replace(plan.mix, ambisonic=True)) if AMBISONIC in attempt.log else None


def _with_either_stream(plan: Plan, attempt: Attempt, config: DecodeConfig) -> Plan | None:
    """Return the plan for one of two streams, where nothing was stored of both and nothing of the other one alone."""
    streams = input_streams(attempt.log)
    is_final = plan.is_swapped or any(code == "encrypted" for code, _ in plan.problems)
    if attempt.has_content or attempt.is_refused or is_final or not (streams.pictures and streams.sounds):
        return None
    picture, sound = streams.pictures[0], streams.sounds[0]
    if plan.picture and plan.sound:
        return plan.without_sound(*stream_problem(attempt, sound))
    if plan.picture:
        alone = replace(plan, sound=True, problems=(), is_swapped=True)
        return alone.without_picture(*stream_problem(attempt, picture))
    alone = replace(plan, picture=True, sampling=config.sampling, problems=(), is_swapped=True)
    return alone.without_sound(*stream_problem(attempt, sound))


def stream_problem(attempt: Attempt, stream: InputStream) -> tuple[str, str]:
    """Return code and detail of a stream of which nothing was stored."""
    if stream.pid in attempt.scrambled_pids:
        return "encrypted", f"{stream.name} is encrypted: its packets are scrambled"
    code, detail = complaint(attempt.log, stream)
    return (code, detail) if code else absence(stream)


# The first rule that asks for another plan decides.
RULES: tuple[Callable[[Plan, Attempt, DecodeConfig], Plan | None], ...] = (
    _without_encrypted_streams,
    _with_colours,
    _without_picture,
    _with_every_picture,
    _with_candidates,
    _of_few_lines,
    _of_a_sound_field,
    _with_another_sound_track,
    _without_a_bad_stream,
    _with_one_graph,
    _with_one_clock,
    _in_time,
    _with_the_first_picture,
    _with_every_time,
    _sound,
    _with_either_stream,
)
