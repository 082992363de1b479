"""The journal: what the book's papers, payments and wallets mean in double entry, for somebody else's ledger.

    invoice       receivable            to revenue, tax        (discounts and credits on the debit side)
    credit note   revenue, tax          to receivable
    payment       bank                  to receivable          refund the other way, a write-off to bad debts
    wallet        bank, promotions      to wallet              burned: wallet to receivable
    expiry        wallet                to expired
    statement     share                 to payable             what takes back a share the other way

Decides accounts and sides. Debits equal credits in every entry, or nothing is said. That a prepaid balance expires is
no entry of the book but follows from its grants and the time; here it is one, of the day on which it does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from enum import StrEnum

from rating.core.creditnotes import CreditNote
from rating.core.invoices import Invoice, LineItem, LineKind
from rating.core.lifecycle import InvoiceEntry, Step
from rating.core.money import Currency, Money
from rating.core.payouts import Payout
from rating.core.taxlines import tax_line
from rating.core.wallets import Grant, GrantAccount, GrantKind, Move, MoveKind
from rating.errors import Contradiction


class Role(StrEnum):
    """What an account is for."""

    RECEIVABLE = "receivable"
    REVENUE = "revenue"
    """`revenue/PLAN` and `revenue/PLAN/CHARGE` may have accounts of their own."""
    DISCOUNT = "discount"
    """Discounts and caps, `discount/CODE`."""
    CREDIT = "credit"
    """Credit agreed with a subscription, `credit/KEY`."""
    TAX = "tax"
    """`tax/TITLE`, such as `tax/VAT`."""
    BANK = "bank"
    """What paid, `bank/SOURCE`."""
    BAD_DEBT = "bad_debt"
    WALLET = "wallet"
    """What is owed to customers who paid in advance."""
    PROMOTION = "promotion"
    """Prepaid money that was given away."""
    EXPIRED = "expired"
    """Prepaid money that nobody used in time, `expired/topup` and `expired/grant`."""
    SHARE = "share"
    """What partners have of revenue, `share/PARTNER/CHARGE`."""
    PAYABLE = "payable"
    """What is owed to partners, `payable/PARTNER`."""


@dataclass(frozen=True, slots=True)
class Accounts:
    """Numbers by role, the most exact name first: `revenue/pro/api_calls`, `revenue/pro`, `revenue`."""

    numbers: Mapping[str, str] = field(default_factory=dict)

    def number(self, name: str) -> str:
        """Of the account; the role's own word where nobody gave it a number."""
        parts = name.split("/")
        for size in range(len(parts), 0, -1):
            found = self.numbers.get("/".join(parts[:size]))
            if found is not None:
                return found
        return parts[0]


@dataclass(frozen=True, slots=True)
class Posting:
    """One line of an entry. `amount` is a debit where positive, a credit where negative."""

    name: str
    """The role, and what it is about: `revenue/pro/api_calls`."""
    amount: Money
    text: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """One event. Its postings sum to zero."""

    key: str
    """Names it for ever: the same event exported twice is the same entry."""
    on: date
    document: str
    customer: str
    postings: tuple[Posting, ...]

    def __post_init__(self) -> None:
        sums: dict[Currency, int] = {}
        for posting in self.postings:
            sums[posting.amount.currency] = sums.get(posting.amount.currency, 0) + posting.amount.minor
        for currency, minor in sums.items():
            if minor:
                raise Contradiction(
                    f"journal entry {self.key}: its debits exceed its credits by {Money(minor, currency)}; "
                    "run `rating book check`, the paper does not add up"
                )


def of_invoice(invoice: Invoice) -> Entry:
    draft = invoice.draft
    postings = [Posting(Role.RECEIVABLE, invoice.total, invoice.number)]
    for place, line in enumerate(draft.lines, 1):
        postings += _line(line, draft.part_of(place).plan if draft.sections else draft.plan)
    return _entry(invoice.number, invoice.issued_on, invoice.number, draft.customer, postings)


def of_credit_note(note: CreditNote, invoice: Invoice, on: date) -> Entry:
    """The lines of a note are negative already, so they fall on the other side by themselves."""
    postings = [Posting(Role.RECEIVABLE, -note.total, note.number)]
    for line in note.draft.lines:
        place = int(line.settles.rpartition("/")[2] or 1)
        about = invoice.draft.lines[place - 1]
        # A credited charge goes where the charge went.
        as_charged = replace(line, kind=about.kind, card=about.card)
        plan = invoice.draft.part_of(place).plan if invoice.draft.sections else invoice.draft.plan
        postings += _line(as_charged, plan)
    return _entry(note.number, on, note.number, note.draft.customer, postings)


