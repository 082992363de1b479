"""One consumer: usage against allowances and tiers, accrued amount and forecast, its invoices, and what it was told."""

from __future__ import annotations

from datetime import timedelta

from rating.core import vocabulary as names
from rating.core.catalogue import Catalogue
from rating_dashboards.style import (
    Board,
    Column,
    Query,
    Row,
    Variable,
    answers,
    bars,
    chosen,
    currency_unit,
    graph,
    number,
    rows_of,
)
from rating_dashboards.usage import WHO, share_of_allowance
from rating_rules.promql import Binary, Expr, Match, by, call, metric

_MINUTE = timedelta(minutes=1)
_TIER = ("plan", "meter", "charge", "tier", "what", "price", "currency")
_INVOICES = (
    Column("invoice", "Invoice"),
    Column("issued", "Issued", "timestamp"),
    Column("first_day", "From"),
    Column("last_day", "To"),
    Column("plan", "Plan"),
    Column("total", "Total", "number"),
    Column("due", "Due", "number"),
    Column("currency", "Currency"),
    Column("state", "State"),
    Column("due_on", "Due on"),
)
TOLD = (
    Column("told", "Told", "timestamp"),
    Column("consumer", "Consumer"),
    Column("kind", "What"),
    Column("meter", "Meter"),
    Column("mark", "At"),
    Column("used", "Used", "number"),
    Column("allowance", "Included", "number"),
    Column("next_plan", "Next plan"),
    Column("ways", "Sent by"),
)
_ONE = Variable("consumer", metric(names.SUBSCRIPTION_INFO), "consumer", many=False)


def consumer(catalogue: Catalogue) -> Board:
    this = chosen("consumer")
    codes = sorted({plan.currency.code for plan in catalogue.plans.values()} | {catalogue.currency.code})
    used = by("max", WHO, metric(names.ESTIMATED_USAGE_UNITS, this))
    allowance = by("max", WHO, metric(names.ALLOWANCE_UNITS, this))
    firing = metric("ALERTS", this, alertstate="firing")
    info = by("max", ("customer", "plan", "upsell_plan"), metric(names.SUBSCRIPTION_INFO, this))
    period_end = by("max", ("plan",), metric(names.PERIOD_END, this))
    return Board(
        "rating-consumer",
        "Rating / Consumer",
        "Everything about one consumer's open billing period.",
        [
            Row(
                "Open period",
                [
                    *(
                        number(
                            f"Accrued, {code}",
                            Query(by("sum", ("plan",), metric(names.ACCRUED_AMOUNT, this, currency=code)), "{{plan}}"),
                            currency_unit(code),
                            decimals=2,
                        )
                        for code in codes
                    ),
                    *(
                        number(
                            f"Forecast bill, {code}",
                            Query(by("sum", ("plan",), metric(names.FORECAST_AMOUNT, this, currency=code)), "{{plan}}"),
                            currency_unit(code),
                            decimals=2,
                            what="When the period ends, at its average pace, priced by the plan. Not in the first "
                            "tenth of a period.",
                        )
                        for code in codes
                    ),
                    # As wide as the amounts of all currencies leave room in their row.
                    number(
                        "Period ends",
                        Query(period_end * 1000, "{{plan}}"),
                        "dateTimeFromNow",
                        width=12 if len(codes) % 2 else 24,
                    ),
                    rows_of("Subscription", Query(info), "none", ("customer", "plan", "upsell_plan"), "Open", width=12),
                    bars("Allowances used", Query(share_of_allowance(this), "{{meter}}")),
                ],
            ),
            Row(
                "Usage",
                [
                    graph("Usage to date", [Query(used, "{{meter}}"), Query(allowance, "{{meter}} included")], "short"),
                    graph(
                        "Forecast for the end of the period",
                        [
                            Query(by("max", WHO, metric(names.FORECAST_UNITS, this)), "{{meter}}"),
                            Query(allowance, "{{meter}} included"),
                        ],
                        "short",
                    ),
                    graph(
                        "Pace, units a second",
                        [Query(by("sum", ("meter",), metric(names.RATE_UNITS, this)), "{{meter}}")],
                        "short",
                    ),
                    rows_of(
                        "Usage by tier",
                        Query(in_tiers(this)),
                        "short",
                        _TIER,
                        "Units",
                        what="How many units of the open period fall into each tier of the plan, the allowance first. "
                        "By the usage of this second.",
                    ),
                    rows_of(
                        "Firing alerts",
                        Query(by("max", ("alertname", "meter", "plan", "threshold"), firing)),
                        "none",
                        ("alertname", "meter", "plan", "threshold"),
                        "Firing",
                    ),
                ],
            ),
            Row(
                "Invoices and messages",
                [
                    answers("Invoices", "/boards/invoices?consumer=${consumer:percentencode}", _INVOICES),
                    answers("What it was told", "/boards/notifications?consumer=${consumer:percentencode}", TOLD),
                ],
            ),
        ],
        (_ONE,),
        asks_engine=True,
        annotations=(("Alerts", call("max_over_time", firing.over(_MINUTE)), "{{alertname}} {{meter}} {{threshold}}"),),
    )


def in_tiers(this: Match) -> Expr:
    """Units of the open period in each tier that is reached: what is used beyond its start, at most its width."""
    plan = ("plan", "meter")
    used = by("max", plan, metric(names.ESTIMATED_USAGE_UNITS, this))
    start, end = (by("max", _TIER, metric(name)) for name in (names.TIER_START, names.TIER_END))
    # The other way round, because the many (a plan's tiers) stand on the left of the one (its usage).
    beyond = (Binary("-", start, used, on=plan, group_left=()) * -1).compared(">", 0)
    width = Binary("-", end, start, on=_TIER)
    return beyond.compared("<", width, on=_TIER).either(width.both(beyond, on=_TIER), on=_TIER)
