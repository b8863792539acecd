"""A file object for h5py that defers the first write error to ``close()``."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from typing_extensions import Buffer


class DeferredErrorFile(io.FileIO):
    """A new file whose write errors are deferred: data after the first error is dropped, and :meth:`close` raises it.

    h5py retries a failed flush whenever an object is garbage-collected. On a full disk each retry would raise in a
    destructor, where no caller can catch it, beside the one useful error.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(str(path), "w+b")
        self._error: OSError | None = None

    def write(self, data: Buffer) -> int:
        """Write all of ``data``, or drop it after an error; return its length."""
        view = memoryview(data).cast("B")
        done = 0
        while self._error is None and done < len(view):
            try:
                done += super().write(view[done:])
            except OSError as error:
                self._error = OSError(error.errno, error.strerror, str(self.name))
        return len(view)

    def readinto(self, buffer: Buffer) -> int:
        """Fill ``buffer``, with zeros where there is nothing (only after an error)."""
        view = memoryview(buffer).cast("B")
        found = super().readinto(view) or 0
        view[found:] = bytes(len(view) - found)
        return len(view)

    def truncate(self, size: int | None = None) -> int:
        """Cut or extend the file; do nothing after an error."""
        if self._error is None:
            try:
                return super().truncate(size)
            except OSError as error:
                self._error = OSError(error.errno, error.strerror, str(self.name))
        return size or 0

    def close(self) -> None:
        """Close the file.

        Raises:
            OSError: The first error of writing.
        """
        error, self._error = self._error, None
        super().close()
        if error is not None:
            raise error
