"""Tax rules as an author writes them: what they become, and each mistake in a sentence."""

from __future__ import annotations

from datetime import date
from fractions import Fraction

import pytest

from rating.core.taxation import TaxDecision, TaxRule, Treatment
from rating.core.taxes import Tax
from rating.specs.compile import compile_catalogue, examine

CATALOGUE = """\
version: 1
currency: EUR
sellers:
  main: {name: Acme GmbH, country: DE, tax_id: DE1}
customers:
  embassy: {country: DE, tax_exempt: embassy of Utopia}
plans:
  pro: {fee: "10.00"}
subscriptions:
  - {consumer: c1, plan: pro, start: 2026-10-01}
taxes:
"""
RULES = """\
  - {name: exempt, exempt: true, treatment: exempt, note: Exempt from VAT.}
  - {name: home, countries: [home], rates: [{name: VAT, percent: 19%}]}
  - name: old
    countries: [FR]
    rates: [{name: TVA, percent: "20%"}]
    own_rates: false
    start: 2020-01-01
    end: 2027-01-01
  - {name: businesses, countries: [EU], sellers: [main], tax_id: true, treatment: reverse_charge, note: Reverse charge.}
  - {name: outside, treatment: outside}
"""


def said(rules: str, catalogue: str = CATALOGUE) -> list[str]:
    return [str(finding) for finding in examine([("plans.yaml", catalogue + rules)]).findings]


def test_rules_are_kept_in_their_order() -> None:
    catalogue = compile_catalogue([("plans.yaml", CATALOGUE + RULES)])
    vat, tva = Tax("VAT", Fraction(19)), Tax("TVA", Fraction(20))
    assert catalogue.tax_rules == (
        TaxRule("exempt", TaxDecision(Treatment.EXEMPT, note="Exempt from VAT."), exempt=True),
        TaxRule("home", TaxDecision(taxes=(vat,)), ("home",)),
        TaxRule(
            "old", TaxDecision(taxes=(tva,), own_rates=False), ("FR",), since=date(2020, 1, 1), until=date(2027, 1, 1)
        ),
        TaxRule(
            "businesses", TaxDecision(Treatment.REVERSE_CHARGE, note="Reverse charge."), ("EU",), ("main",), tax_id=True
        ),
        TaxRule("outside", TaxDecision(Treatment.OUTSIDE)),
    )
    customer = catalogue.parties.customer("embassy")
    assert customer is not None
    assert customer.tax_exempt == "embassy of Utopia"


def test_the_canonical_text_says_the_same() -> None:
    catalogue = compile_catalogue([("plans.yaml", CATALOGUE + RULES)])
    again = compile_catalogue([("kept.yaml", catalogue.text)])
    assert (again.tax_rules, again.digest) == (catalogue.tax_rules, catalogue.digest)


@pytest.mark.parametrize(
    ("rule", "sentence"),
    [
        ("{name: a, countries: [XX]}", '"XX" is not a country; write an ISO 3166 code such as DE, or home, or EU'),
        ("{name: a, treatment: exempt}", "an invoice that is exempt must say so; add the note that is printed"),
        ("{name: a, treatment: outside, rates: [{name: VAT, percent: 1%}]}", "what is outside has no rates"),
        ("{name: a, treatment: reversed}", "is not one of standard, reverse_charge, exempt, outside"),
        ("{name: a, rates: [{name: VAT, percent: 119%}]}", "119% is more than there is"),
        ("{name: a, sellers: [mian]}", 'no seller is called "mian"; did you mean "main"?'),
        ("{name: a, start: 2026-01-01, end: 2026-01-01}", "the rule ends 2026-01-01, not after its start 2026-01-01"),
        ("{countries: [DE]}", 'key "name" is missing'),
        ("{name: a, country: DE}", 'unknown key "country"'),
    ],
)
def test_a_mistake_is_a_sentence(rule: str, sentence: str) -> None:
    found = said(f"  - {rule}\n")
    assert any(sentence in one and one.startswith("plans.yaml:12") for one in found), found


def test_a_rule_that_is_never_reached_is_an_error() -> None:
    [found] = said("  - {name: all}\n  - {name: home, countries: [home]}\n")
    assert found == 'plans.yaml:13: tax 2: "home" is never reached: "all" fits first; move it up, or remove it'


def test_taxes_of_a_plan_beside_rules_are_warned_of() -> None:
    plan = CATALOGUE.replace('{fee: "10.00"}', '{fee: "10.00", taxes: [{name: VAT, percent: 7%}]}')
    [found] = said("  - {name: all}\n", plan)
    assert 'the tax rules stand in place of the taxes of plan "pro"' in found
    assert found.endswith("(warning)")
