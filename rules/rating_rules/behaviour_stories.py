"""The stories of behaviour: a week as it always was, then just below the bar, just above it, and who is not judged."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from rating.core import vocabulary as names
from rating.core.catalogue import Catalogue
from rating.core.meters import Meter
from rating_rules import behaviour
from rating_rules.behaviour import FALLING, MIX, ORIGIN, SPEND, USAGE, told_by_dimension
from rating_rules.groups import Alert
from rating_rules.policy import Policy
from rating_rules.stories import MISSING, STALE, Firing, Moment, Series, Story, series

_DAY, _HOUR = timedelta(days=1), timedelta(hours=1)
_QUARTER, _HALF = _HOUR / 4, _HOUR / 2
_FROM = {"instance": "engine:9465", "job": "rating"}
_PLAN = {"plan": "pro", "upsell_plan": "scale"}

Runs = tuple[tuple[float | str, int], ...]


@dataclass(frozen=True, slots=True)
class _Clock:
    """Eight days of calm in steps of `step`; what happens begins one step later."""

    step: timedelta

    @property
    def calm(self) -> int:
        return 8 * _DAY // self.step + 1

    def after(self, steps: int) -> timedelta:
        """`steps` samples after the last calm one."""
        return 8 * _DAY + steps * self.step

    def then(self, calm: float | str, *what: tuple[float | str, int]) -> Runs:
        return ((calm, self.calm), *what)


def _info(consumer: str, samples: int) -> Series:
    return series(
        names.SUBSCRIPTION_INFO, (1, samples), consumer=consumer, customer=f"{consumer} Ltd", **_PLAN, **_FROM
    )


def _customer(consumer: str, meter: str) -> dict[str, str]:
    return {"consumer": consumer, "customer": f"{consumer} Ltd", "meter": meter, **_PLAN}


def _fires(alert: Alert, labels: dict[str, str], **values: str) -> tuple[Alert, Firing]:
    return alert, Firing(labels, values)


def unusual_usage(meter: str, policy: Policy) -> Story:
    alert, clock = behaviour.unusual_usage(policy), _Clock(_QUARTER)
    usual = 200.0
    bar = usual * policy.unusual_times
    more = bar * 1.02
    whole = clock.calm + 12
    wait = alert.waiting // clock.step

    def of(consumer: str, *runs: tuple[float | str, int]) -> list[Series]:
        return [series(names.WINDOW_UNITS, *runs, consumer=consumer, meter=meter), _info(consumer, whole)]

    least = float(policy.unusual_least)
    return Story(
        f"{policy.unusual_times} times what a week lets expect is told, exactly so many times is not",
        clock.step,
        [
            *of("acme", *clock.then(usual, (bar, 3), (more, 6), (usual, 3))),
            *of("newcomer", *clock.then(MISSING, (5000, 12))),
            *of("small", *clock.then(1, (least, 12))),
        ],
        USAGE,
        (
            Moment(clock.after(3)),
            Moment(clock.after(3 + wait)),
            Moment(clock.after(4 + wait), (_fires(alert, _customer("acme", meter), value=f"{more:.0f}"),)),
            Moment(clock.after(11)),
        ),
    )


def unusual_spend(policy: Policy) -> Story:
    alert, clock = behaviour.unusual_spend(policy), _Clock(_QUARTER)
    steps = policy.spend_span // clock.step
    wait = alert.waiting // clock.step
    whole = clock.calm + 2 * steps
    who = {"plan": "pro", "currency": "USD"}

    def of(consumer: str, pace: float) -> list[Series]:
        """One unit of money a step, then `pace`; the bar is passed in the last steps of the span."""
        base = float(clock.calm - 1)
        amount = {"consumer": consumer, "customer": consumer, **who, **_FROM}
        return [
            series(names.ACCRUED_AMOUNT, (0, clock.calm), (base + pace, 2 * steps), **amount).rising(1, pace),
            series(names.PERIOD_START, (0, whole), consumer=consumer, customer=consumer, plan="pro", **_FROM),
        ]

    times = float(policy.unusual_times)
    first = next(n for n in range(steps + 1) if steps - n + n * (times + 0.2) > times * steps)
    spent = (steps - first - wait) + (first + wait) * (times + 0.2)
    began = {"consumer": "began", "customer": "began", **who, **_FROM}
    return Story(
        "money that runs up too fast is told; the fee that a new period begins with is not",
        clock.step,
        [
            *of("acme", times + 0.2),
            *of("almost", times - 0.2),
            series(names.ACCRUED_AMOUNT, (1000, clock.calm), (500, 2 * steps), **began),
            series(
                names.PERIOD_START,
                (0, clock.calm),
                (clock.after(1).total_seconds(), 2 * steps),
                consumer="began",
                customer="began",
                plan="pro",
                **_FROM,
            ),
        ],
        SPEND,
        (
            Moment(clock.after(first + wait - 1)),
            Moment(
                clock.after(first + wait),
                (_fires(alert, {"consumer": "acme", **who}, money=f"{spent:.2f}"),),
            ),
        ),
    )


def new_origin(meter: Meter, label: str, policy: Policy) -> Story:
    alert, clock = behaviour.new_origin(meter, label, policy), _Clock(_HALF)
    share = float(policy.origin_share)

    def of(consumer: str, elsewhere: float, known: Runs) -> list[Series]:
        here = {"consumer": consumer, "meter": meter.name}
        return [
            series(names.RATE_UNITS, *known, **here, **{label: "DE"}),
            series(names.RATE_UNITS, *clock.then(MISSING, (elsewhere, 24)), **here, **{label: "FR"}),
        ]

    found = share * 1.004
    return Story(
        f"{meter.name}: calls from a {label} that is new to a consumer, until it is known",
        clock.step,
        [
            *of("acme", 100 * found, clock.then(100, (100 * (1 - found), 24))),
            *of("almost", 100 * share * 0.996, clock.then(100, (100 * (1 - share * 0.996), 24))),
            *of("newcomer", 50, clock.then(MISSING, (50, 24))),
        ],
        ORIGIN,
        (
            Moment(clock.after(0)),
            Moment(
                clock.after(1),
                (_fires(alert, {"consumer": "acme", "origin": "FR"}, percent=f"{found * 100:.4g}%"),),
            ),
            # Known an hour after it was first seen at a whole hour.
            Moment(clock.after(0) + 2 * _HOUR),
        ),
    )


def shifted_mix(meter: Meter, policy: Policy) -> Story:
    alert, clock = behaviour.shifted_mix(meter, policy), _Clock(_HALF)
    one, other = (dict.fromkeys(behaviour.kept_dimensions(meter), value) for value in ("/a", "/b"))
    shift = float(policy.mix_shift)
    whole = 40

    def of(consumer: str, moved: float, calm: float | str = 100) -> list[Series]:
        here = {"consumer": consumer, "meter": meter.name}
        return [
            series(names.RATE_UNITS, *clock.then(calm, (100 * (1 - moved), whole)), **here, **one),
            series(names.RATE_UNITS, *clock.then(MISSING, (100 * moved, whole)), **here, **other),
        ]

    found = shift * 1.004
    spread = policy.mix_span // clock.step + 2
    return Story(
        f"{meter.name}: half of the mixture of a week has moved; a little less has not",
        clock.step,
        [*of("acme", found), *of("almost", shift * 0.996), *of("newcomer", 1, MISSING)],
        MIX,
        (
            Moment(clock.after(1)),
            Moment(clock.after(spread), (_fires(alert, {"consumer": "acme"}, percent=f"{found * 100:.4g}%"),)),
        ),
    )


def falling(meter: str, policy: Policy) -> Story:
    alert = behaviour.falling(policy)
    week, after = 7 * 24 + 1, 7 * 24 + 6
    share = float(policy.falling_to)

    def of(consumer: str, *runs: tuple[float | str, int]) -> list[Series]:
        return [
            series(names.WINDOW_UNITS, *runs, consumer=consumer, meter=meter),
            _info(consumer, week + after),
        ]

    # The last whole week holds only what came after the change, the one before only what came before it.
    at = timedelta(days=14, hours=2)
    fallen = share * 0.996
    return Story(
        "a week with less than half of the week before, or with nothing, is told once it is whole",
        _HOUR,
        [
            *of("acme", (100, week), (100 * fallen, after)),
            *of("almost", (100, week), (100 * share * 1.004, after)),
            *of("gone", (100, week), (STALE, 1)),
            *of("newcomer", (MISSING, week), (5, 72), (1, after - 72)),
        ],
        FALLING,
        (
            Moment(8 * _DAY),
            Moment(
                at,
                (
                    _fires(alert, _customer("acme", meter), percent=f"{fallen * 100:.4g}%"),
                    _fires(alert, _customer("gone", meter), percent="0%"),
                ),
            ),
        ),
    )


def behaviour_stories(catalogue: Catalogue, policy: Policy) -> Iterator[tuple[str, Story, timedelta]]:
    """Alert name, its story, and how often its rules are evaluated in it."""
    if not catalogue.meters:
        return
    name = sorted(catalogue.meters)[0]
    yield USAGE, unusual_usage(name, policy), _QUARTER
    yield SPEND, unusual_spend(policy), _QUARTER
    told = told_by_dimension(catalogue.meters[name] for name in sorted(catalogue.meters))
    origins = [(meter, label) for meter in told for label in behaviour.origins(meter, policy)]
    for meter, label in origins:
        yield ORIGIN, new_origin(meter, label, policy), _HALF
    for meter in told:
        yield MIX, shifted_mix(meter, policy), _HALF
    yield FALLING, falling(name, policy), _HOUR