def of_step(entry: InvoiceEntry, invoice: Invoice, notes: Sequence[CreditNote] = ()) -> Entry | None:
    """A payment, refund, write-off or void; None for steps that move no money."""
    customer, key = invoice.draft.customer, entry.key
    if entry.step is Step.VOID:
        # All that the paper and its credit notes said is taken back.
        said = [of_invoice(invoice), *(of_credit_note(note, invoice, entry.on) for note in notes)]
        back = [replace(one, amount=-one.amount, text=f"void {invoice.number}") for e in said for one in e.postings]
        return _entry(key, entry.on, invoice.number, customer, back)
    sides = {
        Step.PAY: (f"{Role.BANK}/{entry.source}" if entry.source else Role.BANK, 1),
        Step.REFUND: (f"{Role.BANK}/{entry.source}" if entry.source else Role.BANK, -1),
        Step.WRITE_OFF: (Role.BAD_DEBT.value, 1),
    }
    if entry.step not in sides or entry.amount is None:
        return None
    name, sign = sides[entry.step]
    amount = entry.amount if sign > 0 else -entry.amount
    postings = [Posting(name, amount, entry.step.value), Posting(Role.RECEIVABLE, -amount, invoice.number)]
    return _entry(key, entry.on, invoice.number, customer, postings)


def of_move(account: GrantAccount, move: Move) -> Entry:
    """A top-up or gift, what it paid, what came back, what was taken out."""
    grant, currency = account.grant, account.grant.amount.currency
    owed = Money(-move.change, currency)
    source = Role.BANK if grant.kind is GrantKind.TOPUP else Role.PROMOTION
    other = Role.RECEIVABLE if move.kind in (MoveKind.BURNED, MoveKind.RETURNED) else source
    key = f"wallet/{grant.customer}/{grant.reference}/{move.step}"
    text = f"{move.kind.value} {grant.reference}"
    postings = [Posting(Role.WALLET, owed, text), Posting(other, -owed, move.invoice or text)]
    return _entry(key, move.at.date(), move.invoice or grant.reference, grant.customer, postings)


def expiries(account: GrantAccount, until: datetime) -> Iterator[Entry]:
    """What expired of a grant by then: the rest on its day, and what moved later (a payment came back) on that day.

    From its expiry on a grant owes nothing.
    """
    grant = account.grant
    if grant.expires is None or grant.expires > until:
        return
    rest = next((move.after for move in reversed(account.moves) if move.at < grant.expires), 0)
    key = f"wallet/{grant.customer}/{grant.reference}"
    yield _expired(grant, rest, f"{key}/expired", grant.expires.date())
    for move in account.moves:
        if move.at >= grant.expires:
            yield _expired(grant, move.change, f"{key}/{move.step}/expired", move.at.date())


def _expired(grant: Grant, minor: int, key: str, on: date) -> Entry:
    amount, text = Money(minor, grant.amount.currency), f"expired {grant.reference}"
    name = f"{Role.EXPIRED}/{grant.kind.value}"
    postings = [Posting(Role.WALLET, amount, text), Posting(name, -amount, text)]
    return _entry(key, on, grant.reference, grant.customer, postings)


def of_payout(payout: Payout, on: date) -> Entry:
    """A partner's statement: shares by charge, and what is payable for all of them."""
    draft = payout.draft
    shares: dict[str, int] = {}
    for line in draft.lines:
        shares[line.charge] = shares.get(line.charge, 0) + line.amount.minor
    postings = [
        Posting(f"{Role.SHARE}/{draft.partner}/{charge}", Money(minor, draft.currency), charge)
        for charge, minor in sorted(shares.items())
    ]
    postings.append(Posting(f"{Role.PAYABLE}/{draft.partner}", -payout.total, payout.number))
    return _entry(payout.number, on, payout.number, draft.partner, postings)


def _line(line: LineItem, plan: str) -> Iterator[Posting]:
    amount = -line.amount
    if line.kind is LineKind.TAX:
        tax = tax_line(line)
        if tax.contained is not None:
            # The prices were booked as revenue with the tax in them.
            yield Posting(f"{Role.REVENUE}/{plan}", tax.contained, tax.title)
            amount = -tax.contained
        yield Posting(f"{Role.TAX}/{tax.title or line.card}", amount, line.title)
    elif line.kind in (LineKind.DISCOUNT, LineKind.CAP):
        yield Posting(f"{Role.DISCOUNT}/{line.card}" if line.card else Role.DISCOUNT, amount, line.title)
    elif line.kind is LineKind.CREDIT:
        yield Posting(f"{Role.CREDIT}/{line.card}" if line.card else Role.CREDIT, amount, line.title)
    else:
        yield Posting(
            f"{Role.REVENUE}/{plan}/{line.card}" if line.card else f"{Role.REVENUE}/{plan}", amount, line.title
        )


def _entry(key: str, on: date, document: str, customer: str, postings: Iterable[Posting]) -> Entry:
    return Entry(key, on, document, customer, tuple(one for one in postings if one.amount.minor))
