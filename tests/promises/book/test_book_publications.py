"""Promises about publications: entries in their order, names that never change, signals kept once."""

from __future__ import annotations

import random
from datetime import timedelta

import pytest

from rating.core.publications import (
    MOST,
    HeardSignal,
    Outcome,
    Progress,
    Progressed,
    RemoteName,
    Signal,
    State,
    begun_at,
    due_at,
    final,
    state,
)
from rating.errors import Contradiction, Overtaken
from rating.ports import Book

from .books import HOUR, LATER, NOON

AT = LATER.replace(microsecond=123000)
PAPER = "invoice/INV-000001"


def entry(number: int, outcome: Outcome, subject: str = PAPER, gateway: str = "stripe", **changed: object) -> Progress:
    return Progress(gateway, subject, number, outcome, **changed)  # type: ignore[arg-type]


def name(part: str = "", called: str = "in_1", subject: str = PAPER, gateway: str = "stripe") -> RemoteName:
    return RemoteName(gateway, subject, part, called)


def told(number: int, kind: str = "invoice.paid") -> Signal:
    return Signal("stripe", f"evt_{number}", kind, NOON + number * HOUR, '{"größe": 1}')


def test_entries_and_names_come_back_as_they_were_kept(book: Book) -> None:
    begun, done = entry(1, Outcome.BEGUN), entry(2, Outcome.DONE, said="open, 12.30 USD", retry_after=3)
    assert book.progress([begun], at=LATER) == 1
    assert book.progress([begun, done], [name(), name("customer", "cus_1")], at=LATER + HOUR) == 3
    assert book.progress([begun, done], [name()], at=LATER + 2 * HOUR) == 0
    assert book.progressed("stripe", PAPER) == (Progressed(begun, AT), Progressed(done, AT + HOUR))
    assert book.progressed("stripe", "invoice/INV-000002") == book.progressed("other") == ()
    assert book.remote_names("stripe", PAPER) == (name(), name("customer", "cus_1"))
    assert book.remote_names("stripe", "other") == ()
    assert book.remotely("stripe", "cus_1") == name("customer", "cus_1")
    assert book.remotely("other", "cus_1") is None


def test_what_is_unfinished_parked_and_finished_follows_the_last_entry(book: Book) -> None:
    ends = {
        "invoice/INV-000001": [Outcome.BEGUN],
        "invoice/INV-000002": [Outcome.BEGUN, Outcome.FAILED],
        "invoice/INV-000003": [Outcome.BEGUN, Outcome.DONE],
        "invoice/INV-000004": [Outcome.BEGUN, Outcome.REFUSED],
        "invoice/INV-000005": [Outcome.BEGUN, Outcome.REFUSED, Outcome.REVIVED],
        "invoice/INV-000006": [Outcome.BEGUN, *[Outcome.FAILED] * MOST],
        "invoices/other": [Outcome.DONE],
        "step/x": [Outcome.DONE],
    }
    made = [entry(at, outcome, subject) for subject, all in ends.items() for at, outcome in enumerate(all, 1)]
    assert book.progress(made, at=LATER) == len(made)
    book.progress([entry(1, Outcome.DONE, gateway="other")], at=LATER)
    unfinished = book.unfinished("stripe")
    assert [one.progress.subject[-1] for one in unfinished] == ["1", "2", "2", "5", "5", "5"]
    assert [one.progress.number for one in unfinished] == [1, 1, 2, 1, 2, 3]
    parked = book.parked("stripe")
    assert [(one.progress.subject[-1], one.progress.outcome) for one in parked] == [
        ("4", Outcome.REFUSED),
        ("6", Outcome.FAILED),
    ]
    assert book.finished("stripe", "invoice") == {f"invoice/INV-00000{number}" for number in (3, 4, 6)}
    assert book.finished("stripe", "step") == {"step/x"}


def test_a_contradiction_keeps_nothing_of_its_transaction(book: Book) -> None:
    book.progress([entry(1, Outcome.BEGUN)], [name()], at=LATER)
    with pytest.raises(Contradiction, match="entry 1 was kept as begun and is now done"):
        book.progress([entry(1, Outcome.BEGUN, "step/x"), entry(1, Outcome.DONE)], at=LATER)
    with pytest.raises(Contradiction, match=r"is in_1 at stripe and would now be in_2: it was made there twice"):
        book.progress([entry(2, Outcome.DONE)], [name("customer", "cus_1"), name(called="in_2")], at=LATER)
    with pytest.raises(Overtaken, match="entry 3 does not follow 1 entries"):
        book.progress([entry(1, Outcome.BEGUN, "step/x"), entry(3, Outcome.DONE)], at=LATER)
    assert [one.progress.subject for one in book.progressed("stripe")] == [PAPER]
    assert book.remote_names("stripe") == (name(),)


def test_many_subjects_in_one_transaction(book: Book) -> None:
    subjects = [f"usage/search/{number:06d}" for number in range(12_000)]
    assert book.progress([entry(1, Outcome.DONE, subject) for subject in subjects], at=LATER) == 12_000
    assert book.progress([entry(1, Outcome.DONE, subject) for subject in subjects[:9]], at=LATER) == 0
    assert book.finished("stripe", "usage") == set(subjects)


def test_signals_are_kept_once_in_any_order(book: Book) -> None:
    many = [told(number) for number in range(40)] * 5
    random.Random(3).shuffle(many)
    assert sum(book.signal(one, at=LATER) for one in many) == 40
    assert book.signals("stripe") == tuple(HeardSignal(told(number), AT) for number in range(40))
    assert book.signals("other") == ()
    with pytest.raises(Contradiction, match=r"told evt_1 as invoice\.paid"):
        book.signal(told(1, "invoice.voided"), at=LATER)


def test_a_signal_waits_until_it_is_done_or_parked(book: Book) -> None:
    for number in range(4):
        book.signal(told(number), at=LATER)
    book.progress([entry(1, Outcome.DONE, "signal/evt_0"), entry(1, Outcome.REFUSED, "signal/evt_1")], at=LATER)
    book.progress([entry(1, Outcome.FAILED, "signal/evt_2")], at=LATER)
    assert [one.signal.id for one in book.signals("stripe", waiting=True)] == ["evt_2", "evt_3"]


def test_the_next_attempt_is_due_after_a_pause_that_grows_or_as_long_as_was_asked() -> None:
    entries = [Progressed(entry(1, Outcome.BEGUN), NOON)]
    assert due_at(()) is None
    assert due_at(entries) is None
    assert state(()) is state(entries) is State.WAITING
    entries.append(Progressed(entry(2, Outcome.FAILED), NOON))
    assert due_at(entries) == NOON + timedelta(seconds=30)
    entries.append(Progressed(entry(3, Outcome.FAILED, retry_after=3600), NOON))
    assert due_at(entries) == NOON + HOUR
    assert begun_at(entries) == NOON
    entries += [Progressed(entry(number, Outcome.FAILED), NOON) for number in range(4, MOST + 2)]
    assert final(entries)
    assert due_at(entries) is None
    entries.append(Progressed(entry(MOST + 2, Outcome.REVIVED), NOON))
    assert not final(entries)
    assert begun_at(entries[1:]) is None
