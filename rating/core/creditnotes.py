"""Credit notes: the only paper that takes back what an issued invoice charged. Each line names the line it corrects.

Decides what a credit note says and how much of an invoice is left to credit. Numbers and hashes are the book's; why a
line is credited is for whoever drafts it (`late` data, a dispute, a person).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from fractions import Fraction

from rating.core.canonical import canonical, digest
from rating.core.invoices import Invoice, LineItem, LineKind
from rating.core.money import Currency, Money, allocate, round_amount, total
from rating.core.parties import CREDIT_NOTES, Customer, Seller
from rating.errors import Contradiction


class Cause(StrEnum):
    MANUAL = "manual"
    """A person decided it."""
    DISPUTE = "dispute"
    LATE_USAGE = "late_usage"
    VOID = "void"
    """The whole invoice is taken back."""


@dataclass(frozen=True, slots=True)
class CreditDraft:
    """A credit note before it has a number."""

    invoice: str
    """The number of the invoice it corrects."""
    invoice_hash: str
    """That invoice's content hash: the note is about exactly that paper."""
    customer: str
    currency: Currency
    cause: Cause
    lines: tuple[LineItem, ...]
    """Amounts are negative; `settles` names the line that each corrects, `INV-000042/2`."""
    reason: str
    author: str = ""
    reference: str = ""
    """Tells two credits apart that would be the same otherwise."""
    seller: Seller | None = None
    buyer: Customer | None = None
    zone: str = "UTC"

    @property
    def total(self) -> Money:
        """What is given back: positive."""
        return -total([line.amount for line in self.lines], self.currency)

    @property
    def takes_back(self) -> bool:
        """Is the whole invoice taken back, so that nothing of it is charged any more?"""
        return self.cause is Cause.VOID

    @property
    def series(self) -> str:
        return CREDIT_NOTES if self.seller is None else self.seller.credit_notes

    @property
    def key(self) -> str:
        """What this note is about, from its content: the same credit twice is one."""
        about = [(line.settles, line.kind.value, line.amount, line.quantity, line.usage_digest) for line in self.lines]
        return f"{self.invoice}/{self.cause}/{self.reference or digest(canonical(about))[:16]}"


@dataclass(frozen=True, slots=True)
class CreditNote:
    """An issued credit note. Never changes."""

    number: str
    issued_at: datetime
    draft: CreditDraft
    content_hash: str
    previous_hash: str

    @property
    def total(self) -> Money:
        return self.draft.total


_CHARGES = (LineKind.FEE, LineKind.USAGE, LineKind.ADJUSTMENT, LineKind.ITEM, LineKind.MINIMUM)
"""Lines that can be credited by themselves."""
_FOLLOWING = (LineKind.DISCOUNT, LineKind.CAP, LineKind.TAX)
"""Lines that are credited in the same proportion as the charges: what was taken off a charge is not given back."""


def charges(invoice: Invoice) -> dict[int, LineItem]:
    """The lines that can be credited, by their place on the invoice."""
    return {place: line for place, line in enumerate(invoice.draft.lines, 1) if line.kind in _CHARGES}


def creditable(invoice: Invoice) -> Money:
    """The most that credit notes may give back: all that was charged, however it was paid."""
    kept = [line.amount for line in invoice.draft.lines if line.kind is not LineKind.CREDIT]
    return total(kept, invoice.draft.currency)


def credited_of(invoice: Invoice, place: int, notes: Iterable[CreditNote]) -> Money:
    """How much of one line was credited so far, as a positive amount."""
    name = f"{invoice.number}/{place}"
    lines = [line.amount for note in notes for line in note.draft.lines if line.settles == name]
    return -total(lines, invoice.draft.currency)


def credit(
    invoice: Invoice,
    amounts: Mapping[int, Money],
    notes: Sequence[CreditNote],
    *,
    cause: Cause,
    reason: str,
    author: str = "",
    reference: str = "",
) -> CreditDraft:
    """A credit note over so much of these lines, before discounts and taxes, which follow in proportion.

    `notes` are the invoice's earlier ones. Proportions are taken of all that is credited, this note included, rounded
    and less what was credited before: when everything is credited at last, it is the invoice to the cent.

    Raises:
        Contradiction: a line cannot be credited, or not that much of it.
    """
    lines = []
    for place, amount in sorted(amounts.items()):
        line = _charge(invoice, place)
        left = line.amount - credited_of(invoice, place, notes)
        if amount.minor <= 0 or amount.minor > left.minor:
            raise Contradiction(
                f"invoice {invoice.number}, line {place}: {amount} cannot be credited, "
                f"{left} of its {line.amount} is left"
            )
        lines.append(_back(invoice, place, line, amount))
    return credit_lines(invoice, lines, notes, cause=cause, reason=reason, author=author, reference=reference)


