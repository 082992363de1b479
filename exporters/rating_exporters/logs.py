"""Counts an access log, exactly: each line once, through rotation, truncation and any crash.

Decides what a line adds to which counters. Position and totals are one transaction (`logstate`); what a scrape shows is
committed. Declare meters on these counters `counter: durable`: they outlive the process.
"""

from __future__ import annotations

import logging
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import CounterMetricFamily, Metric

from .guard import Guard, named
from .logfiles import CHUNK, Piece, advanced, pieces
from .loglines import LineRule
from .logstate import LogState
from .totals import Series
from .vocabulary import (
    ANONYMOUS,
    CONSUMER,
    ENDPOINT,
    LOG_LINES,
    LOG_TRUNCATIONS,
    METHOD,
    METHODS,
    OTHER,
    REQUESTS,
    RESPONSE_BYTES,
    STATUS,
)

log = logging.getLogger(__name__)

FAMILIES: dict[str, tuple[tuple[str, ...], str]] = {
    REQUESTS: ((CONSUMER, ENDPOINT, METHOD, STATUS), "Responses in the access log, by consumer and route template."),
    RESPONSE_BYTES: ((CONSUMER, ENDPOINT, METHOD), "Response bytes, as the log states them."),
    LOG_LINES: (("outcome",), "Lines read: counted, or malformed and set aside."),
    LOG_TRUNCATIONS: ((), "Files whose text was gone while their name stayed; lines not read by then are lost."),
}


class AccessLog:
    """One log (with its rotated files) and its counters. A collector: register it, then `poll` every second or so."""

    def __init__(
        self,
        path: Path,
        state: LogState,
        line: LineRule,
        route: Callable[[str], str],
        *,
        registry: CollectorRegistry | None = None,
        guard: Guard | None = None,
        copytruncate: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.path = path
        self.state = state
        self.line = line
        self.route = route
        self.guard = guard or Guard(registry=registry)
        self.copytruncate = copytruncate
        self.clock = clock
        seen = [labels for metric, labels in state.totals() if metric == REQUESTS]
        self.guard.remember(CONSUMER, (labels[0] for labels in seen))
        self.guard.remember(ENDPOINT, (labels[1] for labels in seen))
        if registry is not None:
            registry.register(self)

    def poll(self) -> int:
        """Count what has been written since the last time; returns the number of lines read."""
        lines = 0
        for piece in pieces(self.path, self.state, copytruncate=self.copytruncate):
            lines += self._whole(piece) if piece.finished else self._tail(piece)
        return lines

    def _tail(self, piece: Piece) -> int:
        """A file that may still grow: up to its last whole line, a transaction per chunk."""
        stream, lines, pending = piece.stream, 0, piece.fresh
        while True:
            piece.file.seek(stream.position)
            chunk = piece.file.read(CHUNK)
            text = chunk[: chunk.rfind(b"\n") + 1] if b"\n" in chunk or len(chunk) < CHUNK else chunk
            if text or pending:
                counts = self._count(text)
                if pending and piece.truncated:
                    counts[LOG_TRUNCATIONS, ()] += 1
                stream, pending = self.state.commit(advanced(stream, text), counts, self.clock()), False
                lines += text.count(b"\n")
            if not text:
                return lines

    def _whole(self, piece: Piece) -> int:
        """A compressed file: all of it in one transaction, and none of it when its checksum does not hold."""
        stream, counts, rest = piece.stream, Counter[Series](), b""
        try:
            piece.file.seek(stream.position)
            while chunk := piece.file.read(CHUNK):
                rest += chunk
                text, rest = rest[: rest.rfind(b"\n") + 1], rest[rest.rfind(b"\n") + 1 :]
                counts.update(self._count(text))
                stream = advanced(stream, text)
        except (OSError, EOFError, zlib.error) as error:
            log.info("%s: not whole yet (%s); looked at again the next time", piece.path, error)
            return 0
        if rest:  # a last line without its end: nothing will ever complete it
            counts.update(self._count(rest))
            stream = advanced(stream, rest)
        self.state.commit(stream, counts, self.clock(), piece.finished)
        return sum(amount for (metric, _), amount in counts.items() if metric == LOG_LINES)

    def _count(self, text: bytes) -> Counter[Series]:
        counts: Counter[Series] = Counter()
        for ended in text.split(b"\n"):
            raw = ended.removesuffix(b"\r")
            if not raw:
                continue
            found = self.line(raw)
            counts[LOG_LINES, ("malformed" if found is None else "counted",)] += 1
            if found is None:
                continue
            consumer = self.guard.admit(REQUESTS, CONSUMER, named(found.consumer, ANONYMOUS))
            endpoint = self.guard.admit(REQUESTS, ENDPOINT, found.template or self.route(found.path))
            method = found.method if found.method in METHODS else OTHER
            counts[REQUESTS, (consumer, endpoint, method, str(found.status))] += 1
            counts[RESPONSE_BYTES, (consumer, endpoint, method)] += found.sent
        return counts

    def describe(self) -> Iterable[Metric]:
        """The families by name only, for the registry."""
        return [CounterMetricFamily(name, text, labels=labels) for name, (labels, text) in FAMILIES.items()]

    def collect(self) -> Iterable[Metric]:
        """Every total that has been committed, with its created timestamp."""
        families = {name: CounterMetricFamily(name, text, labels=labels) for name, (labels, text) in FAMILIES.items()}
        for (metric, labels), (total, created) in self.state.totals().items():
            families[metric].add_metric(labels, total, created=created)
        return families.values()
