"""The question of a remote read in its bytes: a protobuf message, compressed by snappy. Knows nothing of answers.

Prometheus's `prompb.ReadRequest`, with the one kind of answer that streams.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import IntEnum
from typing import NamedTuple

import cramjam

PATH = "/api/v1/read"
STREAMED = "application/x-streamed-protobuf"
"""Content type of an answer in chunks; a server that cannot stream answers with another one."""
HEADERS = {
    "Content-Type": "application/x-protobuf",
    "Content-Encoding": "snappy",
    "X-Prometheus-Remote-Read-Version": "0.1.0",
    "Accept-Encoding": "identity",
}

_STREAMED_XOR_CHUNKS = 1


class How(IntEnum):
    """How a matcher compares; regular expressions are anchored at both ends."""

    EQUAL = 0
    UNEQUAL = 1
    LIKE = 2
    UNLIKE = 3


class Matcher(NamedTuple):
    test: How
    label: str
    value: str

    def __str__(self) -> str:
        return f"{self.label}{('=', '!=', '=~', '!~')[self.test]}{self.value!r}"


def question(matchers: Sequence[Matcher], start: int, end: int) -> bytes:
    """All samples with start <= t <= end, in milliseconds, of the series that match."""
    query = b"".join(
        (
            _number(1, start),
            _number(2, end),
            *(_bytes(3, b"".join(_matcher(matcher))) for matcher in matchers),
        )
    )
    return bytes(cramjam.snappy.compress_raw(_bytes(1, query) + _number(2, _STREAMED_XOR_CHUNKS)))


def _matcher(matcher: Matcher) -> Iterator[bytes]:
    yield _number(1, matcher.test)
    yield _bytes(2, matcher.label.encode())
    yield _bytes(3, matcher.value.encode())


def _number(field: int, value: int) -> bytes:
    return uvarint(field << 3) + uvarint(value & 0xFFFF_FFFF_FFFF_FFFF)


def _bytes(field: int, value: bytes) -> bytes:
    return uvarint(field << 3 | 2) + uvarint(len(value)) + value


def uvarint(value: int) -> bytes:
    """Seven bits a byte, the lowest first; the top bit says that more follow."""
    result = bytearray()
    while value > 0x7F:
        result.append(value & 0x7F | 0x80)
        value >>= 7
    result.append(value)
    return bytes(result)
