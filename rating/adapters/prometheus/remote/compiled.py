"""`chunks` as machine code: the same answers for the same bytes, some hundred times sooner. Decides nothing that
`chunks` does not, and the tests compare the two.

Imported only where an answer is read: numba takes a moment to import, and to compile once per machine.
"""

# Numbers here are of one width each, and shifted, masked and compared as such: a Python integer among unsigned 64-bit
# ones would quietly make floats of them.

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np

from rating.adapters.prometheus.remote.chunks import (
    BAD_CHUNK,
    BAD_MESSAGE,
    BAD_SUM,
    NOT_A_COUNTER,
    STALE,
    UNKNOWN_ENCODING,
    WELL,
    XOR,
    Decoded,
)

_STALE = np.uint64(STALE)
_ZERO = np.uint64(0)
_POLYNOMIAL = np.uint32(0x82F63B78)
_LEAST = 1 << 12


def _compiled(function: Callable[..., Any]) -> Any:
    """Machine code, kept beside the source or in the user's own cache folder; where neither can be written, made anew
    by every process."""
    try:
        return numba.njit(cache=True, nogil=True, boundscheck=False)(function)
    except RuntimeError:
        return numba.njit(nogil=True, boundscheck=False)(function)


def _sums() -> Any:
    """Tables for CRC-32C, eight bytes at a time."""
    table = np.zeros((8, 256), dtype=np.uint32)
    for byte in range(256):
        crc = np.uint32(byte)
        for _ in range(8):
            crc = (crc >> np.uint32(1)) ^ (_POLYNOMIAL if crc & np.uint32(1) else np.uint32(0))
        table[0, byte] = crc
    for byte in range(256):
        for row in range(1, 8):
            before = table[row - 1, byte]
            table[row, byte] = (before >> np.uint32(8)) ^ table[0, before & np.uint32(0xFF)]
    return table


_TABLE = _sums()


@_compiled
def _crc(table: Any, buffer: Any, start: int, end: int) -> Any:
    crc = np.uint32(0xFFFFFFFF)
    at = start
    while at + 8 <= end:
        crc = crc ^ (
            np.uint32(buffer[at])
            | (np.uint32(buffer[at + 1]) << np.uint32(8))
            | (np.uint32(buffer[at + 2]) << np.uint32(16))
            | (np.uint32(buffer[at + 3]) << np.uint32(24))
        )
        crc = np.uint32(
            table[7, crc & np.uint32(0xFF)]
            ^ table[6, (crc >> np.uint32(8)) & np.uint32(0xFF)]
            ^ table[5, (crc >> np.uint32(16)) & np.uint32(0xFF)]
            ^ table[4, crc >> np.uint32(24)]
            ^ table[3, buffer[at + 4]]
            ^ table[2, buffer[at + 5]]
            ^ table[1, buffer[at + 6]]
            ^ table[0, buffer[at + 7]]
        )
        at += 8
    while at < end:
        crc = np.uint32(table[0, (crc ^ np.uint32(buffer[at])) & np.uint32(0xFF)] ^ (crc >> np.uint32(8)))
        at += 1
    return crc ^ np.uint32(0xFFFFFFFF)


@_compiled
def _uvarint(buffer: Any, at: int, end: int) -> Any:
    """The number and where it ends; -1 for an end beyond the bytes or a number beyond 64 bits."""
    value = np.uint64(0)
    shift = np.uint64(0)
    while at < end:
        byte = np.uint64(buffer[at])
        at += 1
        if shift == np.uint64(63) and byte > np.uint64(1):
            return _ZERO, -1
        value |= (byte & np.uint64(0x7F)) << shift
        if byte < np.uint64(0x80):
            return value, at
        shift += np.uint64(7)
        if shift > np.uint64(63):
            return _ZERO, -1
    return _ZERO, -1


@_compiled
def _signed(value: Any) -> Any:
    """Zigzag."""
    return np.int64(value >> np.uint64(1)) ^ -np.int64(value & np.uint64(1))


