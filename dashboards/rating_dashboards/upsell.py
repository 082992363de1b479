"""Upsell pipeline: who nears an allowance or is about to, what that is worth, what was sent, and who converted."""

from __future__ import annotations

from datetime import timedelta

from rating.core import vocabulary as names
from rating.core.catalogue import Catalogue
from rating_dashboards.consumer import TOLD
from rating_dashboards.style import (
    CONSUMER_LINK,
    METER,
    PLAN,
    Board,
    Column,
    Query,
    Row,
    answers,
    bars,
    chosen,
    currency_unit,
    graph,
    number,
    rows_of,
)
from rating_dashboards.usage import WHO, share_of_allowance, top
from rating_rules.promql import Aggregate, Binary, Expr, Number, Selector, by, call, metric
from rating_rules.upsell import PREDICTED, REACHED

_MONTH = timedelta(days=30)
_PAIR = ("plan", "upsell_plan")
_PAIR_OF_ONE = ("consumer", *_PAIR)
_UPSELLS = (
    Column("consumer", "Consumer"),
    Column("customer", "Customer"),
    Column("plan", "Plan"),
    Column("next_plan", "Next plan"),
    Column("first_told", "First told", "timestamp"),
    Column("last_told", "Last told", "timestamp"),
    Column("told", "What"),
    Column("thresholds", "Thresholds"),
    Column("converted", "Converted", "timestamp"),
)
_ALERT = ("consumer", "customer", "plan", "meter", "upsell_plan", "threshold")


