"""Entries of the book: what two entries with one key must share, and how invoices are chained.

Decides when an entry is the same entry again and when it is a contradiction, and what an invoice's hash covers. Where
entries are kept is the book's affair.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import lru_cache

import msgspec

from rating.core.canonical import canonical, digest
from rating.core.creditnotes import CreditDraft, CreditNote
from rating.core.deliveries import Attempt
from rating.core.invoices import Draft, Invoice, invoice_number
from rating.core.lifecycle import InvoiceEntry
from rating.core.parties import INVOICES
from rating.core.periods import Period, from_milliseconds, milliseconds, seconds, stamp
from rating.core.subscriptions import Subscription
from rating.core.windows import Adjustment, Closing, Usage
from rating.errors import BookError, Contradiction, Overtaken

GREATEST = 2**63 - 1
"""The largest quantity or amount in minor units the book keeps: a signed 64-bit integer."""

GENESIS = ""
"""What the first invoice of the ordinary series names as its previous hash."""


@dataclass(frozen=True, slots=True)
class Paper:
    """All that is hashed when an invoice is issued. Its canonical text is kept, so that `sha256sum` can check it."""

    number: str
    issued_at: datetime
    previous_hash: str
    draft: Draft


@dataclass(frozen=True, slots=True)
class CreditPaper:
    """All that is hashed when a credit note is issued."""

    number: str
    issued_at: datetime
    previous_hash: str
    draft: CreditDraft


@dataclass(frozen=True, slots=True)
class KeptEntry:
    """All that is hashed of a step in an invoice's life. The first one names the invoice's own hash as the previous."""

    entry: InvoiceEntry
    revision: int
    """1, 2, 3 ... of its invoice."""
    at: datetime
    """When it was recorded."""
    previous_hash: str


def genesis(series: str) -> str:
    """What the first paper of a series names as its previous hash: no two series begin alike."""
    return GENESIS if series == INVOICES else f"series {series}"


@lru_cache(64)
def recorded(at: datetime) -> datetime:
    """The instant as the book keeps it: whole milliseconds."""
    return from_milliseconds(milliseconds(at))


def whole_seconds(instant: datetime, what: str) -> int:
    """Seconds since the epoch, the book's unit of time for what it bills.

    Raises:
        BookError: the instant lies between two seconds.
    """
    try:
        return seconds(instant)
    except ValueError as error:
        raise BookError(f"{what}: {error}; the book keeps whole seconds") from error


def issue(draft: Draft, place: int, previous_hash: str, at: datetime) -> tuple[Invoice, str]:
    """The invoice with this place in its series, and the canonical text its hash was taken of."""
    if not -GREATEST <= draft.total.minor <= GREATEST:
        keepable(draft.total.minor, f"invoice {draft.key}: total")
    paper = Paper(invoice_number(place, draft.series), recorded(at), previous_hash, draft)
    text = canonical(paper)
    return Invoice(paper.number, paper.issued_at, draft, digest(text), previous_hash), text


def paper_text(invoice: Invoice) -> str:
    """The canonical text whose SHA-256 is the invoice's hash: `sha256sum` of its bytes gives it again."""
    return canonical(Paper(invoice.number, invoice.issued_at, invoice.previous_hash, invoice.draft))


def credit_text(note: CreditNote) -> str:
    """The canonical text whose SHA-256 is the credit note's hash."""
    return canonical(CreditPaper(note.number, note.issued_at, note.previous_hash, note.draft))


def issue_credit(draft: CreditDraft, place: int, previous_hash: str, at: datetime) -> tuple[CreditNote, str]:
    """The credit note with this place in its series, and the canonical text its hash was taken of."""
    keepable(draft.total.minor, f"credit note for {draft.invoice}: total")
    paper = CreditPaper(invoice_number(place, draft.series), recorded(at), previous_hash, draft)
    text = canonical(paper)
    return CreditNote(paper.number, paper.issued_at, draft, digest(text), previous_hash), text


