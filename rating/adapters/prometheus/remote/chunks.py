"""The answer of a remote read, from its bytes to samples: frames, messages, and chunks in Gorilla's XOR encoding.

Plain Python, slow and meant to be read; `compiled` is the same as machine code. Knows nothing of meters and windows.

A frame is its length as a uvarint, the CRC-32C of its message in four bytes, the highest first, and the message, a
protobuf `ChunkedReadResponse`: one or several series, each with labels and chunks. A series may go on in the next
frame, under the same labels.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import google_crc32c
import numpy as np
from numpy.typing import NDArray

WELL, BAD_SUM, BAD_MESSAGE, BAD_CHUNK, UNKNOWN_ENCODING, NOT_A_COUNTER = range(6)
XOR = 1
_HISTOGRAMS = (2, 3)
STALE = 0x7FF0000000000002
"""The NaN that marks where a series went stale: no sample."""
_WORD = 1 << 64


class Decoded(NamedTuple):
    """The series that are whole in some bytes, and their samples by rising time, stale markers left out."""

    code: int
    """WELL, or what is wrong; then there are no series."""
    where: int
    """The offset of the frame that is wrong, or the encoding that nobody knows."""
    consumed: int
    """Bytes that are done with. The others belong to a frame that is not all there, or to a series that may go on."""
    heads: NDArray[Any]
    """Where the labels of each series begin and end in the bytes; see `labels`."""
    bounds: NDArray[Any]
    """The samples of series i are bounds[i] to bounds[i + 1]."""
    times: NDArray[Any]
    values: NDArray[Any]


class _Wrong(Exception):
    def __init__(self, code: int, where: int | None = None) -> None:
        self.code, self.where = code, where


def decode(buffer: bytes | bytearray, last: bool, low: int, high: int) -> Decoded:
    """Decode what is whole in `buffer`, keeping samples with low <= t < high; `last`: no more bytes will follow."""
    done: list[tuple[int, int, list[tuple[int, int]]]] = []
    current: tuple[int, int, list[tuple[int, int]]] | None = None
    at = consumed = frame = 0
    try:
        while at < len(buffer):
            frame = at
            size, body = _uvarint(buffer, at, len(buffer), frame)
            if body < 0 or body + 4 + size > len(buffer):
                break
            message = bytes(buffer[body + 4 : body + 4 + size])
            if int.from_bytes(buffer[body : body + 4], "big") != google_crc32c.value(message):
                raise _Wrong(BAD_SUM)
            at = body + 4 + size
            for start, end, chunks in _series(message):
                begin, finish = body + 4 + start, body + 4 + end
                if current is not None and buffer[begin:finish] != buffer[current[0] : current[1]]:
                    done.append(current)
                    current, consumed = None, frame
                if current is None:
                    current = begin, finish, []
                for chunk in chunks:
                    current[2].extend((time, bits) for time, bits in _samples(chunk) if low <= time < high)
    except _Wrong as wrong:
        where = frame if wrong.where is None else wrong.where
        return _columns(wrong.code, where, consumed, [])
    if last and current is not None:
        done.append(current)
        current = None
    return _columns(WELL, 0, at if current is None else consumed, done)


def _columns(code: int, where: int, consumed: int, done: list[tuple[int, int, list[tuple[int, int]]]]) -> Decoded:
    samples: list[list[tuple[int, int]]] = []
    for _, _, found in done:
        # Chunks may overlap; of one instant the sample that came first is taken, as Prometheus does.
        kept: dict[int, int] = {}
        for time, bits in found:
            if bits != STALE:
                kept.setdefault(time, bits)
        samples.append(sorted(kept.items()))
    flat = [sample for one in samples for sample in one]
    return Decoded(
        code,
        where,
        consumed,
        np.array([head[:2] for head in done], dtype=np.int64).reshape(-1, 2),
        np.cumsum([0, *map(len, samples)], dtype=np.int64),
        np.array([time for time, _ in flat], dtype=np.int64),
        np.array([bits for _, bits in flat], dtype=np.uint64).view(np.float64),
    )


def labels(raw: bytes) -> dict[str, str]:
    """The labels of a series from the bytes between its `heads`."""
    found: dict[str, str] = {}
    at, end = 0, len(raw)
    try:
        # Nearly all are short: each length is one byte, and nothing else is in between.
        while at < end:
            name, size = at + 4, raw[at + 3]
            value = name + size + 2
            after = value + raw[value - 1]
            length = raw[at + 1]
            if length != after - at - 2 or length > 127 or not raw[at] == raw[at + 2] == 0x0A or raw[value - 2] != 0x12:
                break
            found[raw[name : name + size].decode()] = raw[value:after].decode()
            at = after
    except IndexError:
        pass
    return found if at == end else _labels(raw)


def _labels(raw: bytes) -> dict[str, str]:
    found = {}
    for _, label in _fields(raw):
        pair = {field: bytes(value).decode() for field, value in _fields(bytes(label)) if isinstance(value, bytes)}
        found[pair.get(1, "")] = pair.get(2, "")
    return found


def _series(message: bytes) -> Iterator[tuple[int, int, list[bytes]]]:
    """Where the labels of each series lie in the message, and its chunks' bytes."""
    for place, field, value in _placed(message):
        if field == 2 and isinstance(value, int):
            continue
        if field != 1 or not isinstance(value, bytes):
            raise _Wrong(BAD_MESSAGE)
        end = 0
        chunks: list[bytes] = []
        for inner, kind, part in _placed(value):
            if kind == 1 and isinstance(part, bytes) and not chunks:
                end = inner + len(part)
            elif kind == 2 and isinstance(part, bytes):
                chunks.append(_chunk(part))
            else:
                raise _Wrong(BAD_MESSAGE)
        yield place, place + end, chunks


