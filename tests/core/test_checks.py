"""The book's invariants over values: each rule sees its own mistake and no other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction

import pytest

from rating.core.canonical import digest
from rating.core.checks import (
    INVOICE_RULES,
    ClosingRecord,
    Record,
    catalogue_as_digested,
    check_invoices,
    invoiced_windows_stand,
    record,
    taxes_follow_decision,
    usage_as_closed,
    windows_billed_once,
)
from rating.core.drafts import metered
from rating.core.entries import GENESIS, issue, usage_digest
from rating.core.invoices import Draft, LineItem, LineKind
from rating.core.money import Currency, Money
from rating.core.periods import Period
from rating.core.prices.price import Portion
from rating.core.taxation import TaxDecision, Treatment
from rating.core.taxes import Tax
from rating.core.windows import Completeness, Usage

USD = Currency("USD")
START = datetime(2026, 8, 1, tzinfo=UTC)
MONTH = Period(START, START + timedelta(days=31))
ROWS = [(Period(START, START + timedelta(hours=1)), Completeness.COMPLETE, Usage("c42", ("/search",), 300))]
USED = metered(ROWS, 1, 0)

LINE = LineItem(
    LineKind.USAGE,
    "api",
    "API calls",
    MONTH,
    Fraction("4.505"),
    Money(451, USD),
    meter="search",
    quantity=Fraction(300),
    portions=(
        Portion("tier 1", Fraction(100), Fraction("0.02"), Fraction(2)),
        Portion("tier 2", Fraction(200), Fraction("0.012525"), Fraction("2.505")),
    ),
    windows=1,
    usage_digest=USED.digest,
)


def draft(consumer: str = "c42", plan: str = "pro", period: Period = MONTH, line: LineItem = LINE) -> Draft:
    key = f"{consumer}/{plan}/2026-08-01"
    return Draft(key, consumer, consumer, plan, plan.title(), USD, period, (replace(line, period=period),), "f" * 64)


def issued(*drafts: Draft) -> list[Record]:
    records: list[Record] = []
    for sequence, one in enumerate(drafts, start=1):
        previous = records[-1].content_hash if records else GENESIS
        invoice, content = issue(one, sequence, previous, MONTH.end)
        records.append(record(sequence, invoice, content))
    return records


def rules_that_object(records: list[Record]) -> set[str]:
    return {
        getattr(rule, "func", rule).__name__ for rule in (*INVOICE_RULES, windows_billed_once) if list(rule(records))
    }


THREE = issued(draft("a"), draft("b"), draft("c"))


def test_a_sound_book_has_no_findings() -> None:
    assert list(check_invoices(THREE)) == []
    assert list(check_invoices([])) == []


@pytest.mark.parametrize(
    ("change", "rules"),
    [
        (lambda three: [three[0], three[2]], {"numbers_without_gaps", "hashes_chain"}),
        (lambda three: three[1:], {"numbers_without_gaps", "hashes_chain"}),
        (lambda three: [three[1], three[0], three[2]], {"numbers_without_gaps", "hashes_chain"}),
        (
            lambda three: [three[0], three[1]._replace(content=three[1].content.replace("451", "450")), three[2]],
            {"hashes_chain", "columns_agree_with_content"},
        ),
        (lambda three: [three[0]._replace(customer="x"), *three[1:]], {"columns_agree_with_content"}),
        (
            lambda three: [three[0]._replace(total_minor=450), *three[1:]],
            {"columns_agree_with_content", "lines_sum_to_total"},
        ),
        (lambda three: [three[0]._replace(content="{}"), *three[1:]], {"hashes_chain", "columns_agree_with_content"}),
    ],
    ids=[
        "one is missing", "the first is missing", "two are swapped", "content", "customer", "total", "unreadable",
    ],
)  # fmt: skip
def test_a_change_is_seen_by_its_rules(change: Callable[[list[Record]], list[Record]], rules: set[str]) -> None:
    assert rules_that_object(change(THREE)) == rules


def test_a_line_must_be_its_exact_amount_rounded() -> None:
    [finding] = check_invoices(issued(draft(line=replace(LINE, amount=Money(452, USD)))))
    assert str(finding) == "invoice INV-000001, line 1: 4.52 USD is not 4.505000 rounded to a minor unit"


def test_a_line_must_be_the_sum_of_its_tiers() -> None:
    short = replace(LINE, portions=LINE.portions[:1])
    [finding] = check_invoices(issued(draft(line=short)))
    assert finding.what == "its portions sum to 2.000000 but it charges 4.505000"


@pytest.mark.parametrize(
    ("second", "twice"),
    [
        (draft(plan="scale"), True),
        (draft(plan="scale", period=Period(START + timedelta(days=30), MONTH.end + timedelta(days=30))), True),
        (draft(plan="scale", period=Period(MONTH.end, MONTH.end + timedelta(days=30))), False),
        (draft("c77"), False),
        (draft(plan="scale", line=replace(LINE, meter="ingest")), False),
    ],
    ids=["same month", "one day shared", "next month", "another consumer", "another meter"],
)
def test_a_window_is_billed_once(second: Draft, twice: bool) -> None:
    assert rules_that_object(issued(draft(), second)) == ({"windows_billed_once"} if twice else set())


@pytest.mark.parametrize(
    ("closed", "by_day", "rows", "what"),
    [
        (1, False, ROWS, None),
        (2, False, ROWS, "but the book has 2 with"),
        (1, False, [], "which count 0"),
        (1, False, [(*ROWS[0][:2], Usage("c42", ("/search",), 301))], "which count 301"),
        (1, False, [(*ROWS[0][:2], Usage("c42", ("/other",), 300))], "which count 300"),
        (1, True, [(*ROWS[0][:2], Usage("c42", ("/other",), 300))], None),
        (1, True, [(*ROWS[0][:2], Usage("c42", ("/search",), 301))], "which count 301"),
        (2, True, ROWS, "but the book has 2 with"),
    ],
    ids=[
        "as billed", "a window more", "rows gone", "one call more", "another endpoint", "its day",
        "a day with one more", "a day with a window more",
    ],
)  # fmt: skip
def test_what_was_invoiced_must_still_be_in_the_windows(
    closed: int, by_day: bool, rows: list, what: str | None
) -> None:
    [one] = issued(draft())
    found = [finding.what for finding in invoiced_windows_stand(one, lambda line, consumer: (closed, by_day, rows))]
    assert len(found) == (0 if what is None else 1)
    assert what is None or (found[0].startswith("was charged from 1 windows of search") and what in found[0])


def test_a_closing_keeps_its_rows() -> None:
    usage = (Usage("c42", ("/search",), 118), Usage("c77", ("/search",), 5))
    sound = ClosingRecord("search", ROWS[0][0], 2, 2, usage_digest(usage), usage)
    assert list(usage_as_closed(sound)) == []
    assert len(list(usage_as_closed(sound._replace(usage=usage[:1])))) == 2
    assert len(list(usage_as_closed(sound._replace(usage=(usage[0], usage[1]._replace(quantity=6)))))) == 1


def test_a_catalogue_is_named_by_its_text() -> None:
    assert list(catalogue_as_digested(digest("currency: USD\n"), "currency: USD\n")) == []
    assert len(list(catalogue_as_digested(digest("currency: USD\n"), "currency: EUR\n"))) == 1


NOTE = LineItem(LineKind.TAX, "reverse_charge", "Reverse charge.", MONTH, Fraction(0), Money(0, USD))
VAT = LineItem(LineKind.TAX, "VAT", "VAT 19 %", MONTH, Fraction(1), Money(100, USD))
REVERSED = TaxDecision(Treatment.REVERSE_CHARGE, note="Reverse charge.")
ABROAD = TaxDecision(taxes=(Tax("TVA", Fraction(20)),), own_rates=False)


@pytest.mark.parametrize(
    ("decided", "taxes", "sentences"),
    [
        (None, (VAT,), []),
        (REVERSED, (NOTE,), []),
        (REVERSED, (), ["does not print 'Reverse charge.'"]),
        (REVERSED, (NOTE, VAT), ["has 1.00 USD of 'VAT 19 %', but was decided to be reverse_charge with no rates"]),
        (ABROAD, (VAT,), ["has 1.00 USD of 'VAT 19 %', but was decided to be standard with TVA"]),
        (ABROAD, (replace(VAT, card="TVA"),), []),
        (replace(ABROAD, own_rates=True), (VAT,), []),
    ],
    ids=["by the plan", "reversed", "no note", "taxed all the same", "another tax", "the tax", "a charge's own rate"],
)
def test_taxes_are_those_that_were_decided(decided, taxes, sentences) -> None:
    records = issued(replace(draft(), lines=(LINE, *taxes), tax=decided))
    found = [finding.what for finding in taxes_follow_decision(records)]
    assert len(found) == len(sentences)
    assert all(sentence in what for sentence, what in zip(sentences, found, strict=True))
