"""Settings of the Download stage."""

from __future__ import annotations

from dataclasses import dataclass

from features.base.errors import SettingError
from features.base.settings import check_fraction, setting
from features.downloads.media_spec import EXTRA_VIDEO_KINDS, VIDEO_KINDS
from features.http.config import HttpConfig


@dataclass(frozen=True)
class DownloadConfig(HttpConfig):
    """How media files are fetched and checked; the http part is :class:`features.http.config.HttpConfig`.

    Attributes:
        workers: Files at a time, whatever their hosts.
        extra_video_kinds: What counts as a video beside the usual containers: names of ``gif`` and ``webp``, joined by
            commas.
        keep_media: ``false`` deletes the fetched files of a shard once Decode has read them; whoever needs them later
            fetches them again.
        max_failed_fraction: The stage fails when a larger share of its clips failed.
    """

    workers: int = setting(8, identity=False)
    extra_video_kinds: str = ""
    keep_media: bool = setting(True, identity=False)
    max_failed_fraction: float = setting(0.2, identity=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.workers < 1:
            raise SettingError(f"workers is {self.workers}: give 1 or more")
        check_fraction("max_failed_fraction", self.max_failed_fraction)
        unknown = self._extra_kinds() - EXTRA_VIDEO_KINDS
        if unknown:
            known = ", ".join(sorted(EXTRA_VIDEO_KINDS))
            raise SettingError(f"extra_video_kinds names {', '.join(sorted(unknown))}: expected some of {known}")

    def _extra_kinds(self) -> frozenset[str]:
        return frozenset(kind for part in self.extra_video_kinds.split(",") if (kind := part.strip()))

    def video_kinds(self) -> frozenset[str]:
        """Return every kind of file that counts as a video."""
        return VIDEO_KINDS | self._extra_kinds()
