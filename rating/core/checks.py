"""The invariants of the book, one small function per rule: entries exactly as they are stored in, Findings out.

Decides what must always hold. Reading the entries, and what to do about a Finding, is left to others.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from fractions import Fraction
from itertools import pairwise
from typing import NamedTuple

from rating.core.canonical import digest, read
from rating.core.drafts import metered
from rating.core.entries import GENESIS, Paper, issue, usage_digest
from rating.core.invoices import Draft, Invoice, LineItem, LineKind, invoice_number
from rating.core.money import round_ratio
from rating.core.periods import Period, milliseconds, seconds
from rating.core.windows import Completeness, Usage
from rating.errors import Finding, RatingError


class Line(NamedTuple):
    """A row of `lines` as stored."""

    line: int
    kind: str
    card: str
    meter: str
    quantity: str
    exact: str
    minor: int


class Record(NamedTuple):
    """A row of `invoices` as stored, with its lines."""

    sequence: int
    number: str
    key: str
    consumer: str
    customer: str
    period_start: int
    period_end: int
    currency: str
    total_minor: int
    issued_at: int
    content: str
    content_hash: str
    previous_hash: str
    lines: tuple[Line, ...] = ()


class ClosingRecord(NamedTuple):
    """A row of `closings` as stored, with its usage."""

    meter: str
    window: Period
    rows: int
    consumers: int
    usage_digest: str
    usage: tuple[Usage, ...]


class AdjustmentRecord(NamedTuple):
    """A row of `adjustments` as stored, with its rows."""

    meter: str
    window: Period
    revision: int
    rows: int
    usage_digest: str
    usage: tuple[Usage, ...]


def record(sequence: int, invoice: Invoice, content: str) -> Record:
    """How this invoice must be stored."""
    draft = invoice.draft
    return Record(
        sequence,
        invoice.number,
        draft.key,
        draft.consumer,
        draft.customer,
        seconds(draft.period.start),
        seconds(draft.period.end),
        draft.currency.code,
        draft.total.minor,
        milliseconds(invoice.issued_at),
        content,
        invoice.content_hash,
        invoice.previous_hash,
        tuple(_line(number, line) for number, line in enumerate(draft.lines, start=1)),
    )


def _line(number: int, line: LineItem) -> Line:
    quantity, exact = _ratio(line.quantity), _ratio(line.exact)
    return Line(number, line.kind.value, line.card, line.meter, quantity, exact, line.amount.minor)


def _ratio(number: Fraction) -> str:
    return f"{number.numerator}/{number.denominator}"


# Rules about invoices ------------------------------------------------------------------------------------------------


def numbers_without_gaps(records: Sequence[Record]) -> Iterator[Finding]:
    """Invoices are numbered 1, 2, 3 ... in the order in which they were issued."""
    for expected, one in enumerate(records, start=1):
        if one.sequence != expected or one.number != invoice_number(expected):
            yield Finding(
                f"invoice {one.number}",
                f"stands at place {one.sequence}, but {invoice_number(expected)} must follow {expected - 1} invoices",
                "an invoice was removed or added past the program; compare with a backup",
            )
            return


def hashes_chain(records: Sequence[Record]) -> Iterator[Finding]:
    """Each hash is taken of the content as stored, and each invoice names the hash of the one before it."""
    previous = GENESIS
    for one in records:
        if digest(one.content) != one.content_hash:
            yield Finding(
                f"invoice {one.number}",
                f"its content has the hash {digest(one.content)[:12]} but was issued with {one.content_hash[:12]}",
                "it was changed after issue; compare with a backup",
            )
        if one.previous_hash != previous:
            yield Finding(
                f"invoice {one.number}",
                f"follows {one.previous_hash[:12] or 'nothing'} but before it stands {previous[:12] or 'nothing'}",
                "the chain was broken; compare with a backup",
            )
        previous = one.content_hash


def columns_agree_with_content(records: Sequence[Record]) -> Iterator[Finding]:
    """What is spread out for SQL says what the hashed content says."""
    for one in records:
        paper = _paper(one)
        if paper is None:
            yield Finding(f"invoice {one.number}", "its content cannot be read", "compare with a backup")
            continue
        try:
            invoice, content = issue(paper.draft, one.sequence, paper.previous_hash, paper.issued_at)
        except RatingError as error:
            yield Finding(f"invoice {one.number}", str(error), "compare with a backup")
            continue
        expected = record(one.sequence, invoice, content)._replace(number=paper.number)
        for name, stored, said in zip(Record._fields, one, expected, strict=True):
            if stored != said and name not in ("content", "content_hash"):
                yield Finding(
                    f"invoice {one.number}",
                    f"{name} is stored as {_cut(stored)} but its content says {_cut(said)}",
                    "it was changed after issue; compare with a backup",
                )


def lines_sum_to_total(records: Sequence[Record]) -> Iterator[Finding]:
    """The total is the sum of the rounded lines."""
    for one in records:
        found = sum(line.minor for line in one.lines)
        if found != one.total_minor:
            yield Finding(
                f"invoice {one.number}",
                f"its lines sum to {found} minor units but its total is {one.total_minor}",
                "compare with a backup",
            )


def lines_round_their_arithmetic(records: Sequence[Record]) -> Iterator[Finding]:
    """A line's amount is its exact amount rounded, less than one minor unit away; its portions sum to the exact one."""
    for one, draft in _drafts(records):
        for number, line in enumerate(draft.lines, start=1):
            where = f"invoice {one.number}, line {number}"
            off = abs(line.exact * 10**line.amount.currency.exponent - line.amount.minor)
            # Late usage is the difference of two rounded totals, and each of them may be off by a half.
            if off > 1 or (off == 1 and line.kind is not LineKind.ADJUSTMENT):
                yield Finding(where, f"{line.amount} is not {_decimal(line.exact)} rounded to a minor unit")
            walked = sum((portion.amount for portion in line.portions), Fraction(0))
            if line.kind in _METERED and line.portions and walked != line.exact:
                yield Finding(where, f"its portions sum to {_decimal(walked)} but it charges {_decimal(line.exact)}")


