"""Which file continues which stream: rotation by renaming, by copying, truncation, compression.

A stream is known by its text, a file by device and inode. A renamed file keeps its inode; a compressed one keeps its
text; a truncated one keeps its inode and loses its text, so it is a new stream. Leaves counting to `logs`.
"""

from __future__ import annotations

import gzip
import os
import re
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, cast

from .logstate import ANCHOR, HEAD, LogState, Stream

ROTATED = re.compile(r"[.-]\d[\d._-]*(\.gz)?")  # access.log.1, access.log-20261121, access.log.2.gz
CHUNK = 4 << 20  # bytes in one transaction; a longer line is malformed


@dataclass(frozen=True, slots=True)
class Piece:
    """An open file and the stream it continues. `fresh`: the state does not yet know that this file holds it.
    `finished` names a compressed file, to be read to its end at once."""

    stream: Stream
    file: IO[bytes]
    path: Path
    fresh: bool = False
    truncated: bool = False
    finished: str | None = None


def same_text(stream: Stream, file: IO[bytes]) -> bool:
    """Whether a file holds a stream's text up to its position."""
    file.seek(0)
    if file.read(len(stream.head)) != stream.head:
        return False
    file.seek(stream.position - len(stream.anchor))
    return file.read(len(stream.anchor)) == stream.anchor


def advanced(stream: Stream, text: bytes) -> Stream:
    """The stream after `text` more has been counted."""
    return replace(
        stream,
        head=stream.head + text[: HEAD - len(stream.head)],
        anchor=(stream.anchor + text)[-ANCHOR:],
        position=stream.position + len(text),
    )


def pieces(log: Path, state: LogState, *, copytruncate: bool = False) -> Iterator[Piece]:
    """What there is to read now. A piece must be counted and committed before the next one is asked for.

    `copytruncate`: rotation copies the file and then truncates it, so a new inode may hold text already counted.
    """
    with ExitStack() as open_files:
        plain = _plain(log, open_files)
        by_key = {(stream.device, stream.inode): stream for stream in state.streams()}
        known = [(key, by_key.get(key), path, file) for key, (path, file) in plain.items()]
        settled = {stream.id for _, stream, _, file in known if stream is not None and same_text(stream, file)}
        for _, stream, path, file in known:
            if stream is not None and stream.id in settled:
                yield Piece(stream, file, path)
        for (device, inode), stream, path, file in known:
            if stream is not None and stream.id in settled:
                continue
            if stream is not None:  # its text is gone from here: only a copy of the text can find it again
                state.commit(replace(stream, device=None, inode=None), {}, 0.0)
            found = _by_text(state.streams(), settled, file)
            if found is not None:
                settled.add(found.id)
                yield Piece(replace(found, device=device, inode=inode), file, path, fresh=True)
            elif not (copytruncate and _copied(state.streams(), file)):
                new = Stream(device=device, inode=inode)
                yield Piece(new, file, path, fresh=True, truncated=stream is not None)
    yield from _compressed(log, state, set(plain))


def _plain(log: Path, open_files: ExitStack) -> dict[tuple[int, int], tuple[Path, IO[bytes]]]:
    found: dict[tuple[int, int], tuple[Path, IO[bytes]]] = {}
    for path in _names(log, compressed=False):
        try:
            file = open_files.enter_context(path.open("rb"))
        except OSError:
            continue  # renamed or removed since it was listed: found under its new name the next time
        stat = os.fstat(file.fileno())
        found.setdefault((stat.st_dev, stat.st_ino), (path, file))
    return found


def _names(log: Path, *, compressed: bool) -> list[Path]:
    names = [
        path
        for path in log.parent.iterdir()
        if path.name.startswith(log.name)
        and (match := ROTATED.fullmatch(path.name[len(log.name) :]))
        and bool(match[1]) is compressed
    ]
    return sorted(names, reverse=True) + ([] if compressed else [log])


def _by_text(streams: list[Stream], settled: set[int], file: IO[bytes]) -> Stream | None:
    """The stream (the longest) whose text a file holds and which no other file does."""
    for stream in streams:
        if stream.id not in settled and stream.position and same_text(stream, file):
            return stream
    return None


def _copied(streams: list[Stream], file: IO[bytes]) -> bool:
    """Whether a file begins as a stream does that was or is being counted from another file."""
    file.seek(0)
    start = file.read(HEAD)
    return bool(start) and any(
        stream.head and start[: len(stream.head)] == stream.head[: len(start)] for stream in streams
    )


def _compressed(log: Path, state: LogState, plain: set[tuple[int, int]]) -> Iterator[Piece]:
    for path in _names(log, compressed=True):
        try:
            stat = path.stat()
            name = f"{stat.st_dev}:{stat.st_ino}:{stat.st_size}:{stat.st_mtime_ns}"
            if state.finished(name):
                continue
            with gzip.open(path, "rb") as packed:
                file = cast("IO[bytes]", packed)
                holders = [stream for stream in state.streams() if stream.position and same_text(stream, file)]
                if any((stream.device, stream.inode) in plain for stream in holders):
                    continue  # its plain file is still there, and is read instead
                stream = holders[0] if holders else Stream()
                yield Piece(replace(stream, device=None, inode=None), file, path, fresh=True, finished=name)
        except (OSError, EOFError, zlib.error):
            continue  # removed, or still being written: gzip checks its end, and nothing was committed
