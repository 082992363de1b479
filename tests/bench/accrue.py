"""A pass over every subscription: usage read from the book, rated over arrays, accruals written back."""

from __future__ import annotations

import resource
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import TypeVar

from rating.adapters.store import open_book
from rating.core.catalogue import Catalogue
from rating.core.meters import Meter
from rating.core.money import Currency
from rating.core.periods import EPOCH, Cadence, Period
from rating.core.plans import Plan
from rating.core.prices.graduated import Graduated
from rating.core.prices.package import Package
from rating.core.prices.per_unit import PerUnit
from rating.core.ratecards import RateCard
from rating.core.subscriptions import Subscription
from rating.core.tiers import Tier, Tiers
from rating.core.windows import Closing, Completeness, Usage
from rating.jobs.accrue import rate_all, usage_to_date
from rating.jobs.accrue import rows as accrual_rows
from rating.jobs.contracts import Contracts

TITLE = "Accrue: every subscription in one pass, three charges each, SQLite"

START = datetime(2026, 10, 1, tzinfo=UTC)
DAY = timedelta(days=1)
Answer = TypeVar("Answer")


def rows(quick: bool) -> list[tuple[str, str]]:
    count = 50_000 if quick else 1_000_000
    with tempfile.TemporaryDirectory() as folder, open_book(f"sqlite:///{Path(folder) / 'book.db'}") as book:
        contracts = _contracts(count)
        for meter in contracts.current.meters.values():
            usage = tuple(Usage(f"c{i:07d}", (), (i * 7919) % 2_000_000) for i in range(count))
            closing = Closing(meter.name, Period(START, START + DAY), Completeness.COMPLETE, usage)
            book.close(closing, meter_digest="bench", at=START + DAY)
            del usage, closing
        now = START + 2 * DAY
        read, to_date = _timed(lambda: usage_to_date(book, contracts, now))
        rated, accrued = _timed(lambda: rate_all(to_date, now))
        written, _ = _timed(lambda: book.show_accruals(list(accrual_rows(accrued)), at=now))
        shown = sum(1 for _ in accrual_rows(accrued))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return [
        (f"{count:,} subscriptions, {shown:,} accruals", f"{read + rated + written:.1f} s"),
        ("  read usage and contracts", f"{read:.1f} s"),
        ("  rate", f"{rated:.1f} s"),
        ("  write", f"{written:.1f} s"),
        ("peak memory of the whole process, loading included", f"{peak:.2f} GiB"),
    ]


def _timed(work: Callable[[], Answer]) -> tuple[float, Answer]:
    begun = time.perf_counter()
    answer = work()
    return time.perf_counter() - begun, answer


def _contracts(count: int) -> Contracts:
    usd = Currency("USD")
    meters = {
        name: Meter(name=name, metric=f"{name}_total", consumer="consumer", window=DAY) for name in ("a", "b", "c")
    }
    steps = [Tier(Fraction(10**n), unit_price=Fraction(5, 10 ** (n + 1))) for n in range(2, 6)]
    tiers = Tiers((*steps, Tier(None, unit_price=Fraction(1, 10**7))))
    cards = (
        RateCard("a", "A", meters["a"], Graduated(tiers), Fraction(1000)),
        RateCard("b", "B", meters["b"], PerUnit(Fraction("0.0004")), Fraction(0)),
        RateCard("c", "C", meters["c"], Package(Fraction(1000), Fraction("0.25")), Fraction(0)),
    )
    plan = Plan("pro", "Pro", usd, Cadence.MONTH, Fraction(0), cards)
    subscriptions = tuple(Subscription(f"c{i:07d}", "pro", START) for i in range(count))
    catalogue = Catalogue(usd, meters, {"pro": plan}, digest="bench")
    return Contracts(((EPOCH, catalogue),), subscriptions)