@_compiled
def _take(buffer: Any, at: int, end: int, held: Any, bits: int, wanted: int) -> Any:
    """At most 32 bits. `held` keeps what was read ahead, at its top; a negative `bits` says that the bytes ran out."""
    while bits < wanted:
        if at >= end:
            return _ZERO, at, held, -1
        held |= np.uint64(buffer[at]) << np.uint64(56 - bits)
        at += 1
        bits += 8
    if wanted == 0:
        return _ZERO, at, held, bits
    value = held >> np.uint64(64 - wanted)
    return value, at, held << np.uint64(wanted), bits - wanted


@_compiled
def _chunk(buffer: Any, start: int, end: int, times: Any, values: Any, count: int, low: int, high: int) -> int:
    """Append the samples with low <= t < high, stale markers left out. The new count; -1 for what is no chunk."""
    if end - start < 2:
        return -1
    samples = (np.int64(buffer[start]) << 8) | np.int64(buffer[start + 1])
    at, held, bits = start + 2, _ZERO, 0
    time, delta = np.int64(0), np.int64(0)
    value = _ZERO
    leading: Any = 255
    trailing: Any = 0
    width: Any
    for number in range(samples):
        if number == 0:
            raw, at = _uvarint(buffer, at, end)
            if at < 0 or end - at < 8:
                return -1
            time = _signed(raw)
            for _ in range(8):
                value = (value << np.uint64(8)) | np.uint64(buffer[at])
                at += 1
        else:
            if number == 1:
                raw, at = _uvarint(buffer, at, end)
                if at < 0:
                    return -1
                delta = np.int64(raw)
            else:
                prefix = 0
                while prefix < 4:
                    bit, at, held, bits = _take(buffer, at, end, held, bits, 1)
                    if bits < 0:
                        return -1
                    if bit == _ZERO:
                        break
                    prefix += 1
                if prefix == 4:
                    upper, at, held, bits = _take(buffer, at, end, held, bits, 32)
                    if bits < 0:
                        return -1
                    lower, at, held, bits = _take(buffer, at, end, held, bits, 32)
                    if bits < 0:
                        return -1
                    delta += np.int64((upper << np.uint64(32)) | lower)
                elif prefix:
                    width = 11 + 3 * prefix
                    raw, at, held, bits = _take(buffer, at, end, held, bits, width)
                    if bits < 0:
                        return -1
                    change = np.int64(raw)
                    if change > np.int64(1) << np.int64(width - 1):
                        change -= np.int64(1) << np.int64(width)
                    delta += change
            time += delta
            bit, at, held, bits = _take(buffer, at, end, held, bits, 1)
            if bits < 0:
                return -1
            if bit != _ZERO:
                bit, at, held, bits = _take(buffer, at, end, held, bits, 1)
                if bits < 0:
                    return -1
                if bit != _ZERO:
                    raw, at, held, bits = _take(buffer, at, end, held, bits, 11)
                    if bits < 0:
                        return -1
                    leading = np.int64(raw >> np.uint64(6))
                    width = np.int64(raw & np.uint64(63))
                    if width == 0:
                        width = 64
                    trailing = 64 - leading - width
                if leading == 255 or trailing < 0:
                    return -1
                width = 64 - leading - trailing
                upper = _ZERO
                if width > 32:
                    upper, at, held, bits = _take(buffer, at, end, held, bits, width - 32)
                    if bits < 0:
                        return -1
                    width = 32
                lower, at, held, bits = _take(buffer, at, end, held, bits, width)
                if bits < 0:
                    return -1
                value ^= ((upper << np.uint64(width)) | lower) << np.uint64(trailing)
        if low <= time < high and value != _STALE:
            times[count] = time
            values[count] = value
            count += 1
    return count


@_compiled
def _room(column: Any, size: int) -> Any:
    if size <= len(column):
        return column
    larger = np.empty(max(size, 2 * len(column)), dtype=column.dtype)
    larger[: len(column)] = column
    return larger


@_compiled
def _rising(times: Any, start: int, end: int) -> bool:
    for at in range(start + 1, end):  # noqa: SIM110 numba compiles no generators
        if times[at] <= times[at - 1]:
            return False
    return True