def windows_billed_once(records: Sequence[Record]) -> Iterator[Finding]:
    """No two invoices charge one consumer's usage of one meter for overlapping periods."""
    billed: dict[tuple[str, str], list[tuple[Period, str]]] = defaultdict(list)
    for one, draft in _drafts(records):
        for meter, period in sorted({(line.meter, line.period) for line in _usage_lines(draft)}):
            billed[draft.consumer, meter].append((period, one.number))
    for (consumer, meter), spans in sorted(billed.items()):
        spans.sort()
        for (before, first), (after, second) in pairwise(spans):
            both = before.overlap(after)
            if both is not None and first != second:
                yield Finding(
                    f"invoice {second}",
                    f"charges {meter} of {consumer} for {both}, which invoice {first} charges as well",
                    "two subscriptions bill the same meter; end one and credit the other",
                )


INVOICE_RULES: tuple[Callable[[Sequence[Record]], Iterator[Finding]], ...] = (
    numbers_without_gaps,
    hashes_chain,
    columns_agree_with_content,
    lines_sum_to_total,
    lines_round_their_arithmetic,
    windows_billed_once,
)


# Rules about usage ---------------------------------------------------------------------------------------------------


def usage_as_closed(closing: ClosingRecord) -> Iterator[Finding]:
    """A closed window holds the rows it was closed with."""
    found = usage_digest(closing.usage)
    if found != closing.usage_digest or len(closing.usage) != closing.rows:
        yield Finding(
            f"window {closing.meter} {closing.window}",
            f"holds {len(closing.usage)} rows with digest {found[:12]} "
            f"but was closed with {closing.rows} rows and digest {closing.usage_digest[:12]}",
            "its usage was changed after closing; compare with a backup",
        )
    consumers = len({row.consumer for row in closing.usage})
    if consumers != closing.consumers:
        yield Finding(
            f"window {closing.meter} {closing.window}",
            f"holds usage of {consumers} consumers but was closed with {closing.consumers}",
            "compare with a backup",
        )


