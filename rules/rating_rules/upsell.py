"""Alerts about allowances, limits, trials and prepaid credit, from the plans. Knows nothing of counters.

One rule serves every consumer on every plan that asks for the same threshold: the engine's metrics carry consumer and
plan, and the rule joins them. Used and allowance are compared as `used >= allowance * 80 / 100`, which is exact.
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction

from rating.core import vocabulary as names
from rating.core.catalogue import Catalogue
from rating.core.plans import Plan
from rating_rules.estimates import elapsed
from rating_rules.groups import Alert, Sentence
from rating_rules.live import SUBSCRIBED
from rating_rules.operations import alert
from rating_rules.policy import Policy
from rating_rules.promql import Aggregate, Binary, Expr, Match, Number, by, call, metric, one_of

REACHED = names.ALERT_ALLOWANCE_REACHED
PREDICTED = names.ALERT_EXHAUSTION_PREDICTED
EXCEEDED = names.ALERT_USAGE_BEYOND_ALLOWANCE
LIMITED = names.ALERT_LIMIT_REACHED
TRIAL = names.ALERT_TRIAL_ENDING
PREPAID = names.ALERT_PREPAID_LOW
_WHO = ("consumer", "plan")


def percent(share: Fraction) -> str:
    """`80%`, `12.5%`: the spelling of the catalogue and of the label `threshold`."""
    return f"{float(share * 100):.10g}%"


def thresholds(catalogue: Catalogue) -> dict[tuple[str, Fraction], tuple[str, ...]]:
    """(meter, threshold) -> the plans that ask for it, in order."""
    plans: dict[tuple[str, Fraction], set[str]] = {}
    for plan in catalogue.plans.values():
        for meter in included(plan):
            for share in plan.upsell.thresholds if plan.upsell else ():
                plans.setdefault((meter, share), set()).add(plan.key)
    return {key: tuple(sorted(plans[key])) for key in sorted(plans)}


def included(plan: Plan) -> tuple[str, ...]:
    """Meters of which this plan includes some."""
    return tuple(sorted({card.meter.name for card in plan.cards if card.included > 0}))


def upsold(catalogue: Catalogue) -> tuple[str, ...]:
    """Plans with an allowance to outgrow and a plan to grow into."""
    return tuple(sorted(plan.key for plan in catalogue.plans.values() if plan.upsell and included(plan)))


def allowance(*matches: Match, **equal: str) -> Expr:
    return by("max", SUBSCRIBED, metric(names.ALLOWANCE_UNITS, *matches, **equal)).compared(">", 0)


def subscribed(expr: Expr) -> Expr:
    """The value unchanged, with who pays and the next plan copied from the subscription.

    topk keeps one row per consumer and plan: a join that found two would fail for everybody.
    """
    info = by("max", ("consumer", "plan", "customer", "upsell_plan"), metric(names.SUBSCRIPTION_INFO))
    one = Aggregate("topk", info, by=_WHO, parameter=Number(1))
    return Binary("*", expr, one, on=_WHO, group_left=("customer", "upsell_plan"))


def reached(meter: str, share: Fraction, plans: tuple[str, ...], policy: Policy) -> Alert:
    of_plans = one_of("plan", plans)
    used = by("max", SUBSCRIBED, metric(names.ESTIMATED_USAGE_UNITS, of_plans, meter=meter))
    hundredths = float(share * 100)
    bar = allowance(of_plans, meter=meter) * Number(hundredths, threshold=True) / 100
    full = share >= 1
    return Alert(
        REACHED,
        subscribed(used.compared(">=", bar, on=SUBSCRIBED)),
        {**_labels("upsell", "warning" if full else "info", percent(share)), "meter": meter},
        _says(
            policy,
            REACHED,
            f"{{consumer}} has reached {percent(share)} of the {{meter}} included in plan {{plan}}",
            "{consumer} on plan {plan} has used {value} of the {allowance} units of {meter} included; "
            "the next plan is {upsell_plan}.",
            used="{value}",
        ),
    )


def predicted(plans: tuple[str, ...], policy: Policy) -> Alert:
    of_plans = one_of("plan", plans)
    forecast = by("max", SUBSCRIBED, metric(names.FORECAST_UNITS, of_plans))
    bar = allowance(of_plans) * Number(100, threshold=True) / 100
    within = by("max", SUBSCRIBED, metric(names.ESTIMATED_USAGE_UNITS, of_plans)).compared("<", allowance(of_plans))
    length = by("max", _WHO, metric(names.PERIOD_END)) - by("max", _WHO, metric(names.PERIOD_START))
    settled = elapsed().compared(">=", length * float(policy.forecast_after))
    expr = forecast.compared(">", bar, on=SUBSCRIBED).both(within, on=SUBSCRIBED).both(settled, on=_WHO)
    return Alert(
        PREDICTED,
        subscribed(expr),
        _labels("upsell", "info", "forecast"),
        _says(
            policy,
            PREDICTED,
            "{consumer} will use up the {meter} included in plan {plan} before the period ends",
            "{consumer} on plan {plan} has used {used} of the {allowance} units of {meter} included and is on the way "
            "to {value} by the end of the period; the next plan is {upsell_plan}.",
            used="{used}",
        ),
        policy.forecast_for,
    )


def exceeded(policy: Policy) -> Alert:
    """Exact usage alone: finance reads what is closed, not what is likely."""
    used = by("max", SUBSCRIBED, metric(names.USAGE_UNITS))
    over = Binary("-", used, allowance(), on=SUBSCRIBED).compared(">", Number(0, threshold=True))
    return Alert(
        EXCEEDED,
        subscribed(over),
        _labels("finance", "info", "100%"),
        _says(
            policy,
            EXCEEDED,
            "{consumer} pays for {meter} beyond the allowance of plan {plan}",
            "{consumer} on plan {plan} has used {value} units of {meter} beyond the {allowance} included; "
            "they are on the next invoice.",
            used="{counted}",
        ),
    )


def limited(meter: str, policy: Policy) -> Alert:
    """Live usage: whoever must suspend somebody wants to know at once."""
    used = by("max", SUBSCRIBED, metric(names.ESTIMATED_USAGE_UNITS, meter=meter))
    bar = by("max", SUBSCRIBED, metric(names.LIMIT_UNITS, meter=meter)) * Number(100, threshold=True) / 100
    return Alert(
        LIMITED,
        subscribed(used.compared(">=", bar, on=SUBSCRIBED)),
        {**_labels("upsell", "critical", "limit"), "meter": meter},
        _says(
            policy,
            LIMITED,
            "{consumer} has reached the most {meter} that plan {plan} allows",
            "{consumer} on plan {plan} has used {value} units of {meter}, and may use no more in this period; "
            "the next plan is {upsell_plan}.",
            used="{value}",
        ),
    )


def trial_ending(policy: Policy) -> Alert:
    left = by("max", ("consumer", "customer", "plan"), metric(names.TRIAL_END)) - call("time")
    return alert(
        TRIAL,
        left.compared("<=", Number(policy.trial_notice.total_seconds(), threshold=True)),
        "The trial of {consumer} ends in {span}",
        "{consumer} tries plan {plan} for another {span}; from then on it is billed.",
        policy,
        severity="info",
        audience="upsell",
        labels={"threshold": "trial"},
    )


def prepaid_low(policy: Policy) -> Alert:
    who = ("customer", "currency")
    low = by("max", who, metric(names.WALLET_LOW)) * Number(100, threshold=True) / 100
    return alert(
        PREPAID,
        by("max", who, metric(names.WALLET_BALANCE)).compared("<=", low, on=who),
        "The prepaid credit of {customer} is down to {money} {currency}",
        "{customer} has {money} {currency} of prepaid credit left. What is used beyond it is owed as usual.",
        policy,
        audience="upsell",
        labels={"threshold": "prepaid"},
    )


def _labels(audience: str, severity: str, threshold: str) -> dict[str, str]:
    return {"severity": severity, "audience": audience, "threshold": threshold}


def _says(policy: Policy, name: str, summary: str, description: str, **facts: str) -> dict[str, Sentence]:
    sentences = {
        "summary": summary,
        "description": description,
        **facts,
        "allowance": "{allowance}",
        "next_plan": "{upsell_plan}",
        "upgrade_costs": "{upgrade}",
        "runbook": f"{policy.runbook}#{name.lower()}",
    }
    return {key: Sentence(text) for key, text in sentences.items()}


def allowance_alerts(catalogue: Catalogue, meter: str, policy: Policy) -> Iterable[Alert]:
    """The thresholds of one meter, the highest last, and its limit."""
    for (name, share), plans in thresholds(catalogue).items():
        if name == meter:
            yield reached(meter, share, plans, policy)
    cards = [card for plan in catalogue.plans.values() for card in plan.cards]
    if any(card.limit is not None and card.meter.name == meter for card in cards):
        yield limited(meter, policy)


def plan_alerts(catalogue: Catalogue, policy: Policy) -> tuple[Alert, ...]:
    """What needs no threshold of a plan: forecasts, trials, prepaid credit; over all meters at once.

    Trials and wallets need no line in the catalogue to begin: their alerts are always there.
    """
    plans = upsold(catalogue)
    forecast = (predicted(plans, policy),) if plans else ()
    return (*forecast, *((trial_ending(policy), prepaid_low(policy)) if catalogue.plans else ()))


def charge_alerts(catalogue: Catalogue, policy: Policy) -> tuple[Alert, ...]:
    """What invoices will charge beyond what plans include."""
    return (exceeded(policy),) if any(included(plan) for plan in catalogue.plans.values()) else ()
