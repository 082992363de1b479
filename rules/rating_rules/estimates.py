"""Estimates for eyes: rates, windows as increase() sees them, forecasts, and how far they are from exact usage.

Floats throughout; nothing here is ever billed.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from rating.core import vocabulary as names
from rating.core.meters import Kind, Meter
from rating_rules.groups import Group, Record
from rating_rules.live import SUBSCRIBED, accrued_through, counter, identities, per_consumer
from rating_rules.policy import Policy
from rating_rules.promql import Binary, Expr, Number, Subquery, by, call, metric

_WHO = ("consumer", "plan")
_DAY = timedelta(days=1)
_RESERVED = frozenset(("consumer", "customer", "plan", "meter"))


def meter_group(meter: Meter, policy: Policy) -> Group:
    """Rates of one meter, and its windows as increase() estimates them. Once a minute: eyes are no faster."""
    labels = {"meter": meter.name}
    span = max(policy.rate_span, 4 * meter.scrape_interval)
    if meter.kind is Kind.GAUGE:
        # What a gauge shows is how much of its usage each second adds.
        pace: Expr = counter(meter)
        mean = call("avg_over_time", counter(meter).over(meter.window))
        window = per_consumer(meter, identities(meter, mean)) * meter.window.total_seconds()
    else:
        pace = call("rate", counter(meter).over(span))
        window = per_consumer(meter, identities(meter, call("increase", counter(meter).over(meter.window))))
    rate = per_consumer(meter, identities(meter, pace), *kept_dimensions(meter))
    spoken = by("count", target_labels(meter), counter(meter))
    if not meter.as_scraped:
        # By consumer only the engine can count it; whether its targets speak is still seen.
        return Group(
            f"rating estimates: {meter.name}", timedelta(minutes=1), (Record(names.METER_TARGETS, spoken, labels),)
        )
    return Group(
        f"rating estimates: {meter.name}",
        timedelta(minutes=1),
        (
            Record(names.RATE_UNITS, rate, labels),
            Record(names.METER_RATE, by("sum", ("meter",), metric(names.RATE_UNITS, meter=meter.name)), labels),
            Record(names.METER_TARGETS, spoken, labels),
            Record(names.WINDOW_UNITS, window, labels),
            Record(names.DRIFT_RATIO, drift_ratio(meter), labels),
        ),
    )


def kept_dimensions(meter: Meter) -> tuple[str, ...]:
    """Those that recorded rates carry: one that bears a name of our own labels would be overwritten."""
    return tuple(label for label in meter.dimensions if label not in _RESERVED)


def target_labels(meter: Meter) -> tuple[str, ...]:
    """What names a group of interchangeable targets: instances come and go, their job stays."""
    return tuple(label for label in meter.target_labels if label != "instance")


def drift_ratio(meter: Meter) -> Expr:
    """|estimate - exact| / exact over the last day that is closed.

    Compares the same windows of the same consumers: those whose usage grew over the day (a new billing period makes
    it fall), and only while T is exactly a day after yesterday's T.
    """
    usage = metric(names.USAGE_UNITS, meter=meter.name)
    who = ("consumer", "meter")
    grown = by("max", who, usage) - by("max", who, usage.before(_DAY))
    exact = grown.compared(">", 0)
    through = accrued_through(meter.name)
    # A step of a subquery lies in the day that ends at T when 0 <= T - time() < 1 day.
    age = through - call("time")
    inside = age.compared(">=", 0, bool=True) * age.compared("<", _DAY.total_seconds(), bool=True)
    window = metric(names.WINDOW_UNITS, meter=meter.name)
    estimate = call(
        "sum_over_time",
        Subquery(window.compared(">=", Number(1) / inside - 1), _DAY + 3 * meter.window, meter.window),
    )
    exact_sum = by("sum", ("meter",), exact)
    estimate_sum = by("sum", ("meter",), estimate.both(exact, on=who))
    whole_day = by("max", ("meter",), metric(names.ACCRUED_THROUGH, meter=meter.name)) - by(
        "max", ("meter",), metric(names.ACCRUED_THROUGH, meter=meter.name).before(_DAY)
    )
    ratio = call("abs", estimate_sum - exact_sum) / exact_sum
    return ratio.both(whole_day.compared("==", _DAY.total_seconds()), on=("meter",))


def elapsed() -> Expr:
    """Seconds of the open period that have passed, per consumer and plan."""
    return call("time") - by("max", _WHO, metric(names.PERIOD_START))


def forecast_units(policy: Policy) -> Expr:
    """Usage now, plus the pace until the period ends.

    The pace is the slope that predict_linear() would follow over the last day, which takes one horizon for all series
    where each period here has its own end. Before half a day of history is there, and in a period's first day (when the
    line would still run through the fall at its start), it is the period's average so far.
    """
    usage = metric(names.ESTIMATED_USAGE_UNITS)
    history = Subquery(usage, policy.trend_span, policy.trend_step)
    believed = call("count_over_time", history).compared(">=", policy.trend_points)
    old_enough = elapsed().compared(">=", policy.trend_span.total_seconds())
    trend = call("deriv", history).both(believed).both(old_enough, on=_WHO)
    average = Binary("/", usage, elapsed().compared(">", 0), on=_WHO, group_left=())
    remaining = by("max", _WHO, metric(names.PERIOD_END)) - call("time")
    ahead = Binary("*", call("clamp_min", trend.either(average), 0), remaining, on=_WHO, group_left=())
    return Binary("+", usage, ahead, on=SUBSCRIBED)


def estimate_groups(meters: Iterable[Meter], policy: Policy) -> tuple[Group, ...]:
    forecast = Group("rating forecasts", timedelta(minutes=1), (Record(names.FORECAST_UNITS, forecast_units(policy)),))
    return (*(meter_group(meter, policy) for meter in meters), forecast)
