"""When a notification is attempted again, and when nobody's sleep is worth it: quiet hours on clocks that change."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rating.core.deliveries import (
    LONGEST_PAUSE,
    MOST,
    Attempt,
    Attempted,
    Delivery,
    Outcome,
    State,
    due_at,
    failures,
    pause,
    state,
)
from rating.core.notices import Audience, Kind, Notification, Planned, QuietHours, Told

TOLD_AT = datetime(2026, 10, 14, 12, tzinfo=UTC)
TOLD = Told(Notification(Kind.ALLOWANCE_REACHED, Audience.UPSELL, "80%"), TOLD_AT)
MINUTE = timedelta(minutes=1)
BERLIN = QuietHours("22:00", "07:00", "Europe/Berlin")


def delivery(*outcomes: tuple[Outcome, int] | Outcome, quiet: QuietHours | None = None) -> Delivery:
    """Attempts an hour apart; with an outcome, how many seconds the other side asked to wait."""
    attempts = []
    for number, given_ in enumerate(outcomes, 1):
        outcome, asked = given_ if isinstance(given_, tuple) else (given_, 0)
        attempt = Attempt(TOLD.notification.id, "crm", number, outcome, retry_after=asked)
        attempts.append(Attempted(attempt, TOLD_AT + number * timedelta(hours=1)))
    return Delivery(TOLD, Planned("crm", quiet=quiet), tuple(attempts))


def test_pauses_grow_fourfold_up_to_six_hours() -> None:
    assert [pause(failed).total_seconds() for failed in range(1, 7)] == [30, 120, 480, 1920, 7680, 21600]
    assert pause(10**9) == LONGEST_PAUSE
    spent = sum((pause(failed) for failed in range(1, MOST)), timedelta(0))
    assert timedelta(hours=24) < spent < timedelta(hours=48), "a receiver may be down over a day"


FAILED = Outcome.FAILED
HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("attempts", "due"),
    {
        "nothing was tried": ((), timedelta(0)),
        "it failed once": ((FAILED,), HOUR + timedelta(seconds=30)),
        "it failed twice": ((FAILED, FAILED), 2 * HOUR + timedelta(seconds=120)),
        "it asked for an hour": (((FAILED, 3600),), 2 * HOUR),
        "it asked for less than we wait anyhow": (((FAILED, 3),), HOUR + timedelta(seconds=30)),
        "it asked for a year": (((FAILED, 31_536_000),), HOUR + timedelta(days=1)),
        "a person asked": ((Outcome.REFUSED, Outcome.REVIVED), 2 * HOUR),
        "a person asked and it failed again": (
            (FAILED,) * MOST + (Outcome.REVIVED, FAILED),
            14 * HOUR + 30 * MINUTE / 60,
        ),
        "delivered": ((FAILED, Outcome.DELIVERED), None),
        "refused": ((Outcome.REFUSED,), None),
        "not wanted": ((Outcome.WITHHELD,), None),
        "failed too often": ((FAILED,) * MOST, None),
    }.values(),
    ids=lambda value: None,
)
def test_when_the_next_attempt_is_due(attempts, due) -> None:
    assert due_at(delivery(*attempts)) == (None if due is None else TOLD_AT + due)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.sampled_from(Outcome), max_size=30))
def test_states_agree_with_what_is_due(outcomes: list[Outcome]) -> None:
    one = delivery(*outcomes)
    assert (due_at(one) is None) == (state(one.attempts) is not State.WAITING)
    assert failures(one.attempts) <= len(outcomes)
    if outcomes and outcomes[-1] is Outcome.REVIVED:
        assert state(one.attempts) is State.WAITING


def test_every_attempt_carries_one_key_and_every_way_another() -> None:
    one, again = delivery(), delivery(FAILED, FAILED)
    assert one.key == again.key != Delivery(TOLD, Planned("mail")).key


@pytest.mark.parametrize(
    ("at", "until"),
    [
        ("2026-10-14T12:00", "2026-10-14T12:00"),
        ("2026-10-14T20:00", "2026-10-15T05:00"),  # 22:00 to 07:00 in summer
        ("2026-10-14T19:59", "2026-10-14T19:59"),
        ("2026-10-15T05:00", "2026-10-15T05:00"),
        ("2026-10-24T21:30", "2026-10-25T06:00"),  # the night in which an hour is repeated is ten hours long
        ("2026-03-28T22:30", "2026-03-29T05:00"),  # the night in which an hour is skipped is eight
    ],
)
def test_quiet_hours_in_berlin(at: str, until: str) -> None:
    told = datetime.fromisoformat(at).replace(tzinfo=UTC)
    assert BERLIN.over(told) == datetime.fromisoformat(until).replace(tzinfo=UTC)


def test_where_the_end_of_quiet_is_skipped_or_comes_twice() -> None:
    skipped = QuietHours("22:00", "02:30", "Europe/Berlin")
    assert skipped.over(datetime(2026, 3, 28, 23, tzinfo=UTC)) == datetime(2026, 3, 29, 1, tzinfo=UTC)
    # 02:30 comes twice; between the two it is quiet again from 02:00.
    assert skipped.over(datetime(2026, 10, 24, 23, tzinfo=UTC)) == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    assert skipped.over(datetime(2026, 10, 25, 1, tzinfo=UTC)) == datetime(2026, 10, 25, 1, 30, tzinfo=UTC)


clock = st.builds("{:02}:{:02}".format, st.integers(0, 23), st.integers(0, 59))
zones = st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe"])
nights = st.sampled_from(
    [datetime(2026, *day, tzinfo=UTC) for day in ((3, 28), (3, 8), (4, 4), (10, 24), (11, 1), (7, 9))]
)


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(clock, clock, zones, nights, st.integers(0, 48 * 60))
def test_quiet_hours_end_at_the_first_minute_that_is_not_quiet(begins, ends, zone, night, minutes) -> None:
    quiet, told = QuietHours(begins, ends, zone), night + minutes * MINUTE
    slow = told
    while quiet.contains(slow):
        slow += MINUTE
    assert quiet.over(told) == slow


def test_a_retry_waits_for_the_morning_too() -> None:
    night = delivery(*[(FAILED, 0)] * 9, quiet=BERLIN)  # the ninth at 21:00 UTC
    assert due_at(night) == datetime(2026, 10, 15, 5, tzinfo=UTC)
