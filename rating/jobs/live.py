"""Live usage: what was counted since the last closed window, exactly, for the few consumers somebody asks about.

The same readings and the same decision as a window that is closed, on a window that ends now. Nothing of it is entered
in the book: the window it lies in is closed in its time.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from rating.core.counters import decide
from rating.core.meters import Matcher, Meter, literally
from rating.core.periods import Period
from rating.core.windows import Held
from rating.errors import EdgeError, UsageError
from rating.ports import CounterSource


@dataclass(frozen=True, slots=True)
class Live:
    """Quantities by consumer in the meter's resolution, or why there are none that could be trusted."""

    start: datetime
    """The end of the last closed window it follows."""
    through: datetime
    quantities: dict[str, int] = field(default_factory=dict)
    doubt: str = ""


def since(source: CounterSource, meter: Meter, consumers: Collection[str], start: datetime, now: datetime) -> Live:
    """What `consumers` used from `start` to `now`. Never more than was counted: the last scrapes may be missing."""
    end = now.replace(microsecond=0)
    if end <= start:
        return Live(start, start)
    # Only their counters, where the label names the consumer itself and not a key that stands for one.
    own = () if meter.consumers else (Matcher(meter.consumer, literally(consumers)),)
    unsettled = replace(meter, settling=timedelta(0), where=(*meter.where, *own))
    window = Period(start, end)
    try:
        result = decide(unsettled, window, source.read(unsettled, window))
    except (EdgeError, UsageError) as error:
        return Live(start, start, doubt=str(error))
    if isinstance(result, Held):
        return Live(start, start, doubt=result.reason)
    quantities: dict[str, int] = {}
    for row in result.usage:
        if row.consumer in consumers:
            quantities[row.consumer] = quantities.get(row.consumer, 0) + row.quantity
    return Live(start, end, quantities)
