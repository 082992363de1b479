"""One remote read as it arrives: series with their samples, a block at a time, each frame's sum checked.

An answer is whole or an error: Prometheus ends one that fails half-way with some words where a frame should be, and a
connection that breaks leaves HTTP's own chunks without an end.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from functools import cache
from typing import NamedTuple

from rating.adapters.prometheus.client import Client, Exchange, refusal
from rating.adapters.prometheus.remote import chunks
from rating.adapters.prometheus.remote.choice import compiled
from rating.adapters.prometheus.remote.wire import HEADERS, PATH, STREAMED, Matcher, question
from rating.errors import EdgeRefused, EdgeUnavailable

_BLOCK = 2 << 20
"""Bytes decoded at once: about a million and a half samples."""
_PIECE = 64 << 10
_END = b"\r\n\r\n"
"""How HTTP's own last chunk ends."""
_LARGEST = 256 << 20
"""A single series larger than this is no counter's window."""
_SHOWN = 160

Decode = Callable[[bytes | bytearray, bool, int, int], chunks.Decoded]


class Block(NamedTuple):
    """Series that are whole: their labels as bytes, and their samples."""

    heads: list[bytes]
    decoded: chunks.Decoded


@cache
def _decoder() -> Decode:
    if not compiled():
        return chunks.decode
    from rating.adapters.prometheus.remote.compiled import decode  # a moment to import, and only for those who need it

    return decode


def read(client: Client, matchers: Sequence[Matcher], low: int, high: int, where: str) -> Generator[Block]:
    """All series that match, with their samples at low <= t < high.

    Raises:
        EdgeUnavailable: unreachable, slow, failing, cut short in mid-answer, or damaged on the way.
        EdgeRefused: it does not serve this, or not in streamed chunks, or what it holds are no counters.
    """
    where = f"{client.shown_url}{PATH}: {where if len(where) <= _SHOWN else where[:_SHOWN] + '...'}"
    body = question(matchers, low, high - 1)
    decode = _decoder()
    with client.send("POST", PATH, where, headers=HEADERS, data=body) as exchange:
        _check(exchange, where)
        buffer, ended = bytearray(), False
        pieces = _pieces(exchange, where)
        while not ended:
            piece = next(pieces, None)
            ended = piece is None
            buffer += piece or b""
            if not ended and len(buffer) < _BLOCK:
                continue
            decoded = decode(buffer, ended, low, high)
            if decoded.code != chunks.WELL:
                _refuse(decoded, buffer, where)
            if len(decoded.heads):
                yield Block([bytes(buffer[start:end]) for start, end in decoded.heads.tolist()], decoded)
            # A new one each time: arrays may still look into the old.
            buffer = buffer[decoded.consumed :]
            if len(buffer) > _LARGEST:
                raise EdgeRefused(f"{where}: a single series takes more than {_LARGEST} bytes; is it a counter?")
        if buffer:
            raise EdgeUnavailable(f"{where}: the answer is cut short in mid-frame{_words(buffer)}; retry")


def _pieces(exchange: Exchange, where: str) -> Iterator[bytes]:
    """The body, HTTP's own chunks taken away: Prometheus sends each series in one of its own."""
    if not (exchange.chunked and compiled()):
        yield from exchange.pieces()
        return
    from rating.adapters.prometheus.remote.compiled import unchunked

    held, left = bytearray(), 0
    for raw in exchange.wire():
        held += raw
        # A server that is read as fast as it writes hands over a kilobyte at a time. The end must not be waited for.
        if len(held) < _PIECE and not held.endswith(_END):
            continue
        done, out, left = unchunked(held, left)
        held = held[done:]
        if left == -2:
            raise EdgeUnavailable(f"{where}: the connection carries no HTTP any more; retry")
        yield out
        if left == -1:
            return
    raise EdgeUnavailable(f"{where}: the connection broke in mid-answer; retry")


def _check(exchange: Exchange, where: str) -> None:
    if exchange.status != 200:
        said = b"".join(exchange.pieces())[:_SHOWN].decode("utf-8", "replace")
        if exchange.status in (404, 405, 501):
            raise EdgeRefused(f"{where}: HTTP {exchange.status}; this server has no remote read, read it by PromQL")
        raise refusal(exchange.status, "", said, where)
    if not exchange.content_type.startswith(STREAMED):
        raise EdgeRefused(
            f"{where}: answers {exchange.content_type or 'something'} instead of streamed chunks; read it by PromQL "
            "(Prometheus streams since 2.13)"
        )


def _refuse(decoded: chunks.Decoded, buffer: bytearray, where: str) -> None:
    match decoded.code:
        case chunks.NOT_A_COUNTER:
            raise EdgeRefused(f"{where}: holds native histograms, and a counter is billed; check the meter's metric")
        case chunks.UNKNOWN_ENCODING:
            raise EdgeRefused(
                f"{where}: sends chunks in encoding {decoded.where}, and only 1 (XOR) is known; read it by PromQL"
            )
    damage = {
        chunks.BAD_SUM: "a frame does not match its CRC-32C",
        chunks.BAD_MESSAGE: "a frame is no message",
        chunks.BAD_CHUNK: "a chunk ends before its last sample",
    }[decoded.code]
    raise EdgeUnavailable(f"{where}: {damage}{_words(buffer[decoded.where :])}; retry")


def _words(found: bytes | bytearray) -> str:
    """What the server said where a frame should be, when it can be read."""
    text = " ".join(bytes(found[:_SHOWN]).decode("utf-8", "replace").split())
    return f" ({text})" if text and text.isprintable() and "\ufffd" not in text else ""
