"""`rating explain`: amount <- arithmetic <- windows <- evidence, short enough to send, long enough to defend."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import typer

from rating.bootstrap import open_archive, open_book
from rating.cli.frame import DONE, LOOK, WRONG_INPUT, Format, console, days_text, settings_of, show, stderr
from rating.cli.invoices import found
from rating.cli.pruning import ARCHIVE
from rating.core.invoices import Invoice, LineItem
from rating.core.money import decimal_text, grouped
from rating.core.periods import stamp
from rating.core.rollup import KeptRollUp
from rating.core.windows import Completeness
from rating.jobs.explain import Explained, explain
from rating.ports import AdjustmentEntry, ClosingHead


def add(app: typer.Typer) -> None:
    app.command("explain")(command)


def command(
    context: typer.Context,
    line: Annotated[
        str, typer.Argument(metavar="INVOICE[/LINE]", help="INV-000042 for all lines, INV-000042/2 for one.")
    ],
    windows: Annotated[bool, typer.Option("--windows", help="List every usage window, not only days.")] = False,
    queries: Annotated[
        bool, typer.Option("--queries", help="Print the queries behind one window of each line.")
    ] = False,
    archive: ARCHIVE = None,
) -> None:
    """Explain an invoice down to the counter samples it stands on.

    The exit code is 3 when the windows in the book no longer sum to what the line says, or the archive is not what the
    book says.
    """
    number, _, position = line.partition("/")
    with open_book(settings_of(context)) as book:
        invoice = found(book, number)
        count = len(invoice.draft.lines)
        if position and (not position.isdecimal() or not 1 <= int(position) <= count):
            stderr.print(f"invoice {number} has lines 1 to {count}, not {position!r}")
            raise typer.Exit(WRONG_INPUT)
        kept = None if archive is None else open_archive(archive)
        explained = explain(book, invoice, [int(position)] if position else None, kept)
    print_head(invoice)
    for item in explained:
        print_line(invoice, item, windows, queries)
    raise typer.Exit(DONE if all(item.agrees for item in explained) else LOOK)


def print_head(invoice: Invoice) -> None:
    draft = invoice.draft
    console.print(f"Invoice {invoice.number} to {draft.customer}, {days_text(draft)}, total {draft.total}")
    console.print(
        f"Rated under catalogue {draft.catalogue[:12]}, plan {draft.plan}; content hash {invoice.content_hash[:12]}"
    )


def print_line(invoice: Invoice, item: Explained, windows: bool, queries: bool) -> None:
    line = item.line
    console.print(f"\nLine {item.position}: {line.title}: {line.amount}")
    _arithmetic(line)
    if not line.meter:
        return
    _windows(invoice, item, windows)
    _evidence(item.heads, line)
    if queries and item.heads:
        _queries(item.heads[0])


def _arithmetic(line: LineItem) -> None:
    if line.meter:
        overage = max(line.quantity - line.included, line.quantity * 0)
        if line.settles:
            console.print(
                f"  {grouped(decimal_text(line.quantity))} {line.unit} more than was charged so far for "
                f"{line.settles.replace('/', ' line ')}: the period rated with all usage known, less that",
                soft_wrap=True,
            )
        else:
            console.print(
                f"  {grouped(decimal_text(line.quantity))} {line.unit} counted"
                + (
                    f", {grouped(decimal_text(line.included))} included, {grouped(decimal_text(overage))} beyond it"
                    if line.included
                    else ""
                )
            )
        rows: list[dict[str, Any]] = [
            {
                "step": portion.what,
                "quantity": grouped(decimal_text(portion.quantity)),
                "unit price": "" if portion.unit_price is None else decimal_text(portion.unit_price),
                "amount": grouped(decimal_text(portion.amount)),
            }
            for portion in line.portions
        ]
        if rows:
            show(rows, ("step", "quantity", "unit price", "amount"), Format.TABLE)
    rounded = "the difference of two totals, each rounded once," if line.settles else "rounded once to"
    console.print(f"  exact amount {decimal_text(line.exact)}, {rounded} {line.amount}")


def _windows(invoice: Invoice, item: Explained, every: bool) -> None:
    line = item.line
    verdict = "they sum to the quantity above" if item.agrees else "THEY NO LONGER SUM TO THE QUANTITY ABOVE"
    if line.settles and item.agrees:
        verdict = "they are what the whole period is rated from"
    console.print(f"  {line.windows} windows of meter {line.meter}, {line.degraded} of them degraded; {verdict}")
    console.print(f"  digest of the windows {line.usage_digest[:16]}")
    for kept in item.rollups:
        console.print(f"  {_rolled(kept, item.archived)}", soft_wrap=True)
    scale = 10**line.digits
    if every:
        rows = [
            {
                "start": stamp(row.window.start),
                "end": stamp(row.window.end),
                "dimensions": ", ".join(row.usage.dimensions),
                "quantity": grouped(decimal_text(Fraction(row.usage.quantity, scale))),
                "completeness": row.completeness.value,
            }
            for row in item.rows
        ]
        show(rows, ("start", "end", "dimensions", "quantity", "completeness"), Format.TABLE)
    else:
        rows = [
            {"day": str(day), "windows": str(count), "quantity": grouped(decimal_text(Fraction(quantity, scale)))}
            for day, count, quantity in item.by_day(ZoneInfo(invoice.draft.zone))
        ]
        show(rows, ("day", "windows", "quantity"), Format.TABLE)
    for entry in item.adjustments:
        console.print(f"  contains {_adjustment(entry, scale)}", soft_wrap=True)
    for entry in item.later:
        console.print(f"  after issue, for a later invoice to settle: {_adjustment(entry, scale)}", soft_wrap=True)


def _rolled(kept: KeptRollUp, archived: bool) -> str:
    one = kept.rollup
    how = (
        "each was read from there"
        if archived
        else "here they are known by the sum of their day, so what is held to the line is the quantity; "
        "--archive FOLDER reads each and compares the digest"
    )
    return (
        f"windows {one.span} were rolled up to {len(one.days)} days on {stamp(kept.at)} by {one.author}; their "
        f"rows are in {one.archive}, SHA-256 {one.archive_digest}; {how}"
    )


def _adjustment(entry: AdjustmentEntry, scale: int) -> str:
    """`+3 (/search) in 2026-10-04 00:00 to ..., recorded 2026-11-02 01:00 by rating: late samples`."""
    one = entry.adjustment
    rows = ", ".join(
        f"{'+' if row.quantity > 0 else ''}{decimal_text(Fraction(row.quantity, scale))}"
        + (f" ({', '.join(row.dimensions)})" if row.dimensions else "")
        for row in one.rows
    )
    return f"{rows} in {one.window}, recorded {stamp(entry.at)} by {one.author}: {one.reason}"


def _evidence(heads: tuple[ClosingHead, ...], line: LineItem) -> None:
    states = Counter(head.completeness for head in heads)
    total = {
        name: sum(getattr(head.evidence, name) for head in heads)
        for name in ("resets", "births", "baselines", "samples", "scrapes_seen", "scrapes_expected")
    }
    console.print(
        f"  evidence: {states[Completeness.COMPLETE]} complete, {states[Completeness.DEGRADED]} degraded; "
        f"{total['scrapes_seen']} of {total['scrapes_expected']} scrapes; {total['resets']} counter resets and "
        f"{total['births']} births counted from zero, {total['baselines']} taken as baseline; "
        f"{total['samples']} samples read one by one",
        soft_wrap=True,
    )
    console.print(f"  {_unseen(heads, line)}", soft_wrap=True)
    for head in heads:
        for note in (*head.evidence.warnings, *head.evidence.notes):
            console.print(f"    {stamp(head.window.start)}: {note}", soft_wrap=True)


def _unseen(heads: tuple[ClosingHead, ...], line: LineItem) -> str:
    """What no sample of these windows shows. A window's tail is counted by the next; only the last one's is open."""
    scale = 10**line.digits
    evidence = [head.evidence for head in heads]
    gaps = sum(one.uncovered for one in evidence)
    said = f"; seconds in which no sample spoke for a gauge: {gaps // 1000}, not billed" if gaps else ""
    if evidence and all(one.bound is not None for one in evidence):
        lost = Fraction(sum(one.lacking for one in evidence), scale)
        tail = Fraction(evidence[-1].tail, scale)
        return (
            f"not seen in these windows: at most {grouped(decimal_text(lost))} {line.unit} of this consumer, a strict "
            f"bound by the meter's max_rate; and at most {grouped(decimal_text(tail))} after the last scrapes, which "
            f"the next window counts{said}"
        )
    guess = Fraction(sum(one.unseen for one in evidence), scale)
    return (
        f"not seen in these windows: an estimate of {grouped(decimal_text(guess))} {line.unit} of all consumers "
        f"together, not billed{said}"
    )


def _queries(head: ClosingHead) -> None:
    console.print(f"  queries of window {head.window}, digest of its readings {head.evidence.digest[:16]}")
    for query in head.evidence.queries:
        console.print(f"    at {query.at}: {query.text} ({query.series} series)", soft_wrap=True)