def adjusted_as_kept(adjustments: Sequence[AdjustmentRecord]) -> Iterator[Finding]:
    """An adjustment holds the rows it was kept with, and a window's are numbered 1, 2, 3 ... In their order."""
    revisions: dict[tuple[str, Period], int] = defaultdict(int)
    for one in adjustments:
        where = f"adjustment {one.revision} of window {one.meter} {one.window}"
        found = usage_digest(one.usage)
        if found != one.usage_digest or len(one.usage) != one.rows:
            yield Finding(
                where,
                f"holds {len(one.usage)} rows with digest {found[:12]} "
                f"but was kept with {one.rows} rows and digest {one.usage_digest[:12]}",
                "it was changed after it was kept; compare with a backup",
            )
        revisions[one.meter, one.window] += 1
        if one.revision != revisions[one.meter, one.window]:
            yield Finding(
                where,
                f"follows {revisions[one.meter, one.window] - 1} adjustments of its window",
                "one was removed past the program; compare with a backup",
            )


def catalogue_as_digested(named: str, text: str) -> Iterator[Finding]:
    """A catalogue is named by the SHA-256 of its text."""
    if digest(text) != named:
        yield Finding(
            f"catalogue {named[:12]}",
            f"its text has the digest {digest(text)[:12]}",
            "it was changed after it was kept; compare with a backup",
        )


def invoiced_windows_stand(
    one: Record, windows: Callable[[LineItem, str], tuple[int, Iterable[tuple[Period, Completeness, Usage]]]]
) -> Iterator[Finding]:
    """The closed windows of a line's period are still those it was charged from.

    `windows` gives, for a line and its consumer, how many windows of the line's meter are closed in its period and the
    consumer's rows in them as of the invoice's issue, in order of time and dimensions.
    """
    paper = _paper(one)
    if paper is None:
        return
    for number, line in enumerate(paper.draft.lines, start=1):
        if line.kind not in _METERED or not line.meter:
            continue
        closed, rows = windows(line, paper.draft.consumer)
        now = metered(rows, closed, line.degraded)
        if (now.digest, closed) != (line.usage_digest, line.windows):
            yield Finding(
                f"invoice {one.number}, line {number}",
                f"was charged from {line.windows} windows of {line.meter} with digest {line.usage_digest[:12]}, "
                f"but the book has {closed} with {now.digest[:12]}, which count {now.quantity}",
                "windows were closed or changed after issue; correct the usage with an adjustment",
            )


def check_invoices(records: Sequence[Record]) -> Iterator[Finding]:
    for rule in INVOICE_RULES:
        yield from rule(records)


_METERED = (LineKind.USAGE, LineKind.ADJUSTMENT)
"""Lines that stand on windows."""


def _usage_lines(draft: Draft) -> Iterable[LineItem]:
    return (line for line in draft.lines if line.kind is LineKind.USAGE and line.meter)


def _drafts(records: Sequence[Record]) -> Iterator[tuple[Record, Draft]]:
    for one in records:
        paper = _paper(one)
        if paper is not None:
            yield one, paper.draft


def _paper(one: Record) -> Paper | None:
    try:
        return read(Paper, one.content)
    except ValueError:
        return None


def _decimal(amount: Fraction) -> str:
    scaled = round_ratio(amount.numerator * 10**6, amount.denominator)
    return f"{'-' if scaled < 0 else ''}{abs(scaled) // 10**6}.{abs(scaled) % 10**6:06d}"


def _cut(value: object) -> str:
    text = str(value)
    return text if len(text) <= 120 else f"{text[:117]}..."
