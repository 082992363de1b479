"""Deliveries step by step: tried again, given up, withheld, revived; and never twice, whoever dies or races."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from rating.adapters.memory_book import MemoryBook
from rating.adapters.notifiers import MailNotifier, WebhookNotifier
from rating.adapters.store import open_book
from rating.core.deliveries import MOST, Delivery, Outcome, State, pause, state
from rating.core.notices import Contact, Kind, Planned, Preference, QuietHours, Routing, Topic
from rating.errors import BookError, EdgeRefused, EdgeUnavailable
from rating.jobs.deliver import deliver, revive
from rating.ports import Book, Notifier
from rating.specs.examples import example
from rating_demo.mailbox import Mailbox
from rating_demo.receiver import Answer, Receiver

NOW = datetime(2026, 10, 14, 12, tzinfo=UTC)
NEWS = replace(
    example(Kind.ALLOWANCE_REACHED, NOW), customer="acme", planned=(Planned("mail", "ada@acme.example"), Planned("crm"))
)
CRM_ONLY = replace(NEWS, planned=(Planned("crm"),))
NOBODY = Routing()


class Scripted:
    """A channel that does what it is told, once for each delivery."""

    def __init__(self, *script: Exception | str, to_customer: bool = False) -> None:
        self._script, self.to_customer = list(script), to_customer
        self.keys: list[str] = []

    def preview(self, delivery: Delivery) -> str:
        return "a preview"

    def deliver(self, delivery: Delivery, *, unsubscribe: str = "") -> str:
        self.keys.append(delivery.key)
        done = self._script.pop(0) if self._script else "ok"
        if isinstance(done, Exception):
            raise done
        return done


def outcomes(book: Book, channel: str = "crm") -> list[Outcome]:
    [way] = [one for one in book.deliveries() if one.planned.channel == channel]
    return [one.attempt.outcome for one in way.attempts]


def test_each_way_goes_its_own_way() -> None:
    book = MemoryBook()
    book.tell([NEWS], at=NOW)
    channels = {"mail": Scripted(EdgeUnavailable("451 later"), to_customer=True), "crm": Scripted()}
    done = deliver(book, channels, NOBODY, now=NOW)
    assert [(one.channel, one.outcome) for one in done.attempts] == [
        ("mail", Outcome.FAILED),
        ("crm", Outcome.DELIVERED),
    ]
    assert deliver(book, channels, NOBODY, now=NOW + timedelta(seconds=29)).attempts == ()
    assert outcomes(book, "mail") == [Outcome.FAILED]
    deliver(book, channels, NOBODY, now=NOW + pause(1))
    assert outcomes(book, "mail") == [Outcome.FAILED, Outcome.DELIVERED]
    assert len(set(channels["mail"].keys)) == 1, "every attempt carries one key"
    assert len(channels["crm"].keys) == 1


def test_it_waits_as_long_as_it_is_asked_to() -> None:
    book = MemoryBook()
    book.tell([CRM_ONLY], at=NOW)
    channels = {"crm": Scripted(EdgeUnavailable("429", retry_after=timedelta(hours=1)))}
    deliver(book, channels, NOBODY, now=NOW)
    for minutes, made in ((5, 0), (59, 0), (60, 1)):
        assert len(deliver(book, channels, NOBODY, now=NOW + timedelta(minutes=minutes)).attempts) == made


def test_a_channel_that_stays_away_becomes_a_dead_letter_and_can_be_revived() -> None:
    book = MemoryBook()
    book.tell([CRM_ONLY], at=NOW)
    down = {"crm": Scripted(*[EdgeUnavailable(f"down {number}") for number in range(MOST)])}
    at = NOW
    for _ in range(MOST + 5):
        deliver(book, down, NOBODY, now=at)
        at += timedelta(hours=6)
    assert outcomes(book) == [Outcome.FAILED] * MOST
    [way] = book.deliveries()
    assert (state(way.attempts), way.attempts[-1].attempt.said) == (State.DEAD, f"down {MOST - 1}")
    assert book.undelivered() == ()
    revive(book, NEWS.id, None, now=at)
    deliver(book, down, NOBODY, now=at)
    assert outcomes(book)[-2:] == [Outcome.REVIVED, Outcome.DELIVERED]
    with pytest.raises(BookError, match=r"nothing about .* is dead: crm is delivered"):
        revive(book, NEWS.id, None, now=at)
    with pytest.raises(BookError, match="holds no notification n-none on that way"):
        revive(book, "n-none", None, now=at)


def test_what_is_refused_is_dead_at_once() -> None:
    book = MemoryBook()
    book.tell([CRM_ONLY], at=NOW)
    deliver(book, {"crm": Scripted(EdgeRefused("422 no such field"))}, NOBODY, now=NOW)
    [way] = book.deliveries()
    assert (state(way.attempts), way.attempts[0].attempt.said) == (State.DEAD, "422 no such field")


def test_a_channel_nobody_configured_fails_and_says_so() -> None:
    book = MemoryBook()
    book.tell([CRM_ONLY], at=NOW)
    [attempt] = deliver(book, {}, NOBODY, now=NOW).attempts
    assert (attempt.outcome, "no channel is called crm" in attempt.said) == (Outcome.FAILED, True)


@pytest.mark.parametrize(
    ("routing", "said", "withheld"),
    [
        (NOBODY, None, ""),
        (
            Routing(contacts={"acme": Contact(declined=frozenset({Topic.USAGE}))}),
            None,
            "acme declined mails about usage",
        ),
        (Routing(contacts={"acme": Contact(declined=frozenset({Topic.USAGE}))}), True, ""),
        (NOBODY, False, "acme declined mails about usage"),
    ],
    ids=["nothing said", "declined in the catalogue", "and asked for since", "declined by the customer"],
)
def test_the_customer_s_last_word_holds_for_their_own_address_alone(
    routing: Routing, said: bool | None, withheld: str
) -> None:
    book = MemoryBook()
    book.tell([NEWS], at=NOW)
    if said is not None:
        book.prefer(Preference("acme", Topic.USAGE, said, "link"), at=NOW)
    mail, crm = Scripted(to_customer=True), Scripted()
    attempts = {one.channel: one for one in deliver(book, {"mail": mail, "crm": crm}, routing, now=NOW).attempts}
    assert attempts["mail"].said == (withheld or "ok")
    assert bool(mail.keys) == (not withheld)
    assert attempts["crm"].outcome is Outcome.DELIVERED


def test_without_an_address_it_is_withheld_and_says_why() -> None:
    book = MemoryBook()
    book.tell([replace(NEWS, planned=(Planned("mail"),))], at=NOW)
    [attempt] = deliver(book, {"mail": Scripted(to_customer=True)}, NOBODY, now=NOW).attempts
    assert attempt.outcome is Outcome.WITHHELD
    assert "no address of acme was known" in attempt.said


def test_quiet_hours_keep_it_until_the_morning_after_the_clocks_changed() -> None:
    night = QuietHours("22:00", "07:00", "Europe/Berlin")
    book = MemoryBook()
    saturday = datetime(2026, 10, 24, 21, tzinfo=UTC)
    book.tell([replace(NEWS, planned=(Planned("mail", "ada@acme.example", quiet=night),))], at=saturday)
    mail = Scripted(to_customer=True)
    hours = [
        hour
        for hour in range(12)
        if deliver(book, {"mail": mail}, NOBODY, now=saturday + timedelta(hours=hour)).attempts
    ]
    # 23:00 in summer time; 07:00 in winter time is 06:00 UTC, nine hours later.
    assert hours == [9]


# never twice ---------------------------------------------------------------------------------------------------------


class Killed(BaseException):
    """The process dies here."""


def test_killed_between_any_two_statements_it_is_delivered_and_only_the_last_gap_repeats() -> None:
    """The receiver drops what it has under the key; without that, one extra copy is possible and no more."""
    for moment in ("before the attempt", "after the receiver accepted", "after the entry"):
        book = MemoryBook()
        book.tell([CRM_ONLY], at=NOW)
        with Receiver(secret="shared") as crm:
            channel = WebhookNotifier("crm", crm.url, "shared")
            dying: Book = _dying(book, moment)
            first: dict[str, Notifier] = {"crm": channel}
            if moment == "before the attempt":
                first = {"crm": Scripted(Killed())}  # type: ignore[arg-type]
            with pytest.raises(Killed):
                deliver(dying, first, NOBODY, now=NOW)
            deliver(book, {"crm": channel}, NOBODY, now=NOW)
            deliver(book, {"crm": channel}, NOBODY, now=NOW)
            assert len(crm.posted) == 1, moment
            assert crm.dropped == (1 if moment == "after the receiver accepted" else 0), moment
        assert outcomes(book) == [Outcome.DELIVERED]


def _dying(book: MemoryBook, moment: str) -> Book:
    class Dying:
        def __getattr__(self, name: str) -> object:
            return getattr(book, name)

        def attempted(self, attempt: object, *, at: datetime) -> bool:
            if moment == "after the entry":
                book.attempted(attempt, at=at)  # type: ignore[arg-type]
            raise Killed

    return Dying()  # type: ignore[return-value]


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def openers(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Callable[[], Book], ...]:
    """Two engines' ways to one book."""
    if request.param == "memory":
        book = MemoryBook()
        return (lambda: book, lambda: book)
    url = f"sqlite:///{tmp_path}/rating.db" if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    return (lambda: open_book(url), lambda: open_book(url))


