"""Alerts about how a consumer uses what it pays for: unlike its own week, from elsewhere, other things, ever less.

Each consumer is measured by its own past only. All of it is estimates in floats, for people who then look.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from rating.core import vocabulary as names
from rating.core.meters import Meter
from rating_rules.estimates import elapsed, kept_dimensions
from rating_rules.groups import Alert, Group, Record
from rating_rules.operations import alert
from rating_rules.policy import Policy
from rating_rules.promql import Aggregate, Binary, Expr, Number, Subquery, by, call, metric, renamed

USAGE, SPEND = "RatingUsageUnusual", "RatingSpendUnusual"
ORIGIN, MIX, FALLING = "RatingUsageFromNewOrigin", "RatingUsageMixShifted", "RatingUsageFalling"
WEEK = timedelta(days=7)
_HOUR, _TEN_MINUTES = timedelta(hours=1), timedelta(minutes=10)
_WHO = ("consumer", "meter")
_MONEY = ("consumer", "plan", "currency")


def usual_units(policy: Policy) -> Record:
    """The higher of the most around this hour a week ago and the week's average. Without a week there is no shape."""
    window = metric(names.WINDOW_UNITS)
    hour = call("max_over_time", Subquery(window.before(WEEK - _HOUR), 2 * _HOUR, _TEN_MINUTES))
    average = call("avg_over_time", Subquery(window, WEEK, policy.unusual_step))
    return Record(names.USUAL_UNITS, by("max", _WHO, _larger(hour, average, on=_WHO)))


def unusual_usage(policy: Policy) -> Alert:
    least = policy.unusual_least / policy.unusual_times
    usual = call("clamp_min", metric(names.USUAL_UNITS), least) * Number(policy.unusual_times, threshold=True)
    return alert(
        USAGE,
        _of_customer(by("max", _WHO, metric(names.WINDOW_UNITS)).compared(">", usual, on=_WHO)),
        "{consumer} uses far more {meter} than it ever does at this hour",
        "The last window of {consumer} holds {value} units of {meter}, "
        f"more than {policy.unusual_times} times what its last week lets expect. A launch, a loop, or a stolen key.",
        policy,
        waiting=policy.unusual_for,
    )


def spends(policy: Policy) -> tuple[Record, Record]:
    """Money of some hours now, and the higher of the same hours a week ago and the week's average."""
    grown = by("max", _MONEY, call("increase", metric(names.ACCRUED_AMOUNT).over(policy.spend_span)))
    spend = metric(names.SPEND)
    average = call("avg_over_time", Subquery(spend, WEEK, policy.unusual_step, policy.spend_span))
    usual = by("max", _MONEY, _larger(spend.before(WEEK), average, on=_MONEY))
    return Record(names.SPEND, grown), Record(names.USUAL_SPEND, usual)


def unusual_spend(policy: Policy) -> Alert:
    """Once a period has so many hours: it begins with its fee, and the hours after that say nothing about usage."""
    least = policy.spend_least / policy.unusual_times
    usual = call("clamp_min", metric(names.USUAL_SPEND), least) * Number(policy.unusual_times, threshold=True)
    settled = elapsed().compared(">", policy.spend_span.total_seconds())
    hours = int(policy.spend_span / _HOUR)
    return alert(
        SPEND,
        metric(names.SPEND).compared(">", usual, on=_MONEY).both(settled, on=("consumer", "plan")),
        "{consumer} runs up charges far faster than it ever does",
        f"Within {hours} hours {{consumer}} on plan {{plan}} has accrued {{money}} {{currency}}, "
        f"more than {policy.unusual_times} times what its last week lets expect. Ask before the invoice does.",
        policy,
        audience="finance",
        waiting=policy.unusual_for,
    )


def new_origin(meter: Meter, label: str, policy: Policy) -> Alert:
    """A share of a consumer's traffic comes from where none came within the last week."""
    rate = metric(names.RATE_UNITS, meter=meter.name)
    by_origin = _as_origin(by("sum", ("consumer", label), rate), label)
    known = Subquery(by_origin.compared(">", 0), WEEK, _HOUR, _HOUR)
    share = Binary("/", by_origin, by("sum", ("consumer",), rate), on=("consumer",), group_left=())
    # Somebody new is new everywhere: only who called at all a week ago is judged.
    lasting = by("sum", ("consumer",), rate.before(WEEK))
    expr = share.compared(">=", Number(float(policy.origin_share), threshold=True))
    return alert(
        ORIGIN,
        expr.unless(call("count_over_time", known), on=("consumer", "origin")).both(lasting, on=("consumer",)),
        "{consumer} calls from {origin}, where it never called from within a week",
        "{percent} of what {consumer} uses of " + meter.name + " comes from {origin}. A new office, or somebody "
        "else's hands on its key.",
        policy,
        labels={"meter": meter.name, "origin_label": label},
    )