def place_of(number: str) -> int:
    """The place in its series that a paper's number says: 42 of `INV-000042`.

    Raises:
        ValueError: it ends with no number.
    """
    return int(number.rpartition("-")[2])


def keep(entry: InvoiceEntry, revision: int, previous_hash: str, at: datetime) -> tuple[KeptEntry, str]:
    """The entry as it is kept, and the canonical text its hash is taken of."""
    if entry.amount is not None:
        keepable(entry.amount.minor, f"{entry.key}: amount")
    kept = KeptEntry(entry, revision, recorded(at), previous_hash)
    return kept, canonical(kept)


def unknown_invoice(number: str) -> BookError:
    return BookError(f"the book holds no invoice {number}; `rating invoices list` shows those it holds")


def billed_before(key: str, number: str) -> Overtaken:
    return Overtaken(f"{key} was billed meanwhile, by invoice {number}; run `rating bill` again")


def placed_before(item: str, number: str) -> Overtaken:
    return Overtaken(f"item {item} stands meanwhile on invoice {number}; run `rating bill` again")


def corrected_meanwhile(consumer: str) -> Overtaken:
    return Overtaken(
        f"usage of {consumer} was corrected while its invoice was drafted, so the invoice would not agree with "
        "its windows; run `rating bill` again"
    )


def same_entry(entry: InvoiceEntry, kept: InvoiceEntry) -> None:
    """Raises:
    Contradiction: the key is kept with other content. Reason and author may differ: the first stand.
    """
    if replace(entry, reason=kept.reason, author=kept.author) != kept:
        raise Contradiction(
            f"{kept.key} was kept as {canonical(kept)} and is now {canonical(entry)}; "
            "give what is really another payment or step a reference or day of its own"
        )


def same_credit(draft: CreditDraft, kept: CreditNote) -> None:
    """Raises:
    Contradiction: the credit note was issued with other content. Reason and author may differ: the first stand.
    """
    if replace(draft, reason=kept.draft.reason, author=kept.draft.author) != kept.draft:
        raise Contradiction(
            f"credit note {kept.number} for {draft.key} was issued over {kept.total} and now comes to {draft.total}; "
            "give a further credit a reference of its own"
        )


def usage_digest(usage: Sequence[Usage]) -> str:
    """SHA-256 of a closing's rows as a JSON list of `[consumer, [dimensions], quantity]`, in their sorted order.

    The bytes are those of `json.dumps(usage, separators=(",", ":"), ensure_ascii=False)`, made in a tenth of the time.
    """
    return hashlib.sha256(msgspec.json.encode(usage)).hexdigest()


def keepable(number: int, what: str) -> None:
    """Refuse what 64 bits cannot hold; a database would wrap it, cut it or turn it into a float.

    Raises:
        BookError: it is larger than GREATEST or smaller than its negative.
    """
    if abs(number) > GREATEST:
        raise BookError(f"{what} {number} is beyond {GREATEST}, the largest the book keeps; declare fewer digits")


def keepable_closing(closing: Closing) -> None:
    """Raises:
    BookError: a quantity is beyond 64 bits, or the window lies between two seconds.
    """
    for instant in (closing.window.start, closing.window.end):
        whole_seconds(instant, f"window {closing.meter}")
    for usage in closing.usage:
        if not -GREATEST <= usage.quantity <= GREATEST:
            keepable(usage.quantity, f"{_row(closing.meter, usage)} {_span(closing.window)}: quantity")


