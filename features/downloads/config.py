"""Settings of the Download stage."""

from __future__ import annotations

from dataclasses import dataclass

from features.base.errors import SettingError
from features.base.settings import at_least, check_fraction, setting
from features.downloads.media_kinds import EXTRA_VIDEO_KINDS, SOUND_KINDS, VIDEO_KINDS
from features.http.config import HttpConfig


@dataclass(frozen=True)
class DownloadConfig(HttpConfig):
    """How media files are fetched and checked; the http part is :class:`features.http.config.HttpConfig`.

    Attributes:
        workers: Concurrent downloads, whatever their hosts.
        extra_video_kinds: Kinds of files accepted as videos beside the usual containers: ``gif`` and ``webp``, joined
            by commas.
        keep_media: ``false`` deletes the fetched files of a shard once Decode has read them; a later stage that needs
            them fetches them again.
        max_failed_fraction: The stage fails when a larger fraction of its clips failed.
    """

    workers: int = setting(8, identity=False, check=at_least(1))
    extra_video_kinds: str = ""
    keep_media: bool = setting(True, identity=False)
    max_failed_fraction: float = setting(0.2, identity=False, check=check_fraction)

    def __post_init__(self) -> None:
        super().__post_init__()
        unknown = self._extra_kinds() - EXTRA_VIDEO_KINDS
        if unknown:
            known = ", ".join(sorted(EXTRA_VIDEO_KINDS))
            raise SettingError(f"extra_video_kinds names {', '.join(sorted(unknown))}: expected some of {known}")

    def _extra_kinds(self) -> frozenset[str]:
        return frozenset(kind for part in self.extra_video_kinds.split(",") if (kind := part.strip()))

    def video_kinds(self) -> frozenset[str]:
        """Return every kind of file that is taken as a video; sound alone is a video without a picture."""
        return VIDEO_KINDS | SOUND_KINDS | self._extra_kinds()
