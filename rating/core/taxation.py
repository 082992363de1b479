"""Taxation: how an invoice is taxed, by the first rule of the catalogue that fits who sells and who pays.

Decides treatment and rates, and says why. The arithmetic is `taxes`; other authorities answer behind a port. A question
that no rule answers is refused: an invoice with a guessed tax is worse than one that waits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from rating.core.taxes import Tax
from rating.errors import NoTaxRuleCovers

EU = frozenset(
    "AT BE BG CY CZ DE DK EE ES FI FR GR HR HU IE IT LT LU LV MT NL PL PT RO SE SI SK".split()
)  # fmt: skip
"""Member states of the European Union, ISO 3166. (Council Directive 2006/112/EC as of 2020-02-01.)"""

HOME, UNION = "home", "EU"
"""In a rule, beside country codes: the seller's own country, and any member state but that one."""


class Treatment(StrEnum):
    """What kind of supply this is to the tax office."""

    STANDARD = "standard"
    """Taxed at the rates of the decision."""
    REVERSE_CHARGE = "reverse_charge"
    """The customer owes the tax; the invoice says so."""
    EXEMPT = "exempt"
    """Free of tax for a reason that the invoice names."""
    OUTSIDE = "outside"
    """Not taxable where the seller is taxed."""


@dataclass(frozen=True, slots=True)
class TaxDecision:
    """How one invoice is taxed: an input of its draft, kept on it, so that anybody can recompute it without asking."""

    treatment: Treatment = Treatment.STANDARD
    taxes: tuple[Tax, ...] = ()
    """In place of the plan's."""
    own_rates: bool = True
    """Charges and fees that have rates of their own keep them."""
    note: str = ""
    """What must be printed."""
    reason: str = ""
    """Which rule it was and what fitted it, or what the service said."""
    source: str = ""
    """The service that decided; empty for the catalogue's rules."""
    reference: str = ""
    """The service's own."""

    def __post_init__(self) -> None:
        if self.treatment is not Treatment.STANDARD and self.taxes:
            raise ValueError(f"a supply that is {self.treatment} has no rates; {self.taxes[0].title} is one")
        if self.treatment in (Treatment.REVERSE_CHARGE, Treatment.EXEMPT) and not self.note:
            raise ValueError(f"a supply that is {self.treatment} needs a note that says so on the invoice")


@dataclass(frozen=True, slots=True)
class TaxRule:
    """One line of the table. What is left empty fits everybody, but for `exempt`."""

    name: str
    decision: TaxDecision
    countries: tuple[str, ...] = ()
    """Of the customer: ISO 3166 codes, `home`, `EU`."""
    sellers: tuple[str, ...] = ()
    """Keys of the sellers it holds for."""
    tax_id: bool | None = None
    """Whether the customer must have given one."""
    exempt: bool = False
    """For customers who are exempt; the others are for those who are not."""
    since: date | None = None
    until: date | None = None
    """The first day on which it no longer holds."""

    def fits(self, question: TaxQuestion) -> bool:
        return (
            (not self.countries or any(_is_in(question, place) for place in self.countries))
            and (not self.sellers or question.seller in self.sellers)
            and self.tax_id in (None, bool(question.tax_id))
            and self.exempt == bool(question.exempt)
            and (self.since is None or self.since <= question.on)
            and (self.until is None or question.on < self.until)
        )


@dataclass(frozen=True, slots=True)
class TaxQuestion:
    """What is asked about one invoice."""

    invoice: str
    """Its key: the same invoice is the same question."""
    on: date
    """The tax point: the last day of what is billed."""
    currency: str
    plan: str
    customer: str
    country: str = ""
    """The customer's, as `tax_id` and `exempt`."""
    tax_id: str = ""
    exempt: str = ""
    """Why the customer is exempt, such as a certificate's number; empty for who is not."""
    seller: str = ""
    seller_country: str = ""
    seller_tax_id: str = ""
    rules: tuple[TaxRule, ...] = ()
    """Of the catalogue that the invoice is rated under."""


def decide(question: TaxQuestion) -> TaxDecision:
    """By the first of the question's rules that fits.

    Raises:
        NoTaxRuleCovers: none does, or a country that the rules ask for is not known.
    """
    asked = [rule for rule in question.rules if rule.countries]
    who = f"customer {question.customer} of invoice {question.invoice}"
    if asked and not question.country:
        raise NoTaxRuleCovers(
            f"{who} has no country, and tax rule {asked[0].name!r} asks for one; write it under customers"
        )
    if any(HOME in rule.countries or UNION in rule.countries for rule in asked) and not question.seller_country:
        raise NoTaxRuleCovers(f"the seller to {who} has no country, and the tax rules ask for it; write it there")
    for rule in question.rules:
        if rule.fits(question):
            return _because(rule, question)
    raise NoTaxRuleCovers(
        f"none of {len(question.rules)} tax rules covers {who}: {_described(question)} on {question.on}; add a rule"
    )


def _because(rule: TaxRule, question: TaxQuestion) -> TaxDecision:
    said = rule.decision
    reason = f"rule {rule.name!r}: {_described(question)}"
    return TaxDecision(said.treatment, said.taxes, said.own_rates, said.note, reason)


def _described(question: TaxQuestion) -> str:
    parts = [
        f"sold from {question.seller_country}" if question.seller_country else "",
        f"to {question.country}" if question.country else "to an unknown country",
        "with a tax id" if question.tax_id else "without a tax id",
        f"exempt ({question.exempt})" if question.exempt else "",
    ]
    return " ".join(part for part in parts if part)


def _is_in(question: TaxQuestion, place: str) -> bool:
    if place == HOME:
        return question.country == question.seller_country
    if place == UNION:
        return question.country in EU and question.country != question.seller_country
    return question.country == place


def unreachable(rules: Sequence[TaxRule]) -> list[tuple[TaxRule, TaxRule]]:
    """Rules that never fit because one before them fits all that they fit: (the rule, the one before)."""
    found = []
    for place, rule in enumerate(rules):
        shadow = next((other for other in rules[:place] if _covers(other, rule)), None)
        if shadow is not None:
            found.append((rule, shadow))
    return found


def _covers(first: TaxRule, second: TaxRule) -> bool:
    return (
        (not first.countries or (bool(second.countries) and set(second.countries) <= set(first.countries)))
        and (not first.sellers or (bool(second.sellers) and set(second.sellers) <= set(first.sellers)))
        and first.tax_id in (None, second.tax_id)
        and first.exempt == second.exempt
        and (first.since is None or (second.since is not None and first.since <= second.since))
        and (first.until is None or (second.until is not None and second.until <= first.until))
    )
