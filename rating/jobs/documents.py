"""Documents: gathers what stands on an invoice, a credit note or a partner's statement, with the usage behind it."""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from fractions import Fraction
from typing import TypedDict
from zoneinfo import ZoneInfo

from rating.core.creditnotes import CreditNote
from rating.core.documents import Day, Document, Kind, Party, Row, TaxRow
from rating.core.entries import credit_text, paper_text
from rating.core.invoices import Draft, Invoice, LineItem, LineKind
from rating.core.money import Money, round_amount
from rating.core.parties import Customer, Seller, terms_of
from rating.core.partners import PartnerLine, PartnerStatement
from rating.core.payouts import Payout, statement_text
from rating.core.taxlines import tax_line
from rating.core.wallets import MoveKind
from rating.jobs.explain import Explained, explain
from rating.ports import Book

_CHARGES = (LineKind.FEE, LineKind.USAGE, LineKind.ADJUSTMENT, LineKind.ITEM)


@dataclass(frozen=True, slots=True)
class Letterhead:
    """Who writes, in which language and look, where neither seller nor customer of an invoice says so themselves."""

    seller: Party = field(default_factory=Party)
    locale: str = "en"
    brand: str = ""
    chosen: bool = False
    """A person chose language and look for now, whatever is agreed."""


PLAIN = Letterhead()


def invoice_document(book: Book, invoice: Invoice, head: Letterhead = PLAIN, *, daily: bool = True) -> Document:
    """The paper of an issued invoice, as of its issue. Without `daily`, the usage of each day is left out."""
    draft = invoice.draft
    behind = explain(book, invoice) if daily else ()
    sections = _sections(draft)
    rows = [
        replace(_row(place, line, draft.zone, behind[place - 1] if daily else None), section=sections.get(place, ""))
        for place, line in enumerate(draft.lines, 1)
    ]
    document = Document(
        kind=Kind.INVOICE,
        number=invoice.number,
        issued=invoice.issued_on,
        currency=draft.currency,
        first=draft.days[0],
        last=draft.days[1] - timedelta(days=1),
        plan="" if draft.sections else draft.plan_title,
        consumer="" if draft.sections or draft.consumer == draft.customer else draft.consumer,
        due=invoice.due_on,
        corrects=draft.replaces,
        paid=_paid_at_issue(book, invoice),
        catalogue="" if draft.sections else draft.catalogue,
        content_hash=invoice.content_hash,
        previous_hash=invoice.previous_hash,
        **_between(draft.seller, draft.buyer, draft.customer, draft.zone, head),
        **_grouped(draft.lines, rows, _CHARGES),
    )
    return replace(document, taxes=tuple(_taxes(document, draft.lines)))


def credit_document(book: Book, note: CreditNote, head: Letterhead = PLAIN) -> Document:
    """The paper of an issued credit note: what is given back, as positive amounts."""
    draft = note.draft
    lines = [replace(line, exact=-line.exact, amount=-line.amount) for line in draft.lines]
    rows = [_row(place, line, draft.zone, None) for place, line in enumerate(lines, 1)]
    document = Document(
        kind=Kind.CREDIT_NOTE,
        number=note.number,
        issued=note.issued_at.astimezone(ZoneInfo(draft.zone)).date(),
        currency=draft.currency,
        first=min(row.first for row in rows),
        last=max(row.last for row in rows),
        corrects=draft.invoice,
        reason=draft.reason,
        content_hash=note.content_hash,
        previous_hash=note.previous_hash,
        **_between(draft.seller, draft.buyer, draft.customer, draft.zone, head),
        **_grouped(lines, rows, (LineKind.CREDIT, *_CHARGES)),
    )
    taxes = tuple(_taxes(document, lines))
    if taxes:
        return replace(document, taxes=taxes)
    # A note has no tax line where the invoice had none: it is treated as the invoice was.
    invoice = book.invoice(draft.invoice)
    named = () if invoice is None else tuple(_taxes(document, invoice.draft.lines))
    return replace(document, taxes=tuple(tax for tax in named if tax.treatment))


def hashed_text(paper: Invoice | CreditNote | Payout) -> str:
    """Exactly what the hash on the paper was taken of: `sha256sum` of its UTF-8 bytes gives it."""
    if isinstance(paper, Payout):
        return statement_text(paper)
    return paper_text(paper) if isinstance(paper, Invoice) else credit_text(paper)


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


