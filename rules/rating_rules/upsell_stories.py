"""The stories of allowances: reached, by a burst as well, about to be, exceeded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from fractions import Fraction

from rating.core import vocabulary as names
from rating.core.catalogue import Catalogue
from rating_rules.groups import Alert
from rating_rules.live_stories import LiveTimes, counted, live_stories, through
from rating_rules.policy import Policy
from rating_rules.stories import MISSING, STALE, Answer, Firing, Moment, Series, Story, selector, series
from rating_rules.upsell import (
    EXCEEDED,
    LIMITED,
    PREDICTED,
    PREPAID,
    REACHED,
    TRIAL,
    allowance_alerts,
    exceeded,
    limited,
    percent,
    predicted,
    prepaid_low,
    trial_ending,
    upsold,
)

_MINUTE = timedelta(minutes=1)
_FROM = {"instance": "engine:9465", "job": "rating"}


def _who(consumer: str, plan: str) -> dict[str, str]:
    return {"consumer": consumer, "customer": f"{consumer} Ltd", "plan": plan}


def _engine(metric: str, labels: dict[str, str], *runs: tuple[float | str, int], **more: str) -> Series:
    return series(metric, *runs, **labels, **more, **_FROM)


def _upgrade(consumer: str, plan: str, next_plan: str, samples: int) -> Series:
    who = _who(consumer, plan)
    return _engine(names.UPGRADE_AMOUNT, who, (-3.25, samples), upsell_plan=next_plan, currency="USD")


def _contract(consumer: str, plan: str, next_plan: str, allowances: dict[str, float], samples: int) -> list[Series]:
    who = _who(consumer, plan)
    return [
        _engine(names.SUBSCRIPTION_INFO, who, (1, samples), upsell_plan=next_plan),
        _upgrade(consumer, plan, next_plan, samples),
        *(
            _engine(names.ALLOWANCE_UNITS, who, (units, samples), meter=meter)
            for meter, units in sorted(allowances.items())
        ),
    ]


def _next(catalogue: Catalogue, plan: str) -> str:
    upsell = catalogue.plans[plan].upsell
    return upsell.plan if upsell else ""


def _allowance(catalogue: Catalogue, plan: str, meter: str) -> Fraction:
    return sum((card.included for card in catalogue.plans[plan].cards if card.meter.name == meter), Fraction(0))


def _fires(alert: Alert, catalogue: Catalogue, plan: str, meter: str, **values: float) -> tuple[Alert, Firing]:
    labels = {**_who("acme", plan), "meter": meter, "upsell_plan": _next(catalogue, plan)}
    return alert, Firing(labels, {name: f"{number:.0f}" for name, number in values.items()} | {"upgrade": "-3.25 USD"})


def reached_stories(catalogue: Catalogue, policy: Policy) -> list[Story]:
    """Per meter, plan and threshold: just below, at it, and in the new period."""
    return [
        _reached(catalogue, alerts, plan, meter, included, share)
        for meter, plan, included, shares, alerts in _asked(catalogue, policy)
        for share in shares
    ]


def burst_stories(catalogue: Catalogue, policy: Policy) -> list[Story]:
    """Per meter and plan: a burst on top of exact usage. None for meters whose patterns have no known example."""
    return [
        _burst(catalogue, alerts, plan, meter, included, shares[0])
        for meter, plan, included, shares, alerts in _asked(catalogue, policy)
        if live_stories(catalogue.meters[meter])
    ]


def _asked(
    catalogue: Catalogue, policy: Policy
) -> Iterator[tuple[str, str, Fraction, tuple[Fraction, ...], list[Alert]]]:
    """Meter, plan, what it includes, its thresholds rising, and the meter's alerts."""
    for meter in sorted(catalogue.meters):
        alerts = list(allowance_alerts(catalogue, meter, policy))
        for plan in upsold(catalogue):
            included, upsell = _allowance(catalogue, plan, meter), catalogue.plans[plan].upsell
            if included and upsell and upsell.thresholds:
                yield meter, plan, included, tuple(sorted(upsell.thresholds)), alerts


def _due(alerts: Sequence[Alert], shares: Sequence[Fraction], used: Fraction, included: Fraction) -> list[Alert]:
    """The alerts that must fire at this usage."""
    due = {percent(share) for share in shares if used >= included * share}
    return [alert for alert in alerts if alert.labels["threshold"] in due]


