"""Partners' statements in the book: issued once, numbered without gaps, chained, and no share stated twice."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from fractions import Fraction

import pytest

from rating.core.canonical import canonical, digest
from rating.core.money import Money
from rating.core.partners import PartnerLine
from rating.core.payouts import StatementDraft, StatementPaper
from rating.errors import BookError, Contradiction, Overtaken
from rating.ports import Book

from .books import AUGUST, LATER, USD

OCTOBER = date(2026, 10, 1)


def share(paper: str = "INV-000001", position: int = 1, cents: int = 200, void: bool = False) -> PartnerLine:
    return PartnerLine(
        paper, position, "maps", "Maps Größe", AUGUST, Money(5 * cents, USD), Fraction(20), Fraction(cents, 100),
        Money(cents, USD), "e" * 64, void=void,
    )  # fmt: skip


def draft(partner: str = "Maps", *lines: PartnerLine, month: date = OCTOBER) -> StatementDraft:
    return StatementDraft(partner, month, USD, lines or (share(),))


def test_a_statement_comes_back_exactly(book: Book) -> None:
    [payout] = book.issue_statements([draft()], at=LATER)
    assert (payout.number, payout.draft, payout.total) == ("ST-000001", draft(), Money(200, USD))
    assert payout.issued_at == LATER.replace(microsecond=123000)
    assert book.statement("ST-000001") == payout
    assert book.statement("ST-000002") is None
    assert book.statements() == (payout,)


def test_statements_are_numbered_and_chained_in_the_order_given(book: Book) -> None:
    first = book.issue_statements([draft("b"), draft("a", share("INV-000002"))], at=LATER)
    second = book.issue_statements([draft("b", share("INV-000003"), month=date(2026, 11, 1))], at=LATER)
    payouts = first + second
    assert [(payout.number, payout.draft.partner) for payout in payouts] == [
        ("ST-000001", "b"),
        ("ST-000002", "a"),
        ("ST-000003", "b"),
    ]
    assert book.statements() == payouts
    assert book.statements("b") == (payouts[0], payouts[2])
    previous = "series ST"
    for payout in payouts:
        paper = StatementPaper(payout.number, payout.issued_at, previous, payout.draft)
        assert (payout.previous_hash, payout.content_hash) == (previous, digest(canonical(paper)))
        previous = payout.content_hash


def test_the_same_statement_is_issued_once(book: Book) -> None:
    payouts = book.issue_statements([draft()], at=LATER)
    assert book.issue_statements([draft(), draft()], at=datetime(2027, 1, 1, tzinfo=UTC)) == payouts * 2
    assert book.statements() == payouts


def test_other_content_under_an_issued_key_stops_the_whole_batch(book: Book) -> None:
    payouts = book.issue_statements([draft()], at=LATER)
    with pytest.raises(Contradiction, match="what changed belongs on the next statement"):
        book.issue_statements([draft("new", share("INV-000007")), draft("Maps", share(cents=201))], at=LATER)
    assert book.statements() == payouts


def test_no_share_is_stated_twice(book: Book) -> None:
    payouts = book.issue_statements([draft()], at=LATER)
    again = draft("Maps", share("INV-000002"), share(), month=date(2026, 11, 1))
    with pytest.raises(Overtaken):
        book.issue_statements([again], at=LATER)
    assert book.statements() == payouts
    back = replace(again, lines=(share(void=True), share("INV-000001", 2)))
    assert len(book.issue_statements([back], at=LATER)) == 1


def test_a_total_beyond_64_bits_is_refused(book: Book) -> None:
    with pytest.raises(BookError, match="statement Maps/USD/2026-10: total"):
        book.issue_statements([draft("Maps", share(cents=2**62), share("INV-000002", cents=2**62))], at=LATER)
    assert book.statements() == ()
