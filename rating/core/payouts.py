"""Payouts: what partners are owed, as numbered and hashed statements that never change.

Decides which shares stand on the next statement and what takes back a share of a paper that is void. What a share
comes to is `partners`; numbering is the book's. A share that becomes known late stands on a later statement: so do
those of credit notes, which are negative.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime

from rating.core.canonical import canonical, digest
from rating.core.entries import keepable, recorded
from rating.core.invoices import invoice_number
from rating.core.money import Currency, Money, total
from rating.core.partners import PartnerLine, PartnerStatement
from rating.errors import Contradiction, Overtaken

SERIES = "ST"
"""Before the numbers of partners' statements."""


@dataclass(frozen=True, slots=True)
class StatementDraft:
    """A statement before it has a number: a pure function of invoices, credit notes and contracts."""

    partner: str
    month: date
    """The first day of the month it closes. Lines may be of earlier months."""
    currency: Currency
    lines: tuple[PartnerLine, ...]

    @property
    def key(self) -> str:
        """What it is about: one partner, one currency, one month."""
        return f"{self.partner}/{self.currency}/{self.month:%Y-%m}"

    @property
    def total(self) -> Money:
        return total([line.amount for line in self.lines], self.currency)


@dataclass(frozen=True, slots=True)
class StatementPaper:
    """All that is hashed when a statement is issued."""

    number: str
    issued_at: datetime
    previous_hash: str
    draft: StatementDraft


@dataclass(frozen=True, slots=True)
class Payout:
    """An issued statement. Never changes; what it stated wrongly stands on a later one."""

    number: str
    issued_at: datetime
    draft: StatementDraft
    content_hash: str
    previous_hash: str

    @property
    def total(self) -> Money:
        return self.draft.total


def issue_statement(draft: StatementDraft, sequence: int, previous_hash: str, at: datetime) -> tuple[Payout, str]:
    """The statement with this place in its series, and the canonical text its hash was taken of."""
    keepable(draft.total.minor, f"statement {draft.key}: total")
    paper = StatementPaper(statement_number(sequence), recorded(at), previous_hash, draft)
    text = canonical(paper)
    return Payout(paper.number, paper.issued_at, draft, digest(text), previous_hash), text


def statement_text(payout: Payout) -> str:
    """The canonical text whose SHA-256 is the statement's hash: `sha256sum` of its bytes gives it again."""
    return canonical(StatementPaper(payout.number, payout.issued_at, payout.previous_hash, payout.draft))


def statement_number(sequence: int) -> str:
    """`ST-000042`."""
    return invoice_number(sequence, SERIES)


def same_statement(draft: StatementDraft, kept: Payout) -> None:
    """Raises:
    Contradiction: it was issued with other content.
    """
    if draft != kept.draft:
        raise Contradiction(
            f"statement {kept.number} for {draft.key} was issued over {kept.total} in {len(kept.draft.lines)} lines "
            f"and now comes to {draft.total} in {len(draft.lines)}; what changed belongs on the next statement"
        )


def stated_before(source: str) -> Overtaken:
    return Overtaken(f"the share of {source} was stated meanwhile; run `rating statements issue` again")


def due_statements(
    owed: Iterable[PartnerStatement],
    issued: Sequence[Payout],
    month: date,
    void: Collection[str] = (),
) -> tuple[StatementDraft, ...]:
    """The statements that close `month`, by partner and currency: every share not stated yet, up to that month.

    `owed` is all that partners are owed; `void` are the numbers of invoices that were taken back without a credit
    note: what was stated of them is taken back as well. A partner whose statement of the month is issued already has
    what came since on the next one.
    """
    stated = {line.source: (payout.number, place, line) for payout, place, line in _stated(issued)}
    done = {payout.draft.key for payout in issued}
    lines: dict[tuple[str, Currency], list[PartnerLine]] = {}
    for statement in owed:
        if statement.month <= month:
            for line in statement.lines:
                if line.source not in stated:
                    lines.setdefault((statement.partner, statement.currency), []).append(line)
    for payout, place, line in _stated(issued):
        if line.invoice in void and not line.void:
            back = taken_back(line, f"{payout.number}/{place}")
            if back.source not in stated:
                lines.setdefault((payout.draft.partner, payout.draft.currency), []).append(back)
    drafts = (
        StatementDraft(partner, month, currency, tuple(lines[partner, currency])) for partner, currency in sorted(lines)
    )
    return tuple(draft for draft in drafts if draft.key not in done)


def taken_back(line: PartnerLine, stated_as: str) -> PartnerLine:
    """The line that takes back what was stated of an invoice that is void now."""
    return replace(
        line,
        title=f"{line.title}, void, {stated_as}",
        base=-line.base,
        exact=-line.exact,
        amount=-line.amount,
        corrects=stated_as,
        void=True,
    )


def _stated(issued: Iterable[Payout]) -> Iterable[tuple[Payout, int, PartnerLine]]:
    for payout in issued:
        for place, line in enumerate(payout.draft.lines, 1):
            yield payout, place, line