def test_two_engines_on_one_book_deliver_once(openers: tuple[Callable[[], Book], ...]) -> None:
    books = [opened() for opened in openers]
    news = [replace(CRM_ONLY, consumer=f"c{number}", subscription=f"c{number}/pro/2026-10-01") for number in range(20)]
    for book in books:
        book.tell(news, at=NOW)
    assert len(books[0].notifications()) == 20
    with Receiver(secret="shared", answer=lambda number: Answer(after=0.005)) as crm:
        gate = threading.Barrier(2)

        def engine(book: Book) -> None:
            gate.wait()
            for _ in range(6):
                deliver(book, {"crm": WebhookNotifier("crm", crm.url, "shared")}, NOBODY, now=NOW)

        threads = [threading.Thread(target=engine, args=(book,)) for book in books]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (len(crm.posted), crm.dropped) == (20, 0)
    assert {state(one.attempts) for one in books[1].deliveries()} == {State.DELIVERED}
    assert {len(one.attempts) for one in books[1].deliveries()} == {1}
    for book in books:
        if hasattr(book, "close_connections"):
            book.close_connections()


# against real servers -------------------------------------------------------------------------------------------------


def mail(box: Mailbox) -> dict[str, Notifier]:
    return {"mail": MailNotifier("mail", box.server, "api@seller.example", security="none", timeout=2)}


