"""The first look at a window by PromQL, on any server: three vectors tell most counters' usage.

The last readings before the window and in it, and the falls in between. What is asked of single counters afterwards is
`gathering`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from rating.adapters.prometheus import queries
from rating.adapters.prometheus.asking import Asking, Doubles
from rating.adapters.prometheus.client import TooMuch
from rating.adapters.prometheus.gathering import NOTHING, First, Gathering
from rating.adapters.prometheus.questions import MINUTE, Among, Carried
from rating.core.counters import Column, Integers
from rating.core.meters import Meter
from rating.core.periods import Period
from rating.core.windows import Query

Spell = Callable[[str, int], str]
"""A function of PromQL over a range of some series."""


class Vectors(Gathering):
    def __init__(self, asking: Asking, meter: Meter, window: Period, carried: Carried | None) -> None:
        super().__init__(asking, meter, window)
        self._carried = carried if carried is not None and carried.at == self._start - 1 else None
        self._recent = Column.empty()

    def carried(self) -> Carried:
        return Carried(self._end - 1, self._recent)

    def _first(self) -> First:
        reach = self._length + self._first_rung + MINUTE
        cold = not self._names.pieces
        recent, before = (
            (queries.last, self._first_rung, self._end - 1),
            (queries.last, self._first_rung, self._start - 1),
        )
        falls = (queries.resets, reach, self._end - 1)
        if not cold:
            # All at once, or as many of them as the server is asked at a time.
            self._begin(recent, falls, *(() if self._carried else (before,)))
        self._recent = self._column(*recent)
        if cold:
            # How many there are is known only now.
            self._plan(self._recent)
            self._begin(falls, *(() if self._carried else (before,)))
        numbers, counts = self._vector(*falls)
        ends = self._joined(numbers)
        if self._carried is None:
            bases = self._column(*before)
        else:
            bases = self._carried.readings
            # Asked at the end of the window before: the evidence of this one rests on it as well.
            text = queries.last(queries.counters(self._meter), self._first_rung)
            self._ask.queries.append(Query(self._ask.shown(text), self._start - 1, len(bases.numbers)))
        return First(ends, bases, numbers[counts != 0], self._restarted_of(ends, bases, reach), NOTHING)

    def _joined(self, seen: Integers) -> Column:
        """The last reading inside the window of each series.

        Nearly all have a sample in the window's last minutes: these are asked for at a fraction of the cost of looking
        through the whole window, and serve the next window as bases. The count of falls tells which others there are.
        """
        early = seen[~np.isin(seen, self._recent.numbers)]
        ends = self._recent
        among: Sequence[Among | None] = self._covering(early) if len(early) else ()
        for group in among:
            asked = self._ask.readings(queries.last(queries.counters(self._meter, group), self._length), self._end - 1)
            ends = ends.joined(asked)
        return ends

    def _begin(self, *asked: tuple[Spell, int, int]) -> None:
        for spell, range, at in asked:
            for piece in self._pieces():
                self._ask.begin(spell(queries.counters(self._meter, piece=piece), range), at)

    def _column(self, spell: Spell, range: int, at: int) -> Column:
        numbers, values = self._vector(spell, range, at)
        text = spell(queries.counters(self._meter), range)
        return Column(numbers, self._ask.units(text, values, self._ask.scale))

    def _vector(self, spell: Spell, range: int, at: int) -> tuple[Integers, Doubles]:
        """The answer for all counters, put together from the pieces. One that is too large is cut, and only that one is
        asked for again."""
        waiting = list(self._pieces())
        answers = [(np.empty(0, dtype=np.int64), np.empty(0))]
        while waiting:
            piece = waiting.pop(0)
            try:
                answers.append(self._ask.vector(spell(queries.counters(self._meter, piece=piece), range), at))
            except TooMuch:
                halves = self._halved(piece)
                if len(halves) == 1:
                    raise
                waiting = [*halves, *waiting]
        numbers, values = (np.concatenate(part) for part in zip(*answers, strict=True))
        return numbers, values
