"""A folder that only grows: files appear whole or not at all, and never change.

Decides how a file is written so that a crash at any moment, or a reader at any moment, finds it as it was meant. Knows
no papers.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rating.errors import EdgeDisagrees, EdgeUnavailable


class Folder:
    """Files under one directory.

    Raises (every method):
        EdgeUnavailable: the file system does not let us: no such directory, no right, no room.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def names(self, within: str, suffix: str) -> tuple[str, ...]:
        """Names of whole files, sorted; what a crash left half written is none."""
        with _said(self.path / within):
            if not (self.path / within).is_dir():
                return ()
            return tuple(sorted(one.name for one in (self.path / within).iterdir() if one.name.endswith(suffix)))

    def read(self, name: str) -> bytes:
        with _said(self.path / name):
            return (self.path / name).read_bytes()

    def add(self, name: str, content: bytes) -> bool:
        """Write a file. True when it is new.

        Raises:
            EdgeDisagrees: it exists with other content.
        """
        target = self.path / name
        with _said(target):
            if target.exists():
                if target.read_bytes() != content:
                    raise EdgeDisagrees(
                        f"{target} exists and says something else; what was handed over never changes: move it away if "
                        "it is not ours, and find out who wrote it if it is"
                    )
                return False
            target.parent.mkdir(parents=True, exist_ok=True)
            half = target.with_name(f".{target.name}.half")
            with half.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            half.rename(target)
            _sync(target.parent)
            return True


def _sync(directory: Path) -> None:
    """Make the names in a directory outlive a power cut."""
    number = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


@contextmanager
def _said(where: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise EdgeUnavailable(f"{where}: {error.strerror or error}; it is tried again") from error
