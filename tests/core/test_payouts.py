"""Which shares stand on which statement: each once, what is late or taken back on a later one."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rating.core.canonical import digest
from rating.core.money import Currency, Money
from rating.core.partners import PartnerLine, PartnerStatement
from rating.core.payouts import (
    Payout,
    StatementDraft,
    due_statements,
    issue_statement,
    same_statement,
    statement_number,
    taken_back,
)
from rating.core.periods import Period
from rating.errors import Contradiction

USD = Currency("USD")
OCTOBER, NOVEMBER, DECEMBER = date(2026, 10, 1), date(2026, 11, 1), date(2026, 12, 1)
SPAN = Period(datetime(2026, 10, 1, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC))
AT = datetime(2026, 12, 2, tzinfo=UTC)


def share(paper: str, position: int = 1, cents: int = 1000) -> PartnerLine:
    """A fifth of so many cents."""
    exact = Fraction(cents, 500)
    return PartnerLine(
        paper, position, "maps", "Maps", SPAN, Money(cents, USD), Fraction(20), exact, Money(cents // 5, USD), "d"
    )


def owed(month: date, *lines: PartnerLine, partner: str = "Maps Ltd") -> PartnerStatement:
    return PartnerStatement(partner, month, USD, lines)


def issued(*drafts: StatementDraft) -> list[Payout]:
    payouts: list[Payout] = []
    for draft in drafts:
        previous = payouts[-1].content_hash if payouts else "series ST"
        payouts.append(issue_statement(draft, len(payouts) + 1, previous, AT)[0])
    return payouts


def sources(drafts: tuple[StatementDraft, ...]) -> list[tuple[str, str, list[str]]]:
    return [(draft.partner, f"{draft.month:%Y-%m}", [line.source for line in draft.lines]) for draft in drafts]


def test_a_month_is_closed_with_every_share_up_to_it() -> None:
    all_owed = [
        owed(OCTOBER, share("INV-000001"), share("INV-000002")),
        owed(NOVEMBER, share("INV-000003")),
        owed(OCTOBER, share("INV-000001", 2), partner="Others"),
    ]
    assert sources(due_statements(all_owed, [], OCTOBER)) == [
        ("Maps Ltd", "2026-10", ["INV-000001/1", "INV-000002/1"]),
        ("Others", "2026-10", ["INV-000001/2"]),
    ]
    [maps, _] = due_statements(all_owed, [], OCTOBER)
    assert sources(due_statements(all_owed, issued(maps), NOVEMBER)) == [
        ("Maps Ltd", "2026-11", ["INV-000003/1"]),
        ("Others", "2026-11", ["INV-000001/2"]),
    ]


def test_a_month_is_closed_once_and_what_comes_late_is_on_the_next() -> None:
    first = due_statements([owed(OCTOBER, share("INV-000001"))], [], OCTOBER)
    late = [owed(OCTOBER, share("INV-000001"), share("INV-000009"))]
    assert due_statements(late, issued(*first), OCTOBER) == ()
    assert sources(due_statements(late, issued(*first), NOVEMBER)) == [("Maps Ltd", "2026-11", ["INV-000009/1"])]


def test_what_was_stated_of_a_void_invoice_is_taken_back_once() -> None:
    stated = due_statements([owed(OCTOBER, share("INV-000001"), share("INV-000002"))], [], OCTOBER)
    # Void invoices charge nothing, so nothing is owed of them any more.
    now = [owed(OCTOBER, share("INV-000002"))]
    [back] = due_statements(now, issued(*stated), NOVEMBER, {"INV-000001"})
    [line] = back.lines
    assert (line.source, line.amount, line.base, line.corrects) == (
        "INV-000001/1 void",
        Money(-200, USD),
        Money(-1000, USD),
        "ST-000001/1",
    )
    assert back.total == Money(-200, USD)
    assert due_statements(now, issued(*stated, back), DECEMBER, {"INV-000001"}) == ()
    assert due_statements([], [], NOVEMBER, {"INV-000001"}) == (), "what was never stated is not taken back"


def test_a_statement_is_hashed_and_numbered() -> None:
    draft = StatementDraft("Maps Ltd", OCTOBER, USD, (share("INV-000001"),))
    payout, text = issue_statement(draft, 42, "before", AT)
    assert (payout.number, statement_number(42)) == ("ST-000042", "ST-000042")
    assert payout.content_hash == digest(text)
    assert '"previous_hash":"before"' in text
    same_statement(draft, payout)
    with pytest.raises(Contradiction, match=r"ST-000042 for Maps Ltd/USD/2026-10 was issued over 2\.00 USD in 1 lines"):
        same_statement(replace(draft, lines=()), payout)


def test_a_taken_back_line_and_its_line_sum_to_nothing() -> None:
    line = share("INV-000001", cents=333)
    back = taken_back(line, "ST-000001/1")
    assert (line.amount + back.amount, line.base + back.base, line.exact + back.exact) == (
        Money(0, USD),
        Money(0, USD),
        0,
    )


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2), st.booleans()), max_size=8), st.permutations([0, 1, 2]))
def test_however_it_is_issued_every_share_is_stated_once(papers, order) -> None:
    """Papers appear (month of the share, month in which it is known, whether it is void in December)."""
    months = [OCTOBER, NOVEMBER, DECEMBER]
    void = {f"INV-{n:06d}" for n, (_, _, gone) in enumerate(papers) if gone}
    payouts: list[Payout] = []
    for now, month in enumerate(months):
        gone = void if now == 2 else set()
        known = [
            owed(months[of], share(f"INV-{n:06d}"))
            for n, (of, since, _) in enumerate(papers)
            if since <= now and f"INV-{n:06d}" not in gone
        ]
        for _ in range(2):
            drafts = due_statements([known[i] for i in sorted(range(len(known)), key=lambda i: order[i % 3])],
                                    payouts, month, gone)  # fmt: skip
            payouts = issued(*(payout.draft for payout in payouts), *drafts)
    lines = [line for payout in payouts for line in payout.draft.lines]
    assert len({line.source for line in lines}) == len(lines)
    assert sum(line.amount.minor for line in lines) == 200 * sum(
        1 for n, (of, since, _) in enumerate(papers) if of <= 2 and since <= 2 and f"INV-{n:06d}" not in void
    )
