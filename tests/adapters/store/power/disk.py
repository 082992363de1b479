"""A disk as a power cut leaves it: from what a process did to its files, what was surely there and what perhaps.

What was synced before the cut is there. Of each write since, any sector of 512 bytes may be there or not, whatever came
before or after it: drives and file systems reorder and tear. A new file's name, and a removed one's absence, are sure
once the file or its folder was synced.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

_HEAD = struct.Struct("<cHqQ")
_SECTOR = 512


@dataclass(frozen=True, slots=True)
class Operation:
    kind: str
    path: Path
    offset: int
    data: bytes


class Survives(Enum):
    """Which writes that were never synced the cut left behind."""

    NOTHING = "nothing"
    EVERYTHING = "everything"
    SOME = "some sectors"


def operations(log: Path) -> Iterator[Operation]:
    held = memoryview(log.read_bytes())
    while held:
        kind, name, offset, length = _HEAD.unpack_from(held)
        path = bytes(held[_HEAD.size : _HEAD.size + name]).decode()
        held = held[_HEAD.size + name :]
        data = bytes(held[:length]) if kind == b"w" else b""
        held = held[len(data) :]
        yield Operation(kind.decode(), Path(path), offset, data)


@dataclass(slots=True)
class _File:
    sure: bytearray = field(default_factory=bytearray)
    there: bool = False
    """Is its name surely in the folder?"""
    since: list[Operation] = field(default_factory=list)
    """What was done to it since it was synced."""


class Disk:
    def __init__(self) -> None:
        self._files: dict[Path, _File] = {}

    def take(self, done: Operation) -> None:
        if done.kind == "d":
            for file in self._files.values():
                file.there = file.there or any(one.kind == "c" for one in file.since)
                gone = [place for place, one in enumerate(file.since) if one.kind == "u"]
                if gone:
                    file.sure, file.since = bytearray(), file.since[gone[-1] + 1 :]
                    file.there = any(one.kind == "c" for one in file.since)
            return
        file = self._files.setdefault(done.path, _File())
        if done.kind == "s":
            for one in file.since:
                _apply(file.sure, one)
            file.since, file.there = [], True
        else:
            file.since.append(done)

    def left(self, folder: Path, survives: Survives, chance: random.Random) -> None:
        """Write into `folder` what the cut left."""
        for path, file in self._files.items():
            # The shared-memory index is no file to survive: SQLite makes it anew when it opens the log.
            if path.name.endswith("-shm") or path.name == "acks":
                continue
            content, there = bytearray(file.sure), file.there
            for one in file.since:
                some = survives is Survives.SOME
                if survives is Survives.NOTHING or (some and one.kind != "w" and chance.random() < 0.5):
                    continue
                there = one.kind != "u" if one.kind in "cu" else there
                for part in _sectors(one) if some else (one,):
                    if survives is Survives.EVERYTHING or chance.random() < 0.5:
                        _apply(content, part)
            if there:
                (folder / path.name).write_bytes(content)


def _sectors(one: Operation) -> Iterator[Operation]:
    if one.kind != "w":
        yield one
        return
    for start in range(0, len(one.data), _SECTOR):
        yield Operation("w", one.path, one.offset + start, one.data[start : start + _SECTOR])


def _apply(content: bytearray, one: Operation) -> None:
    if one.kind == "w":
        if len(content) < one.offset:
            content.extend(bytes(one.offset - len(content)))
        content[one.offset : one.offset + len(one.data)] = one.data
    elif one.kind in "tu":
        keep = one.offset if one.kind == "t" else 0
        del content[keep:]
        content.extend(bytes(keep - len(content)))
