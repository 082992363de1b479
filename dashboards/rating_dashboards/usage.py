"""Usage: per meter, consumer and dimension, and how much of each allowance is used."""

from __future__ import annotations

from rating.core import vocabulary as names
from rating.core.catalogue import Catalogue
from rating.core.meters import Kind, Meter
from rating_dashboards.style import (
    CONSUMER,
    CONSUMER_LINK,
    METER,
    PLAN,
    Board,
    Query,
    Row,
    bars,
    chosen,
    graph,
    number,
    rows_of,
)
from rating_rules.promql import Aggregate, Binary, Expr, Match, Number, by, call, metric

WHO = ("consumer", "plan", "meter")


def usage(catalogue: Catalogue) -> Board:
    meters = [meter for _, meter in sorted(catalogue.meters.items())]
    return Board(
        "rating-usage",
        "Rating / Usage",
        "What is counted: exact usage of closed windows, and up to this second by the rules' estimate.",
        [
            Row(
                "Allowances",
                [
                    bars(
                        "Fullest allowances", Query(top(10, share_of_allowance(*_chosen())), "{{consumer}} {{meter}}")
                    ),
                    rows_of(
                        "Usage to date, this second included",
                        Query(top(50, by("max", WHO, metric(names.ESTIMATED_USAGE_UNITS, *_chosen())))),
                        "short",
                        WHO,
                        "Units",
                        link=CONSUMER_LINK,
                    ),
                ],
            ),
            *(_meter_row(meter) for meter in meters),
        ],
        (PLAN, CONSUMER, METER),
    )


def _chosen() -> tuple[Match, ...]:
    return chosen("consumer"), chosen("plan"), chosen("meter")


def share_of_allowance(*matches: Match) -> Expr:
    """Used so far as a share of what is included, for everybody who has an allowance."""
    used = by("max", WHO, metric(names.ESTIMATED_USAGE_UNITS, *matches))
    allowance = by("max", WHO, metric(names.ALLOWANCE_UNITS, *matches))
    return Binary("/", used, allowance.compared(">", 0), on=WHO)


def top(count: int, expr: Expr) -> Expr:
    return Aggregate("topk", expr, parameter=Number(count))


def _meter_row(meter: Meter) -> Row:
    consumer = chosen("consumer")
    rate = metric(names.RATE_UNITS, consumer, meter=meter.name)
    exact = by("max", ("consumer", "plan"), metric(names.USAGE_UNITS, consumer, chosen("plan"), meter=meter.name))
    graphs = [
        graph(
            f"{meter.name} by consumer",
            [Query(top(10, by("sum", ("consumer",), rate)), "{{consumer}}")],
            "short",
            what=f"{meter.unit} per second, ten busiest",
            stacked=True,
        )
    ]
    graphs += [
        graph(
            f"{meter.name} by {dimension}",
            [Query(top(10, by("sum", (dimension,), rate)), f"{{{{{dimension}}}}}")],
            "short",
            what=f"{meter.unit} per second",
            stacked=True,
        )
        for dimension in meter.dimensions
    ]
    # What a gauge came to since then has no rule that records it.
    live = [
        number(
            f"{meter.name}: since the last closed window",
            Query(call("sum", metric(names.LIVE_UNITS, consumer, meter=meter.name))),
            "short",
            what=f"{meter.unit}, estimated and never more than was counted",
        )
        for _ in range(meter.kind is Kind.COUNTER)
    ]
    return Row(
        f"{meter.name} ({meter.unit})",
        [
            number(
                f"{meter.name}: exact, closed windows",
                Query(call("sum", exact)),
                "short",
                what=f"{meter.unit} in the open periods",
            ),
            *live,
            *graphs,
        ],
    )