def _chunk(message: bytes) -> bytes:
    fields = dict(_fields(message))
    encoding = fields.get(3, 0)
    if not fields.keys() <= {1, 2, 3, 4} or not isinstance(encoding, int):
        raise _Wrong(BAD_MESSAGE)
    if encoding != XOR:
        raise _Wrong(NOT_A_COUNTER if encoding in _HISTOGRAMS else UNKNOWN_ENCODING, encoding)
    found = fields.get(4, b"")
    if not isinstance(found, bytes):
        raise _Wrong(BAD_MESSAGE)
    return found


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    return ((field, value) for _, field, value in _placed(message))


def _placed(message: bytes) -> Iterator[tuple[int, int, int | bytes]]:
    """Each field of a protobuf message: where its value lies, its number, and its value."""
    at = 0
    while at < len(message):
        key, at = _uvarint(message, at, len(message))
        value, at = _uvarint(message, at, len(message))
        if at < 0 or key & 7 not in (0, 2):
            raise _Wrong(BAD_MESSAGE)
        if key & 7 == 0:
            yield at, key >> 3, value
        elif at + value > len(message):
            raise _Wrong(BAD_MESSAGE)
        else:
            yield at, key >> 3, message[at : at + value]
            at += value


def _uvarint(buffer: bytes | bytearray, at: int, end: int, frame: int | None = None) -> tuple[int, int]:
    """The number and where it ends. With `frame`, bytes that end too soon are no mistake but -1: more may follow."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= end:
            if frame is not None:
                return 0, -1
            raise _Wrong(BAD_MESSAGE)
        byte = buffer[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            if value >= _WORD or (frame is not None and value > 1 << 40):
                break
            return value, at
    raise _Wrong(BAD_MESSAGE)


class _Bits:
    """Reads numbers of any width, the highest bit first."""

    def __init__(self, data: bytes) -> None:
        self._whole, self._left = int.from_bytes(data, "big"), 8 * len(data)

    def take(self, width: int) -> int:
        if width > self._left:
            raise _Wrong(BAD_CHUNK)
        self._left -= width
        return self._whole >> self._left & (1 << width) - 1

    def uvarint(self) -> int:
        value = 0
        for shift in range(0, 70, 7):
            byte = self.take(8)
            value |= (byte & 0x7F) << shift
            if byte < 0x80 and value < _WORD:
                return value
        raise _Wrong(BAD_CHUNK)


def _samples(chunk: bytes) -> Iterator[tuple[int, int]]:
    """Time and the bits of the value of each sample: a chunk keeps changes of changes of time, and changed bits."""
    bits = _Bits(chunk)
    time = delta = value = 0
    window: tuple[int, int] | None = None
    for number in range(bits.take(16)):
        if number == 0:
            raw = bits.uvarint()
            time = raw >> 1 ^ -(raw & 1)
            value = bits.take(64)
        else:
            delta = bits.uvarint() if number == 1 else delta + _change(bits)
            time += delta
            if bits.take(1):
                if bits.take(1):
                    leading, width = bits.take(5), bits.take(6) or 64
                    window = 64 - leading - width, width
                if window is None or window[0] < 0:
                    raise _Wrong(BAD_CHUNK)
                value ^= bits.take(window[1]) << window[0]
        yield _wrapped(time), value


def _change(bits: _Bits) -> int:
    """By how much the time between samples changed."""
    for width in (0, 14, 17, 20):
        if bits.take(1):
            continue
        if width == 0:
            return 0
        raw = bits.take(width)
        return raw - (1 << width) if raw > 1 << (width - 1) else raw
    return _wrapped(bits.take(64))


def _wrapped(number: int) -> int:
    """As a signed number of 64 bits, which is what Prometheus computes with."""
    return (number + (_WORD >> 1)) % _WORD - (_WORD >> 1)
