"""What the obvious queries would have billed, beside what was billed. All go through the same prices.

The obvious query is `sum by (consumer) (increase(counter[1h]))` once an hour, as most scripts have it; the careful one
first keeps the larger of two replicas. Neither says what it lost.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import requests

from rating.core.catalogue import Catalogue
from rating.core.drafts import MeteredUsage, draft
from rating.core.invoices import Invoice
from rating.core.meters import Meter
from rating.core.money import Money
from rating.core.periods import Period
from rating_demo.history import History


@dataclass(frozen=True, slots=True)
class Compared:
    """One consumer's month. Quantities are integers in the meter's resolution."""

    consumer: str
    meter: str
    counted: int
    """By the processes themselves, also what no scrape saw."""
    proven: int
    """By the samples."""
    billed: int
    obvious: int
    careful: int
    invoice: Money
    invoice_obvious: Money
    """The whole invoice, had all its quantities come from the obvious query."""
    invoice_careful: Money


def increases(url: str, meter: Meter, period: Period, *, careful: bool) -> dict[str, int]:
    """Usage over `period` by consumer, in the meter's resolution, as hourly `increase()` has it.

    Raises:
        requests.RequestException: Prometheus does not answer.
    """
    where = ",".join(f'{matcher.label}=~"{matcher.pattern}"' for matcher in meter.where)
    query = f"increase({meter.metric}{{{where}}}[1h])"
    if careful:
        query = f"max without({', '.join(meter.replica_labels)}) ({query})"
    query = f"sum by ({meter.consumer}) ({query})"
    first = period.start.timestamp() + 3600
    asked: dict[str, str | float] = {"query": query, "start": first, "end": period.end.timestamp(), "step": 3600}
    answer = requests.get(f"{url}/api/v1/query_range", params=asked, timeout=120)
    answer.raise_for_status()
    return {
        series["metric"].get(meter.consumer, ""): round(
            sum(Fraction(text) for _, text in series["values"]) * 10**meter.digits
        )
        for series in answer.json()["data"]["result"]
    }


def compare(url: str, catalogue: Catalogue, invoices: Sequence[Invoice], history: History) -> list[Compared]:
    """Every metered line of `invoices`, all of last month."""
    period = history.last_month
    meters = catalogue.meters.items()
    obvious = {name: increases(url, meter, period, careful=False) for name, meter in meters}
    careful = {name: increases(url, meter, period, careful=True) for name, meter in meters}
    counted = {name: history.counted(name, period) for name in catalogue.meters}
    proven = {name: history.usage(name, period) for name in catalogue.meters}
    subscriptions = {subscription.key: subscription for subscription in catalogue.subscriptions}
    rows = []
    for invoice in invoices:
        whole = invoice.draft
        plan, subscription = catalogue.plans[whole.plan], subscriptions[whole.subscription]
        otherwise = [
            draft(
                subscription,
                plan,
                whole.period,
                {(name, whole.period): MeteredUsage(of.get(whole.consumer, 0)) for name, of in usage.items()},
                whole.catalogue,
            ).total
            for usage in (obvious, careful)
        ]
        for line in whole.lines:
            if line.meter:
                billed = line.quantity * 10 ** catalogue.meters[line.meter].digits
                assert billed.denominator == 1, f"{invoice.number}: {line.quantity} is finer than {line.meter} counts"
                rows.append(
                    Compared(
                        whole.consumer,
                        line.meter,
                        _of(counted, line.meter, whole.consumer),
                        _of(proven, line.meter, whole.consumer),
                        billed.numerator,
                        _of(obvious, line.meter, whole.consumer),
                        _of(careful, line.meter, whole.consumer),
                        whole.total,
                        *otherwise,
                    )
                )
    return rows


def _of(totals: Mapping[str, Mapping[str, int]], meter: str, consumer: str) -> int:
    return totals[meter].get(consumer, 0)
