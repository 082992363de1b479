"""The stories of the measuring: each trouble at its threshold, just below it, and mended."""

from __future__ import annotations

from datetime import timedelta

from rating.core import vocabulary as names
from rating.core.catalogue import Catalogue
from rating_rules import operations
from rating_rules.estimates import target_labels
from rating_rules.groups import Alert
from rating_rules.policy import Policy
from rating_rules.stories import MISSING, STALE, Firing, Moment, Series, Story, series

_MINUTE, _STEP, _DAY = timedelta(minutes=1), timedelta(minutes=5), timedelta(days=1)
_FROM = {"instance": "engine:9465", "job": "rating"}


def _engine(metric: str, /, *runs: tuple[float | str, int], **labels: str) -> Series:
    return series(metric, *runs, **labels, **_FROM)


def _gauge(alert: Alert, metric: str, fine: float, bad: float, meter: str, title: str, **values: str) -> Story:
    """A gauge per meter: fine for three minutes, bad until an hour has passed, fine again."""
    wait = alert.waiting // _MINUTE
    fires = ((alert, Firing({"meter": meter}, values)),)
    return Story(
        title,
        _MINUTE,
        [_engine(metric, (fine, 3), (bad, 57), (fine, 3), meter=meter), _engine(metric, (fine, 63), meter="another")],
        alert.name,
        (Moment((2 + wait) * _MINUTE), Moment((3 + wait) * _MINUTE, fires), Moment(60 * _MINUTE)),
    )


def silent(meter: str, policy: Policy) -> Story:
    alert = operations.silent(policy)
    spoken, wait = 10, alert.waiting // _MINUTE
    return Story(
        "a meter falls silent, and speaks again; one that never spoke is no news",
        _MINUTE,
        [
            series(names.METER_TARGETS, (1, spoken), (STALE, 1), (MISSING, 20), (1, 5), job="api", meter=meter),
            series(names.METER_TARGETS, (0, spoken), (STALE, 1), job="api", meter="never"),
        ],
        alert.name,
        (
            Moment((spoken + wait - 1) * _MINUTE),
            Moment((spoken + wait) * _MINUTE, ((alert, Firing({"job": "api", "meter": meter}, {"value": "1"})),)),
            Moment(33 * _MINUTE),
        ),
    )


def flat(meter: str, policy: Policy) -> Story:
    """A week at one unit a second, then nothing."""
    alert = operations.flat(policy)
    step = alert.waiting / 2
    week = timedelta(days=7) // step
    return Story(
        "a meter that usually counts at this hour stands still; a trickle is enough",
        step,
        [
            series(names.METER_RATE, (1, week + 1), (0, 8), (1, 4), meter=meter),
            series(names.METER_RATE, (1, week + 1), (0.5, 12), meter="trickle"),
            series(names.METER_RATE, (0, week + 13), meter="always still"),
        ],
        alert.name,
        (
            Moment((week + 2) * step),
            Moment((week + 3) * step, ((alert, Firing({"meter": meter})),)),
            Moment((week + 9) * step),
        ),
    )


def scrape_failing(meter: str, labels: tuple[str, ...], policy: Policy) -> Story:
    alert = operations.scrape_failing(policy, labels)
    wait = alert.waiting // _MINUTE
    group = dict.fromkeys(labels, "api")
    down = {**group, "instance": "a:80"}
    return Story(
        "a target of a billed meter cannot be scraped; one that bills nothing is not our business",
        _MINUTE,
        [
            series(names.METER_TARGETS, (4, 40), **group, meter=meter),
            series(names.UP, (1, 3), (0, 30), (1, 7), **down),
            series(names.UP, (1, 40), **{**group, "instance": "b:80"}),
            *((series(names.UP, (0, 40), **dict.fromkeys(labels, "other"), instance="c:80"),) if labels else ()),
        ],
        alert.name,
        (
            Moment((2 + wait) * _MINUTE),
            Moment((3 + wait) * _MINUTE, ((alert, Firing(down)),)),
            Moment(33 * _MINUTE),
        ),
    )


def counted(
    alert: Alert,
    metric: str,
    span: timedelta,
    labels: dict[str, str],
    alert_labels: dict[str, str],
    title: str,
    **values: str,
) -> Story:
    """A counter of rare events: none, one, and forgotten after `span`."""
    step = span / 12
    return Story(
        title,
        step,
        [_engine(metric, (0, 14), (1, 14), **labels), _engine(metric, (0, 28), **{**labels, **_another(alert_labels)})],
        alert.name,
        (
            Moment(13 * step),
            Moment(14 * step, ((alert, Firing(alert_labels, values)),)),
            Moment(25 * step, ((alert, Firing(alert_labels, values)),)),
            Moment(26 * step),
        ),
    )


def _another(labels: dict[str, str]) -> dict[str, str]:
    return dict.fromkeys(labels, "another")


