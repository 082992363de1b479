"""Invoices taxed by decision: rates and notes on paper, what waits, and recomputing without asking anybody."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from fractions import Fraction

import pytest

from rating.adapters.memory_book import MemoryBook
from rating.core.billing import due
from rating.core.consolidated import consolidated
from rating.core.drafts import draft
from rating.core.invoices import Draft, LineKind
from rating.core.money import Money
from rating.core.parts import parts
from rating.core.taxation import TaxDecision, TaxQuestion, Treatment
from rating.core.taxes import Tax
from rating.core.wallets import Grant
from rating.errors import EdgeDisagrees, EdgeUnavailable
from rating.jobs.bill import Billed, bill
from rating.jobs.contracts import Contracts, gather, keep
from rating.jobs.usage import UsageReader
from rating.jobs.wallets import wallets_to_date
from rating.specs.compile import compile_catalogue
from tests.stories import DAY, OCTOBER, USD, close_days

NOVEMBER = datetime(2026, 11, 2, tzinfo=UTC)
CATALOGUE = """\
version: 1
currency: USD
sellers:
  main: {{name: Acme GmbH, country: DE, tax_id: DE1}}
customers:
  berlin: {{country: DE}}
  paris: {{country: FR, tax_id: FR1}}
  lyon: {{country: FR}}
  embassy: {{country: DE, tax_exempt: embassy of Utopia}}
  nowhere: {{name: Nobody knows}}
meters:
  api_calls: {{metric: api_requests_total, consumer: consumer_id, dimensions: [endpoint], window: 1d}}
plans:
  pro:
    fee: "100.00"
    taxes: [{{name: Old, percent: 3%}}]
    charges: [{{meter: api_calls, unit_price: "0.10", taxes: [{{name: Reduced, percent: 7%}}]}}]
subscriptions:
{subscriptions}
taxes:
  - {{name: exempt, exempt: true, treatment: exempt, note: Exempt from VAT.}}
  - {{name: home, countries: [home], rates: [{{name: VAT, percent: 19%}}]}}
  - {{name: businesses, countries: [EU], tax_id: true, treatment: reverse_charge, note: Reverse charge.}}
  - {{name: people, countries: [FR], rates: [{{name: TVA, percent: 20%}}], own_rates: false}}
