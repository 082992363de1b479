"""The first look at a window by remote read: all samples of a meter pass by, and most counters are settled on the way.

What a few single counters need besides is asked by PromQL, as `gathering` does for every server.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import numpy as np

from rating.adapters.prometheus import queries
from rating.adapters.prometheus.asking import Asking
from rating.adapters.prometheus.gathering import First, Gathering, Kept
from rating.adapters.prometheus.pieces import Piece
from rating.adapters.prometheus.questions import CONTEXT, MINUTE
from rating.adapters.prometheus.remote.chunks import labels
from rating.adapters.prometheus.remote.sieve import Sieve, Sifted, Span, sift
from rating.adapters.prometheus.remote.streams import read
from rating.adapters.prometheus.remote.wire import How, Matcher
from rating.core.counters import Column, Integers, Samples
from rating.core.meters import Lifetime, Meter
from rating.core.periods import Period
from rating.errors import EdgeDisagrees, EdgeError


@dataclass(frozen=True, slots=True)
class Spelled:
    """Reads labels from an answer's bytes, and takes away what the server says about itself.

    Remote read adds the server's external labels to each series, PromQL does not: left there, they would make other
    counters of the same ones.
    """

    external: tuple[tuple[str, str], ...] = ()

    def __call__(self, raw: bytes) -> dict[str, str]:
        found = labels(raw)
        for name, value in self.external:
            if found.get(name) == value:
                del found[name]
        return found


class Streamed(Gathering):
    streamed = True

    def __init__(
        self,
        asking: Asking,
        meter: Meter,
        window: Period,
        external: tuple[Mapping[str, str], ...],
        following: Sequence[Streamed] = (),
    ) -> None:
        """
        Args:
            external: the external labels of each server.
            following: the windows right after this one, to be read with it in one stream: a server cuts the chunks that
                lie across the ends of a range anew, and they are longer than an hour.
        """
        super().__init__(asking, meter, window)
        self._spellings = [Spelled(tuple(sorted(one.items()))) for one in external]
        self._following = following
        self._restarts: set[tuple[str, ...]] = set()
        self._sieve: Sieve | None = None
        """What came out of the stream, also where it was read with an earlier window."""

    @property
    def _fall(self) -> int:
        """How far before the window falls and restarts are looked for."""
        return self._first_rung + MINUTE

    def _first(self) -> First:
        if self._sieve is None:
            try:
                self._sift([self, *self._following])
            except EdgeError:
                if not self._following:
                    raise
                # What is wrong with a later window is no reason to hold this one.
                self._following = ()
                self._sift([self])
        assert self._sieve is not None
        found, self._sieve = self._sieve.found, None
        return _first(found, self._restarts)

    def _begin(self) -> None:
        """Ask for what the stream is sifted by, ahead of the moment when it is needed."""
        among = self._among()
        if among and self._meter.lifetime is not Lifetime.DURABLE:
            self._begin_restarted(among, self._length + self._fall)

    def _prepared(self) -> Sieve:
        reach, fall = self._first_rung + CONTEXT, self._fall
        span = Span(self._start, self._end, self._start - self._first_rung, self._start - fall, self._start - reach)
        among = self._among()
        self._restarts = self._restarted_among([among] if among else [], self._length + fall)
        starts = self._starts_of(self._restarts, self._length + reach)
        cuts = self._cuts(starts)

        def keep(
            numbers: Integers, times: Any, values: Any, fallen: Integers, low: Integers, high: Integers
        ) -> tuple[Samples, Integers]:
            return self._sifted(numbers, (times, values, fallen), low, high, cuts), numbers[self._alone(numbers)]

        return Sieve(self._names, span, self._restarts, keep, self._ask.scale)

    def _sift(self, run: Sequence[Streamed]) -> None:
        """Read these consecutive windows, of which this is the first.

        The few small questions of all of them are on their way together, the last ones while the stream is read.
        """
        for begin in (Streamed._begin_among, Streamed._begin):
            for one in run:
                begin(one)
        sieves = [one._prepared() for one in run]
        for one in run:
            one._begin_scrapes()
        low, end = sieves[0].span.low, sieves[-1].span.end
        for server, client in enumerate(self._ask.clients):
            for piece in self._pieces():
                counters = queries.counters(self._meter, piece=piece)
                shown = self._ask.shown(counters)
                for sieve in sieves:
                    sieve.series = sieve.samples = 0
                try:
                    with closing(read(client, self._matchers(piece), low, end, shown)) as blocks:
                        sift(self._names, server, self._spellings[server], blocks, sieves)
                except ValueError as error:
                    raise EdgeDisagrees(f"{shown}: {error}; a counter cannot be billed from that") from error
                for one, sieve in zip(run, sieves, strict=True):
                    one._note(sieve, counters)
        for one, sieve in zip(run, sieves, strict=True):
            one._sieve = sieve

    def _note(self, sieve: Sieve, counters: str) -> None:
        """For the evidence: this window's own part of the stream, which is what it rests on."""
        span = sieve.span
        text = f"remote read of {sieve.samples} samples from {span.low} to {span.end - 1}: {counters}"
        self._ask.note(text, self._end - 1, sieve.series)

    def _matchers(self, piece: Piece) -> list[Matcher]:
        # Equality would do where a pattern is a plain value, but a server takes an external label's value for its own.
        where = (*self._meter.where, *piece)
        return [
            Matcher(How.EQUAL, "__name__", self._meter.metric),
            *(Matcher(How.UNLIKE if one.negated else How.LIKE, one.label, one.pattern) for one in where),
        ]


def _first(found: Sifted, restarted: set[tuple[str, ...]]) -> First:
    ends, bases = _joined(found.ends), _joined(found.bases)
    kept = Samples.joined(found.kept)
    seen = np.unique(np.concatenate((ends.numbers, bases.numbers, kept.numbers)))
    fallen, thinned = (np.concatenate([ends.numbers[:0], *parts]) for parts in (found.fallen, found.thinned))
    return First(ends, bases, fallen, restarted, Kept(kept, thinned, seen))


def _joined(parts: list[Column]) -> Column:
    return Column(*(np.concatenate(columns) for columns in zip(Column.empty(), *parts, strict=True)))
