"""The life of an invoice over values: the one table, the fold, and refusals with both amounts in the sentence."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rating.core.canonical import canonical, read
from rating.core.creditnotes import Cause, CreditNote, charges, credit, creditable, spread, take_back
from rating.core.entries import GENESIS, issue, issue_credit
from rating.core.invoices import Draft, Invoice, LineItem, LineKind
from rating.core.lifecycle import TRANSITIONS, InvoiceEntry, State, Step, account, allowed, payment
from rating.core.money import Currency, Money
from rating.core.parties import Customer, PaymentTerms, Seller, terms_of
from rating.core.periods import Period
from rating.errors import Contradiction

EUR = Currency("EUR")
NOVEMBER = datetime(2026, 11, 1, 1, tzinfo=UTC)
OCTOBER = Period(datetime(2026, 10, 1, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC))
DAY = date(2026, 11, 5)


def eur(minor: int) -> Money:
    return Money(minor, EUR)


def line(kind: LineKind, minor: int, title: str = "x") -> LineItem:
    return LineItem(kind, title, title, OCTOBER, Fraction(minor, 100), eur(minor))


def invoice(*lines: LineItem, **more: object) -> Invoice:
    lines = lines or (line(LineKind.FEE, 3000), line(LineKind.USAGE, 2100))
    draft = Draft("s", "acme", "acme", "pro", "Pro", EUR, OCTOBER, lines, "f" * 64, **more)  # type: ignore[arg-type]
    return issue(draft, 1, GENESIS, NOVEMBER)[0]


def entry(step: Step, minor: int | None = None, *, day: date = DAY, number: int = 0) -> InvoiceEntry:
    amount = None if minor is None else eur(minor)
    return InvoiceEntry("INV-000001", step, day, amount, line=number, source="bank", reference=f"{step}{minor}{day}")


def state(*steps: InvoiceEntry, today: date | None = None, credited: int = 0, **more: object) -> State:
    return account(invoice(**more), steps, [eur(credited)] if credited else [], today).state


def test_states_follow_from_the_entries() -> None:
    assert state() is State.ISSUED
    assert state(entry(Step.SEND)) is State.SENT
    assert state(entry(Step.SEND), entry(Step.PAY, 100)) is State.PARTIALLY_PAID
    assert state(entry(Step.PAY, 5100)) is State.PAID
    assert state(entry(Step.PAY, 5100), entry(Step.REFUND, 5100)) is State.ISSUED
    assert state(entry(Step.WRITE_OFF, 5100)) is State.UNCOLLECTIBLE
    assert state(entry(Step.WRITE_OFF, 5100), entry(Step.PAY, 5100)) is State.PAID
    assert state(entry(Step.VOID)) is State.VOID
    assert state(entry(Step.PAY, 3000), credited=2100) is State.PAID


def test_overdue_is_asked_of_a_day_and_of_what_may_be_collected() -> None:
    terms = {"buyer": Customer("acme", terms=PaymentTerms(14))}
    assert state(today=date(2026, 11, 15), **terms) is State.ISSUED
    assert state(today=date(2026, 11, 16), **terms) is State.OVERDUE
    assert state(today=None, **terms) is State.ISSUED
    assert state(entry(Step.PAY, 5100), today=date(2027, 1, 1), **terms) is State.PAID
    held = (entry(Step.DISPUTE, 5100, number=1),)
    assert state(*held, today=date(2027, 1, 1), **terms) is State.ISSUED
    assert state(today=date(2027, 1, 1)) is State.ISSUED


@pytest.mark.parametrize(
    ("terms", "issued", "due"),
    [
        (PaymentTerms(30), date(2026, 11, 1), date(2026, 12, 1)),
        (PaymentTerms(0), date(2026, 11, 1), date(2026, 11, 1)),
        (PaymentTerms(0, end_of_month=True), date(2028, 2, 3), date(2028, 2, 29)),
        (PaymentTerms(10, end_of_month=True), date(2026, 12, 31), date(2027, 1, 10)),
    ],
    ids=str,
)
def test_terms(terms: PaymentTerms, issued: date, due: date) -> None:
    assert terms.due(issued) == due


def test_a_customers_own_terms_stand_in_place_of_the_sellers() -> None:
    seller, own = Seller("s", "S", terms=PaymentTerms(30)), Customer("c", terms=PaymentTerms(60))
    assert terms_of(seller, own) == PaymentTerms(60)
    assert terms_of(seller, Customer("c")) == PaymentTerms(30)
    assert terms_of(None, None) is None


@pytest.mark.parametrize("before", list(State))
@pytest.mark.parametrize("step", [step for step in Step if step not in (Step.ISSUE, Step.CREDIT)])
def test_what_the_table_does_not_have_is_refused(before: State, step: Step) -> None:
    now = replace(account(invoice(), [], [], None), state=before, on_hold={}, paid=eur(0))
    attempt = entry(step, None if step in (Step.SEND, Step.VOID, Step.ACCEPT, Step.REJECT) else 5100, number=1)
    if step not in TRANSITIONS[before]:
        with pytest.raises(Contradiction, match="INV-000001 is"):
            allowed(attempt, now)


STEPS = st.lists(
    st.tuples(st.sampled_from([step for step in Step if step is not Step.ISSUE]), st.integers(1, 6000)), max_size=9
)


@settings(max_examples=150, deadline=None)
@given(STEPS)
def test_every_step_that_is_let_pass_leads_where_the_table_says(steps: list[tuple[Step, int]]) -> None:
    paper = invoice()
    kept: list[InvoiceEntry] = []
    credited: list[Money] = []
    for number, (step, minor) in enumerate(steps):
        before = account(paper, kept, credited, None)
        if step is Step.CREDIT:
            if sum(one.minor for one in credited) + minor > 5100 or step not in TRANSITIONS[before.state]:
                continue
            credited.append(eur(minor))
        else:
            amount = None if step in (Step.SEND, Step.VOID, Step.ACCEPT, Step.REJECT) else minor
            one = entry(step, amount, day=DAY + timedelta(days=number), number=1 + minor % 2)
            if step is Step.WRITE_OFF:
                one = replace(one, amount=before.outstanding)
            try:
                allowed(one, before)
            except Contradiction:
                continue
            kept.append(one)
        after = account(paper, kept, credited, None)
        assert after.state in TRANSITIONS[before.state][step], (before, step, after)
        assert after.amount_due.minor >= 0
        assert after.paid.minor >= 0
        assert before.state is not State.VOID


def test_keys_say_what_an_entry_is_about() -> None:
    twice = [payment("INV-000001", eur(minor), DAY, reference="T1") for minor in (100, 200)]
    assert twice[0].key == twice[1].key == "INV-000001/pay/bank/T1"
    without = [payment("INV-000001", eur(100), DAY + timedelta(days=day)) for day in (0, 1)]
    assert without[0].key != without[1].key
    assert read(InvoiceEntry, canonical(twice[0])) == twice[0]


# Credit notes ---------------------------------------------------------------------------------------------------------

TAXED = (line(LineKind.FEE, 3000), line(LineKind.USAGE, 2100), line(LineKind.DISCOUNT, -510), line(LineKind.TAX, 918))


def noted(paper: Invoice, notes: list[CreditNote], **amounts: int) -> CreditNote:
    wanted = {int(place.removeprefix("line")): eur(minor) for place, minor in amounts.items()}
    draft = credit(paper, wanted, notes, cause=Cause.MANUAL, reason="r", reference=str(len(notes)))
    note, _ = issue_credit(draft, len(notes) + 1, GENESIS, NOVEMBER)
    return note


def test_discount_and_tax_follow_in_proportion() -> None:
    note = noted(invoice(*TAXED), [], line2=1000)
    assert [(one.settles, one.amount.minor) for one in note.draft.lines] == [
        ("INV-000001/2", -1000),
        ("INV-000001/3", 100),
        ("INV-000001/4", -180),
    ]
    assert note.total == eur(1080)


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.integers(1, 5000), min_size=1, max_size=4),
    st.integers(0, 400),
    st.integers(0, 900),
    st.lists(st.integers(1, 3000), max_size=6),
)
def test_credited_bit_by_bit_it_is_the_invoice_to_the_cent(
    amounts: list[int], off: int, tax: int, bits: list[int]
) -> None:
    """Whatever is credited in whatever order, and the rest at last: nothing is left and nothing too much is given."""
    lines = [line(LineKind.USAGE, minor) for minor in amounts]
    if off:
        lines.append(line(LineKind.DISCOUNT, -min(off, sum(amounts))))
    if tax:
        lines.append(line(LineKind.TAX, tax))
    paper = invoice(*lines)
    notes: list[CreditNote] = []
    for number, bit in enumerate(bits):
        try:
            wanted = spread(paper, eur(bit), notes)
        except Contradiction:
            continue
        draft = credit(paper, wanted, notes, cause=Cause.MANUAL, reason="r", reference=str(number))
        notes.append(issue_credit(draft, number + 1, GENESIS, NOVEMBER)[0])
    rest = take_back(paper, notes, cause=Cause.VOID, reason="r")
    given = sum(note.total.minor for note in notes) + rest.total.minor
    assert given == creditable(paper).minor


@pytest.mark.parametrize(
    ("place", "minor", "sentence"),
    [
        (2, 2101, "21.01 EUR cannot be credited, 21.00 EUR of its 21.00 EUR is left"),
        (4, 1, "line 4 is a tax: it follows the charges"),
        (9, 1, "has 4 lines; there is no line 9"),
    ],
)
def test_what_cannot_be_credited(place: int, minor: int, sentence: str) -> None:
    with pytest.raises(Contradiction, match=sentence):
        credit(invoice(*TAXED), {place: eur(minor)}, [], cause=Cause.MANUAL, reason="r")


def test_what_was_paid_from_credit_can_be_credited_too() -> None:
    paper = invoice(line(LineKind.USAGE, 5100), line(LineKind.CREDIT, -4000))
    assert (paper.total, creditable(paper), list(charges(paper))) == (eur(1100), eur(5100), [1])