def _reached(
    catalogue: Catalogue, alerts: list[Alert], plan: str, meter: str, included: Fraction, share: Fraction
) -> Story:
    upsell = catalogue.plans[plan].upsell
    assert upsell is not None
    bar = included * share
    below = bar * Fraction(999, 1000)

    def firing(used: Fraction) -> tuple[tuple[Alert, Firing], ...]:
        due = _due(alerts, upsell.thresholds, used, included)
        return tuple(
            _fires(alert, catalogue, plan, meter, value=float(used), allowance=float(included)) for alert in due
        )

    return Story(
        f"{plan}: {meter} at {percent(share)} of {float(included):.12g}",
        _MINUTE,
        [
            *_contract("acme", plan, _next(catalogue, plan), {meter: float(included)}, 9),
            _engine(names.USAGE_UNITS, _who("acme", plan), (float(below), 3), (float(bar), 3), (0, 3), meter=meter),
        ],
        REACHED,
        (
            Moment(2 * _MINUTE, firing(below)),
            Moment(3 * _MINUTE, firing(bar)),
            Moment(6 * _MINUTE),
        ),
    )


def _burst(
    catalogue: Catalogue, alerts: list[Alert], plan: str, name: str, included: Fraction, share: Fraction
) -> Story:
    """Exact usage stands below the threshold; the live counter crosses it within one scrape."""
    meter = catalogue.meters[name]
    upsell = catalogue.plans[plan].upsell
    assert upsell is not None
    times = LiveTimes(meter)
    bar = included * share
    # The counter brings exactly what is missing to `acme`, and a little less to `almost`.
    exact, missing = bar / 2, bar / 2
    crossing = counted(meter, "acme", 100, 100 + float(missing))
    short = counted(meter, "almost", 100, 100 + float(missing * Fraction(99, 100)))
    assert crossing is not None
    assert short is not None
    samples = times.steps + 12
    told = [through(meter), crossing, short]
    for consumer in ("acme", "almost"):
        told += _contract(consumer, plan, _next(catalogue, plan), {name: float(included)}, samples)
        told.append(_engine(names.USAGE_UNITS, _who(consumer, plan), (float(exact), samples), meter=name))
        told.append(_engine(names.PERIOD_START, _who(consumer, plan), (0, samples)))
    due = _due(alerts, upsell.thresholds, bar, included)
    return Story(
        f"{plan}: a burst of {name} crosses {percent(share)} and is noticed at the next evaluation",
        times.interval,
        told,
        REACHED,
        (
            Moment(times.move - times.interval),
            Moment(
                times.move,
                tuple(_fires(one, catalogue, plan, name, value=float(bar), allowance=float(included)) for one in due),
            ),
        ),
    )


def predicted_stories(catalogue: Catalogue, policy: Policy) -> list[Story]:
    """A period of four hours, an allowance of 240,000: a thousand a minute uses it up exactly."""
    plans = upsold(catalogue)
    if not plans:
        return []
    plan, meter = plans[0], next(card.meter.name for card in catalogue.plans[plans[0]].cards if card.included > 0)
    alert, length, included = predicted(plans, policy), 240, 240_000.0
    first = length * policy.forecast_after.numerator // policy.forecast_after.denominator
    wait = policy.forecast_for // _MINUTE

    def told(consumer: str, pace: float, included: float = included) -> list[Series]:
        who = _who(consumer, plan)
        return [
            *_contract(consumer, plan, _next(catalogue, plan), {meter: included}, length),
            _engine(names.USAGE_UNITS, who, (0, length), meter=meter).rising(pace),
            _engine(names.PERIOD_START, who, (0, length)),
            _engine(names.PERIOD_END, who, (length * 60, length)),
        ]

    def fires(minute: int) -> tuple[tuple[Alert, Firing], ...]:
        used = 1004.0 * minute
        return (_fires(alert, catalogue, plan, meter, value=1004.0 * length, used=used, allowance=included),)

    last = (_fires(alert, catalogue, plan, meter, value=1004.0 * length, used=1004.0 * 99, allowance=100_400),)
    # At 1,004 a minute the allowance is used up in minute 240, when it is no prediction any more.
    return [
        Story(
            "a pace that ends at 100.4 % alerts once a tenth of the period is past, one that ends at 99.6 % never",
            _MINUTE,
            told("acme", 1004) + told("almost", 996),
            PREDICTED,
            (
                Moment((first + wait - 1) * _MINUTE),
                Moment((first + wait) * _MINUTE, fires(first + wait)),
                Moment(200 * _MINUTE, fires(200)),
            ),
        ),
        Story(
            "an allowance that is used up is not predicted",
            _MINUTE,
            told("acme", 1004, 1004.0 * 100),
            PREDICTED,
            (
                Moment(99 * _MINUTE, last),
                Moment(100 * _MINUTE),
            ),
        ),
    ]


