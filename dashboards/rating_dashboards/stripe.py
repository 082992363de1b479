"""Stripe parity: what gateways collect beside what the book issued, what they told us, what waits for people."""

from __future__ import annotations

from datetime import timedelta

from rating.core import vocabulary as names
from rating.core.catalogue import Catalogue
from rating_dashboards.style import PLAN, Board, Query, Row, Variable, chosen, currency_unit, graph, number, rows_of
from rating_rules.promql import Expr, Selector, by, call, metric

_GATEWAY = Variable("gateway", metric(names.PARITY_CHECKED), "gateway")
_HOUR, _DAY = timedelta(hours=1), timedelta(days=1)


def stripe(catalogue: Catalogue) -> Board:
    codes = sorted({plan.currency.code for plan in catalogue.plans.values()} | {catalogue.currency.code})
    differences = _of(names.PARITY_DIFFERENCES)
    since_checked = call("time") - by("max", ("gateway",), _of(names.PARITY_CHECKED))
    return Board(
        "rating-stripe",
        "Rating / Stripe parity",
        "What gateways such as Stripe collect beside what the book has issued, and what they told us.",
        [
            Row(
                "Parity",
                [
                    number(
                        "Differences",
                        Query(call("sum", differences)),
                        "short",
                        what="As the last comparison found them; `rating stripe reconcile` names each.",
                        decimals=0,
                        bad_from=1,
                    ),
                    number(
                        "Since the last comparison",
                        Query(call("max", since_checked)),
                        "s",
                        what="Once a day",
                        bad_from=36 * 3600,
                    ),
                    number("Papers parked", Query(call("sum", _of(names.PUBLICATIONS_PARKED))), "short", bad_from=1),
                    number("Signals parked", Query(call("sum", _of(names.SIGNALS_PARKED))), "short", bad_from=1),
                    rows_of(
                        "Differences by kind",
                        Query(by("sum", ("gateway", "kind"), differences).compared(">", 0)),
                        "short",
                        ("gateway", "kind"),
                        "Differences",
                    ),
                    graph(
                        "Differences over time",
                        [Query(by("sum", ("kind",), differences).compared(">", 0), "{{kind}}")],
                        "short",
                        stacked=True,
                    ),
                ],
            ),
            Row(
                "What gateways tell",
                [
                    graph(
                        "Signals settled in an hour",
                        [Query(by("sum", ("verdict",), _grown(names.SIGNALS_SETTLED)), "{{verdict}}")],
                        "short",
                        stacked=True,
                    ),
                    graph(
                        "Signals that wait",
                        [Query(by("sum", ("gateway",), _of(names.SIGNALS_WAITING)), "{{gateway}}")],
                        "short",
                    ),
                    graph(
                        "Deliveries taken in an hour",
                        [Query(by("sum", ("gateway",), _grown(names.WEBHOOKS_ACCEPTED)), "{{gateway}}")],
                        "short",
                    ),
                    rows_of(
                        "Deliveries refused in a day",
                        Query(
                            by(
                                "sum",
                                ("gateway", "reason"),
                                # What nobody proved to be a gateway's is named by the sort of gateway, not by one.
                                call("increase", metric(names.WEBHOOKS_REFUSED).over(_DAY)),
                            ).compared(">", 0)
                        ),
                        "short",
                        ("gateway", "reason"),
                        "Refused",
                    ),
                ],
            ),
            Row(
                "The book's side",
                [
                    number(
                        f"Issued in all, {code}",
                        Query(call("sum", metric(names.INVOICED_AMOUNT, chosen("plan"), currency=code))),
                        currency_unit(code),
                        decimals=2,
                    )
                    for code in codes
                ],
            ),
        ],
        (_GATEWAY, PLAN),
        since="now-30d",
    )


def _of(name: str) -> Selector:
    return metric(name, chosen("gateway"))


def _grown(name: str) -> Expr:
    return call("increase", _of(name).over(_HOUR))
