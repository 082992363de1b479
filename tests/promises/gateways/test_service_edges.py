"""Where services differ from what one would think: what was learnt of each, and that our gateways know it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import date, timedelta
from decimal import Decimal
from http import HTTPStatus
from typing import Any

import pytest

from rating.core.creditnotes import Cause, credit
from rating.core.lifecycle import payment
from rating.core.money import Money
from rating.core.publications import CreditNoteDispatch, InvoiceDispatch, Outcome, StepDispatch, following
from rating.errors import EdgeDisagrees, EdgeRefused, EdgeUnavailable

from .chargebee_site import ChargebeeSite
from .other_peers import ChargebeePeer, RecurlyPeer
from .papers import NOW, USD, BookTrail, Month, draft, month
from .peers import Died
from .recurly_site import RecurlySite
from .services import Answer

NOTHING = Money(0, USD)


@pytest.fixture
def chargebee(monkeypatch: pytest.MonkeyPatch) -> Iterator[ChargebeePeer]:
    with closing(ChargebeeSite()) as site:
        yield ChargebeePeer(site, monkeypatch)


@pytest.fixture
def recurly(monkeypatch: pytest.MonkeyPatch) -> Iterator[RecurlyPeer]:
    with closing(RecurlySite()) as site:
        yield RecurlyPeer(site, monkeypatch)


def carried(peer: ChargebeePeer | RecurlyPeer, told: Month, one: Any) -> str:
    gateway = peer.gateway()
    return gateway.publish(one, BookTrail(told.book, gateway.name, one.subject, NOW), now=NOW)


def test_a_payment_is_found_on_the_second_page(chargebee: ChargebeePeer) -> None:
    """Chargebee lists ten unless asked otherwise; the eleventh payment would be made twice, and the 101st."""
    told = month()
    (paper,) = told.book.issue([draft("many", 130)], at=NOW)
    carried(chargebee, told, InvoiceDispatch(paper, NOTHING))
    steps = [
        StepDispatch(payment(paper.number, Money(1, USD), date(2026, 9, 3), reference=f"wire {place}"), paper)
        for place in range(104)
    ]
    for step in steps[:-1]:
        carried(chargebee, told, step)
    with pytest.raises(Died), chargebee.dying(0, after=True):
        carried(chargebee, told, steps[-1])
    assert len(chargebee.site.payments[paper.number]) == 104
    chargebee.forget_keys()
    carried(chargebee, told, steps[-1])
    assert len(chargebee.site.payments[paper.number]) == 104


def test_what_follows_on_a_paper_that_is_not_there_is_refused_in_our_words(chargebee: ChargebeePeer) -> None:
    told = month()
    (note,) = [one for one in told.dispatches if isinstance(one, CreditNoteDispatch)]
    (paid,) = [one for one in told.dispatches if isinstance(one, StepDispatch) and one.entry.amount]
    for one in (note, paid):
        with pytest.raises(EdgeRefused, match=r"Chargebee site acme-test answered 404 \(resource_not_found\)"):
            carried(chargebee, told, one)


def test_a_site_that_adds_something_by_itself_is_found_out_before_anything_is_made(recurly: RecurlyPeer) -> None:
    """A purchase of Recurly's is final at once: a tax that the site puts on it cannot be taken back."""
    recurly.site.adds = Decimal("0.01")
    told = month()
    with pytest.raises(
        EdgeDisagrees, match=r"would come to 12\.31 USD there and comes to 12\.30 USD .* nothing was made"
    ):
        carried(recurly, told, told.dispatches[0])
    assert not recurly.held()
    recurly.site.adds = Decimal(0)
    carried(recurly, told, told.dispatches[0])
    assert recurly.held().total() == 1


@pytest.mark.parametrize("status", [HTTPStatus.OK, HTTPStatus.BAD_GATEWAY])
def test_an_answer_that_is_not_of_the_service_is_tried_again(
    recurly: RecurlyPeer, chargebee: ChargebeePeer, status: HTTPStatus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy between us says something of its own."""

    def stranger(*said: Any) -> Answer:
        return status, {"hello": "stranger"}

    for peer in (recurly, chargebee):
        told = month()
        with monkeypatch.context() as patch:
            patch.setattr(peer.site, "asked", stranger)
            with pytest.raises(EdgeUnavailable):
                carried(peer, told, told.dispatches[0])
        carried(peer, told, told.dispatches[0])
        assert peer.held().total() == 1


def test_once_a_person_asked_again_a_remembered_refusal_does_not_count(
    recurly: RecurlyPeer, chargebee: ChargebeePeer
) -> None:
    """Nobody documents that a refusal is forgotten, so the call has another key then."""
    for peer in (recurly, chargebee):
        told, gateway = month(), peer.gateway()
        one = told.dispatches[0]
        carried(peer, told, one)
        before = set(peer.site.remembered)
        peer.empty()
        entries = list(told.book.progressed(gateway.name, one.subject))
        told.book.progress([following(gateway.name, one.subject, entries, Outcome.REFUSED, "no")], at=NOW)
        entries = list(told.book.progressed(gateway.name, one.subject))
        told.book.progress([following(gateway.name, one.subject, entries, Outcome.REVIVED, "asked")], at=NOW)
        trail = BookTrail(told.book, gateway.name, one.subject, NOW + timedelta(days=1))
        assert trail.revived == 1
        gateway.publish(one, _Nameless(trail), now=NOW)
        assert not before & set(peer.site.remembered)


class _Nameless:
    """The trail of an attempt that learnt no name."""

    def __init__(self, trail: BookTrail) -> None:
        self.begun_at, self.revived = trail.begun_at, trail.revived
        self._kept: dict[tuple[str, str | None], str] = {}

    def name(self, part: str = "", subject: str | None = None) -> str | None:
        return self._kept.get((part, subject))

    def keep(self, name: str, part: str = "", subject: str | None = None) -> None:
        self._kept[part, subject] = name


def test_a_credit_note_partly_given_back_is_refused_by_the_one_that_cannot_say_it(chargebee: ChargebeePeer) -> None:
    told = month()
    (paper,) = told.book.issue([draft("half", 1000)], at=NOW)
    carried(chargebee, told, InvoiceDispatch(paper, NOTHING))
    note = told.book.credit(
        credit(paper, {1: Money(400, USD)}, (), cause=Cause.MANUAL, reason="x", author="ada"), at=NOW
    )
    with pytest.raises(EdgeRefused, match="the one or the other, enter it there by hand"):
        carried(chargebee, told, CreditNoteDispatch(note, paper, Money(100, USD)))
    assert not chargebee.site.notes
