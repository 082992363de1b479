"""Partners: what is owed to them of the invoices issued, on statements of their own.

A share is taken of a line as it stands on the invoice, before what is agreed about that invoice as a whole: a discount
or a credit is between the customer and us. Decides nothing about the invoice, on which none of this is seen.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace
from datetime import date
from fractions import Fraction
from zoneinfo import ZoneInfo

from rating.core.creditnotes import CreditNote
from rating.core.invoices import Draft, Invoice, LineItem, LineKind
from rating.core.money import Currency, Money, Rounding, round_amount, total
from rating.core.parts import parts
from rating.core.periods import Period
from rating.core.plans import Plan
from rating.core.ratecards import RevenueShare
from rating.core.subscriptions import Subscription
from rating.errors import Finding


@dataclass(frozen=True, slots=True)
class PartnerLine:
    """One share of one line of one invoice, rounded once."""

    invoice: str
    """The number of the invoice, or of the credit note, on which the line stands."""
    position: int
    """Of the line on its paper, from 1."""
    charge: str
    title: str
    period: Period
    base: Money
    """The line's amount as it stands on the invoice."""
    percent: Fraction
    exact: Fraction
    amount: Money
    usage_digest: str
    """The line's own: the share stands on the same closed windows."""
    corrects: str = ""
    """The invoice line that a credit note's line takes back, or the statement line of an invoice that is void."""
    void: bool = False
    """It takes back what was stated of an invoice that is void now."""

    @property
    def source(self) -> str:
        """What it is a share of: stated once, however often statements are issued."""
        return f"{self.invoice}/{self.position}" + (" void" if self.void else "")


@dataclass(frozen=True, slots=True)
class PartnerStatement:
    """Everything owed to a partner in one currency for billing periods that begin in one month."""

    partner: str
    month: date
    """Its first day, on the customers' calendars."""
    currency: Currency
    lines: tuple[PartnerLine, ...]

    @property
    def total(self) -> Money:
        return total([line.amount for line in self.lines], self.currency)


InForce = Callable[[Draft], tuple[Subscription, Plan] | None]
"""The subscription an invoice is of, and the plan its period is billed under; None when nobody knows it."""


def partner_statements(
    invoices: Iterable[Invoice], in_force: InForce, notes: Iterable[CreditNote] = (), void: Collection[str] = ()
) -> tuple[tuple[PartnerStatement, ...], tuple[Finding, ...]]:
    """One statement per partner, month and currency, sorted so; lines in the order of the invoices, oldest first.

    Late usage is shared as the line that it settles was, in the month of the invoice on which it stands. What a credit
    note takes back of a line is taken back of its share, in the month of the note. Invoices that are void charge
    nothing. An invoice line whose contract is not known any more is a finding: silence would cost the partner.
    """
    found: dict[tuple[str, date, Currency], list[PartnerLine]] = {}
    findings = []
    agreed: dict[str, tuple[RevenueShare, Rounding]] = {}
    """By invoice line, as a later adjustment names it."""
    for invoice in invoices:
        if invoice.number in void:
            continue
        for before, paper in invoice.draft.parts:
            contract = in_force(paper)
            if contract is None:
                what = f"nobody knows subscription {paper.subscription} under catalogue {paper.catalogue[:12]} any more"
                findings.append(
                    Finding(
                        f"invoice {invoice.number}", what, "adopt that catalogue again, so that shares of it are known"
                    )
                )
                continue
            subscription, plan = contract
            cards = {(part.card.key, part.span): part.card for part in parts(subscription, plan, paper.period)}
            month = paper.days[0].replace(day=1)
            for position, line in enumerate(paper.lines, before + 1):
                name = f"{invoice.number}/{position}"
                if line.kind is LineKind.USAGE:
                    card = cards.get((line.card, line.period))
                    if card is None:
                        what = f'plan "{plan.key}" had no charge "{line.card}" over {line.period}'
                        hint = "adopt the catalogue it was billed under again"
                        findings.append(Finding(f"invoice {name}", what, hint))
                    elif card.revenue_share is not None:
                        agreed[name] = card.revenue_share, plan.rounding
                elif line.kind is LineKind.ADJUSTMENT and line.settles in agreed:
                    agreed[name] = agreed[line.settles]
                if name in agreed:
                    key = (agreed[name][0].partner, month, line.amount.currency)
                    found.setdefault(key, []).append(_share(invoice.number, position, line, *agreed[name]))
    for note in notes:
        month = note.issued_at.astimezone(ZoneInfo(note.draft.zone)).date().replace(day=1)
        for position, line in enumerate(note.draft.lines, 1):
            if line.settles in agreed and line.kind not in _ABOUT_THE_WHOLE:
                share, rounding = agreed[line.settles]
                back = replace(_share(note.number, position, line, share, rounding), corrects=line.settles)
                found.setdefault((share.partner, month, line.amount.currency), []).append(back)
    return tuple(PartnerStatement(*key, tuple(found[key])) for key in sorted(found)), tuple(findings)


_ABOUT_THE_WHOLE = (LineKind.DISCOUNT, LineKind.CAP, LineKind.TAX)
"""What is agreed about an invoice as a whole is between the customer and us, on credit notes as well."""


def _share(paper: str, position: int, line: LineItem, share: RevenueShare, rounding: Rounding) -> PartnerLine:
    exact = line.amount.exact * share.percent / 100
    return PartnerLine(
        invoice=paper,
        position=position,
        charge=line.card,
        title=line.title,
        period=line.period,
        base=line.amount,
        percent=share.percent,
        exact=exact,
        amount=round_amount(exact, line.amount.currency, rounding),
        usage_digest=line.usage_digest,
    )