def shares(meter: Meter, policy: Policy) -> tuple[Record, Record]:
    """How a consumer's rate divides over the meter's dimensions, now and in the week before."""
    kinds = by("sum", ("consumer", *kept_dimensions(meter)), metric(names.RATE_UNITS, meter=meter.name))
    rates = call("avg_over_time", Subquery(kinds, policy.mix_span, policy.mix_span / 12))
    now = Binary("/", rates, by("sum", ("consumer",), rates).compared(">", 0), on=("consumer",), group_left=())
    week = Subquery(metric(names.MIX_SHARE, meter=meter.name), WEEK, policy.unusual_step, policy.mix_span)
    labels = {"meter": meter.name}
    return Record(names.MIX_SHARE, now, labels), Record(names.USUAL_MIX_SHARE, call("avg_over_time", week), labels)


def shifted_mix(meter: Meter, policy: Policy) -> Alert:
    """Half the sum of how far each share moved: 0 for the same mixture, 1 when nothing is left of it."""
    who = ("consumer",)
    now, usual = metric(names.MIX_SHARE, meter=meter.name), metric(names.USUAL_MIX_SHARE, meter=meter.name)
    moved = (now - usual).either(now).either(usual)
    distance = by("sum", who, call("abs", moved)) / 2
    # Who is silent now, or was not there a week ago, has no mixture to compare.
    return alert(
        MIX,
        distance.compared(">=", Number(float(policy.mix_shift), threshold=True))
        .both(now, on=who)
        .both(now.before(WEEK), on=who),
        "{consumer} suddenly uses other parts of " + meter.name + " than it does",
        "{percent} of what {consumer} uses of " + meter.name + " has moved to another "
        f"{' and '.join(kept_dimensions(meter))} since last week. "
        "A release of theirs, a scraper, or somebody else's hands on its key.",
        policy,
        labels={"meter": meter.name},
    )


def week_units(policy: Policy) -> Record:
    summed = call("sum_over_time", Subquery(metric(names.WINDOW_UNITS), WEEK, policy.unusual_step))
    return Record(names.WEEK_UNITS, by("max", _WHO, summed))


def falling(policy: Policy) -> Alert:
    """A week against the week before; who stopped altogether has a week of nothing."""
    week = metric(names.WEEK_UNITS)
    before = week.before(WEEK).compared(">", 0)
    share = week.either(before * 0) / before
    return alert(
        FALLING,
        _of_customer(share.compared("<", Number(float(policy.falling_to), threshold=True))),
        "{consumer} uses {percent} of the {meter} it used the week before",
        "Over the last seven days {consumer} on plan {plan} has used {percent} of the {meter} of the seven days "
        "before. Call before they cancel.",
        policy,
        severity="info",
        audience="upsell",
    )


def told_by_dimension(meters: Iterable[Meter]) -> tuple[Meter, ...]:
    """Meters whose recorded rates say what was used: PromQL tells them by consumer, and they keep dimensions."""
    return tuple(meter for meter in meters if meter.as_scraped and kept_dimensions(meter))


def origins(meter: Meter, policy: Policy) -> tuple[str, ...]:
    return tuple(label for label in kept_dimensions(meter) if label in policy.origin_labels)


def behaviour_group(meters: Iterable[Meter], policy: Policy) -> Group:
    told = told_by_dimension(meters)
    return Group(
        "rating behaviour",
        policy.unusual_interval,
        (
            usual_units(policy),
            unusual_usage(policy),
            *spends(policy),
            unusual_spend(policy),
            *(new_origin(meter, label, policy) for meter in told for label in origins(meter, policy)),
            *(record for meter in told for record in shares(meter, policy)),
            *(shifted_mix(meter, policy) for meter in told),
            week_units(policy),
            falling(policy),
        ),
    )


def _larger(one: Expr, other: Expr, on: tuple[str, ...]) -> Expr:
    """Where both are known."""
    return one.compared(">", other, on=on).either(other.both(one, on=on), on=on)


def _as_origin(expr: Expr, label: str) -> Expr:
    """Under the label `origin`, whatever the meter's own is called."""
    return by("sum", ("consumer", "origin"), renamed(expr, label, "origin"))


def _of_customer(expr: Expr) -> Expr:
    """With who pays, on what plan and what comes next; a consumer with several plans is shown with one."""
    who = ("consumer", "customer", "plan", "upsell_plan")
    one = Aggregate("topk", by("max", who, metric(names.SUBSCRIPTION_INFO)), by=("consumer",), parameter=Number(1))
    return Binary("*", expr, one, on=("consumer",), group_left=("customer", "plan", "upsell_plan"))