def test_a_greylisting_mail_server_gets_the_same_mail_again() -> None:
    book = MemoryBook()
    book.tell([replace(NEWS, planned=NEWS.planned[:1])], at=NOW)
    with Mailbox(answer=lambda number: "451 4.7.1 greylisted" if number == 1 else None) as box:
        deliver(book, mail(box), NOBODY, now=NOW)
        deliver(book, mail(box), NOBODY, now=NOW + pause(1))
        assert len(box.received) == 1
    assert outcomes(book, "mail") == [Outcome.FAILED, Outcome.DELIVERED]
    assert "greylisted" in book.deliveries()[0].attempts[0].attempt.said


def test_a_mail_server_that_knows_no_such_user_makes_a_dead_letter() -> None:
    book = MemoryBook()
    book.tell([replace(NEWS, planned=NEWS.planned[:1])], at=NOW)
    with Mailbox(answer=lambda number: "550 5.1.1 no such user") as box:
        deliver(book, mail(box), NOBODY, now=NOW)
        deliver(book, mail(box), NOBODY, now=NOW + timedelta(days=1))
    assert outcomes(book, "mail") == [Outcome.REFUSED]


def test_a_channel_that_is_away_holds_nobody_else_up() -> None:
    """Twenty wait for a server that is down: it is asked once a round, and the other channel delivers all the same."""
    book = MemoryBook()
    book.tell([replace(NEWS, mark=f"{number}%") for number in range(20)], at=NOW)
    down, up = Scripted(*[EdgeUnavailable("down")] * 9), Scripted(to_customer=True)
    for second in range(3):
        deliver(book, {"crm": down, "mail": up}, NOBODY, now=NOW + timedelta(seconds=second))
    assert (len(down.keys), len(up.keys)) == (3, 20)
    assert len(set(down.keys)) == 3, "another one each time: what failed waits for its pause"
