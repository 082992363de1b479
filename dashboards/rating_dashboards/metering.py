"""Metering quality: how complete the windows are, what is held, how late, and how far estimates are from the exact."""

from __future__ import annotations

from datetime import timedelta

from rating.core import vocabulary as names
from rating.core.catalogue import Catalogue
from rating_dashboards.style import METER, Board, Query, Row, chosen, graph, number, rows_of
from rating_rules.promql import Aggregate, Expr, Selector, by, call, metric

_HOUR = timedelta(hours=1)
_DAY = timedelta(days=1)


def metering(catalogue: Catalogue) -> Board:
    meter = chosen("meter")
    closed = metric(names.WINDOWS_CLOSED, meter)
    through = by("max", ("meter",), metric(names.ACCRUED_THROUGH, meter))
    held = by("max", ("meter",), metric(names.WINDOWS_HELD, meter))
    lag = by("max", ("meter",), metric(names.COLLECT_LAG, meter))
    unbilled = by("max", ("meter",), metric(names.UNBILLED_USAGE, meter))
    return Board(
        "rating-metering",
        "Rating / Metering quality",
        "May the usage be believed? Completeness of windows, gaps, lag, and exact usage beside increase().",
        [
            Row(
                "Now",
                [
                    number("Held windows", Query(call("sum", held)), "short", bad_from=1),
                    number("Longest due", Query(call("max", lag)), "s", bad_from=1800),
                    number(
                        "Degraded in a day",
                        Query(
                            call("sum", _increase(metric(names.WINDOWS_CLOSED, meter, completeness="degraded"), _DAY))
                        ),
                        "short",
                        decimals=0,
                        bad_from=1,
                    ),
                    number("Unbilled usage this month", Query(call("sum", unbilled)), "short", bad_from=1),
                ],
            ),
            Row(
                "Windows",
                [
                    graph(
                        "Windows closed in an hour",
                        [
                            Query(
                                by("sum", ("meter", "completeness"), _increase(closed, _HOUR)),
                                "{{meter}} {{completeness}}",
                            )
                        ],
                        "short",
                        stacked=True,
                    ),
                    graph(
                        "Age of the exact usage",
                        [Query(call("time") - through, "{{meter}}")],
                        "s",
                        what="Time since the end of the last closed window. A window and its settling is normal.",
                    ),
                    graph("Held windows", [Query(held, "{{meter}}")], "short"),
                    rows_of("Unbilled usage", Query(unbilled.compared(">", 0)), "short", ("meter",), "Units"),
                ],
            ),
            Row(
                "Exact and estimated",
                [
                    graph(
                        "Distance of increase() from exact usage, one day",
                        [Query(by("max", ("meter",), metric(names.DRIFT_RATIO, meter)), "{{meter}}")],
                        "percentunit",
                        what="Floats of increase() against exact windows: births and restarts explain a few per cent.",
                    ),
                    graph(
                        "Counted per second",
                        [Query(by("max", ("meter",), metric(names.METER_RATE, meter)), "{{meter}}")],
                        "short",
                    ),
                    graph(
                        "Counters scraped",
                        [Query(by("sum", ("meter",), metric(names.METER_TARGETS, meter)), "{{meter}}")],
                        "short",
                        what="A steep rise is a label that should not be there; a fall to nothing is silence.",
                    ),
                    rows_of(
                        "Targets that cannot be scraped",
                        Query(Aggregate("max", metric(names.UP), by=("job", "instance")).compared("<", 1)),
                        "none",
                        ("job", "instance"),
                        "Up",
                    ),
                ],
            ),
        ],
        (METER,),
    )


def _increase(counter: Selector, span: timedelta) -> Expr:
    return call("increase", counter.over(span))
