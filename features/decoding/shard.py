"""The downloaded clips of one shard -> a decoded shard; clips that an older shard already has are copied."""

from __future__ import annotations

import os
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from features.base.errors import ShardError
from features.base.files import TEMPORARY_PREFIX
from features.base.outcomes import Outcome, is_transient
from features.decoding.clip import DecodedClip, decode_clip, sources
from features.decoding.ffmpeg import find_ffmpeg
from features.decoding.work import MEGABYTE, ClipDecoder
from features.formats.reuse import ReusableShard, source_digest
from features.formats.tar_shard import OpenedClip, TarShardWriter, index_tar_shard

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from features.base.parallel import WorkerPool
    from features.decoding.config import DecodeConfig
    from features.downloads.download_rows import DownloadedClip, MediaFile
    from features.formats.tar_shard import StoredClip


@dataclass(frozen=True)
class Decoding:
    """The outcomes and the cost of one shard.

    Attributes:
        outcomes: One a clip.
        cpu_seconds: Processor time of the ffmpeg processes.
    """

    outcomes: tuple[Outcome, ...]
    cpu_seconds: float


def decode_shard(
    clips: Iterable[DownloadedClip],
    config: DecodeConfig,
    locate: Callable[[MediaFile], Path],
    path: Path,
    pool: WorkerPool,
    on_clip: Callable[[], None] = lambda: None,
    previous: Path | None = None,
) -> Decoding:
    """Write the decoded shard of ``clips`` to ``path`` and return its outcomes.

    Args:
        clips: Rows of the Download stage, in the order in which they are written.
        config: The settings.
        locate: Returns the absolute path of a file, or raises :class:`ClipError`.
        path: The new file; ffmpeg's empty working folder is created beside it meanwhile.
        pool: The threads that wait for ffmpeg.
        on_clip: Called after each clip.
        previous: An older shard, made with the same settings and the same ffmpeg: a clip whose files are the
            same there, and whose problems another attempt would meet again, is copied from it.

    Raises:
        ToolError: ffmpeg cannot be run.
    """
    outcomes: list[Outcome] = []
    cpu_seconds = 0.0
    with ExitStack() as stack:
        decoder = stack.enter_context(open_clip_decoder(config, locate, path, pool.window))
        older = reusable_clips(previous)
        stream = stack.enter_context(previous.open("rb")) if previous is not None and len(older) else None
        writer = stack.enter_context(TarShardWriter(path))

        def stored_or_decoded(clip: DownloadedClip) -> StoredClip | DecodedClip:
            return older.find(clip.outcome.clip_id, source_digest(sources(clip))) or decode_clip(clip, decoder)

        decoded = pool.ordered_map(stored_or_decoded, clips)
        # Entered last, closed first: after an error no thread of the pool reads a file that the decoder has closed.
        for ready in stack.enter_context(closing(decoded)):
            if isinstance(ready, DecodedClip):
                cpu_seconds += ready.cpu_seconds
                _write(ready, writer, decoder)
            elif stream is not None:
                writer.copy(ready, stream)
            outcomes.append(ready.outcome)
            on_clip()
    return Decoding(tuple(outcomes), cpu_seconds)


def reusable_clips(path: Path | None) -> ReusableShard[StoredClip]:
    """Return the clips of an older decoded shard that decoding them again would give; none of a damaged one.

    Clips with a problem that another attempt may not meet are left out.

    Args:
        path: The older shard, ``None`` = there is none.
    """
    reusable: ReusableShard[StoredClip] = ReusableShard()
    try:
        clips = {} if path is None else index_tar_shard(path)
    except (ShardError, OSError):
        clips = {}
    for clip_id, clip in clips.items():
        if not any(is_transient(code) for code in clip.about.get("codes", ())):
            reusable.add(clip_id, source_digest(clip.about), clip)
    return reusable


@contextmanager
def open_clip_decoder(
    config: DecodeConfig, locate: Callable[[MediaFile], Path], path: Path, window: int
) -> Iterator[ClipDecoder]:
    """Create ffmpeg's working folder beside ``path``, and yield what decodes clips; ``window`` of them may wait."""
    folder = path.with_name(f"{TEMPORARY_PREFIX}{os.getpid()}-empty-{path.name}")
    # A killed process of the same number may have left it.
    folder.mkdir(mode=0o500, parents=True, exist_ok=True)
    max_result_bytes = config.memory_megabytes * MEGABYTE // window
    decoder = ClipDecoder(config, find_ffmpeg(config.ffmpeg), locate, folder, path.parent, max_result_bytes)
    try:
        yield decoder
    finally:
        decoder.release(decoder.spools)
        folder.rmdir()


def _write(clip: DecodedClip, writer: TarShardWriter, decoder: ClipDecoder) -> None:
    writer.add(clip.outcome, clip.matroska, clip.cover, clip.about)
    decoder.release(part for part in (clip.matroska, clip.cover) if part is not None)


class OnTheFlyClips:
    """The decoded clips of one shard, with the same content as a decoded shard would have.

    It can be iterated once. While one clip is used, the pool decodes those that follow.

    Args:
        clips: Rows of the Download stage.
        config: The settings.
        locate: Returns the absolute path of a file, or raises :class:`ClipError`.
        path: A path of the caller's; ffmpeg's empty working folder and results that exceed the memory are created
            beside it.
        pool: The threads that wait for ffmpeg.
        is_known: Clips whose content is not needed: they are not decoded, and are yielded without parts.
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
            decoder = stack.enter_context(open_clip_decoder(self._config, self._locate, self._path, self._pool.window))

            def decode(clip: DownloadedClip) -> tuple[DownloadedClip, DecodedClip | None]:
                return clip, None if self._is_known(clip) else decode_clip(clip, decoder)

            # Entered last, closed first, as in decode_shard.
            for clip, fresh in stack.enter_context(closing(self._pool.ordered_map(decode, self._clips))):
                if fresh is None:
                    yield OpenedClip(Outcome(clip.outcome.clip_id, "ok"), None, None, sources(clip))
                    continue
                self.cpu_seconds += fresh.cpu_seconds
                yield _rewound(fresh)
                decoder.release(part for part in (fresh.matroska, fresh.cover) if part is not None)


def _rewound(clip: DecodedClip) -> OpenedClip:
    for part in (clip.matroska, clip.cover):
        if part is not None:
            part.seek(0)
    return OpenedClip(clip.outcome, clip.matroska, clip.cover, clip.about)
