"""The port `Estimates` over Prometheus's query API: the queries that scripts bill from, asked as they ask them.

Decides how each is spelled and summed. What they get wrong is for `jobs.estimate` to show.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import timedelta
from fractions import Fraction

from rating.adapters.prometheus import queries
from rating.adapters.prometheus.client import Client
from rating.adapters.prometheus.decoding import MatrixReply, VectorReply, labels
from rating.adapters.prometheus.source import PrometheusSource
from rating.core.counters import Accounts
from rating.core.meters import Meter
from rating.core.money import round_ratio
from rating.core.periods import Period, milliseconds
from rating.errors import EdgeDisagrees, SamplesMissing
from rating.ports import Estimate, Estimated

_HOUR = 3_600_000
_BOARD = 5 * 60_000
"""The range most boards take a rate over."""
_STEPS = 168
"""Hours in one question: a week."""


class PrometheusEstimates:
    """Asks the first of several servers only: so does a script that knows nothing of replicas."""

    def __init__(self, source: PrometheusSource) -> None:
        self._source = source

    def estimate(self, meter: Meter, period: Period, by: Estimate) -> Estimated:
        parts = [self._estimate(one, period, by) for one in meter.of_each_metric]
        quantities: dict[str, int] = {}
        accounts = Accounts(meter)
        for part in parts:
            for label, quantity in part.quantities.items():
                consumer = accounts.consumer(label)
                quantities[consumer] = quantities.get(consumer, 0) + quantity
        return Estimated(quantities, tuple(dict.fromkeys(warning for part in parts for warning in part.warnings)))

    def _estimate(self, meter: Meter, period: Period, by: Estimate) -> Estimated:
        """Of one metric, by the value of the consumer's label."""
        client = self._source.clients[0]
        start, end = milliseconds(period.start), milliseconds(period.end)
        counters = queries.counters(meter)
        self._check_retained(client, counters, period)
        match by:
            case Estimate.INCREASES:
                sums, warnings = self._hourly(client, queries.increase(counters, _HOUR), meter, start, end)
            case Estimate.RATES:
                sums, warnings = self._hourly(client, queries.rate(counters, _BOARD), meter, start, end)
                sums = {consumer: total * (_HOUR // 1000) for consumer, total in sums.items()}
            case Estimate.WHOLE:
                sums, warnings = self._once(client, queries.increase(counters, end - start), meter, end)
        if len(self._source.clients) > 1:
            warnings[f"estimated from {client.shown_url} alone, the first of {len(self._source.clients)} servers"] = (
                None
            )
        return Estimated(_whole(meter, sums), tuple(warnings))

    def _hourly(
        self, client: Client, vector: str, meter: Meter, start: int, end: int
    ) -> tuple[dict[str, Fraction], dict[str, None]]:
        """The sum over the ends of the hours that begin inside the period."""
        sums: dict[str, Fraction] = defaultdict(Fraction)
        warnings: dict[str, None] = {}
        text = queries.summed(vector, [meter.consumer])
        for first in range(start + _HOUR, end + _HOUR, _STEPS * _HOUR):
            last = min(first + (_STEPS - 1) * _HOUR, start - (start - end) // _HOUR * _HOUR)
            reply = client.query_range(MatrixReply, text, first, last, _HOUR)
            warnings.update(dict.fromkeys(reply.warnings))
            for item in reply.data.result:
                sums[labels(item.metric).get(meter.consumer, "")] += _sum(text, [value for _, value in item.values])
        return sums, warnings

    def _once(self, client: Client, vector: str, meter: Meter, at: int) -> tuple[dict[str, Fraction], dict[str, None]]:
        text = queries.summed(vector, [meter.consumer])
        reply = client.query(VectorReply, text, at)
        sums: dict[str, Fraction] = defaultdict(Fraction)
        for item in reply.data.result:
            sums[labels(item.metric).get(meter.consumer, "")] += _sum(text, [item.value[1]])
        return sums, dict.fromkeys(reply.warnings)

    def _check_retained(self, client: Client, counters: str, period: Period) -> None:
        retention = self._source.retention
        if retention is None:
            return
        if client.server_time is None:
            client.query(VectorReply, queries.present(counters), milliseconds(period.end))
        clock = client.server_time
        if clock is not None and period.start < clock - retention:
            days = [f"{span / timedelta(days=1):.1f}" for span in (retention, clock - period.start)]
            raise SamplesMissing(
                f"{client.shown_url} keeps samples for {days[0]} days and the period began {days[1]} days ago: "
                "any estimate would be too low; audit a later period"
            )


def _sum(text: str, values: Sequence[str]) -> Fraction:
    """Floats, because the server computed floats: an estimate has no exact value to lose."""
    whole = math.fsum(map(float, values))
    if not math.isfinite(whole):
        raise EdgeDisagrees(f"{text}: answered {whole}, which is no amount of usage")
    return Fraction(whole)


def _whole(meter: Meter, sums: Mapping[str, Fraction]) -> dict[str, int]:
    scaled = {consumer: total * meter.conversion * 10**meter.digits for consumer, total in sums.items()}
    return {consumer: round_ratio(total.numerator, total.denominator) for consumer, total in sorted(scaled.items())}
