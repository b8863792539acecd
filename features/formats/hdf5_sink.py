"""A file that keeps the first error of writing to itself until it is closed."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from typing_extensions import Buffer


class DeferredErrorFile(io.FileIO):
    """A new file for HDF5, which cannot stand errors: it tries again whenever one of its objects is forgotten.

    On a full disk that gives exceptions that nobody can catch, beside the one that tells. Here what cannot be
    written is dropped, and :meth:`close` raises the first error.
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
        """Cut or extend the file, unless an error has made that useless."""
        if self._error is None:
            try:
                return super().truncate(size)
            except OSError as error:
                self._error = OSError(error.errno, error.strerror, str(self.name))
        return size or 0

    def close(self) -> None:
        """Close the file.

        Raises:
            OSError: The first thing that went wrong.
        """
        error, self._error = self._error, None
        super().close()
        if error is not None:
            raise error
