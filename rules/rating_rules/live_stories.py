"""The stories of live usage: growth, restart, birth, rediscovery, a vanished pod, replicas, an engine that is away."""

from __future__ import annotations

from datetime import timedelta

from rating.core import vocabulary as names
from rating.core.meters import Kind, Lifetime, Meter
from rating_rules.examples import matching
from rating_rules.stories import MISSING, STALE, Answer, Series, Story, selector, series


class LiveTimes:
    """The clock of these stories: T is the first window boundary, counters move four scrapes after it."""

    def __init__(self, meter: Meter) -> None:
        self.interval = min(meter.scrape_interval, timedelta(minutes=4))
        self.steps = meter.window // self.interval
        """Samples before T; the sample at T itself has this index."""
        self.t = self.steps * self.interval
        self.move = self.t + 4 * self.interval

    def at(self, before: float | str, after: float | str, gap: int = 0) -> tuple[tuple[float | str, int], ...]:
        """`before` until the move, missing for `gap` samples, then `after`."""
        return ((before, self.steps + 4), *(((MISSING, gap),) if gap else ()), (after, 8))


def labels_of(meter: Meter, consumer: str, **target: str) -> dict[str, str] | None:
    """Labels of one counter; None when no value is known for one of the meter's patterns."""
    labels = {meter.consumer: consumer}
    for label in meter.target_labels:
        labels[label] = target.get(label, "a")
    for matcher in meter.where:
        value = matching(matcher.pattern)
        if value is None:
            return None
        labels[matcher.label] = value
    return labels


def exact_at(meter: Meter) -> timedelta:
    return LiveTimes(meter).t


def counted(meter: Meter, consumer: str, before: float, after: float) -> Series | None:
    """One counter of `consumer`, on a target that was always scraped, that moves after T."""
    labels = labels_of(meter, consumer)
    return None if labels is None else series(meter.metric, *LiveTimes(meter).at(before, after), **labels)


def through(meter: Meter) -> Series:
    """T, as the engine says it."""
    times = LiveTimes(meter)
    return series(names.ACCRUED_THROUGH, (times.t.total_seconds(), times.steps + 20), meter=meter.name)


def live_stories(meter: Meter) -> tuple[Story, ...]:
    """Empty when a pattern of the meter has no known example, or its window is no multiple of its scrapes; and when
    only the engine can tell its usage by consumer, or what a counter's unit is converted to."""
    times = LiveTimes(meter)
    if not meter.as_scraped or meter.kind is Kind.GAUGE or meter.conversion != 1:
        return ()
    if labels_of(meter, "x") is None or times.t != meter.window or not meter.target_labels:
        return ()
    return (_since_t(meter, times), _without_t(meter, times))


def _since_t(meter: Meter, times: LiveTimes) -> Story:
    steps = times.steps
    whole = steps + 12
    target = meter.target_labels[-1]

    def of(consumer: str, *runs: tuple[float | str, int], on: str = "a", **more: str) -> Series:
        return series(meter.metric, *runs, **{**(labels_of(meter, consumer, **{target: on}) or {}), **more})

    def scraped(metric: str, on: str, *runs: tuple[float | str, int]) -> Series:
        return series(metric, *runs, **{label: on if label == target else "a" for label in meter.target_labels})

    began, late = 60.0, (times.t + 2 * times.interval).total_seconds()
    told = [
        through(meter),
        scraped(names.UP, "a", (1, whole)),
        scraped(names.PROCESS_START, "a", (began, whole)),
        scraped(names.UP, "new", (MISSING, steps + 2), (1, 10)),
        scraped(names.PROCESS_START, "new", (MISSING, steps + 2), (late, 10)),
        scraped(names.UP, "was-down", (0, steps + 4), (1, 8)),
        scraped(names.PROCESS_START, "was-down", (MISSING, steps + 4), (began, 8)),
        of("grown", *times.at(100, 140)),
        of("restarted", *times.at(100, 7)),
        of("born", *times.at(MISSING, 5)),
        of("born on a new process", *times.at(MISSING, 6), on="new"),
        of("found again", *times.at(MISSING, 1000), on="was-down"),
        of("vanished", (100, steps), (120, 2), (STALE, 1)),
    ]
    expected = {"grown": 40.0, "restarted": 7.0, "born": 5.0, "vanished": 20.0}
    if meter.lifetime is Lifetime.PROCESS:
        expected["born on a new process"] = 6.0
    if meter.replica_labels:
        replica = meter.replica_labels[0]
        told.append(of("replicated", *times.at(100, 130), **{replica: "one"}))
        told.append(of("replicated", *times.at(100, 128), **{replica: "two"}))
        expected["replicated"] = 30.0
    query = selector(names.LIVE_UNITS, {"meter": meter.name})
    return Story(
        f"{meter.name}: what was counted since the last closed window, and never more",
        times.interval,
        told,
        answers=(
            Answer(
                times.move,
                query,
                {
                    selector(names.LIVE_UNITS, {"consumer": consumer, "meter": meter.name}): units
                    for consumer, units in sorted(expected.items())
                },
            ),
        ),
    )


def _without_t(meter: Meter, times: LiveTimes) -> Story:
    counter = counted(meter, "grown", 100, 140)
    assert counter is not None
    return Story(
        f"{meter.name}: an engine that says nothing leaves nothing to add to",
        times.interval,
        [counter],
        answers=(Answer(times.move, selector(names.LIVE_UNITS, {"meter": meter.name}), {}),),
    )
