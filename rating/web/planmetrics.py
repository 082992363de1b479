"""What /metrics says by plan: where its tiers begin and end, and who of those told of the next plan is on it now."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fractions import Fraction

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from rating.core import vocabulary as names
from rating.core.conversions import Approach, monthly_gain
from rating.core.money import decimal_text
from rating.core.plans import Plan
from rating.core.pricetables import price_rows


class TierCollector(Collector):
    """Renders the tiers of the plans last shown to it; prices that one consumer has alone are not here."""

    def __init__(self) -> None:
        self._plans: tuple[Plan, ...] = ()

    def show(self, plans: Iterable[Plan]) -> None:
        self._plans = tuple(plans)

    def collect(self) -> Iterator[Metric]:
        labels = ["plan", "meter", "charge", "tier", "price", "what", "currency"]
        start = GaugeMetricFamily(names.TIER_START, "Usage of a period when the tier begins.", labels=labels)
        end = GaugeMetricFamily(names.TIER_END, "Usage of a period when it ends.", labels=labels)
        for plan in self._plans:
            for card in plan.cards:
                # A tier of converted units is shown in the meter's, as the usage beside it is.
                factor = card.conversion.factor if card.conversion else Fraction(1)
                if card.mixed:
                    continue
                for number, row in enumerate(price_rows(card), 1):
                    price = "" if row.unit_price is None else decimal_text(row.unit_price)
                    own = [plan.key, card.meter.name, card.key, f"{number:02d}", price, row.what, plan.currency.code]
                    start.add_metric(own, float(row.above / factor))
                    end.add_metric(own, float("inf") if row.up_to is None else float(row.up_to / factor))
        yield from (start, end)


class PipelineCollector(Collector):
    """Renders the approaches last shown to it, counted by plan and next plan."""

    def __init__(self) -> None:
        self._approaches: Sequence[Approach] = ()
        self._plans: Mapping[str, Plan] = {}

    def show(self, approaches: Sequence[Approach], plans: Mapping[str, Plan]) -> None:
        self._approaches, self._plans = approaches, plans

    def collect(self) -> Iterator[Metric]:
        told: Counter[tuple[str, str]] = Counter()
        converted: Counter[tuple[str, str]] = Counter()
        gains: dict[tuple[str, str, str], Fraction] = {}
        for plan in self._plans.values():
            # From zero, so that the first is an increase.
            if plan.upsell is not None:
                told[plan.key, plan.upsell.plan] += 0
        for one in self._approaches:
            told[one.plan, one.next_plan] += 1
            if one.converted_at is None:
                continue
            converted[one.plan, one.next_plan] += 1
            gain = monthly_gain(one, self._plans)
            if gain is not None:
                key = (one.plan, one.next_plan, self._plans[one.plan].currency.code)
                gains[key] = gains.get(key, Fraction(0)) + gain
        own = ["plan", "upsell_plan"]
        yield _family(names.UPSELLS_TOLD, "Subscriptions told of the next plan in 90 days.", own, told)
        per_pair = {pair: converted[pair] for pair in told}
        yield _family(names.UPSELLS_CONVERTED, "Those of them that are on it now.", own, per_pair)
        yield _family(
            names.UPSELLS_AMOUNT,
            "What their fees rose by, a month's worth.",
            [*own, "currency"],
            {key: float(gain) for key, gain in gains.items()},
        )


def _family(
    name: str,
    what: str,
    labels: list[str],
    numbers: Mapping[tuple[str, str], int] | Mapping[tuple[str, str, str], float],
) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, what, labels=labels)
    for key, number in sorted(numbers.items()):
        family.add_metric(list(key), number)
    return family
