"""Promises about notices: alerts heard once, notifications told once with all their ways, attempts in their order."""

from __future__ import annotations

import random
from datetime import timedelta
from fractions import Fraction

import pytest

from rating.core.alerts import Alert, Heard
from rating.core.deliveries import MOST, Attempt, Outcome, State, state
from rating.core.money import Money
from rating.core.notices import Audience, Kind, Notification, Planned, Preference, QuietHours, Told, Topic
from rating.errors import BookError, Contradiction, Overtaken
from rating.ports import Book

from .books import AUGUST, HOUR, LATER, NOON, USD

AT = LATER.replace(microsecond=123000)
FIRING = Alert("RatingAllowanceReached", (("consumer", "c42"), ("threshold", "80%")), NOON)
MAIL = Planned("mail", "ada@größenwahn.example", "de", QuietHours("22:00", "07:00", "Europe/Berlin"))


def notification(consumer: str = "c42", mark: str = "80%", **changed: object) -> Notification:
    values: dict[str, object] = {
        "kind": Kind.ALLOWANCE_REACHED,
        "audience": Audience.UPSELL,
        "mark": mark,
        "subscription": f"{consumer}/pro/2026-08-01",
        "consumer": consumer,
        "customer": "Größenwahn AG",
        "plan": "pro",
        "plan_title": "Pro",
        "period": AUGUST,
        "meter": "search",
        "unit": "request",
        "used": Fraction(801, 10),
        "live": Fraction(1, 10),
        "allowance": Fraction(100),
        "forecast": Fraction(400, 3),
        "closed_through": NOON,
        "next_plan": "scale",
        "more": Money(-1230, USD),
        "labels": (("a", "1"), ("b", "2")),
        "planned": (MAIL, Planned("crm")),
        **changed,
    }
    return Notification(**values)  # type: ignore[arg-type]


def attempt(number: int, outcome: Outcome, channel: str = "crm", **changed: object) -> Attempt:
    return Attempt(notification().id, channel, number, outcome, **changed)  # type: ignore[arg-type]


def test_an_alert_is_heard_once_however_often_it_is_delivered(book: Book) -> None:
    over = Alert(FIRING.name, FIRING.labels, FIRING.started, resolved=True)
    another = Alert(FIRING.name, FIRING.labels, FIRING.started + HOUR)
    assert book.hear([FIRING, FIRING, over], at=LATER) == 2
    assert book.hear([over, FIRING, another], at=LATER + HOUR) == 1
    assert book.heard(LATER + HOUR) == (Heard(another, AT + HOUR),)
    assert {one.alert: one.at for one in book.heard(NOON)} == {FIRING: AT, over: AT, another: AT + HOUR}


def test_a_thousand_alerts_in_any_order_are_the_same_entries(book: Book) -> None:
    distinct = [Alert("A", (("consumer", f"c{number % 9}"),), NOON + number % 7 * HOUR) for number in range(63)]
    many = distinct * 16
    random.Random(7).shuffle(many)
    for start in range(0, len(many), 50):
        book.hear(many[start : start + 50], at=LATER)
    assert sorted(one.alert.key for one in book.heard(NOON)) == sorted(alert.key for alert in distinct)


def test_a_notification_comes_back_as_it_was_told(book: Book) -> None:
    [told] = book.tell([notification()], at=LATER)
    assert told == notification()
    assert book.notification(told.id) == Told(notification(), AT)
    assert book.notification("n-0000000000000000") is None
    assert book.told([told.key, "other"]) == {told.key}


def test_the_same_news_is_told_once_and_the_first_numbers_stand(book: Book) -> None:
    book.tell([notification()], at=LATER)
    later = notification(used=Fraction(95), more=None, hint="somebody else's", planned=(Planned("other"),))
    other = notification(mark="100%", used=Fraction(100))
    assert book.tell([later, other], at=LATER + HOUR) == (other,)
    assert book.notifications() == (Told(notification(), AT), Told(other, AT + HOUR))
    assert [one.planned.channel for one in book.deliveries(notification().id)] == ["mail", "crm"]


def test_what_tells_two_notifications_apart(book: Book) -> None:
    same = [notification(), notification(used=Fraction(99))]
    different = [
        notification(consumer="c77"),
        notification(mark="100%"),
        notification(meter="ingest"),
        notification(kind=Kind.LIMIT_REACHED),
        notification(subscription="c42/scale/2026-08-15"),
        notification(period=type(AUGUST)(AUGUST.end, AUGUST.end + 30 * 24 * HOUR)),
    ]
    assert len({one.key for one in same}) == 1
    assert len({one.key for one in (*same, *different)}) == len({one.id for one in (*same, *different)}) == 7
    assert len(book.tell([*same, *different], at=LATER)) == 7