@_compiled
def _field(buffer: Any, at: int, end: int) -> Any:
    """One field of a protobuf message: its number, where its bytes begin, where it ends, and its value where it is a
    number. The number 0 says that this is no field."""
    key, at = _uvarint(buffer, at, end)
    if at < 0:
        return 0, 0, end, _ZERO
    value, at = _uvarint(buffer, at, end)
    kind = key & np.uint64(7)
    if at < 0 or (kind != _ZERO and kind != np.uint64(2)) or key > np.uint64(1 << 16):
        return 0, 0, end, _ZERO
    number = np.int64(key >> np.uint64(3))
    if kind == _ZERO:
        return number, -1, at, value
    if value > np.uint64(end - at):
        return 0, 0, end, _ZERO
    return number, at, at + np.int64(value), _ZERO


@_compiled
def _labelled(buffer: Any, at: int, end: int) -> int:
    """Where the labels at the beginning of a series end; -1 for no message."""
    while at < end and buffer[at] == 1 << 3 | 2:
        number, _, at, _ = _field(buffer, at, end)
        if number == 0:
            return -1
    return at


@_compiled
def _data(buffer: Any, at: int, end: int) -> Any:
    """The encoding of a chunk and where its bytes lie; a negative end for no message."""
    encoding, begin, finish = np.int64(0), 0, 0
    while at < end:
        number, inside, at, value = _field(buffer, at, end)
        if number == 3 and inside < 0:
            encoding = np.int64(value)
        elif number == 4 and inside >= 0:
            begin, finish = inside, at
        elif (number != 1 and number != 2) or inside >= 0:
            return encoding, 0, -1
    return encoding, begin, finish


@_compiled
def _same(buffer: Any, one: int, other: int, length: int) -> bool:
    for offset in range(length):  # noqa: SIM110
        if buffer[one + offset] != buffer[other + offset]:
            return False
    return True


@_compiled
def _frame(table: Any, buffer: Any, at: int, length: int) -> Any:
    """Whether the frame is well, and where its message lies; nowhere when it is not all there."""
    size, body = _uvarint(buffer, at, min(length, at + 10))
    if body < 0:
        return (BAD_MESSAGE if length - at >= 10 else WELL), -1, -1
    if size > np.uint64(1 << 40):
        return BAD_MESSAGE, -1, -1
    body += 4
    end = body + np.int64(size)
    if end > length:
        return WELL, -1, -1
    said = (
        (np.uint32(buffer[body - 4]) << np.uint32(24))
        | (np.uint32(buffer[body - 3]) << np.uint32(16))
        | (np.uint32(buffer[body - 2]) << np.uint32(8))
        | np.uint32(buffer[body - 1])
    )
    return (WELL if _crc(table, buffer, body, end) == said else BAD_SUM), body, end


@_compiled
def _decode(table: Any, buffer: Any, last: bool, low: int, high: int, capacity: int) -> Any:
    length = len(buffer)
    heads = np.empty((_LEAST, 2), dtype=np.int64)
    bounds = np.zeros(_LEAST + 1, dtype=np.int64)
    times = np.empty(capacity, dtype=np.int64)
    values = np.empty(capacity, dtype=np.uint64)
    series, count = 0, 0
    rising = True
    opened = False  # whether series number `series` has begun and may go on in the next frame
    at = consumed = 0
    code, where = WELL, 0
    encoding: Any
    while at < length:
        frame = at
        code, place, end = _frame(table, buffer, at, length)
        where = frame
        if code != WELL or place < 0:
            break
        at = end
        while code == WELL and place < end:
            number, named, place, _ = _field(buffer, place, end)
            if number == 2 and named < 0:
                continue
            labelled = _labelled(buffer, named, place) if number == 1 and named >= 0 else -1
            if labelled < 0:
                code = BAD_MESSAGE
                break
            size = labelled - named
            if opened and not (
                size == heads[series, 1] - heads[series, 0] and _same(buffer, named, heads[series, 0], size)
            ):
                rising = rising and _rising(times, bounds[series], count)
                series += 1
                bounds[series] = count
                opened = False
                consumed = frame
            if not opened:
                if series + 2 > len(heads):
                    larger = np.empty((2 * len(heads), 2), dtype=np.int64)
                    larger[: len(heads)] = heads
                    heads = larger
                    bounds = _room(bounds, len(heads) + 1)
                heads[series, 0] = named
                heads[series, 1] = labelled
                opened = True
            inner = labelled
            while code == WELL and inner < place:
                number, begin, inner, _ = _field(buffer, inner, place)
                encoding, begin, finish = _data(buffer, begin, inner) if number == 2 and begin >= 0 else (0, 0, -1)
                if finish < 0:
                    code = BAD_MESSAGE
                elif encoding != XOR:
                    code = NOT_A_COUNTER if 2 <= encoding <= 3 else UNKNOWN_ENCODING
                    where = encoding
                else:
                    times = _room(times, count + 65536)
                    values = _room(values, count + 65536)
                    count = _chunk(buffer, begin, finish, times, values, count, low, high)
                    if count < 0:
                        code = BAD_CHUNK
    if code != WELL:
        series = 0
    else:
        where = 0
        if opened and last:
            rising = rising and _rising(times, bounds[series], count)
            series += 1
            bounds[series] = count
            opened = False
        if not opened:
            consumed = at
    end = bounds[series]
    return code, where, consumed, heads[:series], bounds[: series + 1], times[:end], values[:end], rising


