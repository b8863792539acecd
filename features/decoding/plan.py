"""Which ffmpeg command a clip gets, where that depends on the file and not on the settings alone.

Most files need one command. What the log and the streams of a command show can ask for another one: then a rule of
this module gives the plan of the next command. Rules are pure; each knows one kind of file.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import IO, TYPE_CHECKING

from features.decoding.diagnostics import (
    GRAPH_WAS_REBUILT,
    has_hole,
    has_picture,
    is_turned,
    lacks_edge,
    reason,
    stands_too_long,
)
from features.decoding.sound import SoundPlan, SoundReport, revised_sound

if TYPE_CHECKING:
    from collections.abc import Callable

    from features.decoding.config import DecodeConfig
    from features.decoding.diagnostics import StoredStreams

# Commands for one file. Each rule changes a plan once, and no two rules undo each other.
MAX_COMMANDS = 4


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
        mix: How the sound is filtered.
    """

    picture: bool = True
    sound: bool = True
    sampling: str = "exact"
    one_graph: bool = False
    first_picture: str = ""
    every_time: bool = False
    every_picture: bool = False
    mix: SoundPlan = field(default_factory=SoundPlan)

    def has_clock(self, config: DecodeConfig) -> bool:
        """Return whether the last video stream of the output is a clock.

        It holds the times at which the picture starts and ends, or those of all pictures and of the end.
        """
        is_wanted = self.every_time or self.every_picture or bool(config.num_frames and not self.first_picture)
        return self.picture and is_wanted


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
    """

    output: IO[bytes]
    returncode: int
    log: str
    stored: StoredStreams | None
    kind: str = ""
    report: SoundReport = field(default_factory=SoundReport)


def first_plan(config: DecodeConfig) -> Plan:
    """Return the plan of the first command for any file."""
    return Plan(sampling=config.sampling)


def revised_plan(plan: Plan, attempt: Attempt, config: DecodeConfig) -> Plan | None:
    """Return the plan of another command, ``None`` where the result of this one stands."""
    for rule in RULES:
        another = rule(plan, attempt, config)
        if another is not None and another != plan:
            return another
    return None


def _without_picture(plan: Plan, attempt: Attempt, config: DecodeConfig) -> Plan | None:
    """Return the plan for the sound alone where ffmpeg refused a command because the file has no picture.

    The input of a filter graph is not optional, and options of an absent decoder are an error.
    """
    needs_picture = bool(config.dense_frames()) or plan.sampling == "fast" or plan.has_clock(config)
    if attempt.stored is not None or not needs_picture or reason(attempt.log)[0] != "no_video_stream":
        return None
    return replace(plan, picture=False, sampling="exact")


def _with_every_picture(plan: Plan, attempt: Attempt, config: DecodeConfig) -> Plan | None:
    """Return the plan with exact sampling where ``fast`` skipped a picture at an edge that no other one stands for."""
    if plan.sampling != "fast" or not has_picture(attempt.log):
        return None
    stored = attempt.stored
    if stored is not None and stored.num_frames and not lacks_edge(stored, attempt.log, config):
        return None
    return replace(plan, sampling="exact")


def _with_one_graph(plan: Plan, attempt: Attempt, config: DecodeConfig) -> Plan | None:
    """Return the plan that keeps the filters where ffmpeg built them anew on the way.

    A picture that is turned needs the filter that ffmpeg inserts, and that one cannot take another size.
    """
    has_hole_in_time = attempt.stored is not None and has_hole(attempt.stored, config)
    if plan.every_picture or not (has_hole_in_time or GRAPH_WAS_REBUILT.search(attempt.log)):
        return None
    return replace(plan, every_picture=True) if is_turned(attempt.log) else replace(plan, one_graph=True)


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


def _sound(plan: Plan, attempt: Attempt, config: DecodeConfig) -> Plan | None:  # noqa: ARG001 - as every rule
    """Return the plan with other filters for the sound where its layout or its clock asks for them."""
    if attempt.stored is None or not attempt.stored.audio_seconds:
        return None
    return replace(plan, mix=revised_sound(plan.mix, attempt.report, attempt.stored.audio_seconds, attempt.kind))


# The first rule that asks for another plan decides.
RULES: tuple[Callable[[Plan, Attempt, DecodeConfig], Plan | None], ...] = (
    _without_picture,
    _with_every_picture,
    _with_one_graph,
    _with_the_first_picture,
    _with_every_time,
    _sound,
)
