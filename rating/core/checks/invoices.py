"""Rules about one invoice at a time: its columns, its sums, its arithmetic."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction

from rating.core.checks.records import METERED, Record, drafts, paper, record
from rating.core.entries import issue, place_of
from rating.core.invoices import LineKind
from rating.core.money import round_ratio
from rating.errors import Finding, RatingError


def columns_agree_with_content(records: Sequence[Record]) -> Iterator[Finding]:
    """What is spread out for SQL says what the hashed content says."""
    for one in records:
        kept = paper(one)
        if kept is None:
            yield Finding(f"invoice {one.number}", "its content cannot be read", "compare with a backup")
            continue
        try:
            invoice, content = issue(kept.draft, place_of(kept.number), kept.previous_hash, kept.issued_at)
        except (RatingError, ValueError) as error:
            yield Finding(f"invoice {one.number}", str(error), "compare with a backup")
            continue
        expected = record(one.sequence, invoice, content)._replace(number=kept.number)
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
    for one, draft in drafts(records):
        for number, line in enumerate(draft.lines, start=1):
            where = f"invoice {one.number}, line {number}"
            off = abs(line.exact * 10**line.amount.currency.exponent - line.amount.minor)
            # Late usage is the difference of two rounded totals, and each of them may be off by a half.
            if off > 1 or (off == 1 and line.kind is not LineKind.ADJUSTMENT):
                yield Finding(where, f"{line.amount} is not {_decimal(line.exact)} rounded to a minor unit")
            walked = sum((portion.amount for portion in line.portions), Fraction(0))
            if line.kind in METERED and line.portions and walked != line.exact:
                yield Finding(where, f"its portions sum to {_decimal(walked)} but it charges {_decimal(line.exact)}")


def _decimal(amount: Fraction) -> str:
    scaled = round_ratio(amount.numerator * 10**6, amount.denominator)
    return f"{'-' if scaled < 0 else ''}{abs(scaled) // 10**6}.{abs(scaled) % 10**6:06d}"


def _cut(value: object) -> str:
    text = str(value)
    return text if len(text) <= 120 else f"{text[:117]}..."
