"""The bytes of a durable counter file. Knows nothing of locks, processes or metrics.

    header   64 bytes   "RXCOUNT1", time of creation (ms, u64), CRC-32 of both (u64), zeros
    record   word       length of the key (u32, low half) and CRC-32 of length and key (u32, high half)
             key        UTF-8 JSON [metric, [label names], [label values], scale, created ms], padded with zeros to 8
             word       the total: 53 bits of value, 11 bits of check
    ...      zeros up to the end of the file

Every word is 8 bytes, native little-endian, aligned, and written by one store: a killed process leaves it old or new,
never half. A record's first word is written last: until then the record does not exist. Whatever fails a check is
reported, never guessed.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

Words: TypeAlias = "memoryview[int]"

MAGIC = b"RXCOUNT1"
HEADER = 64
LIMIT = 2**53 - 1  # the largest total: beyond it a float64 on the metrics page would stop counting
MAX_KEY = 1 << 20  # bytes

_MULTIPLIER = 0x9E3779B97F4A7C15  # 2**64 / golden ratio, odd: every bit of the value reaches the check


class DamagedStore(RuntimeError):
    """A counter file fails its checks. Nothing was changed; a person decides (see README, "When a file is damaged")."""


@dataclass(frozen=True, slots=True)
class Key:
    """What one total is the total of. `scale` units make 1; `created_ms` is when this slot first counted it."""

    metric: str
    labelnames: tuple[str, ...]
    labelvalues: tuple[str, ...]
    scale: int
    created_ms: int


def encoded(units: int) -> int:
    """A total as a word with its check. A total of zero is not the zero word: a lost page cannot pass for it."""
    return units | ((units + 1) * _MULTIPLIER >> 53 & 2047) << 53


def decoded(word: int) -> int:
    """The total in a word. Raises ValueError when the check does not fit."""
    units = word & LIMIT
    if encoded(units) != word:
        raise ValueError(f"total {units} has check {word >> 53}, expected {encoded(units) >> 53}")
    return units


def header(created_ms: int) -> bytes:
    """The first 64 bytes of a new file."""
    start = MAGIC + struct.pack("<Q", created_ms)
    return (start + struct.pack("<Q", zlib.crc32(start))).ljust(HEADER, b"\0")


def check_header(start: bytes) -> bool:
    """True for a good header, False for one never written (all zeros or too short); else DamagedStore."""
    if not start.strip(b"\0"):
        return False  # never written
    if start[:8] == MAGIC and start == header(struct.unpack("<Q", start[8:16])[0]):
        return True
    raise DamagedStore(f"the header starts with {start[:24]!r}, which is not that of a counter file")


def record(key: Key) -> tuple[int, bytes]:
    """The first word of a new record, and the bytes after it (key and a total of zero)."""
    text = json.dumps(
        [key.metric, key.labelnames, key.labelvalues, key.scale, key.created_ms], ensure_ascii=False
    ).encode("utf-8", "replace")
    if len(text) > MAX_KEY:
        raise ValueError(f"the labels of {key.metric} take {len(text)} bytes; a counter file holds at most {MAX_KEY}")
    padded = text.ljust(_padded(len(text)), b"\0")
    return _first(len(text), padded), padded + struct.pack("<Q", encoded(0))


def _padded(length: int) -> int:
    return -(-length // 8) * 8


def _first(length: int, padded: bytes) -> int:
    return length | zlib.crc32(padded, zlib.crc32(struct.pack("<I", length))) << 32


def scan(data: memoryview, position: int = HEADER, *, thorough: bool = False) -> Iterator[tuple[Key, int, int]]:
    """The records from `position`: key, index of the total's word, and the position after the record.

    Ends at the first word that starts no record. `thorough` (at start, when nobody writes) also checks each total, and
    that no good record follows the end: a tail torn by a machine crash is cut, for no scrape has seen it (see
    `durable`), but a hole in the middle raises DamagedStore.
    """
    while position + 16 <= len(data):
        text = _text(data, position)
        if text is None:
            at = _follows(data, position) if thorough else None
            if at is None:
                return
            text = _text(data, position)  # again: a live writer may have published it, and more, in between
            if text is None:
                raise DamagedStore(f"no record starts at byte {position}, but a good one follows at byte {at}")
        after = position + 8 + _padded(len(text)) + 8
        metric, names, values, scale, created = json.loads(text)
        key = Key(metric, tuple(names), tuple(values), scale, created)
        if thorough:
            (word,) = struct.unpack_from("<Q", data, after - 8)
            if word == 0 and _follows(data, after) is None:
                return  # the key reached the disk and its total did not: a torn tail too
            try:
                decoded(word)
            except ValueError as error:
                raise DamagedStore(f"{metric}{list(values)} at byte {after - 8}: {error}") from None
        yield key, after // 8 - 1, after
        position = after


def _text(data: memoryview, position: int) -> bytes | None:
    """The key at `position`, or None if no whole record stands there."""
    (first,) = struct.unpack_from("<Q", data, position)
    length = first & 0xFFFFFFFF
    if not 0 < length <= MAX_KEY or position + 8 + _padded(length) + 8 > len(data):
        return None
    padded = bytes(data[position + 8 : position + 8 + _padded(length)])
    return padded[:length] if _first(length, padded) == first else None


def _follows(data: memoryview, position: int) -> int | None:
    words = data[: len(data) // 8 * 8].cast("Q")
    return next((i * 8 for i in range(position // 8, len(words) - 1) if words[i] and _text(data, i * 8)), None)