def test_notifications_are_found_by_customer_and_day(book: Book) -> None:
    book.tell([notification(), notification("c77", customer="Beta")], at=LATER)
    book.tell([notification(mark="100%")], at=LATER + HOUR)
    assert [told.notification.mark for told in book.notifications(customer="Größenwahn AG")] == ["80%", "100%"]
    assert [told.notification.mark for told in book.notifications(since=LATER + HOUR)] == ["100%"]


def test_attempts_follow_each_other_and_end_when_it_is_delivered(book: Book) -> None:
    book.tell([notification()], at=LATER)
    assert [one.planned for one in book.undelivered()] == [MAIL, Planned("crm")]
    with pytest.raises(Overtaken, match="attempt 2 does not follow 0 attempts"):
        book.attempted(attempt(2, Outcome.FAILED), at=LATER)
    assert book.attempted(attempt(1, Outcome.FAILED, said="503 — später", retry_after=90), at=LATER)
    assert [len(one.attempts) for one in book.undelivered()] == [0, 1]
    assert book.attempted(attempt(2, Outcome.DELIVERED, said="200"), at=LATER + HOUR)
    assert not book.attempted(attempt(2, Outcome.DELIVERED, said="201"), at=LATER + 2 * HOUR)
    with pytest.raises(
        Contradiction, match=r"attempt 1 of notification n-.* by crm was kept as failed and is now refused"
    ):
        book.attempted(attempt(1, Outcome.REFUSED), at=LATER)
    assert [one.planned.channel for one in book.undelivered()] == ["mail"]
    way = book.deliveries()[1]
    assert [(one.attempt.outcome, one.at) for one in way.attempts] == [
        (Outcome.FAILED, AT),
        (Outcome.DELIVERED, AT + HOUR),
    ]
    assert (way.attempts[0].attempt.said, way.attempts[0].attempt.retry_after) == ("503 — später", 90)


def test_only_planned_ways_are_attempted(book: Book) -> None:
    book.tell([notification()], at=LATER)
    for other in (attempt(1, Outcome.DELIVERED, "pager"), Attempt("n-unknown", "crm", 1, Outcome.DELIVERED)):
        with pytest.raises(BookError, match="was never planned"):
            book.attempted(other, at=LATER)


@pytest.mark.parametrize(
    ("outcomes", "stands"),
    [
        ([Outcome.REFUSED], State.DEAD),
        ([Outcome.WITHHELD], State.WITHHELD),
        ([Outcome.FAILED] * (MOST - 1), State.WAITING),
        ([Outcome.FAILED] * MOST, State.DEAD),
        ([Outcome.FAILED] * MOST + [Outcome.REVIVED], State.WAITING),
        ([Outcome.REFUSED, Outcome.REVIVED, Outcome.FAILED], State.WAITING),
        ([Outcome.REFUSED, Outcome.REVIVED, Outcome.DELIVERED], State.DELIVERED),
    ],
    ids=lambda value: f"{len(value)} attempts" if isinstance(value, list) else value.value,
)
def test_what_is_still_to_be_done_is_what_the_attempts_say(book: Book, outcomes: list[Outcome], stands: State) -> None:
    book.tell([notification(planned=(Planned("crm"),))], at=LATER)
    for number, outcome in enumerate(outcomes, 1):
        book.attempted(attempt(number, outcome), at=LATER + number * timedelta(seconds=1))
    [way] = book.deliveries()
    assert state(way.attempts) is stands
    assert book.undelivered() == ((way,) if stands is State.WAITING else ())


def test_the_last_word_of_a_customer_counts(book: Book) -> None:
    off, on = (Preference("Größenwahn AG", Topic.USAGE, wanted, "link") for wanted in (False, True))
    assert book.prefer(off, at=LATER)
    assert not book.prefer(off, at=LATER + HOUR)
    assert book.prefer(Preference("Beta", Topic.ACCOUNT, False, "command"), at=LATER)
    assert book.preferences("Größenwahn AG") == ((off, AT),)
    assert book.prefer(on, at=LATER + 2 * HOUR)
    assert [(one.customer, one.wanted, at) for one, at in book.preferences()] == [
        ("Beta", False, AT),
        ("Größenwahn AG", True, AT + 2 * HOUR),
    ]


def test_what_was_read_stays_read(book: Book) -> None:
    book.tell([notification(), notification("c77", customer="Beta")], at=LATER)
    assert book.opened("Größenwahn AG") == {}
    assert book.open_notification(notification().id, at=LATER)
    assert not book.open_notification(notification().id, at=LATER + HOUR)
    assert book.opened("Größenwahn AG") == {notification().id: AT}
    assert book.opened("Beta") == {}
    with pytest.raises(BookError, match="there is no notification n-unknown"):
        book.open_notification("n-unknown", at=LATER)
