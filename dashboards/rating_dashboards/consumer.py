"""One consumer: usage against allowances, accrued amount, forecast, and the alerts that are firing."""

from __future__ import annotations

from datetime import timedelta

from rating.core import vocabulary as names
from rating.core.catalogue import Catalogue
from rating_dashboards.style import (
    Board,
    Query,
    Row,
    Variable,
    bars,
    chosen,
    currency_unit,
    graph,
    number,
    rows_of,
)
from rating_dashboards.usage import WHO, share_of_allowance
from rating_rules.promql import by, call, metric

_MINUTE = timedelta(minutes=1)
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
                    number("Period ends", Query(period_end * 1000, "{{plan}}"), "dateTimeFromNow"),
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
                        "Firing alerts",
                        Query(by("max", ("alertname", "meter", "plan", "threshold"), firing)),
                        "none",
                        ("alertname", "meter", "plan", "threshold"),
                        "Firing",
                    ),
                ],
            ),
        ],
        (_ONE,),
        annotations=(("Alerts", call("max_over_time", firing.over(_MINUTE)), "{{alertname}} {{meter}} {{threshold}}"),),
    )
