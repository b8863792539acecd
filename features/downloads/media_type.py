"""What a file really is, by its first bytes; names and Content-Type headers are not believed."""

from __future__ import annotations

VIDEO_KINDS = frozenset({"mp4", "matroska", "avi", "flv", "mpegts", "mpegps"})
# Pictures that move: videos only where a setting says so.
EXTRA_VIDEO_KINDS = frozenset({"gif", "webp"})
COVER_KINDS = frozenset({"jpeg", "png", "webp"})
SNIFF_BYTES = 512
TS_PACKET_BYTES = 188


def kind_of(head: bytes) -> str:
    """Return the kind of a file by its first 512 bytes, ``""`` for one that nothing here reads.

    ``html`` and ``gif`` are named since they are what a server sends instead of a video most often.
    """
    for offset, magic, kind in _SIGNATURES:
        if head[offset : offset + len(magic)] == magic:
            return kind
    if head[:4] == b"RIFF":
        return {b"WEBP": "webp", b"AVI ": "avi"}.get(head[8:12], "")
    if head[:1] == b"\x47" and head[TS_PACKET_BYTES : TS_PACKET_BYTES + 1] == b"\x47":
        return "mpegts"
    start = head.lstrip()[:15].lower()
    return "html" if start.startswith((b"<!doctype html", b"<html")) else ""


_SIGNATURES = (
    (4, b"ftyp", "mp4"),
    # QuickTime files of before ISO 14496-12 start with one of these boxes.
    (4, b"moov", "mp4"),
    (4, b"mdat", "mp4"),
    (4, b"wide", "mp4"),
    (0, b"\x1a\x45\xdf\xa3", "matroska"),
    (0, b"FLV\x01", "flv"),
    (0, b"\x00\x00\x01\xba", "mpegps"),
    (0, b"\xff\xd8\xff", "jpeg"),
    (0, b"\x89PNG\r\n\x1a\n", "png"),
    (0, b"GIF8", "gif"),
)
