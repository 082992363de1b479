"""Rules about windows and invoices: billed at most once, and still what they were when they were billed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from fractions import Fraction
from itertools import pairwise

from rating.core.checks.records import METERED, Record, drafts, paper
from rating.core.drafts import MeteredUsage, metered
from rating.core.invoices import Draft, LineItem, LineKind
from rating.core.periods import Period
from rating.core.windows import Completeness, Usage
from rating.errors import Finding


def windows_billed_once(records: Sequence[Record], taken_back: Collection[str] = ()) -> Iterator[Finding]:
    """No two invoices charge one consumer's usage of one meter for overlapping periods.

    `taken_back` are the numbers of invoices that are void or credited as a whole: they charge nothing any more.
    """
    billed: dict[tuple[str, str], list[tuple[Period, str]]] = defaultdict(list)
    for one, draft in drafts(records):
        for _, part in draft.parts if one.number not in taken_back else ():
            for meter, period in sorted({(line.meter, line.period) for line in _usage_lines(part)}):
                billed[part.consumer, meter].append((period, one.number))
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


def invoiced_windows_stand(
    one: Record, windows: Callable[[LineItem, str], tuple[int, bool, Iterable[tuple[Period, Completeness, Usage]]]]
) -> Iterator[Finding]:
    """The closed windows of a line's period are still those it was charged from.

    `windows` gives, for a line and its consumer, how many windows of the line's meter are closed in its period, whether
    some of them are known by their day alone, and the consumer's rows in them as of the invoice's issue, in order of
    time and dimensions. Days are held to the quantity that the line was charged for; windows to its digest.
    """
    kept = paper(one)
    if kept is None:
        return
    for number, line in enumerate(kept.draft.lines, start=1):
        if line.kind not in METERED or not line.meter:
            continue
        closed, by_day, rows = windows(line, kept.draft.part_of(number).consumer)
        now = metered(rows, closed, line.degraded)
        if not stands_on(line, now, by_day):
            yield Finding(
                f"invoice {one.number}, line {number}",
                f"was charged from {line.windows} windows of {line.meter} with digest {line.usage_digest[:12]}, "
                f"but the book has {closed} with {now.digest[:12]}, which count {now.quantity}",
                "windows were closed or changed after issue; correct the usage with an adjustment",
            )


def stands_on(line: LineItem, now: MeteredUsage, by_day: bool) -> bool:
    """Whether a line was charged from this usage; `by_day` when some of it is known by the sum of its day alone."""
    if by_day:
        return (line.counted, line.windows) == (Fraction(now.quantity, 10**line.digits), now.windows)
    return (line.usage_digest, line.windows) == (now.digest, now.windows)


def _usage_lines(draft: Draft) -> Iterable[LineItem]:
    return (line for line in draft.lines if line.kind is LineKind.USAGE and line.meter)
