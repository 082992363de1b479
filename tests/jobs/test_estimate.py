"""The obvious queries are asked for the time in which somebody was billed, and of counters only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

from rating.adapters.memory_book import MemoryBook
from rating.core.meters import Kind, Meter
from rating.core.periods import Period
from rating.errors import SamplesMissing
from rating.jobs.estimate import estimate
from rating.ports import Estimate, Estimated
from tests.stories import ACME, CALLS, DAY, OCTOBER, PRO, close_days


class Retains:
    """Keeps samples from an instant on, as a server with a retention does."""

    def __init__(self, since: int) -> None:
        self._since = OCTOBER.start + since * DAY
        self.asked: list[Period] = []

    def estimate(self, meter: Meter, period: Period, by: Estimate) -> Estimated:
        self.asked.append(period)
        if period.start < self._since:
            raise SamplesMissing("gone")
        quantities: Mapping[str, int] = {"acme": 11 * (period.length // DAY)}
        return Estimated(quantities)


def test_a_period_that_began_before_the_retention_is_audited_from_its_first_closed_window() -> None:
    """acme came on the 21st; what Prometheus kept begins on the 18th."""
    book, source = MemoryBook(), Retains(17)
    close_days(book, {"acme": 10}, days=range(20, 31))
    late = replace(ACME, start=OCTOBER.start + 20 * DAY)
    audit = estimate(book, source, (CALLS,), (late,), lambda plan, instant: (PRO, "digest"), span=OCTOBER)
    assert set(source.asked) == {Period(OCTOBER.start + 20 * DAY, OCTOBER.end)}
    [row] = audit.rows
    assert (row.exact, row.estimated[Estimate.INCREASES]) == (110, 121)
    assert row.billed is not None


def test_a_gauge_is_left_out_with_a_word() -> None:
    book, source = MemoryBook(), Retains(0)
    close_days(book, {"acme": 10})
    gauge = Meter("connected", "connections", "consumer_id", kind=Kind.GAUGE, digits=3, window=timedelta(days=1))
    audit = estimate(book, source, (CALLS, gauge), (ACME,), lambda plan, instant: (PRO, "digest"), span=OCTOBER)
    assert [row.meter.name for row in audit.rows] == ["api_calls"]
    assert "meter connected is a gauge" in str(audit.findings[0])
