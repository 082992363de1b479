"""An archive of windows in a folder: one compressed file of JSON lines per name, which any other tool reads as well."""

from __future__ import annotations

import gzip
import hashlib
import os
from collections.abc import Iterable, Iterator
from itertools import zip_longest
from pathlib import Path

from rating.core.archived import ArchivedWindow, line_of, read_line
from rating.errors import EdgeDisagrees, EdgeUnavailable


class FolderArchive:
    """Files are read only once their digest has been compared; each one's is computed once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._digests: dict[str, str] = {}

    def write(self, name: str, windows: Iterable[ArchivedWindow]) -> str:
        file = self._folder / name
        part = file.with_name(f"{name}.part")
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with part.open("wb") as raw:
                # No name and no time in it: the same windows are the same bytes.
                with gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0) as packed:
                    for one in windows:
                        packed.write(line_of(one).encode())
                raw.flush()
                os.fsync(raw.fileno())
            if file.exists():
                _same(file, part)
            else:
                os.replace(part, file)
                _on_disk(self._folder)
        except (OSError, EOFError) as error:
            raise EdgeUnavailable(
                f"{file} cannot be written: {getattr(error, 'strerror', None) or error}; choose another --archive"
            ) from error
        finally:
            if part.parent.exists():
                part.unlink(missing_ok=True)
        self._digests.pop(name, None)
        return self._digest(name)

    def read(self, name: str, digest: str) -> Iterator[ArchivedWindow]:
        file = self._folder / name
        found = self._digest(name)
        if found != digest:
            raise EdgeDisagrees(
                f"{file} has the SHA-256 {found[:16]}..., but the book rolled its windows up from a file with "
                f"{digest[:16]}...; find the copy that was not changed"
            )
        return self._lines(file)

    def _lines(self, file: Path) -> Iterator[ArchivedWindow]:
        try:
            with gzip.open(file, "rt", encoding="utf-8", newline="\n") as lines:
                yield from map(read_line, lines)
        except (OSError, EOFError, ValueError, KeyError, TypeError) as error:
            raise EdgeDisagrees(f"{file} is no archive of windows: {error}") from error

    def _digest(self, name: str) -> str:
        if name not in self._digests:
            file = self._folder / name
            try:
                with file.open("rb") as content:
                    self._digests[name] = hashlib.file_digest(content, "sha256").hexdigest()
            except OSError as error:
                raise EdgeUnavailable(
                    f"{file} cannot be read: {error.strerror}; give --archive with the folder that holds it"
                ) from error
        return self._digests[name]


def _same(file: Path, part: Path) -> None:
    """The one there stays: another version of zlib may pack the same windows otherwise."""

    with gzip.open(file) as before, gzip.open(part) as now:
        try:
            same = all(one == other for one, other in zip_longest(before, now))
        except (OSError, EOFError):
            same = False
    if not same:
        raise EdgeDisagrees(f"{file} is there with other windows; choose another --archive, it may be in use elsewhere")


def _on_disk(folder: Path) -> None:
    """A file's name is on the disk when its folder is."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