def same_closing(closing: Closing, kept: Closing) -> None:
    """Raises:
    Contradiction: the window was closed with another end, usage or completeness. Evidence may differ.
    """
    name = f"window {closing.meter} {_span(closing.window)}"
    if closing.window != kept.window:
        raise Contradiction(
            f"{name} was closed as {_span(kept.window)}; a meter's windows must keep their length, "
            "give the meter a new name instead"
        )
    before, after = ({row[:2]: row.quantity for row in one.usage} for one in (kept, closing))
    changed = sorted(key for key in before.keys() | after.keys() if before.get(key, 0) != after.get(key, 0))
    if changed:
        first = changed[0]
        more = f" (and {len(changed) - 1} more rows differ)" if len(changed) > 1 else ""
        row = _row(closing.meter, Usage(*first, 0))
        raise Contradiction(
            f"window {row} {_span(closing.window)} was closed as {before.get(first, 0)} "
            f'and now measures {after.get(first, 0)}{more}; correct it with "rating correct"'
        )
    if closing.completeness is not kept.completeness:
        raise Contradiction(
            f"{name} was closed as {kept.completeness} and is now {closing.completeness}; "
            'correct it with "rating correct"'
        )


def adjustable(adjustment: Adjustment, closed: Period | None, revisions: int) -> None:
    """Raises:
    BookError: the window is not closed, a quantity is beyond 64 bits.
    Overtaken: it does not follow the `revisions` adjustments that the window has.
    """
    name = f"window {adjustment.meter} {_span(adjustment.window)}"
    if closed != adjustment.window:
        raise BookError(f"{name} is not closed, so there is nothing to adjust; `rating collect` closes what is due")
    for row in adjustment.rows:
        if not -GREATEST <= row.quantity <= GREATEST:
            keepable(row.quantity, f"{_row(adjustment.meter, row)} {_span(adjustment.window)}: adjustment by")
    if adjustment.revision > revisions + 1:
        raise Overtaken(
            f"{name} has {revisions} adjustments, so revision {adjustment.revision} does not follow; read it again"
        )


def same_adjustment(adjustment: Adjustment, kept: Sequence[Usage]) -> None:
    """Raises:
    Contradiction: this revision was kept with other rows. Evidence, reason and author may differ: the first stand.
    """
    if tuple(adjustment.rows) == tuple(kept):
        return
    before, after = ({row[:2]: row.quantity for row in rows} for rows in (kept, adjustment.rows))
    first = min(key for key in before.keys() | after.keys() if before.get(key) != after.get(key))
    raise Contradiction(
        f"adjustment {adjustment.revision} of window {_row(adjustment.meter, Usage(*first, 0))} "
        f"{_span(adjustment.window)} was kept as {before.get(first, 0):+} and is now {after.get(first, 0):+}; "
        'somebody corrected it meanwhile, run "rating correct" again'
    )


def adjusted(rows: Sequence[Usage], differences: Iterable[Usage]) -> list[Usage]:
    """Usage as it stands after adjustments, sorted, zeros left out."""
    return [row for row in merged((*rows, *differences)) if row.quantity]


def recorded_after(at: datetime, issued: datetime | None) -> datetime:
    """When an adjustment is recorded: later than the last invoice issued before it, whatever the clocks say.

    What an invoice was charged from is usage as of its issue; an adjustment it could not know must not be of that time.
    """
    return recorded(at) if issued is None else max(recorded(at), issued + timedelta(milliseconds=1))


def attemptable(attempt: Attempt, *, planned: bool, made: int) -> None:
    """Raises:
    BookError: the notification does not go out on that way.
    Overtaken: it does not follow the `made` attempts there were.
    """
    where = f"notification {attempt.notification} by {attempt.channel}"
    if not planned:
        raise BookError(f"{where} was never planned; `rating notify show` lists the ways of a notification")
    if attempt.number > made + 1:
        raise Overtaken(f"{where}: attempt {attempt.number} does not follow {made} attempts; read them again")


def same_attempt(attempt: Attempt, kept: Attempt) -> None:
    """Raises:
    Contradiction: the attempt of this number ended otherwise. What the other side said may differ.
    """
    if attempt.outcome is not kept.outcome:
        raise Contradiction(
            f"attempt {attempt.number} of notification {attempt.notification} by {attempt.channel} was kept as "
            f"{kept.outcome} and is now {attempt.outcome}; two engines deliver at once, end one of them"
        )


