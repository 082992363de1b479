"""One counter file on disk: claimed by one writer, read by anybody.

Decides locking, growth and the order of writes. Leaves the bytes to `records` and what they mean to `durable`.
"""

from __future__ import annotations

import logging
import mmap
import os
from collections.abc import Iterator
from pathlib import Path

from .records import HEADER, DamagedStore, Key, Words, check_header, header, record, scan

log = logging.getLogger(__name__)

SUFFIX = ".counts"
FIRST_SIZE = 1 << 16  # bytes; the file doubles when it is full


class Slot:
    """The writer's side of one file. Holds an exclusive lock until closed or until the process ends, in any way."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self.descriptor = descriptor
        self.size = 0
        self.end = HEADER
        self.words: Words

    @classmethod
    def claim(cls, path: Path, now_ms: int) -> Slot | None:
        """The slot if nobody holds it; None if somebody does. Raises DamagedStore when its content fails the checks."""
        import fcntl  # here, for the rest of the package runs where there is no such lock too

        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        slot = cls(path, descriptor)
        try:
            slot._open(now_ms)
        except DamagedStore as error:
            os.close(descriptor)
            raise DamagedStore(f"{path}: {error}") from None
        except BaseException:
            os.close(descriptor)
            raise
        return slot

    def _open(self, now_ms: int) -> None:
        self._map(max(os.fstat(self.descriptor).st_size, FIRST_SIZE))
        if not check_header(bytes(self._bytes[:HEADER])):
            self._bytes[:HEADER] = header(now_ms)
        self.keys = list(scan(self._bytes, thorough=True))
        self.end = self.keys[-1][2] if self.keys else HEADER
        # A body whose first word was never written is no record; left standing it would spoil the next one's end.
        if any(self._bytes[self.end :]):
            if self.words[self.end // 8]:
                log.warning("%s: cut a record torn by a machine crash at byte %d", self.path, self.end)
            self._bytes[self.end :] = bytes(self.size - self.end)

    def _map(self, size: int) -> None:
        size = -(-size // mmap.PAGESIZE) * mmap.PAGESIZE
        # Reserved, not sparse: on a full disk this raises OSError here; a store into a hole would kill the process.
        _reserve(self.descriptor, size)
        # Older mappings stay valid beside the new one: both are views of the same pages.
        self._bytes = memoryview(mmap.mmap(self.descriptor, size))
        self.words = self._bytes.cast("Q")
        self.size = size

    def append(self, key: Key) -> tuple[Words, int]:
        """A new record with a total of zero: the words it lives in and its index. Raises OSError on a full disk."""
        first, body = record(key)
        after = self.end + 8 + len(body)
        while after + 8 > self.size:
            self._map(self.size * 2)
        self._bytes[self.end + 8 : after] = body
        self.words[self.end // 8] = first  # from here on the record exists
        self.end = after
        return self.words, after // 8 - 1

    def close(self) -> None:
        """Give the lock back. The file stays: its totals go on with the next process that claims it."""
        import fcntl

        fcntl.flock(self.descriptor, fcntl.LOCK_UN)  # closing is not enough: the mappings hold copies of the descriptor
        os.close(self.descriptor)

    def abandon(self) -> None:
        """Let go in a forked child, whose parent goes on writing: unlocking here would unlock the parent."""
        os.close(self.descriptor)


def _reserve(descriptor: int, size: int) -> None:
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, 0, size)
        return
    have = os.fstat(descriptor).st_size  # macOS: write the zeros
    while have < size:
        have += os.pwrite(descriptor, bytes(min(size - have, FIRST_SIZE)), have)


class SlotReader:
    """Anybody's side of one file: the records published so far, whoever writes it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self.size = 0
        self.position = HEADER
        self.words: Words
        self._checked = False

    def fresh(self, *, thorough: bool = False) -> Iterator[tuple[Key, Words, int]]:
        """Records that appeared since the last call: key, words and index of the total. Raises DamagedStore."""
        size = os.fstat(self.descriptor).st_size
        if size > self.size:
            self._bytes = memoryview(mmap.mmap(self.descriptor, size, access=mmap.ACCESS_READ))
            self.words = self._bytes[: size // 8 * 8].cast("Q")
            self.size = size
        if self.size < HEADER:
            return
        try:
            if not self._checked:
                self._checked = check_header(bytes(self._bytes[:HEADER]))
                if not self._checked:
                    return
            for key, index, after in scan(self._bytes, self.position, thorough=thorough):
                self.position = after
                yield key, self.words, index
        except DamagedStore as error:
            raise DamagedStore(f"{self.path}: {error}") from None

    def sync(self) -> None:
        """Everything written to the file so far is on the disk when this returns."""
        os.fsync(self.descriptor)

    def close(self) -> None:
        os.close(self.descriptor)
