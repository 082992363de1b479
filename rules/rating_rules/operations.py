"""Alerts about the measuring itself: silence, gaps, lag, held and degraded windows, errors, drift, nobody to bill.

What endangers an invoice calls a person; what the engine mends by itself is only told.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

from rating.core import vocabulary as names
from rating.core.meters import Meter
from rating_rules.estimates import target_labels
from rating_rules.groups import Alert, Group, Sentence
from rating_rules.policy import Policy
from rating_rules.promql import Expr, Number, Selector, by, call, metric

_METER = ("meter",)
_DAY, _WEEK = timedelta(days=1), timedelta(days=7)


def alert(
    name: str,
    expr: Expr,
    summary: str,
    description: str,
    policy: Policy,
    *,
    severity: str = "warning",
    audience: str = "operations",
    waiting: timedelta = timedelta(0),
    labels: Mapping[str, str] | None = None,
) -> Alert:
    """An alert that says what happened, why it matters and where to read what to do."""
    annotations = {
        "summary": Sentence(summary),
        "description": Sentence(description),
        "runbook": Sentence(f"{policy.runbook}#{name.lower()}"),
    }
    return Alert(name, expr, {"severity": severity, "audience": audience, **(labels or {})}, annotations, waiting)


def silent(policy: Policy) -> Alert:
    spoke = call("max_over_time", metric(names.METER_TARGETS).over(policy.silent_memory))
    return alert(
        "RatingMeterSilent",
        spoke.compared(">", Number(0, threshold=True)).unless(metric(names.METER_TARGETS)),
        "No counter of {meter} is scraped any more",
        "{value} counters of {meter} were scraped until recently and none is now. What is counted meanwhile is billed "
        "later only if the counters survive.",
        policy,
        severity="critical",
        waiting=policy.silent_for,
    )


def flat(policy: Policy) -> Alert:
    rate = metric(names.METER_RATE)
    then = rate.over(policy.flat_for)
    usual = (call("max_over_time", then.before(ago)).compared(">", 0) for ago in (_DAY, _WEEK))
    now = rate.compared("<=", Number(0, threshold=True))
    return alert(
        "RatingMeterFlat",
        now.both(next(usual)).both(next(usual)),
        "{meter} counts nothing, though it did at this hour yesterday and a week ago",
        "The counters of {meter} are scraped but have stopped growing. Has the traffic moved, or the instrumentation?",
        policy,
        waiting=policy.flat_for,
    )


def scrape_failing(policy: Policy, labels: tuple[str, ...]) -> Alert:
    billed = call("max_over_time", metric(names.METER_TARGETS).over(policy.silent_memory))
    down = metric(names.UP).compared("<", Number(1, threshold=True))
    return alert(
        "RatingScrapeFailing",
        down.both(billed, on=labels),
        "{instance} counts what is billed and cannot be scraped",
        "Scrapes of {instance} fail. Its counters are safe while it lives; if it restarts unseen, what it counted "
        "since the last scrape is lost and the window is marked degraded.",
        policy,
        waiting=policy.scrape_failing_for,
    )


def lagging(policy: Policy) -> Alert:
    lag = by("max", _METER, metric(names.COLLECT_LAG))
    return alert(
        "RatingCollectLagging",
        lag.compared(">", Number(policy.lag.total_seconds(), threshold=True)),
        "A window of {meter} has been due for {span}",
        "The oldest due window of {meter} has waited {span}. Nothing is lost while Prometheus retains the samples; "
        "rating doctor says what is in the way.",
        policy,
    )


def held(policy: Policy) -> Alert:
    windows = by("max", _METER, metric(names.WINDOWS_HELD))
    return alert(
        "RatingWindowsHeld",
        windows.compared(">", Number(0, threshold=True)),
        "{value} windows of {meter} are held",
        "{value} windows of {meter} are held and not billed. rating windows lists them with their reasons.",
        policy,
        severity="critical",
        waiting=policy.held_for,
    )


def degraded(policy: Policy) -> Alert:
    closed = metric(names.WINDOWS_CLOSED, completeness="degraded")
    return alert(
        "RatingWindowsDegraded",
        by("sum", _METER, rose(closed, policy.degraded_span)).compared(">", Number(0, threshold=True)),
        "Windows of {meter} were closed with gaps in their evidence",
        "Windows of {meter} closed in the last hours were degraded: billed as seen, with a bound of what may be "
        "missing. rating windows shows it.",
        policy,
        severity="info",
    )


def failing(policy: Policy) -> Alert:
    # The engine labels this metric `job`; Prometheus keeps that name for its own and moves ours to exported_job.
    errors = by("sum", ("exported_job",), rose(metric(names.JOB_ERRORS), policy.errors_span))
    return alert(
        "RatingJobErrors",
        errors.compared(">", Number(0, threshold=True)),
        "The engine's job {exported_job} stops with errors",
        "The job {exported_job} has failed in the last minutes; it is tried again. The engine's log names the reason.",
        policy,
    )


def rose(counter: Selector, span: timedelta) -> Expr:
    """How far a counter of rare events rose. Differences of readings: increase() would extrapolate one event to 1.2."""
    before = counter.before(span)
    grown = (counter - before).compared(">=", 0)
    return grown.either(counter)


def drifting(policy: Policy) -> Alert:
    # The ratio exists while two days' closings line up; the last one seen stands for the gaps between.
    ratio = call("last_over_time", metric(names.DRIFT_RATIO).over(timedelta(hours=2)))
    return alert(
        "RatingEstimateDrift",
        ratio.compared(">", Number(float(policy.drift), threshold=True)),
        "Exact usage of {meter} and its estimate differ by {percent}",
        "Over a day, increase() and the exact windows of {meter} differ by {percent}, more than births and restarts "
        "explain. Look for duplicate scrapes, a wrong consumer label or missing samples before the next invoice.",
        policy,
    )


def engine_down(policy: Policy) -> Alert:
    return alert(
        "RatingEngineDown",
        call("absent", metric(names.ACCRUED_THROUGH)),
        "The rating engine is not there",
        "Prometheus sees no metrics of the rating engine. Windows wait and will be closed later; alerts on allowances "
        "are blind until it is back.",
        policy,
        severity="critical",
        waiting=policy.engine_down_for,
    )


def overflowing(policy: Policy) -> Alert:
    counted = by("sum", ("metric", "label"), rose(metric(names.OVERFLOWS), policy.errors_span))
    return alert(
        "RatingLabelsOverflow",
        counted.compared(">", Number(0, threshold=True)),
        "{metric} counts under <overflow>: {label} has more values than its bound",
        "In the last minutes {value} counts of {metric} had a {label} beyond the exporter's bound and went to "
        "<overflow>. The total is right, but nobody is billed for them; raise the bound or find who makes up values.",
        policy,
    )


def unbilled(policy: Policy) -> Alert:
    usage = by("max", _METER, metric(names.UNBILLED_USAGE))
    return alert(
        "RatingUnbilledConsumers",
        usage.compared(">", Number(0, threshold=True)),
        "{value} units of {meter} were used by consumers nobody subscribed",
        "{value} units of {meter} this month belong to consumers without a subscription. They are kept; "
        "rating usage lists them, rating subscriptions adds one.",
        policy,
        audience="finance",
        waiting=policy.unbilled_for,
    )


def operations_group(meters: Sequence[Meter], policy: Policy) -> Group:
    shared = target_labels(meters[0]) if meters else ()
    grouped = shared and all(target_labels(meter) == shared for meter in meters)
    return Group(
        "rating operations",
        timedelta(minutes=1),
        (
            engine_down(policy),
            silent(policy),
            flat(policy),
            *((scrape_failing(policy, shared),) if grouped else ()),
            lagging(policy),
            held(policy),
            degraded(policy),
            failing(policy),
            drifting(policy),
            unbilled(policy),
            overflowing(policy),
        ),
    )
