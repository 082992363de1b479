"""The first look at a window by PromQL, on any server: three vectors tell most counters' usage.

The last readings before the window and in it, and the falls in between. What is asked of single counters afterwards is
`gathering`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rating.adapters.prometheus import queries
from rating.adapters.prometheus.asking import Asking
from rating.adapters.prometheus.gathering import NOTHING, First, Gathering
from rating.adapters.prometheus.questions import MINUTE, Among, Carried
from rating.core.counters import Column, Integers
from rating.core.meters import Meter
from rating.core.periods import Period
from rating.core.windows import Query


class Vectors(Gathering):
    def __init__(self, asking: Asking, meter: Meter, window: Period, carried: Carried | None) -> None:
        super().__init__(asking, meter, window)
        self._carried = carried if carried is not None and carried.at == self._start - 1 else None
        self._recent = Column.empty()

    def carried(self) -> Carried:
        return Carried(self._end - 1, self._recent)

    def _first(self) -> First:
        counters = queries.counters(self._meter)
        before = queries.last(counters, self._first_rung), self._start - 1
        # All at once, or as many of them as the server is asked at a time.
        self._ask.begin(queries.last(counters, self._first_rung), self._end - 1)
        self._ask.begin(queries.resets(counters, self._length + self._first_rung + MINUTE), self._end - 1)
        if self._carried is None:
            self._ask.begin(*before)
        ends, fallen = self._ends()
        if self._carried is None:
            bases = self._ask.readings(*before)
        else:
            bases = self._carried.readings
            # Asked at the end of the window before: the evidence of this one rests on it as well.
            self._ask.queries.append(Query(self._ask.shown(before[0]), before[1], len(bases.numbers)))
        reach = self._length + self._first_rung + MINUTE
        return First(ends, bases, fallen, self._restarted_of(ends, bases, reach), NOTHING)

    def _ends(self) -> tuple[Column, Integers]:
        """The last reading inside the window of each series, and the series with a fall in value since their bases.

        Nearly all have a sample in the window's last minutes: these are asked for at a fraction of the cost of looking
        through the whole window, and serve the next window as bases. The count of falls tells which others there are.
        """
        counters = queries.counters(self._meter)
        self._recent = self._ask.readings(queries.last(counters, self._first_rung), self._end - 1)
        falls = queries.resets(counters, self._length + self._first_rung + MINUTE)
        numbers, counts = self._ask.vector(falls, self._end - 1)
        early = numbers[~np.isin(numbers, self._recent.numbers)]
        ends = self._recent
        among: Sequence[Among | None] = self._covering(early) if len(early) else ()
        for group in among:
            asked = self._ask.readings(queries.last(queries.counters(self._meter, group), self._length), self._end - 1)
            ends = ends.joined(asked)
        return ends, numbers[counts != 0]