def credit_lines(
    invoice: Invoice,
    lines: Sequence[LineItem],
    notes: Sequence[CreditNote],
    *,
    cause: Cause,
    reason: str,
    author: str = "",
    reference: str = "",
) -> CreditDraft:
    """A credit note with these lines about charges, and with what follows them. See `credit`."""
    draft = invoice.draft
    return CreditDraft(
        invoice=invoice.number,
        invoice_hash=invoice.content_hash,
        customer=draft.customer,
        currency=draft.currency,
        cause=cause,
        lines=(*lines, *_following(invoice, lines, notes)),
        reason=reason,
        author=author,
        reference=reference,
        seller=draft.seller,
        buyer=draft.buyer,
        zone=draft.zone,
    )


def spread(invoice: Invoice, amount: Money, notes: Sequence[CreditNote]) -> dict[int, Money]:
    """An amount about the whole invoice on its lines, in proportion to what is left of each.

    Raises:
        Contradiction: that much is not left.
    """
    left = {
        place: rest
        for place, line in charges(invoice).items()
        if (rest := line.amount - credited_of(invoice, place, notes)).minor > 0
    }
    most = total(list(left.values()), invoice.draft.currency)
    if amount.minor <= 0 or amount.minor > most.minor:
        raise Contradiction(f"invoice {invoice.number}: {amount} cannot be credited, {most} of its charges is left")
    parts = allocate(amount.minor, [rest.minor for rest in left.values()])
    return {place: Money(part, amount.currency) for place, part in zip(left, parts, strict=True) if part}


def take_back(
    invoice: Invoice, notes: Sequence[CreditNote], *, cause: Cause, reason: str, author: str = ""
) -> CreditDraft:
    """A credit note over all that is left of the invoice, lines that were credits themselves included."""
    rest = {place: line.amount - credited_of(invoice, place, notes) for place, line in charges(invoice).items()}
    lines = [_back(invoice, place, charges(invoice)[place], amount) for place, amount in rest.items() if amount.minor]
    return credit_lines(invoice, lines, notes, cause=cause, reason=reason, author=author)


def fits(draft: CreditDraft, invoice: Invoice, notes: Iterable[CreditNote]) -> None:
    """Raises:
    Contradiction: the note is about another paper, or with it more would be credited than was charged.
    """
    if draft.invoice_hash != invoice.content_hash:
        raise Contradiction(f"credit note for {invoice.number} is about a paper with another hash; draft it anew")
    before = total([note.total for note in notes], draft.currency)
    most = creditable(invoice)
    if draft.total.minor <= 0 or (before + draft.total).minor > most.minor:
        raise Contradiction(
            f"invoice {invoice.number}: {draft.total} cannot be credited, {before} of {most} was credited before"
        )


def _charge(invoice: Invoice, place: int) -> LineItem:
    lines = invoice.draft.lines
    if not 1 <= place <= len(lines):
        raise Contradiction(f"invoice {invoice.number} has {len(lines)} lines; there is no line {place}")
    line = lines[place - 1]
    if line.kind not in _CHARGES:
        raise Contradiction(
            f"invoice {invoice.number}, line {place} is a {line.kind}: it follows the charges and is not credited alone"
        )
    return line


def _back(invoice: Invoice, place: int, line: LineItem, amount: Money) -> LineItem:
    """The line of a credit note that takes back so much of a charge. It corrects money, not what was counted."""
    return LineItem(
        kind=LineKind.CREDIT,
        card=line.card,
        title=f"{line.title}, {invoice.number} line {place}",
        period=line.period,
        exact=-amount.exact,
        amount=-amount,
        settles=f"{invoice.number}/{place}",
    )


def _following(invoice: Invoice, lines: Sequence[LineItem], notes: Sequence[CreditNote]) -> list[LineItem]:
    own = charges(invoice)
    base = sum(line.amount.minor for line in own.values())
    if base <= 0:
        return []
    names = {f"{invoice.number}/{place}" for place in own}
    before = [line for note in notes for line in note.draft.lines if line.settles in names]
    share = Fraction(-sum(line.amount.minor for line in (*before, *lines)), base)
    found = []
    for place, line in enumerate(invoice.draft.lines, 1):
        if line.kind not in _FOLLOWING or not line.amount.minor:
            continue
        exact = line.amount.exact * share
        rest = round_amount(exact, invoice.draft.currency) - credited_of(invoice, place, notes)
        if rest.minor:
            item = _back(invoice, place, line, rest)
            found.append(replace(item, kind=line.kind, exact=-rest.exact))
    return found
