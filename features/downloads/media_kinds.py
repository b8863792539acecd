"""The kind of a media file by its first bytes; names and headers do not count.

The kind names the only demuxer that Decode allows for a file, so a wrong guess costs a clip and no more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

VIDEO_KINDS = frozenset({"mp4", "matroska", "avi", "flv", "mpegts", "mpegps", "ogg", "heif_sequence"})
# Sound alone, taken in place of a video. Sound in MP4, Matroska or Ogg has the kind of its container.
SOUND_KINDS = frozenset({"mp3", "aac", "wav", "flac"})
# Animated pictures: videos only with ``extra_video_kinds``.
EXTRA_VIDEO_KINDS = frozenset({"gif", "webp"})
COVER_KINDS = frozenset({"jpeg", "png", "webp", "gif", "heif", "heif_sequence"})
# Enough for two frames of MP3 or AAC behind the rest of one that was cut.
SNIFF_BYTES = 4096
# ID3v2 tags in front of sound: a cover fits; what claims more has no kind.
MAX_TAG_BYTES = 1 << 24
MAX_TAGS = 4

# Brands of HEIF (ISO/IEC 23008-12): still pictures as HEIC and AVIF have them, and sequences of pictures.
_STILL_BRANDS = frozenset(
    {
        b"mif1",
        b"mif2",
        b"miaf",
        b"heic",
        b"heix",
        b"heim",
        b"heis",
        b"avif",
        b"avio",
        b"avci",
        b"vvic",
        b"evbi",
        b"jpeg",
    }
)
_SEQUENCE_BRANDS = frozenset({b"msf1", b"avis", b"hevc", b"hevx", b"hevm", b"hevs", b"avcs", b"vvis", b"evbs"})
_MAX_BRANDS = 64
_SIGNATURES = (
    # QuickTime files of before ISO 14496-12 start with one of these boxes.
    (4, b"moov", "mp4"),
    (4, b"mdat", "mp4"),
    (4, b"wide", "mp4"),
    (0, b"\x1a\x45\xdf\xa3", "matroska"),
    (0, b"FLV\x01", "flv"),
    (0, b"\x00\x00\x01\xba", "mpegps"),
    (0, b"OggS", "ogg"),
    (0, b"fLaC", "flac"),
    (0, b"\xff\xd8\xff", "jpeg"),
    (0, b"\x89PNG\r\n\x1a\n", "png"),
    (0, b"GIF8", "gif"),
)
# Boxes that may stand before ``ftyp`` or ``moov``. Texts hold these words, too, so the size in front has to fit.
_LEADING_BOXES = frozenset({b"free", b"skip", b"pnot", b"styp", b"uuid"})
_BOX_HEADER_BYTES, _MAX_LEADING_BOX_BYTES = 8, 1 << 24
_RIFF_KINDS = {
    (b"RIFF", b"WEBP"): "webp", (b"RIFF", b"AVI "): "avi",
    (b"RIFF", b"WAVE"): "wav", (b"RF64", b"WAVE"): "wav", (b"BW64", b"WAVE"): "wav",
}  # fmt: skip
# The kinds that are found behind an ID3v2 tag.
_TAGGED_KINDS = frozenset({"mp3", "aac", "flac", "mpegts"})
_TAG_HEADER_BYTES = 10
_TAG_FOOTER_FLAG = 0x10

# Packets of a transport stream: plain, behind a time of 4 bytes (discs and cameras), before a checksum of 16.
_TS_PACKET_BYTES = (188, 192, 204)
_TS_SYNC = 0x47
_TS_PACKETS = 5
_MIN_TS_PACKETS = 3

# MPEG audio (ISO 11172-3, 13818-3): (version, layer) in the numbers of a frame's header -> kbit/s, and version -> Hz.
# Layer I is left out: with it the byte order mark of UTF-16 would be a header.
_MPEG1, _MPEG2, _MPEG25, _LAYER_2, _LAYER_3 = 3, 2, 0, 2, 1
_LOW_KBPS = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_MP3_KBPS = {
    (_MPEG1, _LAYER_2): (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (_MPEG1, _LAYER_3): (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    **dict.fromkeys(((_MPEG2, _LAYER_2), (_MPEG2, _LAYER_3), (_MPEG25, _LAYER_2), (_MPEG25, _LAYER_3)), _LOW_KBPS),
}
_MP3_HZ = {
    _MPEG1: (44_100, 48_000, 32_000),
    _MPEG2: (22_050, 24_000, 16_000),
    _MPEG25: (11_025, 12_000, 8_000),
}
_MP3_SYNC_SHIFT, _MP3_SYNC = 21, 0x7FF
# Shift and mask of version, layer, bit rate, sample rate and padding in a header's first four bytes.
_MP3_FIELDS = ((19, 3), (17, 3), (12, 0xF), (10, 3), (9, 1))
# The sync word of ADTS and the layer behind it, which is 0, in the seven bytes of a header.
_ADTS_SYNC_SHIFT, _ADTS_SYNC_MASK, _ADTS_SYNC = 40, 0xFFF6, 0xFFF0
# The bits of a header's first four bytes that all frames of a stream share. MP3: version, layer, sample rate; ADTS:
# also protection, profile and channels.
_MP3_SHARED_BITS = 0xFFFE0C00
_ADTS_SHARED_BITS = 0xFFFFFDC0
_ADTS_SAMPLE_RATES = 13
_ADTS_HEADER_BYTES = 7
# Frames in a row that make a file sound: at its start, and behind the rest of a frame that was cut.
_FRAMES_AT_START = 2
_FRAMES_BEHIND = 3


def kind_of(head: bytes) -> str:
    """Return the kind of a file by its first :data:`SNIFF_BYTES` bytes, ``""`` for an unknown one.

    ``html`` and ``gif`` are recognised because servers often send them instead of a video.
    """
    sniffer = KindSniffer()
    sniffer.update(head)
    return sniffer.kind()


class KindSniffer:
    """Finds the kind of a file whose bytes stream by. ID3v2 tags are passed over, however long they are."""

    def __init__(self) -> None:
        self._head = b""
        self._num_tags = 0
        self._num_tag_bytes = 0
        self._num_to_skip = 0

    def update(self, data: bytes) -> bool:
        """Look at the next bytes, and return whether with them no further bytes make a difference any more."""
        if len(self._head) == SNIFF_BYTES:
            return False
        while data and len(self._head) < SNIFF_BYTES:
            skipped = min(self._num_to_skip, len(data))
            self._num_to_skip -= skipped
            data = data[skipped:]
            room = SNIFF_BYTES - len(self._head)
            self._head, data = self._head + data[:room], data[room:]
            size = _tag_bytes(self._head)
            if size and self._num_tags < MAX_TAGS and self._num_tag_bytes + size <= MAX_TAG_BYTES:
                self._num_tags += 1
                self._num_tag_bytes += size
                self._num_to_skip = max(0, size - len(self._head))
                self._head, data = b"", self._head[size:] + data
        return len(self._head) == SNIFF_BYTES

    def kind(self) -> str:
        """Return the kind by the bytes so far, ``""`` for an unknown one."""
        kind = _untagged_kind(self._head)
        return kind if not self._num_tags or kind in _TAGGED_KINDS else ""


def _tag_bytes(head: bytes) -> int:
    """Return the size of the ID3v2 tag that ``head`` starts with, 0 without one (ID3 2.4, section 3.1)."""
    if head[:3] != b"ID3" or len(head) < _TAG_HEADER_BYTES or not head[6:10].isascii():
        return 0
    size = head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9]
    return size + _TAG_HEADER_BYTES * (2 if head[5] & _TAG_FOOTER_FLAG else 1)


def _untagged_kind(head: bytes) -> str:
    for offset, magic, kind in _SIGNATURES:
        if head[offset : offset + len(magic)] == magic:
            return kind
    if head[4:8] == b"ftyp":
        return _kind_by_brand(head)
    if _is_leading_box(head):
        return "mp4"
    # The stuffing and the stream ids of a transport stream are no ASCII.
    if not head.isascii() and first_ts_packet(head)[1]:
        return "mpegts"
    if head.lstrip()[:15].lower().startswith((b"<!doctype html", b"<html")):
        return "html"
    return _RIFF_KINDS.get((head[:4], head[8:12])) or _sound_kind(head)


def _kind_by_brand(head: bytes) -> str:
    """Return ``heif`` for a still picture, ``heif_sequence`` for moving ones, ``mp4`` for anything else.

    Brands only hint: a still picture has its description (``meta``) at the top of the file and no film (``moov``).
    """
    num_bytes = min(int.from_bytes(head[:4], "big"), 16 + 4 * _MAX_BRANDS)
    major, others = head[8:12], {head[place : place + 4] for place in range(16, num_bytes, 4)}
    is_heif = major in _STILL_BRANDS | _SEQUENCE_BRANDS
    boxes = _top_boxes(head)
    if b"moov" in boxes:
        return "heif_sequence" if is_heif else "mp4"
    if b"meta" in boxes and b"mdat" in boxes and (is_heif or others & _STILL_BRANDS):
        return "heif"
    if not is_heif:
        return "mp4"
    # The head ends within a long description.
    return "heif_sequence" if major in _SEQUENCE_BRANDS or b"avis" in others else "heif"


def _top_boxes(head: bytes) -> list[bytes]:
    """Return the names of the boxes at the top of a file, as far as they begin within ``head``."""
    names, place = [], 0
    while place + _BOX_HEADER_BYTES <= len(head):
        num_bytes = int.from_bytes(head[place : place + 4], "big")
        names.append(head[place + 4 : place + 8])
        if num_bytes < _BOX_HEADER_BYTES:
            break
        place += num_bytes
    return names


def _is_leading_box(head: bytes) -> bool:
    num_bytes = int.from_bytes(head[:4], "big")
    return head[4:8] in _LEADING_BOXES and (num_bytes == 1 or _BOX_HEADER_BYTES <= num_bytes <= _MAX_LEADING_BOX_BYTES)


def first_ts_packet(head: bytes) -> tuple[int, int]:
    """Return the place of the first whole packet of a transport stream, and the bytes from one to the next.

    Packets have to follow each other. Both numbers are 0 where they do not.
    """
    for size in _TS_PACKET_BYTES:
        for first in range(min(size, len(head))):
            places = range(first, min(len(head) - 3, first + _TS_PACKETS * size), size)
            if len(places) >= _MIN_TS_PACKETS and all(_is_ts_packet(head, place) for place in places):
                return first, size
    return 0, 0


def _is_ts_packet(head: bytes, place: int) -> bool:
    # Each packet has a payload or an adaptation field. A text of the letter G has not.
    return head[place] == _TS_SYNC and head[place + 3] & 0x30 != 0


def _sound_kind(head: bytes) -> str:
    """Return ``mp3`` or ``aac`` where some frames of it follow each other, else ``""``."""
    first = head.find(b"\xff")
    while first >= 0:
        num_frames = _FRAMES_BEHIND if first else _FRAMES_AT_START
        if _follow_each_other(head, first, num_frames, _mp3_frame_bytes, _MP3_SHARED_BITS):
            return "mp3"
        if _follow_each_other(head, first, num_frames, _adts_frame_bytes, _ADTS_SHARED_BITS):
            return "aac"
        first = head.find(b"\xff", first + 1)
    return ""


def _follow_each_other(
    head: bytes, place: int, num_frames: int, frame_bytes: Callable[[bytes], int], shared_bits: int
) -> bool:
    shared = int.from_bytes(head[place : place + 4], "big") & shared_bits
    for _ in range(num_frames):
        header = head[place : place + _ADTS_HEADER_BYTES]
        num_bytes = frame_bytes(header) if len(header) == _ADTS_HEADER_BYTES else 0
        if not num_bytes or int.from_bytes(header[:4], "big") & shared_bits != shared:
            return False
        place += num_bytes
    return True


def _mp3_frame_bytes(header: bytes) -> int:
    """Return the length of a frame of MPEG audio by its header, 0 where it is none."""
    bits = int.from_bytes(header[:4], "big")
    version, layer, bitrate, rate, padding = (bits >> shift & mask for shift, mask in _MP3_FIELDS)
    kbps, hz = _MP3_KBPS.get((version, layer), ()), _MP3_HZ.get(version, ())
    if bits >> _MP3_SYNC_SHIFT != _MP3_SYNC or bitrate >= len(kbps) or rate >= len(hz) or not kbps[bitrate]:
        return 0
    samples = 576 if layer == _LAYER_3 and version != _MPEG1 else 1152
    return samples // 8 * kbps[bitrate] * 1000 // hz[rate] + padding


def _adts_frame_bytes(header: bytes) -> int:
    """Return the length of a frame of AAC in ADTS by its header (ISO 13818-7), 0 where it is none."""
    bits = int.from_bytes(header, "big")
    if bits >> _ADTS_SYNC_SHIFT & _ADTS_SYNC_MASK != _ADTS_SYNC or bits >> 42 & 0xF >= _ADTS_SAMPLE_RATES:
        return 0
    num_bytes = bits >> 13 & 0x1FFF
    return num_bytes if num_bytes >= _ADTS_HEADER_BYTES else 0
