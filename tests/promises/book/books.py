"""Values the book's promises are told with: one meter, its windows, and drafts that say where they differ."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from fractions import Fraction

from rating.core.invoices import Draft, LineItem, LineKind
from rating.core.money import Currency, Money
from rating.core.periods import Period
from rating.core.prices.price import Portion
from rating.core.windows import Closing, Completeness, Evidence, Held, Query, Usage

USD = Currency("USD")
HOUR = timedelta(hours=1)
NOON = datetime(2026, 8, 1, 12, tzinfo=UTC)
"""The first window of these stories begins here."""
LATER = datetime(2026, 9, 1, 0, 5, 0, 123456, tzinfo=UTC)
"""When things are recorded; kept to the millisecond."""
AUGUST = Period(datetime(2026, 8, 1, tzinfo=UTC), datetime(2026, 9, 1, tzinfo=UTC))

EVIDENCE = Evidence(
    queries=(Query('last_over_time(api_requests_total{status=~"2.."}[1h])', 1785585599999, 12),),
    identities=12,
    samples=40,
    resets=1,
    scrapes_seen=239,
    scrapes_expected=240,
    unseen=3,
    notes=("pod api-3 restarted",),
    digest="d" * 64,
)


def window(hour: int) -> Period:
    return Period(NOON + hour * HOUR, NOON + (hour + 1) * HOUR)


def closing(
    hour: int = 0,
    usage: tuple[Usage, ...] = (Usage("c42", ("/search",), 118), Usage("c77", ("/search",), 5)),
    meter: str = "search",
    completeness: Completeness = Completeness.COMPLETE,
    evidence: Evidence = EVIDENCE,
) -> Closing:
    return Closing(meter, window(hour), completeness, usage, evidence)


def held(hour: int, reason: str = "Prometheus answered with warnings", meter: str = "search") -> Held:
    return Held(meter, window(hour), reason, EVIDENCE)


def draft(consumer: str = "c42", cents: int = 1230, month: int = 8, **changed: object) -> Draft:
    """An invoice over a fee of 10.00 and usage for the rest."""
    period = Period(datetime(2026, month, 1, tzinfo=UTC), datetime(2026, month + 1, 1, tzinfo=UTC))
    rest = Fraction(cents, 100) - 10
    lines = (
        LineItem(LineKind.FEE, "", "Pro", period, Fraction(10), Money(1000, USD)),
        LineItem(
            LineKind.USAGE,
            "api",
            "API calls",
            period,
            exact=rest + Fraction(1, 1000),
            amount=Money(cents - 1000, USD),
            meter="search",
            unit="request",
            quantity=Fraction(123),
            included=Fraction(100),
            portions=(
                Portion("tier 1 (up to 20)", Fraction(20), Fraction(1, 3), Fraction(20, 3)),
                Portion("tier 2", Fraction(3), None, rest + Fraction(1, 1000) - Fraction(20, 3)),
            ),
            windows=744,
            degraded=1,
            usage_digest="e" * 64,
        ),
    )
    values: dict[str, object] = {
        "subscription": f"{consumer}/pro/2026-08-01",
        "consumer": consumer,
        "customer": "Größenwahn AG",
        "plan": "pro",
        "plan_title": "Pro",
        "currency": USD,
        "period": period,
        "lines": lines,
        "catalogue": "f" * 64,
        **changed,
    }
    return Draft(**values)  # type: ignore[arg-type]
