"""The journal: whatever a paper says, its debits are its credits, and each role finds its number."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rating.core.creditnotes import Cause, CreditNote, take_back
from rating.core.invoices import Invoice, LineItem, LineKind
from rating.core.journal import (
    Accounts,
    Entry,
    Posting,
    expiries,
    of_credit_note,
    of_invoice,
    of_move,
    of_payout,
    of_step,
)
from rating.core.lifecycle import InvoiceEntry, Step
from rating.core.money import Currency, Money
from rating.core.partners import PartnerLine
from rating.core.payouts import Payout, StatementDraft
from rating.core.wallets import Grant, GrantAccount, GrantKind, Move, MoveKind
from rating.errors import Contradiction, SpecError
from rating.specs.accounts import accounts
from tests.promises.book.books import AUGUST, draft

USD = Currency("USD")
AT = datetime(2026, 9, 1, tzinfo=UTC)


def line(kind: LineKind, cents: int, card: str = "x", title: str = "x") -> LineItem:
    return LineItem(kind, card, title, AUGUST, Fraction(cents, 100), Money(cents, USD))


def invoice(*lines: LineItem) -> Invoice:
    return Invoice("INV-000001", AT, replace(draft(), lines=lines), "h" * 64, "")


def said(entry: Entry) -> dict[str, int]:
    return {posting.name: posting.amount.minor for posting in entry.postings}


def test_an_invoice_is_receivable_to_revenue_and_tax_with_discounts_on_the_other_side() -> None:
    entry = of_invoice(
        invoice(
            line(LineKind.FEE, 4900, ""),
            line(LineKind.USAGE, 310, "api"),
            line(LineKind.DISCOUNT, -500, "WELCOME"),
            line(LineKind.TAX, 895, "VAT", "VAT 19 %"),
        )
    )
    assert said(entry) == {
        "receivable": 5605, "revenue/pro": -4900, "revenue/pro/api": -310, "discount/WELCOME": 500, "tax/VAT": -895,
    }  # fmt: skip


def test_tax_in_the_prices_is_taken_out_of_revenue() -> None:
    entry = of_invoice(
        invoice(line(LineKind.FEE, 1190, ""), line(LineKind.TAX, 0, "VAT", "VAT 19 %, contained: 1.9000"))
    )
    assert [(one.name, one.amount.minor) for one in entry.postings] == [
        ("receivable", 1190),
        ("revenue/pro", -1190),
        ("revenue/pro", 190),
        ("tax/VAT", -190),
    ]


@given(st.lists(st.tuples(st.sampled_from(LineKind), st.integers(-(10**12), 10**12)), min_size=1, max_size=8))
@settings(max_examples=60)
def test_debits_are_credits_on_every_paper_and_on_what_takes_it_back(parts: list[tuple[LineKind, int]]) -> None:
    paper = invoice(*(line(kind, cents) for kind, cents in parts))
    entry = of_invoice(paper)
    assert sum(posting.amount.minor for posting in entry.postings) == 0
    step = InvoiceEntry("INV-000001", Step.VOID, date(2026, 9, 3))
    back = of_step(step, paper)
    assert back is not None
    both = sum((posting.amount.minor for one in (entry, back) for posting in one.postings), 0)
    assert both == 0
    names = {posting.name for posting in entry.postings}
    assert all(
        sum(p.amount.minor for one in (entry, back) for p in one.postings if p.name == name) == 0 for name in names
    )


def test_a_credit_note_over_everything_leaves_every_account_as_it_was() -> None:
    paper = invoice(
        line(LineKind.FEE, 4900, ""),
        line(LineKind.USAGE, 310, "api"),
        line(LineKind.DISCOUNT, -500, "WELCOME"),
        line(LineKind.TAX, 895, "VAT", "VAT 19 %"),
    )
    note = CreditNote("CN-000001", AT, take_back(paper, (), cause=Cause.MANUAL, reason="no"), "n" * 64, "")
    sums: dict[str, int] = {}
    for entry in (of_invoice(paper), of_credit_note(note, paper, AT.date())):
        for name, minor in said(entry).items():
            sums[name] = sums.get(name, 0) + minor
    assert set(sums.values()) == {0}


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (Step.PAY, {"bank/sepa": 100, "receivable": -100}),
        (Step.REFUND, {"bank/sepa": -100, "receivable": 100}),
        (Step.WRITE_OFF, {"bad_debt": 100, "receivable": -100}),
    ],
)
def test_money_moves_between_bank_and_receivable(step: Step, expected: dict[str, int]) -> None:
    paid = InvoiceEntry("INV-000001", step, date(2026, 9, 3), Money(100, USD), source="sepa")
    entry = of_step(paid, invoice(line(LineKind.FEE, 100)))
    assert entry is not None
    assert said(entry) == expected
    assert of_step(InvoiceEntry("INV-000001", Step.SEND, date(2026, 9, 3)), invoice(line(LineKind.FEE, 100))) is None


@pytest.mark.parametrize(
    ("kind", "move", "expected"),
    [
        (GrantKind.TOPUP, Move("acme", "p", 0, 0, 500, MoveKind.GRANTED, AT), {"wallet": -500, "bank": 500}),
        (GrantKind.GRANT, Move("acme", "p", 0, 0, 500, MoveKind.GRANTED, AT), {"wallet": -500, "promotion": 500}),
        (GrantKind.TOPUP, Move("acme", "p", 1, 500, -80, MoveKind.BURNED, AT), {"wallet": 80, "receivable": -80}),
        (GrantKind.TOPUP, Move("acme", "p", 2, 420, 80, MoveKind.RETURNED, AT), {"wallet": -80, "receivable": 80}),
        (GrantKind.TOPUP, Move("acme", "p", 1, 500, -500, MoveKind.WITHDRAWN, AT), {"wallet": 500, "bank": -500}),
    ],
)
def test_a_wallet_is_owed_until_it_pays(kind: GrantKind, move: Move, expected: dict[str, int]) -> None:
    account = GrantAccount(Grant("acme", "p", Money(500, USD), kind), (move,))
    assert said(of_move(account, move)) == expected


def test_what_expires_is_owed_no_longer_and_what_comes_back_later_neither() -> None:
    """500 were paid in, 80 of them paid an invoice; the rest expired, and then those 80 came back to it."""
    expires = AT + timedelta(days=10)
    grant = Grant("acme", "p", Money(500, USD), expires=expires)
    moves = (
        Move("acme", "p", 0, 0, 500, MoveKind.GRANTED, AT),
        Move("acme", "p", 1, 500, -80, MoveKind.BURNED, AT + timedelta(days=1), "INV-000001"),
        Move("acme", "p", 2, 420, 80, MoveKind.RETURNED, expires + timedelta(days=2), "INV-000001", "CN-000001"),
    )
    account = GrantAccount(grant, moves)
    assert list(expiries(account, expires - timedelta(seconds=1))) == []
    rest, later = expiries(account, expires)
    assert (rest.key, rest.on, said(rest)) == ("wallet/acme/p/expired", expires.date(), {"wallet": 420, EXPIRED: -420})
    assert (later.key, later.on) == ("wallet/acme/p/2/expired", (expires + timedelta(days=2)).date())
    assert said(later) == {"wallet": 80, EXPIRED: -80}
    owed = sum(said(entry).get("wallet", 0) for entry in (rest, later, *(of_move(account, move) for move in moves)))
    assert owed == 0
    given = replace(account, grant=replace(grant, kind=GrantKind.GRANT))
    assert said(next(expiries(given, expires))) == {"wallet": 420, "expired/grant": -420}
    assert list(expiries(replace(account, grant=replace(grant, expires=None)), expires)) == []


EXPIRED = "expired/topup"


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 60), st.integers(0, 20)), max_size=6), st.integers(1, 30))
@settings(max_examples=80)
def test_after_its_expiry_a_grant_owes_nothing_whatever_moved(steps: list[tuple[bool, int, int]], days: int) -> None:
    expires, at, left = AT + timedelta(days=days), AT, 100
    moves = [Move("acme", "p", 0, 0, 100, MoveKind.GRANTED, AT)]
    for out, cents, later in steps:
        change = -min(cents, left) if out else min(cents, 100 - left)
        at += timedelta(days=later)
        kind = MoveKind.BURNED if out else MoveKind.RETURNED
        moves.append(Move("acme", "p", len(moves), left, change, kind, at, "INV-000001"))
        left += change
    account = GrantAccount(Grant("acme", "p", Money(100, USD), expires=expires), tuple(moves))
    found = [*(of_move(account, move) for move in moves), *expiries(account, max(at, expires))]
    assert sum(said(entry).get("wallet", 0) for entry in found) == 0
    assert len({entry.key for entry in found}) == len(found)


def test_a_statement_is_payable_and_what_takes_back_a_share_lowers_it() -> None:
    def share(charge: str, cents: int) -> PartnerLine:
        base = Money(4 * cents, USD)
        return PartnerLine(
            "INV-1", 1, charge, charge, AUGUST, base, Fraction(25), base.exact / 4, Money(cents, USD), ""
        )

    lines = (share("maps", 200), share("maps", -50), share("routes", 30))
    payout = Payout("ST-000001", AT, StatementDraft("Maps Ltd", date(2026, 8, 1), USD, lines), "h", "")
    entry = of_payout(payout, AT.date())
    assert (entry.key, entry.document, entry.customer) == ("ST-000001", "ST-000001", "Maps Ltd")
    assert said(entry) == {"share/Maps Ltd/maps": 150, "share/Maps Ltd/routes": 30, "payable/Maps Ltd": -180}


def test_an_entry_that_does_not_balance_is_refused_with_both_sides() -> None:
    with pytest.raises(Contradiction, match=r"debits exceed its credits by 0\.01 USD"):
        Entry("INV-1", AT.date(), "", "", (Posting("receivable", Money(1, USD)),))


def test_the_most_exact_name_has_the_number() -> None:
    numbers = accounts('revenue: "4000"\nrevenue/pro: "4010"\ntax/VAT: 1776\n', "accounts.yaml")
    assert [numbers.number(name) for name in ("revenue/pro/api", "revenue/free", "tax/VAT", "tax/GST", "bank")] == [
        "4010", "4000", "1776", "tax", "bank",
    ]  # fmt: skip
    assert Accounts().number("revenue/pro") == "revenue"
    with pytest.raises(SpecError) as refusal:
        accounts("revenu: 4000\nbank: []\n", "accounts.yaml")
    assert [str(one) for one in refusal.value.findings] == [
        'accounts.yaml: revenu: there is no role "revenu"; did you mean "revenue"?',
        "accounts.yaml: bank: [] is not an account; write it in quotes",
    ]
