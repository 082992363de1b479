"""Revenue: what is accrued, what was issued, what the period will bring, and who brings it."""

from __future__ import annotations

from datetime import timedelta

from rating.core import vocabulary as names
from rating.core.catalogue import Catalogue
from rating.core.periods import PER_MONTH
from rating.core.plans import Plan
from rating_dashboards.style import (
    CONSUMER_LINK,
    PLAN,
    Board,
    Query,
    Row,
    chosen,
    currency_unit,
    graph,
    number,
    rows_of,
)
from rating_rules.promql import Aggregate, Expr, Number, by, call, metric

_MONTH = timedelta(days=30)


def revenue(catalogue: Catalogue) -> Board:
    codes = sorted({plan.currency.code for plan in catalogue.plans.values()} | {catalogue.currency.code})
    return Board(
        "rating-revenue",
        "Rating / Revenue",
        "Accrued and invoiced amounts. Floats for eyes; the invoices are exact.",
        [row for code in codes for row in _rows(catalogue, code)],
        (PLAN,),
        since="now-30d",
    )


def accrued(code: str) -> Expr:
    return by("max", ("consumer", "plan"), metric(names.ACCRUED_AMOUNT, chosen("plan"), currency=code))


def at_period_end(code: str) -> Expr:
    """What the periods will come to, as the engine prices it; what is accrued, where it is too early to say."""
    who = ("consumer", "plan")
    return by("max", who, metric(names.FORECAST_AMOUNT, chosen("plan"), currency=code)).either(accrued(code), on=who)


def recurring(plans: list[Plan]) -> Expr | None:
    """Monthly fees of all open subscriptions: a plan's fee, by month, times its subscriptions."""
    parts: list[Expr] = []
    for plan in plans:
        fee = plan.fee * PER_MONTH[plan.cadence]
        if fee:
            parts.append(call("count", metric(names.SUBSCRIPTION_INFO, chosen("plan"), plan=plan.key)) * float(fee))
    if not parts:
        return None
    # `or vector(0)`: a plan nobody is on would empty the whole sum
    total = parts[0].either(call("vector", 0))
    for part in parts[1:]:
        total = total + part.either(call("vector", 0))
    return total


def _rows(catalogue: Catalogue, code: str) -> list[Row]:
    unit = currency_unit(code)
    plans = [plan for _, plan in sorted(catalogue.plans.items()) if plan.currency.code == code]
    fees = recurring(plans)
    invoiced = metric(names.INVOICED_AMOUNT, chosen("plan"), currency=code)
    month = call("increase", invoiced.over(_MONTH))
    top = Aggregate("topk", by("sum", ("consumer", "plan"), accrued(code)), parameter=Number(20))
    return [
        Row(
            f"{code} now",
            [
                number("Accrued in open periods", Query(call("sum", accrued(code))), unit, decimals=2),
                *(
                    [
                        number(
                            "At the end of the periods",
                            Query(call("sum", at_period_end(code))),
                            unit,
                            decimals=2,
                            what="Usage at each period's average pace, priced by the plans; in the first tenth of a "
                            "period what is accrued.",
                        )
                    ]
                    if plans
                    else []
                ),
                number("Invoiced in 30 days", Query(call("sum", month)), unit, decimals=2),
                *(
                    [
                        number(
                            "Monthly recurring fees",
                            Query(fees),
                            unit,
                            decimals=2,
                            what="The fees of all open subscriptions, by month.",
                        )
                    ]
                    if fees is not None
                    else []
                ),
            ],
        ),
        Row(
            f"{code} by plan and consumer",
            [
                graph("Accrued by plan", [Query(by("sum", ("plan",), accrued(code)), "{{plan}}")], unit, stacked=True),
                graph(
                    "Invoiced by plan, 30 days", [Query(by("sum", ("plan",), month), "{{plan}}")], unit, stacked=True
                ),
                rows_of("Top consumers", Query(top), unit, ("consumer", "plan"), "Accrued", link=CONSUMER_LINK),
                graph(
                    "Invoices issued, 30 days",
                    [
                        Query(
                            by(
                                "sum",
                                ("plan",),
                                call("increase", metric(names.INVOICES_ISSUED, chosen("plan")).over(_MONTH)),
                            ),
                            "{{plan}}",
                        )
                    ],
                    "short",
                    stacked=True,
                ),
            ],
        ),
    ]
