"""Where windows lie whose rows the book has given up for their days."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

from rating.core.archived import ArchivedWindow


class Archive(Protocol):
    """Files of windows, each named once and never changed.

    Raises (every method):
        EdgeUnavailable: there is no such file, or it cannot be read or written.
    """

    def write(self, name: str, windows: Iterable[ArchivedWindow]) -> str:
        """Write a file, on the disk when this returns, whole or not at all. Returns SHA-256 of its bytes.

        A file of that name with the same windows stays as it is, and its own digest is returned.

        Raises:
            EdgeDisagrees: there is a file of that name with other windows.
        """

    def read(self, name: str, digest: str) -> Iterator[ArchivedWindow]:
        """The windows of a file in the order in which they were written.

        Raises (before the first window):
            EdgeDisagrees: the file has another digest, or holds what is no window.
        """
