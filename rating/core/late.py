"""Late usage: what an issued invoice would charge today, less what was charged for it so far.

Decides the lines that settle it on a later invoice. Only usage is settled: the discounts and taxes of the old paper
stay as they are, because that paper does; those of the new one apply to the difference as to all that it charges.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from fractions import Fraction

from rating.core.invoices import Draft, LineItem, LineKind
from rating.core.money import Currency, total
from rating.core.prices.price import Portion

_MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Paper:
    """An earlier invoice of the subscription."""

    number: str
    """Empty for one that is drafted in the same run and has no number yet."""
    draft: Draft
    """The subscription's part of the invoice."""
    before: int = 0
    """How many lines of the invoice stand before that part."""
    credited: tuple[LineItem, ...] = ()
    """The lines of its credit notes."""


def late_lines(paper: Paper, rerated: Draft, later: Iterable[Paper], currency: Currency) -> tuple[LineItem, ...]:
    """What settles the usage lines of `paper`, one line for each that comes to another quantity or amount now.

    `rerated` is the same period drafted under the same contract from all usage known today; `later` are the papers
    since, whose adjustment lines have settled some of it already. Each total is rounded once, as if everything had
    come in time, and the amounts are their differences: so all the lines about a period sum to its one rounded total.

    Nothing where the new invoice is in another currency, or the period is no longer drafted in the same parts.
    """
    now = {(line.card, line.period): line for line in rerated.lines if line.kind is LineKind.USAGE}
    settled = (*paper.credited, *(line for one in later for line in one.draft.lines))
    # What was given back for other reasons than late usage is no usage.
    adjustments = [line for line in settled if line.kind is LineKind.ADJUSTMENT]
    found: list[LineItem] = []
    for position, billed in enumerate(paper.draft.lines, start=1):
        known = now.get((billed.card, billed.period))
        if billed.kind is not LineKind.USAGE or known is None:
            continue
        settles = f"{paper.number}/{paper.before + position}"
        so_far = [billed, *(line for line in adjustments if line.settles == settles)]
        if {line.amount.currency for line in (known, *so_far)} == {currency}:
            found += _difference(paper, settles, known, so_far)
    return tuple(found)


def _difference(paper: Paper, settles: str, known: LineItem, so_far: list[LineItem]) -> Iterable[LineItem]:
    quantity = known.quantity - sum((line.quantity for line in so_far), Fraction(0))
    exact = known.exact - sum((line.exact for line in so_far), Fraction(0))
    amount = known.amount - total([line.amount for line in so_far], known.amount.currency)
    if not (quantity or exact or amount.minor):
        return
    number, _, position = settles.partition("/")
    billed = Portion(
        f"billed so far for {number} line {position}", quantity - known.quantity, None, exact - known.exact
    )
    yield LineItem(
        kind=LineKind.ADJUSTMENT,
        card=known.card,
        title=f"Late usage of {span_text(paper.draft)}: {known.title}, {number} line {position}",
        period=known.period,
        exact=exact,
        amount=amount,
        meter=known.meter,
        unit=known.unit,
        digits=known.digits,
        quantity=quantity,
        portions=(*known.portions, billed),
        windows=known.windows,
        degraded=known.degraded,
        usage_digest=known.usage_digest,
        settles=settles,
    )


def span_text(draft: Draft) -> str:
    """`October 2026` for a calendar month, else its first and last day: `2026-10-15 to 2026-11-14`."""
    first, after = draft.days
    last = after - timedelta(days=1)
    if first.day == after.day == 1 and (first.year, first.month) == (last.year, last.month):
        return f"{_MONTHS[first.month - 1]} {first.year}"
    return str(first) if first == last else f"{first} to {last}"