def drifting(meter: str, window: timedelta, policy: Policy) -> Story:
    """Every window estimated at 100 units; the day's exact usage is a quarter below, then a little more than that."""
    alert = operations.drifting(policy)
    estimate = 100 * (_DAY // window)
    bound = estimate / (1 + float(policy.drift))
    before, hours = 25 * 12, 12
    runs: list[tuple[float | str, int]] = [(0.0, 12)]
    runs += [(hour * 3600.0, hours) for hour in range(1, 40)]
    beyond = bound * 0.9985
    ratio = (estimate - beyond) / beyond
    return Story(
        "increase() and exact usage differ by more than a quarter over a day",
        _STEP,
        [
            _engine(names.ACCRUED_THROUGH, *runs, meter=meter),
            series(names.WINDOW_UNITS, (100, 480), consumer="acme", meter=meter),
            _engine(
                names.USAGE_UNITS,
                (0, before),
                (bound, 24),
                (beyond, 24),
                (estimate, 132),
                consumer="acme",
                customer="acme",
                plan="pro",
                meter=meter,
            ),
        ],
        alert.name,
        (
            Moment((before + 23) * _STEP),
            Moment((before + 25) * _STEP, ((alert, Firing({"meter": meter}, {"percent": f"{ratio * 100:.4g}%"})),)),
            Moment((before + 48 + 26) * _STEP),
        ),
    )


def engine_down(meter: str, policy: Policy) -> Story:
    alert = operations.engine_down(policy)
    wait = alert.waiting // _MINUTE
    return Story(
        "the engine is gone, and back",
        _MINUTE,
        [_engine(names.ACCRUED_THROUGH, (0, 3), (STALE, 1), (MISSING, 20), (0, 5), meter=meter)],
        alert.name,
        (Moment((2 + wait) * _MINUTE), Moment((3 + wait) * _MINUTE, ((alert, Firing()),)), Moment(26 * _MINUTE)),
    )


def operations_stories(catalogue: Catalogue, policy: Policy) -> dict[str, tuple[list[Story], timedelta]]:
    """Alert name -> its stories and how often its rules are evaluated in them."""
    if not catalogue.meters:
        return {}
    name = sorted(catalogue.meters)[0]
    labels = target_labels(catalogue.meters[name])
    estimated = [meter for _, meter in sorted(catalogue.meters.items()) if meter.as_scraped][:1]
    drifts = [drifting(meter.name, meter.window, policy) for meter in estimated]
    lag = policy.lag.total_seconds()
    lagging, held, unbilled = operations.lagging(policy), operations.held(policy), operations.unbilled(policy)
    degraded, failing = operations.degraded(policy), operations.failing(policy)
    overflowing = operations.overflowing(policy)
    stories: dict[str, tuple[list[Story], timedelta]] = {
        "RatingEngineDown": ([engine_down(name, policy)], _MINUTE),
        "RatingMeterSilent": ([silent(name, policy)], _MINUTE),
        "RatingMeterFlat": ([flat(name, policy)], policy.flat_for / 2),
        "RatingScrapeFailing": ([scrape_failing(name, labels, policy)], _MINUTE),
        lagging.name: (
            [_gauge(lagging, names.COLLECT_LAG, lag, lag + 1, name, "a window waits too long", span=_span(lag + 1))],
            _MINUTE,
        ),
        held.name: ([_gauge(held, names.WINDOWS_HELD, 0, 1, name, "one window is held", value="1")], _MINUTE),
        degraded.name: (
            [
                counted(
                    degraded,
                    names.WINDOWS_CLOSED,
                    policy.degraded_span,
                    {"meter": name, "completeness": "degraded"},
                    {"meter": name},
                    "one window is closed as degraded",
                )
            ],
            policy.degraded_span / 12,
        ),
        failing.name: (
            [
                counted(
                    failing,
                    names.JOB_ERRORS,
                    policy.errors_span,
                    {"exported_job": "bill"},
                    {"exported_job": "bill"},
                    "a job fails once",
                )
            ],
            policy.errors_span / 12,
        ),
        "RatingEstimateDrift": (drifts, _STEP),
        overflowing.name: (
            [
                counted(
                    overflowing,
                    names.OVERFLOWS,
                    policy.errors_span,
                    {"metric": "api_requests_total", "label": "consumer_id"},
                    {"metric": "api_requests_total", "label": "consumer_id"},
                    "one count goes to the overflow",
                    value="1",
                )
            ],
            policy.errors_span / 12,
        ),
        unbilled.name: (
            [_gauge(unbilled, names.UNBILLED_USAGE, 0, 1, name, "somebody unknown used one unit", value="1")],
            _MINUTE,
        ),
    }
    return stories


def _span(seconds: float) -> str:
    """As Prometheus's humanizeDuration writes spans between a minute and an hour."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h {minutes}m {rest}s" if hours else f"{minutes}m {rest}s"
