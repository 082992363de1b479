"""Correct: late samples become adjustments, once; a reading that lost something corrects nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from pathlib import Path

import pytest

from rating.adapters.memory_book import MemoryBook
from rating.adapters.memory_source import MemorySource
from rating.cli import correct as command
from rating.cli import run
from rating.core.counters import Readings
from rating.core.meters import Meter
from rating.core.periods import Cadence, Period, milliseconds
from rating.core.subscriptions import Subscription
from rating.core.windows import Evidence, Usage
from rating.engine import Engine
from rating.jobs.bill import bill
from rating.jobs.collect import collect
from rating.jobs.correct import correct, unsettled, worse
from rating.jobs.verify import verify
from rating.settings import Settings
from rating.web.metrics import EngineMetrics
from tests.stories import PRO, contracts

START = datetime(2026, 10, 1, tzinfo=UTC)
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
DAY = Period(START, START + 24 * HOUR)
NOW = START + 24 * HOUR + timedelta(minutes=10)
METER = Meter(
    name="api_calls",
    metric="calls_total",
    consumer="consumer_id",
    scrape_interval=MINUTE,
    lookback=2 * HOUR,
    coverage=Fraction(1, 2),
)
LABELS = {"job": "api", "instance": "a:1"}


def source(missing: Callable[[datetime], bool] = lambda at: False, hours: int = 26) -> MemorySource:
    """ACME calls 3 times a minute, GLOBEX once; scrapes that are `missing` have not reached the server yet."""
    minutes = [minute for minute in range(-90, hours * 60) if not missing(START + minute * MINUTE)]
    times = [milliseconds(START + minute * MINUTE) for minute in minutes]
    return MemorySource(
        [
            ({"__name__": "up", **LABELS}, [(time, 1) for time in times]),
            ({"__name__": "process_start_time_seconds", **LABELS}, [(time, 1_700_000_000) for time in times]),
            *(
                (
                    {"__name__": "calls_total", **LABELS, "consumer_id": consumer},
                    [(time, 500 + each * minute) for time, minute in zip(times, minutes, strict=True)],
                )
                for consumer, each in (("acme", 3), ("globex", 1))
            ),
        ]
    )


def tail_of(hour: int) -> Callable[[datetime], bool]:
    """The last twenty minutes of an hour are late."""
    return lambda at: START + hour * HOUR + 40 * MINUTE <= at < START + (hour + 1) * HOUR


def closed(missing: Callable[[datetime], bool]) -> MemoryBook:
    book = MemoryBook()
    collected = collect(book, source(missing), (METER,), since=START, until=DAY.end, now=NOW)
    assert (len(collected.closed), collected.held, collected.stopped) == (24, (), ())
    return book


def test_late_samples_are_given_back_to_the_window_they_belong_to() -> None:
    """The window before gains what the window after had counted as one big step: nothing is billed twice."""
    book = closed(tail_of(5))
    before = book.totals("api_calls", DAY)
    corrected = correct(book, source(), (METER,), DAY, now=NOW)
    assert [(one.window.start.hour, one.rows) for one in corrected.adjustments] == [
        (5, (Usage("acme", (), 60), Usage("globex", (), 20))),
        (6, (Usage("acme", (), -60), Usage("globex", (), -20))),
    ]
    first = corrected.differences[0]
    assert (first.consumer, first.booked, first.measured) == ("acme", 120, 180)
    assert corrected.equal == 22
    assert book.totals("api_calls", DAY) == before
    assert {row.usage.quantity for row in book.usage(DAY, consumer="acme")} == {180}
    assert verify(book, source(), (METER,), DAY).differences == ()


def test_doing_it_again_is_nothing_and_a_dry_run_keeps_nothing() -> None:
    book = closed(tail_of(5))
    would = correct(book, source(), (METER,), DAY, now=NOW, dry_run=True)
    assert book.adjustments(DAY) == ()
    assert correct(book, source(), (METER,), DAY, now=NOW).adjustments == would.adjustments
    again = correct(book, source(), (METER,), DAY, now=NOW)
    assert (again.equal, again.adjustments, again.unjudged) == (24, (), ())


def test_a_window_before_those_asked_for_is_corrected_with_them() -> None:
    """Otherwise the hour asked for would lose what nobody gives to the hour before."""
    book = closed(tail_of(5))
    before = book.totals("api_calls", DAY)
    asked = Period(START + 6 * HOUR, START + 7 * HOUR)
    corrected = correct(book, source(), (METER,), asked, now=NOW)
    assert [one.window.start.hour for one in corrected.adjustments] == [5, 6]
    assert book.totals("api_calls", DAY) == before


def test_samples_that_come_in_two_portions_are_two_revisions() -> None:
    book = closed(tail_of(5))
    half = source(lambda at: START + 5 * HOUR + 50 * MINUTE <= at < START + 6 * HOUR)
    correct(book, half, (METER,), DAY, now=NOW)
    correct(book, source(), (METER,), DAY, now=NOW, reason="the rest", author="ann")
    entries = [entry.adjustment for entry in book.adjustments(Period(START + 5 * HOUR, START + 6 * HOUR))]
    assert [(one.revision, one.rows[0].quantity, one.reason, one.author) for one in entries] == [
        (1, 30, "late samples", "rating"),
        (2, 30, "the rest", "ann"),
    ]


def test_a_server_that_lost_samples_corrects_nothing() -> None:
    """Above all not down to nothing: an empty server would credit everybody."""
    book = closed(lambda at: False)
    for lost in (tail_of(5), lambda at: START + 5 * HOUR <= at < START + 6 * HOUR):
        corrected = correct(book, source(lost), (METER,), DAY, now=NOW)
        assert corrected.adjustments == ()
        assert START + 5 * HOUR in [window.start for _, window, _ in corrected.unjudged]
    assert correct(book, MemorySource([]), (METER,), DAY, now=NOW).adjustments == ()
    assert book.adjustments(DAY) == ()


def test_a_meter_with_other_rules_corrects_nothing() -> None:
    book = closed(tail_of(5))
    other = replace(METER, births=type(METER.births).ZERO)
    corrected = correct(book, source(), (other,), DAY, now=NOW)
    assert len(corrected.unjudged) == 24
    assert "the meter has changed since this window was closed" in corrected.unjudged[0][2]


@pytest.mark.parametrize(
    ("after", "sentence"),
    [
        (Evidence(identities=3, scrapes_seen=240, scrapes_expected=240), ""),
        (Evidence(identities=4, scrapes_seen=480, scrapes_expected=480, resets=1), ""),
        (Evidence(identities=3, scrapes_seen=239, scrapes_expected=240), "239 scrapes are found where there were 240"),
        (Evidence(identities=2, scrapes_seen=240, scrapes_expected=240), "2 counters are found where there were 3"),
        (Evidence(identities=3, scrapes_seen=240, baselines=1), "1 counters have no known beginning where 0 had none"),
        (Evidence(identities=3, scrapes_seen=240, warnings=("partial",)), "the source doubts its own answer: partial"),
    ],
)
def test_which_reading_is_worse(after: Evidence, sentence: str) -> None:
    before = Evidence(identities=3, scrapes_seen=240, scrapes_expected=240)
    assert worse(before, after).startswith(sentence)
    assert bool(worse(before, after)) == bool(sentence)


def test_a_subscription_that_has_ended_is_said_to_have_no_invoice_to_come() -> None:
    [card] = PRO.cards
    plan = replace(PRO, cadence=Cadence.DAY, cards=(replace(card, meter=METER, included=Fraction(0)),))
    ended = Subscription("acme", "pro", START, end=DAY.end, anchor=date(2026, 10, 1))
    agreed = contracts(ended, plan=plan)
    # The very end of the day is late: the hour after it is nobody's.
    book = closed(tail_of(23))
    bill(book, agreed, now=NOW)
    assert unsettled(book, agreed, now=NOW) == ()
    correct(book, source(), (METER,), DAY, now=NOW)
    [left] = unsettled(book, agreed, now=NOW + HOUR)
    assert [(line.quantity, line.settles) for line in left.lines] == [(60, "INV-000001/2")]
    assert str(left.lines[0].amount) == "0.60 USD"


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "catalogue.yaml").write_text(
        "version: 1\ncurrency: USD\n"
        "meters: {api_calls: {metric: calls_total, consumer: consumer_id, scrape_interval: 1m, lookback: 2h, "
        "coverage: 50%}}\n"
        'plans: {pro: {name: Pro, charges: [{meter: api_calls, unit_price: "0.01"}]}}\n'
    )
    monkeypatch.setenv("RATING_CATALOG", str(tmp_path / "catalogue.yaml"))
    monkeypatch.setenv("RATING_DATABASE_URL", f"sqlite:///{tmp_path / 'book.db'}")
    monkeypatch.setattr("rating.cli.collect.open_source", lambda settings: source(tail_of(5)))
    monkeypatch.setattr(command, "open_source", lambda settings: source())
    monkeypatch.setattr("rating.cli.collect.now", lambda: NOW)
    monkeypatch.setattr(command, "now", lambda: NOW)
    assert run(["collect", "--from", "2026-10-01", "--to", "2026-10-02"]) == 0
    capsys.readouterr()
    arguments = ["correct", "--format", "json"]
    for dry, said in ((["--dry-run"], "2 would be corrected"), ([], "2 were corrected")):
        assert run([*arguments, *dry]) == 3
        printed = capsys.readouterr()
        rows = json.loads(printed.out)
        assert [(row["start"], row["consumer"], row["was"], row["is"]) for row in rows[:3]] == [
            ("2026-10-01T05:00Z", "acme", "120", "180"),
            ("2026-10-01T05:00Z", "globex", "40", "60"),
            ("2026-10-01T06:00Z", "acme", "240", "180"),
        ]
        assert said in printed.err
    assert run(arguments) == 0
    assert "24 windows measure what the book says, 0 were corrected" in capsys.readouterr().err


def test_the_engine_looks_at_each_window_once_more_an_hour_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "catalogue.yaml").write_text(
        "version: 1\ncurrency: USD\n"
        "meters: {api_calls: {metric: calls_total, consumer: consumer_id, scrape_interval: 1m, lookback: 2h, "
        "coverage: 50%}}\n"
        'plans: {pro: {name: Pro, charges: [{meter: api_calls, unit_price: "0.01"}]}}\n'
    )
    reads: list[datetime] = []

    class Counting(MemorySource):
        def read(self, meter: Meter, window: Period) -> Readings:
            reads.append(window.start)
            return super().read(meter, window)

    whole = source(hours=60)
    monkeypatch.setattr("rating.engine.open_source", lambda settings, asked: Counting(whole._series))
    book = closed(tail_of(22))
    settings = Settings.from_environment(catalog=tmp_path / "catalogue.yaml")
    engine = Engine(settings, book, EngineMetrics())
    found = {}
    # 24:10: the windows of 21 and 22 settled more than an hour ago; 23 follows at 25:05, and pays back what it took.
    for minutes in (0, 10, 54, 55, 65, 115):
        reads.clear()
        engine.correct(NOW + minutes * MINUTE, lambda: False)
        found[minutes] = [start.hour for start in reads]
    assert found == {0: [20, 21, 22], 10: [], 54: [], 55: [22, 23], 65: [], 115: []}
    assert [(e.adjustment.window.start.hour, e.adjustment.rows[0].quantity) for e in book.adjustments(DAY)] == [
        (22, 60),
        (23, -60),
    ]
    assert {row.usage.quantity for row in book.usage(DAY, consumer="acme")} == {180}
