"""What an older shard of the same settings still holds of a clip."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING

from features.base.errors import ShardError
from features.base.outcomes import is_transient
from features.decoding.clip import sources
from features.formats.tar_shard import index_tar_shard

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from features.downloads.download_rows import DownloadedClip
    from features.formats.tar_shard import StoredClip, TarShardWriter


class DecodedBefore:
    """The clips of an older decoded shard; none without one, and none of a damaged one.

    Args:
        path: The older shard, ``None`` = there is none.
    """

    def __init__(self, path: Path | None) -> None:
        self._clips: dict[str, StoredClip] = {}
        self._stream: IO[bytes] | None = None
        if path is not None:
            try:
                self._clips = index_tar_shard(path)
                self._stream = path.open("rb")
            except (ShardError, OSError):
                # Nothing is lost: the clips are decoded again.
                self._clips = {}

    def __enter__(self) -> DecodedBefore:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._stream is not None:
            self._stream.close()

    def find(self, clip: DownloadedClip) -> StoredClip | None:
        """Return the older result of a clip, ``None`` unless decoding it again would give the same."""
        stored = self._clips.get(clip.outcome.clip_id)
        if stored is None or any(is_transient(code) for code in stored.about.get("codes", ())):
            return None
        wanted = sources(clip)
        return stored if {name: stored.about.get(name) for name in wanted} == wanted else None

    def copy(self, clip: StoredClip, writer: TarShardWriter) -> None:
        """Append an older result to another shard."""
        if self._stream is not None:
            writer.copy(clip, self._stream)
