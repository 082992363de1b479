"""Documents: gathers what stands on an invoice or a partner's statement, with the usage of each day behind it."""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from fractions import Fraction
from zoneinfo import ZoneInfo

from rating.core.documents import Day, Document, Kind, Party, Row, TaxRow
from rating.core.entries import paper_text
from rating.core.invoices import Draft, Invoice, LineItem, LineKind
from rating.core.money import exact, round_amount
from rating.core.partners import PartnerLine, PartnerStatement
from rating.jobs.explain import Explained, explain
from rating.ports import Book

_CHARGES = (LineKind.FEE, LineKind.USAGE, LineKind.ADJUSTMENT)


@dataclass(frozen=True, slots=True)
class Letterhead:
    """Who writes, in which language and look."""

    seller: Party = field(default_factory=Party)
    locale: str = "en"
    brand: str = ""


PLAIN = Letterhead()


def invoice_document(book: Book, invoice: Invoice, head: Letterhead = PLAIN, *, daily: bool = True) -> Document:
    """The paper of an issued invoice. Without `daily`, the usage of each day is left out, and the book is not asked."""
    draft = invoice.draft
    zone = ZoneInfo(draft.zone)
    behind = explain(book, invoice) if daily else ()
    rows = [
        _row(position, line, draft, behind[position - 1] if daily else None)
        for position, line in enumerate(draft.lines, 1)
    ]
    named = list(zip(draft.lines, rows, strict=True))
    document = Document(
        kind=Kind.INVOICE,
        number=invoice.number,
        issued=invoice.issued_at.astimezone(zone).date(),
        currency=draft.currency,
        seller=head.seller,
        customer=Party(name=draft.customer),
        first=draft.days[0],
        last=draft.days[1] - timedelta(days=1),
        rows=tuple(row for line, row in named if line.kind in _CHARGES),
        agreed=tuple(row for line, row in named if line.kind not in (*_CHARGES, LineKind.TAX)),
        plan=draft.plan_title,
        consumer="" if draft.consumer == draft.customer else draft.consumer,
        zone=draft.zone,
        locale=head.locale,
        brand=head.brand,
        catalogue=draft.catalogue,
        content_hash=invoice.content_hash,
        previous_hash=invoice.previous_hash,
    )
    return replace(document, taxes=tuple(_taxes(document, draft)))


def hashed_text(invoice: Invoice) -> str:
    """Exactly what the hash on the paper was taken of: `sha256sum` of its UTF-8 bytes gives it."""
    return paper_text(invoice)


def statement_document(statement: PartnerStatement, head: Letterhead = PLAIN, issued: date | None = None) -> Document:
    """What a partner is owed, a line for each share of an invoice line."""
    last = statement.month.replace(day=monthrange(statement.month.year, statement.month.month)[1])
    return Document(
        kind=Kind.STATEMENT,
        number=f"{statement.partner} {statement.month:%Y-%m} {statement.currency}",
        issued=issued or last,
        currency=statement.currency,
        seller=head.seller,
        customer=Party(name=statement.partner),
        first=statement.month,
        last=last,
        rows=tuple(_share(position, line) for position, line in enumerate(statement.lines, 1)),
        locale=head.locale,
        brand=head.brand,
    )


def _row(position: int, line: LineItem, draft: Draft, behind: Explained | None) -> Row:
    zone = ZoneInfo(draft.zone)
    days: tuple[Day, ...] = ()
    if behind is not None and line.kind is LineKind.USAGE:
        scale = 10**line.digits
        days = tuple(Day(day, Fraction(quantity, scale)) for day, _, quantity in behind.by_day(zone))
    first = line.period.start.astimezone(zone).date()
    return Row(
        position=position,
        kind=line.kind.value,
        title=line.title,
        amount=line.amount,
        exact=line.exact,
        first=first,
        last=max(first, (line.period.end - timedelta(microseconds=1)).astimezone(zone).date()),
        card=line.card,
        unit=line.unit,
        quantity=line.quantity if line.meter else None,
        included=line.included,
        steps=line.portions,
        names=line.settles,
        windows=line.windows,
        degraded=line.degraded,
        usage_digest=line.usage_digest,
        days=days,
    )


_RATE = re.compile(r" ([0-9.]+) %(, contained: (-?[0-9.]+))?\Z")


def _taxes(document: Document, draft: Draft) -> Iterable[TaxRow]:
    """A tax line's rate and, where the prices contain it, its amount stand in its title, as it was issued."""
    lines = [line for line in draft.lines if line.kind is LineKind.TAX]
    for line in lines:
        found = _RATE.search(line.title)
        if found is None:
            yield TaxRow(line.title, None, None, line.amount)
            continue
        percent, contained = exact(found[1]), found[3]
        if contained is not None:
            amount = round_amount(exact(contained), draft.currency)
            yield TaxRow(line.card or line.title, percent, document.net, amount, contained=True)
            continue
        base = document.net if len(lines) == 1 else None
        if base is None and percent:
            base = round_amount(line.exact * 100 / percent, draft.currency)
        yield TaxRow(line.card or line.title, percent, base, line.amount)


def _share(position: int, line: PartnerLine) -> Row:
    return Row(
        position=position,
        kind="share",
        title=line.title,
        amount=line.amount,
        exact=line.exact,
        first=line.period.start.date(),
        last=(line.period.end - timedelta(microseconds=1)).date(),
        card=line.charge,
        unit="%",
        quantity=line.percent,
        names=f"{line.invoice}/{line.position}",
        usage_digest=line.usage_digest,
    )