def payout_document(payout: Payout, head: Letterhead = PLAIN) -> Document:
    """The paper of an issued statement, with the hash that proves it, dated by UTC as `rating statements` does."""
    draft = payout.draft
    owed = PartnerStatement(draft.partner, draft.month, draft.currency, draft.lines)
    return replace(
        statement_document(owed, head, payout.issued_at.date()),
        number=payout.number,
        content_hash=payout.content_hash,
        previous_hash=payout.previous_hash,
    )


class _Parties(TypedDict):
    seller: Party
    customer: Party
    terms: str
    payment: tuple[str, ...]
    purchase_order: str
    notes: tuple[str, ...]
    zone: str
    locale: str
    brand: str


def _between(seller: Seller | None, buyer: Customer | None, customer: str, zone: str, head: Letterhead) -> _Parties:
    terms = terms_of(seller, buyer)
    agreed = (buyer.locale if buyer else "") or (seller.locale if seller else "")
    return {
        "seller": head.seller if seller is None else _party(seller, seller.name),
        "customer": Party(customer) if buyer is None else _party(buyer, buyer.name or customer),
        "terms": "" if terms is None else str(terms),
        "payment": () if seller is None else seller.payment,
        "purchase_order": "" if buyer is None else buyer.purchase_order,
        "notes": (seller.footer,) if seller is not None and seller.footer else (),
        "zone": zone,
        "locale": head.locale if head.chosen or not agreed else agreed,
        "brand": head.brand or (seller.template if seller else ""),
    }


def _party(one: Seller | Customer, name: str) -> Party:
    ids = (one.tax_id,) if one.tax_id else ()
    seller = one if isinstance(one, Seller) else None
    return Party(
        name,
        one.address,
        one.country,
        ids,
        one.email,
        phone=seller.phone if seller else "",
        website=seller.website if seller else "",
    )


class _Groups(TypedDict):
    rows: tuple[Row, ...]
    agreed: tuple[Row, ...]


def _grouped(lines: Sequence[LineItem], rows: Sequence[Row], charges: Sequence[LineKind]) -> _Groups:
    named = list(zip(lines, rows, strict=True))
    return {
        "rows": tuple(row for line, row in named if line.kind in charges),
        "agreed": tuple(row for line, row in named if line.kind not in (*charges, LineKind.TAX)),
    }


def _sections(draft: Draft) -> dict[int, str]:
    """By line: the subscription it is about, where there are several."""
    found: dict[int, str] = {}
    for before, part in draft.parts if draft.sections else ():
        for place in range(before + 1, before + len(part.lines) + 1):
            found[place] = f"{part.plan_title}, {part.consumer}"
    return found


def _paid_at_issue(book: Book, invoice: Invoice) -> Money | None:
    """What the wallet paid in the transaction that issued it: later payments are not on this paper."""
    moves = [
        move
        for wallet in book.wallets(invoice.draft.customer)
        for account in wallet.accounts
        for move in account.moves
        if move.invoice == invoice.number and move.kind is MoveKind.BURNED
    ]
    return Money(-sum(move.change for move in moves), invoice.draft.currency) if moves else None


def _row(position: int, line: LineItem, zone_name: str, behind: Explained | None) -> Row:
    zone = ZoneInfo(zone_name)
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


def _taxes(document: Document, lines: Sequence[LineItem]) -> Iterable[TaxRow]:
    said = [(line, tax_line(line)) for line in lines if line.kind is LineKind.TAX]
    rated = [tax for _, tax in said if tax.title]
    for line, tax in said:
        if not tax.title:
            base = document.net if tax.treatment else None
            yield TaxRow("", None, base, line.amount, tax.note, treatment=tax.treatment)
        elif tax.contained is not None:
            yield TaxRow(tax.title, tax.percent, document.net, tax.contained, contained=True)
        else:
            base = document.net if len(rated) == 1 and tax.percent is not None else None
            if base is None and tax.percent:
                base = round_amount(line.exact * 100 / tax.percent, document.currency)
            yield TaxRow(tax.title, tax.percent, base, line.amount)


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
        corrects=line.corrects,
        usage_digest=line.usage_digest,
    )
