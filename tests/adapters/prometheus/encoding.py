"""A remote read's answer made by hand: frames, messages and XOR chunks, written from the format's description."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence

import google_crc32c

from rating.adapters.prometheus.remote.wire import uvarint

Samples = Sequence[tuple[int, int]]
"""Milliseconds, and the bits of the value."""


def double(value: float) -> int:
    return int.from_bytes(struct.pack(">d", value), "big")


class _Bits:
    def __init__(self) -> None:
        self.text: list[str] = []

    def put(self, value: int, width: int) -> None:
        if width:
            self.text.append(format(value & (1 << width) - 1, f"0{width}b"))

    def bytes(self, value: bytes) -> None:
        for byte in value:
            self.put(byte, 8)

    def done(self) -> bytes:
        text = "".join(self.text)
        text += "0" * (-len(text) % 8)
        return bytes(int(text[at : at + 8], 2) for at in range(0, len(text), 8))


def chunk(samples: Samples) -> bytes:
    out = _Bits()
    time = delta = value = 0
    window = None
    for number, (now, bits) in enumerate(samples):
        if number == 0:
            out.bytes(uvarint(now << 1 if now >= 0 else (-now << 1) - 1))
            out.put(bits, 64)
        else:
            if number == 1:
                out.bytes(uvarint(now - time))
            else:
                _put_change(out, now - time - delta)
            delta = now - time
            changed = value ^ bits
            if not changed:
                out.put(0, 1)
            else:
                out.put(1, 1)
                leading = min(64 - changed.bit_length(), 31)
                trailing = (changed & -changed).bit_length() - 1
                if window is not None and leading >= window[0] and trailing >= window[1]:
                    out.put(0, 1)
                else:
                    window = leading, trailing
                    out.put(1, 1)
                    out.put(leading, 5)
                    out.put((64 - leading - trailing) % 64, 6)
                out.put(changed >> window[1], 64 - window[0] - window[1])
        time, value = now, bits
    return struct.pack(">H", len(samples)) + out.done()


def _put_change(out: _Bits, change: int) -> None:
    if change == 0:
        out.put(0, 1)
        return
    for prefix, width in ((0b10, 14), (0b110, 17), (0b1110, 20)):
        if -(1 << width - 1) < change <= 1 << width - 1:
            out.put(prefix, prefix.bit_length())
            out.put(change, width)
            return
    out.put(0b1111, 4)
    out.put(change, 64)


def field(number: int, value: int | bytes) -> bytes:
    if isinstance(value, int):
        return uvarint(number << 3) + uvarint(value)
    return uvarint(number << 3 | 2) + uvarint(len(value)) + value


def labels(found: Mapping[str, str]) -> bytes:
    return b"".join(
        field(1, field(1, name.encode()) + field(2, value.encode())) for name, value in sorted(found.items())
    )


def message(found: Mapping[str, str], chunks: Iterable[bytes], encoding: int = 1) -> bytes:
    """One series with its chunks."""
    parts = (field(1, 1) + field(2, 2) + field(3, encoding) + field(4, one) for one in chunks)
    return field(1, labels(found) + b"".join(field(2, part) for part in parts))


def frame(content: bytes, crc: int | None = None) -> bytes:
    crc = google_crc32c.value(content) if crc is None else crc
    return uvarint(len(content)) + struct.pack(">I", crc) + content
