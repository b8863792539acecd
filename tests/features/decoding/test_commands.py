from __future__ import annotations

import pytest

from features.base.errors import ClipError
from features.decoding.commands import VIDEO_FORMATS, clip_command
from features.decoding.config import DecodeConfig
from features.decoding.covers import PICTURE_FORMATS, CoverForm, cover_command
from features.decoding.plan import Plan
from features.downloads.media_kinds import COVER_KINDS, EXTRA_VIDEO_KINDS, SOUND_KINDS, VIDEO_KINDS


def options_before_input(command: list[str]) -> dict[str, str]:
    words = command[1 : command.index("-i")]
    return dict(zip(words[::2], words[1::2], strict=True))


def test_every_command_is_guarded() -> None:
    config = DecodeConfig(max_pixels=1000, max_seconds=7.5)
    clip = clip_command("ffmpeg", "/media/-a b.mp4", "mp4", config)
    cover = cover_command("ffmpeg", "/media/c.png", "png", config, CoverForm())
    for command, demuxer in ((clip, "mov"), (cover, "png_pipe")):
        guards = options_before_input(command)
        assert guards["-protocol_whitelist"] == "file"
        assert guards["-format_whitelist"] == guards["-f"] == demuxer
        assert guards["-max_pixels"] == "1000"
        assert guards["-threads"] == "1"
        assert {"-nostdin", "-sn", "-dn", "-map_metadata", "-map_chapters"} <= set(command)
    assert clip[clip.index("-i") + 1] == "file:/media/-a b.mp4"
    assert options_before_input(clip)["-t"] == "7.5"
    assert "skip_" not in " ".join(clip)
    fast = options_before_input(clip_command("ffmpeg", "a", "mp4", DecodeConfig(sampling="fast")))
    assert (fast["-skip_frame"], fast["-skip_loop_filter"]) == ("noref", "all")


def test_commands_of_two_files_differ_in_the_file_alone() -> None:
    one, other = (clip_command("ffmpeg", path, "mp4", DecodeConfig()) for path in ("/a/file:", "/b c"))
    assert [pair for pair in zip(one, other, strict=True) if pair[0] != pair[1]] == [("file:/a/file:", "file:/b c")]


def test_the_start_of_an_mp4_is_looked_at_only_where_it_is_late() -> None:
    commands = {kind: " ".join(clip_command("ffmpeg", "a", kind, DecodeConfig())) for kind in ("mp4", "matroska")}
    assert ["setpts" in commands[kind] for kind in commands] == [False, True]
    late = clip_command("ffmpeg", "a", "mp4", DecodeConfig(), Plan(in_time=True))
    assert "setpts" in " ".join(late)


def test_every_kind_that_download_lets_pass_has_one_demuxer() -> None:
    assert set(VIDEO_FORMATS) == VIDEO_KINDS | SOUND_KINDS | EXTRA_VIDEO_KINDS
    assert set(PICTURE_FORMATS) == COVER_KINDS
    assert not any("," in name for name in [*VIDEO_FORMATS.values(), *PICTURE_FORMATS.values()])


@pytest.mark.parametrize("kind", ["", "html", "hls", "jpeg"])
def test_a_kind_that_is_no_video_gets_no_command(kind: str) -> None:
    with pytest.raises(ClipError, match=f"format_not_allowed: {kind or 'an unknown kind'} is not read: expected mp4, "):
        clip_command("ffmpeg", "a", kind, DecodeConfig())
    with pytest.raises(ClipError, match="format_not_allowed"):
        cover_command("ffmpeg", "a", "mp4", DecodeConfig(), CoverForm())


def test_frames_for_motion_come_of_the_same_decoder() -> None:
    plain = clip_command("ffmpeg", "a", "mp4", DecodeConfig())
    assert not any("filter_complex" in word for word in plain)
    both = clip_command("ffmpeg", "a", "mp4", DecodeConfig(motion_frames_per_second=7.5, max_motion_frames=90))
    assert both.count("-i") == 1
    graph = both[both.index("-filter_complex") + 1]
    assert "fps=2.0:round=up,trim=end_frame=600," in graph
    assert "fps=7.5:round=up,trim=end_frame=90," in graph
    assert [both[place + 1] for place, word in enumerate(both) if word == "-map"] == ["[frames]", "[motion]", "0:a:0?"]
