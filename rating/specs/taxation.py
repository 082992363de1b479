"""Tax rules as written: whom each is for, and what it says of them. The first that fits decides.

Decides that a rule is possible and can be reached; which one fits an invoice is the core's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Self

from pydantic import AfterValidator, Field, PlainSerializer, PlainValidator, WithJsonSchema, model_validator

from rating.core.plans import Plan
from rating.core.taxation import HOME, UNION, TaxDecision, TaxRule, Treatment, unreachable
from rating.specs.agreements import TaxSpec, day_of, taxes_of
from rating.specs.fields import Key, Moment, Spec, Text, shown
from rating.specs.findings import Findings, Place
from rating.specs.nearest import or_one_of
from rating.specs.parties import is_country
from rating.specs.words import words


def _place(value: object) -> str:
    if isinstance(value, str) and (value in (HOME, UNION) or is_country(value)):
        return value
    raise ValueError(f"{shown(value)} is not a country; write an ISO 3166 code such as DE, or {HOME}, or {UNION}")


Where = Annotated[
    str,
    PlainValidator(_place),
    PlainSerializer(lambda place: place, return_type=str),
    WithJsonSchema({"type": "string", "pattern": f"^([A-Z]{{2}}|{HOME})$"}),
]


class TaxRuleSpec(Spec):
    """Whom it is for, and how they are taxed. Whatever is left out fits everybody."""

    name: Text = Field(description="Names it in the reason that is kept with each invoice.")
    countries: list[Where] = Field(
        default_factory=list,
        description="The customer's country: ISO 3166 codes, home for the seller's own, EU for any other member state.",
    )
    sellers: list[Key] = Field(default_factory=list, description="Only what these sellers sell.")
    tax_id: bool | None = Field(default=None, description="true: customers with a tax id. false: those without.")
    exempt: bool = Field(default=False, description="true: customers marked tax_exempt, whom no other rule is for.")
    treatment: Annotated[Treatment, *words(Treatment)] = Field(
        default=Treatment.STANDARD,
        description="standard: taxed at these rates. reverse_charge: the customer owes the tax. exempt: free of it. "
        "outside: not taxable where the seller is.",
    )
    rates: list[TaxSpec] = Field(default_factory=list, description="For standard: in place of the plan's taxes.")
    own_rates: bool = Field(
        default=True,
        description="Charges and fees with taxes of their own keep them. false where these rates are for all, such as "
        "another country's.",
    )
    note: Text | None = Field(default=None, description="Printed among the taxes: why there is none.")
    start: Annotated[Moment, AfterValidator(day_of)] | None = Field(
        default=None, description="Periods whose last day is this day or later."
    )
    end: Annotated[Moment, AfterValidator(day_of)] | None = Field(
        default=None, description="The first day it no longer holds."
    )

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.treatment is not Treatment.STANDARD and self.rates:
            raise ValueError(f"what is {self.treatment} has no rates; remove them, or write treatment: standard")
        if self.treatment in (Treatment.REVERSE_CHARGE, Treatment.EXEMPT) and self.note is None:
            raise ValueError(f"an invoice that is {self.treatment} must say so; add the note that is printed")
        if self.start is not None and self.end is not None and self.end <= self.start:
            raise ValueError(f"the rule ends {self.end}, not after its start {self.start}; choose a later day")
        return self


def rules_of(
    specs: Sequence[tuple[TaxRuleSpec, Place]],
    findings: Findings,
    sellers: Mapping[str, object],
    plans: Mapping[str, tuple[Plan | None, Place]],
) -> tuple[TaxRule, ...]:
    rules = [_rule(spec) for spec, _ in specs]
    places = {id(rule): place for rule, (_, place) in zip(rules, specs, strict=True)}
    for spec, place in specs:
        for i, seller in enumerate(spec.sellers):
            if seller not in sellers:
                findings.add(place.at("sellers", i), f'no seller is called "{seller}"', or_one_of(seller, sellers))
    for rule, before in unreachable(rules):
        hint = "move it up, or remove it"
        findings.add(places[id(rule)], f'"{rule.name}" is never reached: "{before.name}" fits first', hint)
    for key, (plan, place) in plans.items():
        if rules and plan is not None and plan.settlement.taxes:
            hint = "remove them there, or the rules"
            findings.warn(place.at("taxes"), f'the tax rules stand in place of the taxes of plan "{key}"', hint)
    return tuple(rules)


def _rule(spec: TaxRuleSpec) -> TaxRule:
    decision = TaxDecision(spec.treatment, taxes_of(spec.rates) or (), spec.own_rates, spec.note or "")
    return TaxRule(
        spec.name,
        decision,
        tuple(spec.countries),
        tuple(spec.sellers),
        spec.tax_id,
        spec.exempt,
        spec.start,
        spec.end,
    )
