"""Usage up to this second: the engine's exact usage of closed windows, plus what the counters have counted since.

The exact part is true through an instant T (`rating_accrued_through_timestamp_seconds`), which moves forward one window
at a time. So the estimate must cover exactly the time since T, and PromQL ranges have fixed lengths. What makes it
possible is that T is always a boundary between windows: a subquery whose step is the window visits the last few
boundaries, T among them, and keeps the reading at T alone. Live usage is then, summed over a consumer's counters,

    reading now - reading at T      where the counter did not fall,
    reading now                     where it fell (its process restarted: it counted this much since),
    reading now                     where it did not exist at T, if that is proven: its target was scraped at T without
                                    it, or its process started after T.

Each part is at most what was truly counted since T, so the sum never runs ahead of the truth and an alert never fires
too early; what it misses (a crash between two scrapes, a pod that came and went) the next closing adds exactly. A
request is in it after one scrape and one evaluation.
"""

from __future__ import annotations

from datetime import timedelta

from rating.core import vocabulary as names
from rating.core.meters import Kind, Lifetime, Meter
from rating_rules.groups import Record
from rating_rules.policy import Policy
from rating_rules.promql import Aggregate, Binary, Expr, Match, Number, Selector, Subquery, by, call, metric, renamed

SUBSCRIBED = ("consumer", "plan", "meter")
_BOUNDARIES = 3
"""Windows whose boundary may be T: the open one, the one that settles, one more for an engine that was away."""
_TICK = timedelta(milliseconds=1)


def counter(meter: Meter) -> Selector:
    """The meter's counters that name a consumer."""
    where = (Match(matcher.label, "!~" if matcher.negated else "=~", matcher.pattern) for matcher in meter.where)
    return metric(meter.metric, Match(meter.consumer, "!=", ""), *where)


def identities(meter: Meter, expr: Expr) -> Expr:
    """Replicas of one counter, and its lives under a changed volatile label, seen as the one furthest ahead."""
    labels = (*meter.replica_labels, *meter.volatile_labels)
    return Aggregate("max", expr, without=labels) if labels else expr


def per_consumer(meter: Meter, expr: Expr, *dimensions: str) -> Expr:
    """Summed by consumer (and dimensions) in the meter's unit, under the label `consumer` whatever the meter's is."""
    if meter.consumer == "consumer":
        summed: Expr = by("sum", ("consumer", *dimensions), expr)
    else:
        named = renamed(by("sum", (meter.consumer, *dimensions), expr), meter.consumer, "consumer")
        summed = by("sum", ("consumer", *dimensions), named)
    return summed if meter.conversion == 1 else summed * float(meter.conversion)


def accrued_through(meter: str) -> Expr:
    """T as a scalar, the same at every step of a subquery."""
    through = metric(names.ACCRUED_THROUGH, meter=meter)
    return call("scalar", Aggregate("max", Selector(through.metric, through.matches, at_end=True)))


def at_accrued_through(meter: Meter, vector: Selector) -> Expr:
    """What `vector` read just before T (a window does not contain its end); empty where T is out of reach."""
    is_t = call("time").compared("==", accrued_through(meter.name), bool=True)
    # 1/1 - 1 = 0 lets every reading at T through; 1/0 - 1 = +Inf, and NaN without a T, let none.
    only_at_t = vector.before(_TICK).compared(">=", Number(1) / is_t - 1)
    return call("last_over_time", Subquery(only_at_t, meter.window * _BOUNDARIES, meter.window))


def live_units(meter: Meter, policy: Policy) -> Expr:
    """Whole units counted since T, per consumer."""
    span = min(meter.window + meter.settling + policy.live_margin, policy.live_span_limit)
    before = identities(meter, at_accrued_through(meter, counter(meter)))
    # Over a range, not at an instant: a pod that was replaced or a target that is down has still counted.
    latest = identities(meter, call("last_over_time", counter(meter).over(span)))
    grown = (latest - before).compared(">=", 0)
    restarted = latest.compared("<", before)
    proof: Expr = at_accrued_through(meter, metric(names.UP)).compared("==", 1)
    if meter.lifetime is Lifetime.PROCESS:
        proof = proof.either(metric(names.PROCESS_START).compared(">", accrued_through(meter.name)))
    born = identities(meter, counter(meter)).unless(before).both(proof, on=meter.target_labels)
    return per_consumer(meter, grown.either(restarted).either(born))


def usage_units(meter: Meter) -> Expr:
    """Exact usage plus live usage, per consumer and plan.

    In a period's first hour T still lies in the period before, and live usage belongs to both: until T has caught up,
    the new period shows its exact usage alone.
    """
    who = ("consumer", "plan")
    exact = by("max", who, metric(names.USAGE_UNITS, meter=meter.name))
    live = by("max", ("consumer",), metric(names.LIVE_UNITS, meter=meter.name))
    begun = by("max", who, metric(names.PERIOD_START)).compared("<=", accrued_through(meter.name))
    together = Binary("+", exact, live, on=("consumer",), group_left=())
    return together.both(begun, on=who).either(exact)


def live_records(meter: Meter, policy: Policy) -> tuple[Record, ...]:
    """Exact usage alone where PromQL cannot tell it by consumer: several metrics, keys that stand for consumers.

    And for gauges: what one came to since T has no fixed range to average over.
    """
    labels = {"meter": meter.name}
    estimated = Record(names.ESTIMATED_USAGE_UNITS, usage_units(meter), labels)
    return (
        (Record(names.LIVE_UNITS, live_units(meter, policy), labels), estimated)
        if meter.as_scraped and meter.kind is Kind.COUNTER
        else (estimated,)
    )
