"""Clips that are decoded when they are asked for and kept nowhere."""

from __future__ import annotations

from contextlib import ExitStack, closing
from typing import TYPE_CHECKING

from features.base.outcomes import Outcome
from features.decoding.clip import decode_clip, sources
from features.decoding.shard import opened_decoder
from features.formats.tar_shard import OpenedClip

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from features.base.parallel import WorkerPool
    from features.decoding.clip import FreshClip
    from features.decoding.config import DecodeConfig
    from features.downloads.download_rows import DownloadedClip, MediaFile


class FreshClips:
    """The decoded clips of one shard, with the same content as a decoded shard would have.

    It can be iterated once. While one clip is used, the pool decodes those that follow.

    Args:
        clips: Rows of the Download stage.
        config: The settings.
        locate: Returns the absolute path of a file, or raises :class:`ClipError`.
        path: A file of the caller's; beside it stand ffmpeg's empty working folder and what memory cannot hold.
        pool: The threads that wait for ffmpeg.
        is_known: Clips whose content nobody needs: they are not decoded, and come without parts.
    """

    def __init__(
        self,
        clips: Iterable[DownloadedClip],
        config: DecodeConfig,
        locate: Callable[[MediaFile], Path],
        path: Path,
        pool: WorkerPool,
        is_known: Callable[[DownloadedClip], bool] = lambda _: False,
    ) -> None:
        self._clips = clips
        self._config = config
        self._locate = locate
        self._path = path
        self._pool = pool
        self._is_known = is_known
        self.cpu_seconds = 0.0

    def __iter__(self) -> Iterator[OpenedClip]:
        with ExitStack() as stack:
            decoder = stack.enter_context(opened_decoder(self._config, self._locate, self._path, self._pool.window))

            def decode(clip: DownloadedClip) -> tuple[DownloadedClip, FreshClip | None]:
                return clip, None if self._is_known(clip) else decode_clip(clip, decoder)

            # Entered last, closed first, as in decode_shard.
            for clip, fresh in stack.enter_context(closing(self._pool.ordered_map(decode, self._clips))):
                if fresh is None:
                    yield OpenedClip(Outcome(clip.outcome.clip_id, "ok"), None, None, sources(clip))
                    continue
                self.cpu_seconds += fresh.cpu_seconds
                yield _rewound(fresh)
                decoder.release(part for part in (fresh.matroska, fresh.cover) if part is not None)


def _rewound(clip: FreshClip) -> OpenedClip:
    for part in (clip.matroska, clip.cover):
        if part is not None:
            part.seek(0)
    return OpenedClip(clip.outcome, clip.matroska, clip.cover, clip.about)