"""


def contracts(book: MemoryBook, *customers: str) -> Contracts:
    lines = [f"  - {{consumer: c-{one}, customer: {one}, plan: pro, start: 2026-10-01}}" for one in customers]
    catalogue = compile_catalogue([("t.yaml", CATALOGUE.format(subscriptions="\n".join(lines)))])
    keep(book, catalogue, now=OCTOBER.start)
    return gather(book, catalogue, now=NOVEMBER)


def billed(*customers: str, service: object = None, book: MemoryBook | None = None) -> tuple[MemoryBook, Billed]:
    """October: each consumer called ten times a day."""
    if book is None:
        book = MemoryBook()
        close_days(book, {f"c-{one}": 10 for one in customers})
    return book, bill(book, contracts(book, *customers), now=NOVEMBER, taxes=service)  # type: ignore[arg-type]


def paper(found: Draft) -> list[tuple[str, str]]:
    return [(line.title, line.amount.digits) for line in found.lines]


@pytest.mark.parametrize(
    ("customer", "taxes", "total"),
    [
        ("berlin", [("VAT 19 %", "19.00"), ("Reduced 7 %", "2.17")], "152.17"),
        ("paris", [("Reverse charge.", "0.00")], "131.00"),
        ("lyon", [("TVA 20 %", "26.20")], "157.20"),
        ("embassy", [("Exempt from VAT.", "0.00")], "131.00"),
    ],
)
def test_each_customer_is_taxed_as_the_rules_say(customer: str, taxes: list[tuple[str, str]], total: str) -> None:
    """A fee of 100.00 and 310 calls for 31.00, which have a reduced rate of their own at home."""
    _, found = billed(customer)
    [invoice] = found.issued
    assert paper(invoice.draft)[2:] == taxes
    assert invoice.total.digits == total
    assert invoice.draft.tax is not None
    assert invoice.draft.tax.reason.startswith("rule '")


def test_who_has_no_country_waits_and_the_others_do_not() -> None:
    _, found = billed("berlin", "nowhere")
    assert [invoice.draft.customer for invoice in found.issued] == ["berlin"]
    [waits] = found.postponed
    assert "customer nowhere of invoice c-nowhere/pro/2026-10-01" in waits.reasons[0]
    assert "has no country" in waits.reasons[0]


class Service:
    """A tax service that answers with what it was told to; it counts the questions."""

    def __init__(self, answer: TaxDecision | Exception | None) -> None:
        self.answer, self.asked = answer, list[TaxQuestion]()

    def decide(self, question: TaxQuestion) -> TaxDecision | None:
        self.asked.append(question)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


SALES = TaxDecision(taxes=(Tax("Sales tax", Fraction(8)),), own_rates=False, source="tax.example", reference="q-1")


def test_a_service_that_is_down_keeps_invoices_waiting_until_it_is_back() -> None:
    """It is not waited for more than once in a run, and nothing is issued with a guess."""
    service = Service(EdgeUnavailable("tax service tax.example cannot be reached; the invoice waits"))
    book, found = billed("berlin", "lyon", "nowhere", service=service)
    assert (found.issued, len(found.postponed), len(service.asked)) == ((), 3, 1)
    assert {reason for item in found.postponed for reason in item.reasons} == {str(service.answer)}
    service.answer = SALES
    _, found = billed("berlin", "lyon", "nowhere", service=service, book=book)
    assert [invoice.total.digits for invoice in found.issued] == ["141.48"] * 3
    assert all(invoice.draft.tax == SALES for invoice in book.invoices())


def test_one_answer_that_cannot_be_keeps_one_invoice_waiting() -> None:
    service = Service(EdgeDisagrees("no answer"))
    _, found = billed("berlin", "lyon", service=service)
    assert (found.issued, len(found.postponed), len(service.asked)) == ((), 2, 2)


def test_a_service_is_told_who_sells_what_to_whom() -> None:
    service = Service(SALES)
    billed("paris", service=service)
    [question] = service.asked
    key = "c-paris/pro/2026-10-01/2026-10-01T00:00:00+00:00"
    assert replace(question, rules=()) == TaxQuestion(
        key, OCTOBER.end.date() - DAY, "USD", "pro", "paris", "FR", "FR1",
        seller="main", seller_country="DE", seller_tax_id="DE1",
    )  # fmt: skip


def test_none_leaves_it_to_the_plan() -> None:
    _, found = billed("berlin", service=Service(None))
    assert paper(found.issued[0].draft)[2:] == [("Old 3 %", "3.00"), ("Reduced 7 %", "2.17")]
    assert found.issued[0].draft.tax is None


def test_an_issued_invoice_is_recomputed_without_asking() -> None:
    """The decision is an input on the paper: with it the draft is a pure function again, to the last field."""
    book, found = billed("berlin", "paris", "lyon", service=None)
    known = contracts(book, "berlin", "paris", "lyon")
    items = {item.key: item for item in due(known.subscriptions, known.plan, (), NOVEMBER)}
    for invoice in found.issued:
        item = items[invoice.draft.key]
        usage = UsageReader(book, None).of(item.subscription.consumer, parts(item.subscription, item.plan, item.period))
        again = draft(item.subscription, item.plan, item.period, usage, item.catalogue, taxed=invoice.draft.tax)
        assert replace(again, seller=invoice.draft.seller, buyer=invoice.draft.buyer) == invoice.draft


def test_papers_taxed_in_two_ways_do_not_share_an_invoice() -> None:
    _, found = billed("berlin", "lyon")
    papers = [replace(invoice.draft, customer="group", buyer=None) for invoice in found.issued]
    assert [len(one.sections) for one in consolidated(_wanted(papers))] == [0, 0]
    alike = [replace(one, tax=replace(SALES, reference=f"q-{n}")) for n, one in enumerate(papers)]
    [together] = consolidated(_wanted(alike))
    assert len(together.sections) == 2
    assert together.tax == replace(SALES, reference="q-0 q-1")


def _wanted(papers: list[Draft]) -> list[Draft]:
    from rating.core.parties import Customer, Together

    return [replace(one, buyer=Customer("group", invoices=Together.CONSOLIDATED)) for one in papers]


def test_a_wallet_pays_the_taxes_as_well_and_says_when_they_are_not_known() -> None:
    book = MemoryBook()
    close_days(book, {"c-berlin": 10}, days=range(15))
    book.fund(Grant("berlin", "pay-1", Money(50000, USD)), at=OCTOBER.start)
    known = contracts(book, "berlin")
    now = OCTOBER.start + 15 * DAY
    [one] = wallets_to_date(book, known, now=now)
    # 100.00 at 19 % and 150 calls for 15.00 at 7 %.
    assert (one.accrued.digits, one.burns.digits, one.untaxed) == ("135.05", "135.05", ())
    [one] = wallets_to_date(book, known, now=now, taxes=Service(EdgeUnavailable("it is down")))
    assert one.untaxed == ("it is down",)


def test_the_note_is_among_the_taxes_and_credits_nothing() -> None:
    _, found = billed("paris")
    note = found.issued[0].draft.lines[-1]
    assert (note.kind, note.card, note.amount.minor) == (LineKind.TAX, Treatment.REVERSE_CHARGE, 0)