@_compiled
def _unchunk(buffer: Any, left: int, out: Any) -> Any:
    """HTTP/1.1's own chunks: bytes done with, bytes put out, and the new `left`.

    `left` is what is still to come of a chunk, with the line that ends it; 0 before a chunk's head, -1 once the last
    one was there, -2 when this is not chunked at all.
    """
    at, put, length = 0, 0, len(buffer)
    byte: Any
    while True:
        if left > 2:
            step = min(left - 2, length - at)
            out[put : put + step] = buffer[at : at + step]
            at += step
            put += step
            left -= step
            if left > 2:
                return at, put, left
        if left > 0:
            step = min(left, length - at)
            at += step
            left -= step
            if left > 0:
                return at, put, left
        size: Any = np.int64(0)
        begin, digits, ended, found = at, 0, False, False
        while at < length:
            byte = np.int64(buffer[at])
            at += 1
            if byte == 10:
                found = True
                break
            if ended or byte == 13 or byte == 59:
                ended = True
            else:
                if 48 <= byte <= 57:
                    byte -= 48
                elif 97 <= byte <= 102:
                    byte -= 87
                elif 65 <= byte <= 70:
                    byte -= 55
                else:
                    return begin, put, -2
                digits += 1
                if digits > 15:
                    return begin, put, -2
                size = size * 16 + byte
        if not found:
            return begin, put, 0
        if digits == 0:
            return begin, put, -2
        if size == 0:
            return at, put, -1
        left = size + 2


def unchunked(buffer: bytearray, left: int) -> tuple[int, bytes, int]:
    view = np.frombuffer(buffer, dtype=np.uint8)
    out = np.empty(len(view), dtype=np.uint8)
    done, put, left = _unchunk(view, left, out)
    return done, out[:put].tobytes(), left


def decode(buffer: bytes | bytearray, last: bool, low: int, high: int) -> Decoded:
    # Of one kind always: for bytes that cannot be written to, numba would compile it all once more.
    view = np.frombuffer(bytearray(buffer) if isinstance(buffer, bytes) else buffer, dtype=np.uint8)
    # A sample takes a byte and a third as a rule.
    code, where, consumed, heads, bounds, times, values, rising = _decode(
        _TABLE, view, last, low, high, len(view) + _LEAST
    )
    if not rising:
        bounds, times, values = _in_order(bounds, times, values)
    return Decoded(code, where, consumed, heads, bounds, times, values.view(np.float64))


def _in_order(bounds: Any, times: Any, values: Any) -> tuple[Any, Any, Any]:
    """Chunks may overlap: the samples of each series by rising time, of one instant the first that came."""
    owner = np.repeat(np.arange(len(bounds) - 1), np.diff(bounds))
    order = np.lexsort((np.arange(len(times)), times, owner))
    owner, times, values = owner[order], times[order], values[order]
    kept = np.ones(len(times), dtype=bool)
    kept[1:] = (owner[1:] != owner[:-1]) | (times[1:] != times[:-1])
    return np.searchsorted(owner[kept], np.arange(len(bounds))), times[kept], values[kept]
