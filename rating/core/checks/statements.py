"""Rules about partners' statements: as they were issued, each share once, and each what its invoice line says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from rating.core.canonical import read
from rating.core.checks.chains import hashes_chain, numbers_without_gaps
from rating.core.invoices import LineItem, invoice_number
from rating.core.money import Money
from rating.core.partners import PartnerLine
from rating.core.payouts import SERIES, Payout, StatementDraft, StatementPaper, issue_statement
from rating.core.periods import milliseconds
from rating.errors import Finding, RatingError


class StatementLine(NamedTuple):
    """A row of `statement_lines` as stored."""

    line: int
    source: str
    minor: int


class StatementRecord(NamedTuple):
    """A row of `statements` as stored, with its lines."""

    sequence: int
    number: str
    key: str
    partner: str
    currency: str
    total_minor: int
    issued_at: int
    content: str
    content_hash: str
    previous_hash: str
    lines: tuple[StatementLine, ...] = ()

    @property
    def series(self) -> str:
        return SERIES


def statement_record(sequence: int, payout: Payout, content: str) -> StatementRecord:
    """How this statement must be stored."""
    draft = payout.draft
    return StatementRecord(
        sequence,
        payout.number,
        draft.key,
        draft.partner,
        draft.currency.code,
        draft.total.minor,
        milliseconds(payout.issued_at),
        content,
        payout.content_hash,
        payout.previous_hash,
        tuple(StatementLine(place, line.source, line.amount.minor) for place, line in enumerate(draft.lines, 1)),
    )


def statements_as_issued(records: Sequence[StatementRecord]) -> Iterator[Finding]:
    """What is spread out for SQL says what the hashed content says."""
    for one in records:
        paper = _paper(one)
        if paper is None:
            yield Finding(f"statement {one.number}", "its content cannot be read", "compare with a backup")
            continue
        try:
            payout, content = issue_statement(paper.draft, one.sequence, paper.previous_hash, paper.issued_at)
        except RatingError as error:
            yield Finding(f"statement {one.number}", str(error), "compare with a backup")
            continue
        expected = statement_record(one.sequence, payout, content)._replace(number=paper.number)
        for name, stored, said in zip(StatementRecord._fields, one, expected, strict=True):
            if stored != said and name not in ("content", "content_hash"):
                yield Finding(
                    f"statement {one.number}",
                    f"{name} is stored as {str(stored)[:120]} but its content says {str(said)[:120]}",
                    "it was changed after issue; compare with a backup",
                )


def statement_lines_sum_to_total(records: Sequence[StatementRecord]) -> Iterator[Finding]:
    """The total is the sum of the rounded shares."""
    for one in records:
        found = sum(line.minor for line in one.lines)
        if found != one.total_minor:
            yield Finding(
                f"statement {one.number}",
                f"its lines sum to {found} minor units but its total is {one.total_minor}",
                "compare with a backup",
            )


def shares_stated_once(records: Sequence[StatementRecord]) -> Iterator[Finding]:
    """No line of an invoice or credit note is shared twice."""
    seen: dict[str, str] = {}
    for one in records:
        for line in one.lines:
            where = f"{one.number}/{line.line}"
            if line.source in seen:
                yield Finding(
                    f"statement {where}",
                    f"states the share of {line.source}, which {seen[line.source]} states as well",
                    "a line was added past the program; a person must look",
                )
            seen.setdefault(line.source, where)


def shares_match_papers(records: Sequence[StatementRecord], papers: Mapping[str, LineItem]) -> Iterator[Finding]:
    """A share names a line that stands on an invoice or credit note, of its amount and its windows, and is that
    percentage of it, rounded. `papers` are the lines of both by name, `INV-000042/2`.
    """
    for one, draft in _drafts(records):
        for place, line in enumerate(draft.lines, 1):
            where = f"statement {one.number}, line {place}"
            found = papers.get(f"{line.invoice}/{line.position}")
            if found is None:
                yield Finding(where, f"is a share of {line.source}, which is not in the book", "compare with a backup")
                continue
            base = -found.amount if line.void else found.amount
            if (line.base, line.usage_digest) != (base, found.usage_digest):
                yield Finding(
                    where,
                    f"is a share of {line.base} on windows {line.usage_digest[:12] or 'none'}, but {line.source} is "
                    f"{base} on {found.usage_digest[:12] or 'none'}",
                    "a paper was changed after issue; compare with a backup",
                )
            if not _rounds(line):
                yield Finding(
                    where,
                    f"is {line.amount}, but {line.percent} percent of {line.base} is {line.exact}",
                    "compare with a backup",
                )


def check_statements(records: Sequence[StatementRecord], papers: Mapping[str, LineItem]) -> Iterator[Finding]:
    yield from numbers_without_gaps(records, kind="statement", numbered=invoice_number)
    yield from hashes_chain(records, kind="statement")
    yield from statements_as_issued(records)
    yield from statement_lines_sum_to_total(records)
    yield from shares_stated_once(records)
    yield from shares_match_papers(records, papers)


def _rounds(line: PartnerLine) -> bool:
    exact = line.base.exact * line.percent / 100
    off = abs(exact * 10**line.amount.currency.exponent - line.amount.minor)
    return exact == line.exact and off < 1 and line.amount == Money(line.amount.minor, line.base.currency)


def _drafts(records: Sequence[StatementRecord]) -> Iterator[tuple[StatementRecord, StatementDraft]]:
    for one in records:
        paper = _paper(one)
        if paper is not None:
            yield one, paper.draft


def _paper(one: StatementRecord) -> StatementPaper | None:
    try:
        return read(StatementPaper, one.content)
    except ValueError:
        return None