def same_subscription(subscription: Subscription, kept: Subscription) -> None:
    """Raises:
    Contradiction: the key is kept with other content.
    """
    if canonical_subscription(subscription) != canonical_subscription(kept):
        raise Contradiction(
            f"subscription {kept.key} was kept as {canonical_subscription(kept)} and is now "
            f"{canonical_subscription(subscription)}; cancel it and subscribe anew from another day"
        )


def canonical_subscription(subscription: Subscription) -> str:
    return canonical(
        {
            "start": subscription.start,
            "end": subscription.end,
            "customer": subscription.customer,
            "anchor": subscription.anchor,
            "zone": subscription.zone.key,
        }
    )


def cancellable(key: str, end: datetime, kept: Subscription | None) -> None:
    """Raises:
    BookError: there is no such subscription, or it would end before it starts.
    """
    if kept is None:
        raise BookError(f"there is no subscription {key} in the book; one written in the catalogue is ended there")
    if end < kept.start:
        raise BookError(f"subscription {key} starts {stamp(kept.start)} and cannot end before it, {stamp(end)}")


def same_cancellation(key: str, end: datetime, kept: datetime) -> None:
    """Raises:
    Contradiction: it was cancelled for another instant.
    """
    if end != kept:
        raise Contradiction(
            f"subscription {key} was cancelled for {stamp(kept)} and is now cancelled for {stamp(end)}; "
            "subscribe anew to continue beyond the first end"
        )


def same_catalogue(digest: str, text: str, kept: str) -> None:
    """Raises:
    Contradiction: one digest names two texts.
    """
    if text != kept:
        raise Contradiction(
            f"catalogue {digest} was kept with {len(kept)} characters and now has {len(text)} others; "
            "a digest names one text, compute it anew"
        )


def same_draft(draft: Draft, kept: Invoice) -> None:
    """Raises:
    Contradiction: the invoice was issued with other content.
    """
    if draft == kept.draft:
        return
    if draft.total != kept.total:
        change = f"over {kept.total} and now comes to {draft.total}"
    elif draft.catalogue != kept.draft.catalogue:
        change = f"under catalogue {kept.draft.catalogue[:12]} and is now rated under {draft.catalogue[:12]}"
    else:
        change = f"with {_first_difference(kept.draft, draft)}"
    raise Contradiction(
        f"invoice {kept.number} for {draft.key} was issued {change}; "
        "an issued invoice changes only by a credit note or a later adjustment"
    )


def _first_difference(kept: Draft, draft: Draft) -> str:
    """Where two drafts with equal totals part, with both contents cut to a readable length."""
    for number, (before, after) in enumerate(zip(kept.lines, draft.lines, strict=False), start=1):
        if before != after:
            return f"line {number} {_short(before)} and now reads {_short(after)}"
    if len(kept.lines) != len(draft.lines):
        return f"{len(kept.lines)} lines and now has {len(draft.lines)}"
    return f"head {_short(replace(kept, lines=()))} and now reads {_short(replace(draft, lines=()))}"


def _short(value: object) -> str:
    text = canonical(value)
    return text if len(text) <= 300 else f"{text[:297]}..."


def _row(meter: str, usage: Usage) -> str:
    """`search/c42`, with dimensions `search/c42 (/v2, eu)`."""
    return f"{meter}/{usage.consumer}" + (f" ({', '.join(usage.dimensions)})" if usage.dimensions else "")


def _span(window: Period) -> str:
    """`2026-08-01 10:00-11:00`, with the end's day where it is another one."""
    end = stamp(window.end)
    return f"{stamp(window.start)}-{end[11:] if window.start.date() == window.end.date() else end}"


def merged(rows: Iterable[Usage]) -> tuple[Usage, ...]:
    """Usage summed per consumer and dimensions, sorted by both."""
    sums: dict[tuple[str, tuple[str, ...]], int] = {}
    for consumer, dimensions, quantity in rows:
        sums[consumer, dimensions] = sums.get((consumer, dimensions), 0) + quantity
    return tuple(Usage(*key, sums[key]) for key in sorted(sums))