def trend_stories(catalogue: Catalogue) -> list[Story]:
    """Two idle days, then one at 60 units each ten minutes: the forecast follows the day, not the average."""
    plan, meter = sorted(catalogue.plans)[0], sorted(catalogue.meters)[0]
    ten, day = timedelta(minutes=10), 144
    who = _who("acme", plan)
    used = 60 * day
    ahead = 60 * day * 7
    return [
        Story(
            "a forecast follows the last day once half a day of history is there",
            ten,
            [
                _engine(names.USAGE_UNITS, who, (0, 2 * day), (0, day + 1), meter=meter).rising(60),
                _engine(names.PERIOD_START, who, (0, 3 * day + 1)),
                _engine(names.PERIOD_END, who, (10 * 86_400, 3 * day + 1)),
            ],
            answers=(
                Answer(
                    timedelta(days=3),
                    f"round({names.FORECAST_UNITS})",
                    {selector("", {"consumer": "acme", "meter": meter, "plan": plan}): float(used + ahead)},
                ),
            ),
        )
    ]


def limited_stories(catalogue: Catalogue, policy: Policy) -> list[Story]:
    """Per meter with a limit: the last unit allowed is told, the one before it is not."""
    stories = []
    for meter in sorted(catalogue.meters):
        of_meter = [
            (plan, card.limit)
            for plan in sorted(catalogue.plans)
            for card in catalogue.plans[plan].cards
            if card.meter.name == meter and card.limit is not None
        ]
        if not of_meter:
            continue
        (plan, limit), alert = of_meter[0], limited(meter, policy)
        almost = limit * Fraction(996, 1000)
        fires = _fires(alert, catalogue, plan, meter, value=float(limit), allowance=1)
        stories.append(
            Story(
                f"{plan}: {meter} at its limit of {float(limit):.12g}",
                _MINUTE,
                [
                    *_contract("acme", plan, _next(catalogue, plan), {meter: 1}, 9),
                    _engine(names.LIMIT_UNITS, _who("acme", plan), (float(limit), 9), meter=meter),
                    _engine(
                        names.USAGE_UNITS,
                        _who("acme", plan),
                        (float(almost), 3),
                        (float(limit), 3),
                        (0, 3),
                        meter=meter,
                    ),
                ],
                LIMITED,
                (Moment(2 * _MINUTE), Moment(3 * _MINUTE, (fires,)), Moment(6 * _MINUTE)),
            )
        )
    return stories


def trial_stories(catalogue: Catalogue, policy: Policy) -> list[Story]:
    if not catalogue.plans:
        return []
    plan, step = sorted(catalogue.plans)[0], timedelta(minutes=30)
    notice = policy.trial_notice // step
    alert, before = trial_ending(policy), 4
    end = (before + notice) * step
    return [
        Story(
            "a trial that ends soon is told until it has ended",
            step,
            [
                _engine(
                    names.TRIAL_END,
                    _who("acme", plan),
                    (end.total_seconds(), before + notice),
                    (STALE, 1),
                    (MISSING, 4),
                )
            ],
            TRIAL,
            (
                Moment((before - 1) * step),
                Moment(before * step, ((alert, Firing(_who("acme", plan), {"span": _days(policy.trial_notice)})),)),
                Moment(end + step),
            ),
        )
    ]


def _days(span: timedelta) -> str:
    """As Prometheus's humanizeDuration writes spans of a day and more."""
    hours, rest = divmod(span.seconds, 3600)
    return f"{span.days}d {hours}h {rest // 60}m {rest % 60}s"


def prepaid_stories(catalogue: Catalogue, policy: Policy) -> list[Story]:
    if not catalogue.plans:
        return []
    who = {"customer": "acme Ltd", "currency": "USD"}
    alert = prepaid_low(policy)
    return [
        Story(
            "prepaid credit at its threshold, and topped up",
            _MINUTE,
            [
                _engine(names.WALLET_LOW, who, (50, 9)),
                _engine(names.WALLET_BALANCE, who, (50.4, 3), (49.8, 3), (150, 3)),
                _engine(names.WALLET_BALANCE, {**who, "currency": "EUR"}, (0, 9)),
            ],
            PREPAID,
            (
                Moment(2 * _MINUTE),
                Moment(3 * _MINUTE, ((alert, Firing(who, {"money": "49.80"})),)),
                Moment(6 * _MINUTE),
            ),
        )
    ]


def exceeded_stories(catalogue: Catalogue, policy: Policy) -> list[Story]:
    plans = [plan for plan in sorted(catalogue.plans) if any(card.included for card in catalogue.plans[plan].cards)]
    if not plans:
        return []
    plan = plans[0]
    meter = next(card.meter.name for card in catalogue.plans[plan].cards if card.included)
    alert = exceeded(policy)
    return [
        Story(
            "the last unit included is free, the next one is not",
            _MINUTE,
            [
                *_contract("acme", plan, _next(catalogue, plan), {meter: 1000}, 9),
                _engine(names.USAGE_UNITS, _who("acme", plan), (1000, 3), (1001, 3), (0, 3), meter=meter),
            ],
            EXCEEDED,
            (
                Moment(2 * _MINUTE),
                Moment(3 * _MINUTE, (_fires(alert, catalogue, plan, meter, value=1, allowance=1000, counted=1001),)),
                Moment(6 * _MINUTE),
            ),
        )
    ]
