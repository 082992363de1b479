"""A subscription: a consumer on a plan over time, and who pays for it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from zoneinfo import ZoneInfo

from rating.core.periods import Cadence, Period, billing_period


@dataclass(frozen=True, slots=True)
class Subscription:
    """`consumer` is on `plan` from `start` until before `end`; `customer` pays."""

    consumer: str
    plan: str
    start: datetime
    end: datetime | None = None
    customer: str = ""
    """Who pays; the consumer when empty."""
    anchor: date = date(2000, 1, 1)
    """The day billing periods begin on; the default makes calendar months, quarters and years."""
    zone: ZoneInfo = ZoneInfo("UTC")

    @property
    def payer(self) -> str:
        return self.customer or self.consumer

    @property
    def key(self) -> str:
        """Names this subscription in the book: consumer, plan and first day."""
        return f"{self.consumer}/{self.plan}/{self.start.date().isoformat()}"

    def period(self, cadence: Cadence, instant: datetime) -> Period:
        """The whole billing period around `instant`, whether or not the subscription covers all of it."""
        return billing_period(cadence, self.anchor, self.zone, instant)

    def active(self, period: Period) -> Period | None:
        """The part of `period` this subscription covers, or None."""
        end = period.end if self.end is None else min(self.end, period.end)
        start = max(self.start, period.start)
        return Period(start, end) if start < end else None