def upsell(catalogue: Catalogue) -> Board:
    share = share_of_allowance(chosen("plan"), chosen("meter"))
    info = by("max", ("consumer", "plan", "customer", "upsell_plan"), metric(names.SUBSCRIPTION_INFO, chosen("plan")))
    one = Aggregate("topk", info, by=("consumer", "plan"), parameter=Number(1))
    near = Binary("*", share.compared(">=", 0.5), one, on=("consumer", "plan"), group_left=("customer", "upsell_plan"))
    full, predicted = _firing(REACHED, threshold="100%"), _firing(PREDICTED)
    over = Binary(
        "-",
        by("max", WHO, metric(names.USAGE_UNITS, chosen("plan"), chosen("meter"))),
        by("max", WHO, metric(names.ALLOWANCE_UNITS, chosen("plan"), chosen("meter"))),
        on=WHO,
    ).compared(">", 0)
    difference = by("max", (*_PAIR_OF_ONE, "currency"), metric(names.UPGRADE_AMOUNT, chosen("plan")))
    worth = next_fees(catalogue)
    told, converted = (
        by("max", _PAIR, metric(name, chosen("plan"))) for name in (names.UPSELLS_TOLD, names.UPSELLS_CONVERTED)
    )
    gained = by("max", (*_PAIR, "currency"), metric(names.UPSELLS_AMOUNT, chosen("plan")))
    codes = sorted({plan.currency.code for plan in catalogue.plans.values()} | {catalogue.currency.code})
    attempts = call("increase", metric(names.DELIVERIES).over(_MONTH))
    return Board(
        "rating-upsell",
        "Rating / Upsell pipeline",
        "Consumers who are outgrowing their plan.",
        [
            Row(
                "Now",
                [
                    number("Used up", Query(_consumers(full)), "short"),
                    number("Past a lower threshold", Query(_consumers(_firing(REACHED))), "short"),
                    number("Predicted to be", Query(_consumers(predicted)), "short"),
                    *(
                        [
                            number(
                                "Fees the next plans would add",
                                Query(worth),
                                currency_unit(catalogue.currency.code),
                                decimals=2,
                                what="For consumers who used up an allowance: the next plan's fee less the present "
                                "one, per billing period.",
                            )
                        ]
                        if worth is not None
                        else []
                    ),
                ],
            ),
            Row(
                "Who",
                [
                    bars("Fullest allowances", Query(top(15, share), "{{consumer}} {{meter}}")),
                    rows_of(
                        "Half used or more",
                        Query(near),
                        "percentunit",
                        ("consumer", "customer", "plan", "meter", "upsell_plan"),
                        "Used",
                        link=CONSUMER_LINK,
                    ),
                    rows_of(
                        "Alerts",
                        Query(by("max", _ALERT, _firing(REACHED).either(predicted))),
                        "none",
                        _ALERT,
                        "Firing",
                        link=CONSUMER_LINK,
                    ),
                    rows_of(
                        "What the next plan would cost more",
                        Query(top(50, difference)),
                        "none",
                        (*_PAIR_OF_ONE, "currency"),
                        "Amount",
                        what="The open period on the next plan, less on the present one, at the usage so far; below "
                        "zero it saves.",
                        link=CONSUMER_LINK,
                    ),
                    rows_of("Beyond the allowance", Query(top(50, over)), "short", WHO, "Units", link=CONSUMER_LINK),
                ],
            ),
            Row(
                "Sent, and what came of it",
                [
                    number(
                        "Told of their next plan, 90 days",
                        Query(call("sum", told)),
                        "short",
                        what="Subscriptions, each once for a plan.",
                    ),
                    number("On it now", Query(call("sum", converted)), "short"),
                    number(
                        "Converted",
                        Query(call("sum", converted) / call("sum", told).compared(">", 0)),
                        "percentunit",
                        decimals=0,
                    ),
                    *(
                        number(
                            f"Fees gained a month, {code}",
                            Query(call("sum", metric(names.UPSELLS_AMOUNT, chosen("plan"), currency=code))),
                            currency_unit(code),
                            decimals=2,
                            what="By those who are on the next plan now, fees alone.",
                        )
                        for code in codes
                    ),
                    rows_of("Told, by plan", Query(told), "short", _PAIR, "Subscriptions"),
                    rows_of("Converted, by plan", Query(converted), "short", _PAIR, "Subscriptions"),
                    rows_of("Fees gained a month", Query(gained), "none", (*_PAIR, "currency"), "Amount"),
                    graph(
                        "Messages by channel and outcome, 30 days",
                        [Query(by("sum", ("channel", "outcome"), attempts), "{{channel}} {{outcome}}")],
                        "short",
                        stacked=True,
                    ),
                    answers(
                        "Who was told, and who converted",
                        "/boards/upsells",
                        _UPSELLS,
                        what="In the last 90 days, the latest first.",
                        link=("Consumer", CONSUMER_LINK[1]),
                    ),
                    answers("What was sent", "/boards/notifications", TOLD, link=("Consumer", CONSUMER_LINK[1])),
                ],
            ),
            Row(
                "Over time",
                [
                    graph(
                        "Consumers by threshold",
                        [Query(by("count", ("threshold",), _firing(REACHED)), "{{threshold}}")],
                        "short",
                    ),
                    graph("Consumers by plan", [Query(by("count", ("plan",), one), "{{plan}}")], "short", stacked=True),
                ],
            ),
        ],
        (PLAN, METER),
        since="now-30d",
        asks_engine=True,
    )


def _firing(name: str, **equal: str) -> Selector:
    return metric("ALERTS", chosen("plan"), chosen("meter"), alertname=name, alertstate="firing", **equal)


def _consumers(alerts: Expr) -> Expr:
    return call("count", by("max", ("consumer",), alerts)).either(call("vector", 0))


def next_fees(catalogue: Catalogue) -> Expr | None:
    """The fees that consumers at 100 % would pay more on their next plans, in the catalogue's currency."""
    total: Expr | None = None
    for key, plan in sorted(catalogue.plans.items()):
        target = catalogue.plans.get(plan.upsell.plan) if plan.upsell else None
        if target is None or {plan.currency, target.currency} != {catalogue.currency} or plan.cadence != target.cadence:
            continue
        consumers = call("count", by("max", ("consumer",), _firing(REACHED, threshold="100%", plan=key)))
        part = (consumers * float(target.fee - plan.fee)).either(call("vector", 0))
        total = part if total is None else total + part
    return total
