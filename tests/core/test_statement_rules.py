"""Rules about partners' statements: one that is as issued breaks none, and each change breaks the rule about it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from fractions import Fraction

import pytest

from rating.core.checks.statements import StatementRecord, check_statements, statement_record
from rating.core.entries import genesis
from rating.core.invoices import LineItem, LineKind
from rating.core.money import Currency, Money
from rating.core.partners import PartnerLine
from rating.core.payouts import SERIES, StatementDraft, issue_statement, taken_back
from rating.core.periods import Period

USD = Currency("USD")
SPAN = Period(datetime(2026, 10, 1, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC))
LINE = LineItem(LineKind.USAGE, "maps", "Maps", SPAN, Fraction(1003, 100), Money(1003, USD), usage_digest="d" * 64)
SHARE = PartnerLine(
    "INV-000001", 1, "maps", "Maps", SPAN, Money(1003, USD), Fraction(15), Fraction(15045, 10000), Money(150, USD),
    "d" * 64,
)  # fmt: skip
PAPERS = {"INV-000001/1": LINE, "INV-000002/1": LINE}
MONTHS = (date(2026, 10, 1), date(2026, 11, 1))


def records(*lines: tuple[PartnerLine, ...]) -> list[StatementRecord]:
    found: list[StatementRecord] = []
    for place, own in enumerate(lines, 1):
        draft = StatementDraft("Maps Ltd", MONTHS[place - 1], USD, own)
        previous = found[-1].content_hash if found else genesis(SERIES)
        payout, content = issue_statement(draft, place, previous, datetime(2026, 12, 1, tzinfo=UTC))
        found.append(statement_record(place, payout, content))
    return found


GOOD = records((SHARE, replace(SHARE, invoice="INV-000002")), (taken_back(SHARE, "ST-000001/1"),))


def test_statements_as_issued_break_no_rule() -> None:
    assert list(check_statements(GOOD, PAPERS)) == []
    assert list(check_statements([], {})) == []


@pytest.mark.parametrize(
    ("changed", "papers", "sentence"),
    [
        (GOOD[1:], PAPERS, "ST-000002: stands at place 2, but ST-000001 must follow 0 statements"),
        ([GOOD[0], GOOD[1]._replace(content=GOOD[0].content)], PAPERS, "but was issued with"),
        ([GOOD[0]._replace(total_minor=301), GOOD[1]], PAPERS, "its lines sum to 300 minor units but its total is 301"),
        ([GOOD[0]._replace(partner="x"), GOOD[1]], PAPERS, "partner is stored as x but its content says Maps Ltd"),
        ([GOOD[0]._replace(content="{}"), GOOD[1]], PAPERS, "its content cannot be read"),
        (records((SHARE,), (SHARE,)), PAPERS, "states the share of INV-000001/1, which ST-000001/1 states as well"),
        (GOOD, {"INV-000002/1": LINE}, "is a share of INV-000001/1, which is not in the book"),
        (GOOD, {**PAPERS, "INV-000001/1": replace(LINE, amount=Money(1004, USD))}, "but INV-000001/1 is 10.04 USD on"),
        (GOOD, {**PAPERS, "INV-000001/1": replace(LINE, usage_digest="e")}, "but INV-000001/1 is 10.03 USD on e;"),
        (records((replace(SHARE, amount=Money(152, USD)),)), PAPERS, "is 1.52 USD, but 15 percent of 10.03 USD is"),
        (records((replace(SHARE, exact=Fraction(2), amount=Money(200, USD)),)), PAPERS, "is 2.00 USD, but 15 percent"),
    ],
    ids=[
        "one is missing", "other content", "another total", "another partner", "no content", "stated twice",
        "a share of nothing", "of another amount", "of other windows", "rounded wrongly", "another share",
    ],
)  # fmt: skip
def test_a_change_is_seen(changed: list[StatementRecord], papers: dict[str, LineItem], sentence: str) -> None:
    found = [str(finding) for finding in check_statements(changed, papers)]
    assert any(sentence in one for one in found), found
