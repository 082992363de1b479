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
from rating.core.counters import WHOLE, Column, Integers
from rating.core.meters import Meter
from rating.core.periods import Period
from rating.core.windows import Query

Spell = Callable[[str, int], str]
"""A function of PromQL over a range of some series."""
Question = tuple[Spell, int, int]
"""With the range and the instant, in milliseconds."""


class Vectors(Gathering):
    def __init__(self, asking: Asking, meter: Meter, window: Period) -> None:
        super().__init__(asking, meter, window)
        self.following: Sequence[Vectors] = ()
        """The window right after this one: the server is asked for its vectors while this one is finished."""
        self._carried: Carried | None = None
        self._recent = Column.empty()
        reach = self._length + self._first_rung + MINUTE
        self._last: Question = (queries.last, self._first_rung, self._end - 1)
        self._before: Question = (queries.last, self._first_rung, self._start - 1)
        self._falls: Question = (queries.resets, reach, self._end - 1)
        self._summary: Question = (queries.counted_resets, reach, self._end - 1)
        self._reach = reach

    def carry(self, carried: Carried | None) -> None:
        """What the window before knows."""
        fitting = carried is not None and carried.at == self._start - 1 and carried.roster is self._roster
        self._carried = carried if fitting else None

    def carried(self) -> Carried:
        return Carried(self._end - 1, self._recent, self._roster)

    def ahead(self) -> None:
        """Ask the server for what is needed whatever the window before turns out to be."""
        if self._names.pieces:
            self._begin(self._last, self._fallen_first())

    def _first(self) -> First:
        cold = not self._names.pieces
        before = () if self._carried else (self._before,)
        if not cold:
            # All at once, or as many of them as the server is asked at a time.
            self._begin(self._last, self._fallen_first(), *before)
        self._recent = self._column(*self._last)
        if cold:
            # How many there are is known only now.
            self._plan(self._recent)
            self._begin(self._fallen_first(), *before)
        ends, fallen = self._counted()
        if self._carried is None:
            bases = self._column(*self._before)
        else:
            bases = self._carried.readings
            # Asked at the end of the window before: the evidence of this one rests on it as well.
            text = queries.last(queries.counters(self._meter), self._first_rung)
            self._ask.queries.append(Query(self._ask.shown(text), self._start - 1, len(bases.numbers)))
        for following in self.following:
            following.ahead()
        return First(ends, bases, fallen, self._restarted_of(ends, bases, self._reach), NOTHING)

    def _fallen_first(self) -> Question:
        return self._summary if self._names.calm else self._falls

    def _counted(self) -> tuple[Column, Integers]:
        """The last reading inside the window of each series, and the series that fell.

        Mostly none falls and none ends early. Then a count of all tells as much as a list of all: a series with a
        sample in the last minutes has one in the whole span, so where both are as many they are the same.
        """
        calm = self._names.calm and self._all_calm()
        if calm:
            return self._recent, self._recent.numbers[:0]
        numbers, counts = self._vector(*self._falls)
        fallen = numbers[counts != 0]
        ends = self._joined(numbers)
        self._names.calm = not len(fallen) and len(numbers) == len(self._recent.numbers)
        return ends, fallen

    def _all_calm(self) -> bool:
        spell, range, at = self._summary
        series = 0
        try:
            for piece in self._pieces():
                text = spell(queries.counters(self._meter, piece=piece), range)
                for found, count in self._ask.values(text, at, WHOLE):
                    if float(found[queries.FALLS]) != 0:
                        return False
                    series += count
        except TooMuch:
            return False
        return series == len(self._recent.numbers)

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

    def _begin(self, *asked: Question) -> None:
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
