"""How an invoice is taxed: the first rule that fits, and a refusal wherever an answer would be a guess."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rating.core.taxation import EU, TaxDecision, TaxQuestion, TaxRule, Treatment, decide, unreachable
from rating.core.taxes import Tax
from rating.errors import NoTaxRuleCovers

VAT = TaxDecision(taxes=(Tax("VAT", Fraction(19)),))
TVA = TaxDecision(taxes=(Tax("TVA", Fraction(20)),), own_rates=False)
REVERSED = TaxDecision(Treatment.REVERSE_CHARGE, note="Reverse charge: VAT is owed by the recipient.")
EXEMPT = TaxDecision(Treatment.EXEMPT, note="Exempt from VAT.")
OUTSIDE = TaxDecision(Treatment.OUTSIDE, note="Not taxable in Germany.")

RULES = (
    TaxRule("exempt", EXEMPT, ("home", "EU"), exempt=True),
    TaxRule("before 2021", TaxDecision(taxes=(Tax("VAT", Fraction(16)),)), ("home",), until=date(2021, 1, 1)),
    TaxRule("home", VAT, ("home",)),
    TaxRule("business in the EU", REVERSED, ("EU",), tax_id=True),
    TaxRule("people in France", TVA, ("FR",)),
    TaxRule("another brand", VAT, ("CH",), sellers=("swiss",)),
    TaxRule("outside", OUTSIDE, ("US", "CH")),
)
QUESTION = TaxQuestion(
    "c42/pro/2026-10", date(2026, 10, 31), "EUR", "pro", "acme", "DE", seller="main", seller_country="DE", rules=RULES
)


@pytest.mark.parametrize(
    ("who", "changed", "treatment", "percent"),
    [
        ("at home", {}, "standard", 19),
        ("at home with a tax id", {"tax_id": "DE1"}, "standard", 19),
        ("at home in 2020, when the rate was lower", {"on": date(2020, 12, 31)}, "standard", 16),
        ("at home from 2021 on", {"on": date(2021, 1, 1)}, "standard", 19),
        ("a business in France", {"country": "FR", "tax_id": "FR1"}, "reverse_charge", 0),
        ("a person in France", {"country": "FR"}, "standard", 20),
        ("an exempt business at home", {"exempt": "embassy 7"}, "exempt", 0),
        ("an exempt business in Spain", {"country": "ES", "tax_id": "ES1", "exempt": "EC"}, "exempt", 0),
        ("America", {"country": "US"}, "outside", 0),
        ("Switzerland, by the brand that is registered there", {"country": "CH", "seller": "swiss"}, "standard", 19),
        ("Switzerland, by the other", {"country": "CH"}, "outside", 0),
        ("a German business, sold to from France", {"seller_country": "FR", "tax_id": "DE1"}, "reverse_charge", 0),
    ],
    ids=lambda value: value if isinstance(value, str) and " " in value else "",
)
def test_who_is_taxed_how(who: str, changed: dict[str, object], treatment: str, percent: int) -> None:
    decision = decide(replace(QUESTION, **changed))
    assert decision.treatment == treatment
    assert sum(tax.percent for tax in decision.taxes) == percent
    assert decision.reason.startswith("rule '")


def test_the_reason_says_the_rule_and_what_fitted() -> None:
    business = replace(QUESTION, country="FR", tax_id="FR1")
    assert decide(business).reason == "rule 'business in the EU': sold from DE to FR with a tax id"
    assert decide(replace(QUESTION, exempt="embassy 7")).reason == (
        "rule 'exempt': sold from DE to DE without a tax id exempt (embassy 7)"
    )


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"country": ""}, "acme of invoice c42/pro/2026-10 has no country, and tax rule 'exempt' asks for one"),
        ({"seller_country": ""}, "the seller to customer acme of invoice c42/pro/2026-10 has no country"),
        ({"country": "ES"}, "none of 7 tax rules covers customer acme of invoice c42/pro/2026-10: "
                            "sold from DE to ES without a tax id on 2026-10-31; add a rule"),
        ({"country": "US", "exempt": "501c3"}, "none of 7 tax rules covers"),
        ({"rules": ()}, "none of 0 tax rules covers"),
    ],
)  # fmt: skip
def test_what_cannot_be_said_is_refused(changed: dict[str, object], sentence: str) -> None:
    with pytest.raises(NoTaxRuleCovers) as refusal:
        decide(replace(QUESTION, **changed))
    assert sentence in str(refusal.value)


def test_rules_for_everybody_need_no_country() -> None:
    everybody = (TaxRule("all", VAT),)
    assert decide(replace(QUESTION, country="", seller_country="", rules=everybody)).taxes == VAT.taxes


def test_a_decision_is_possible() -> None:
    with pytest.raises(ValueError, match="reverse_charge has no rates; VAT is one"):
        TaxDecision(Treatment.REVERSE_CHARGE, VAT.taxes, note="x")
    with pytest.raises(ValueError, match="exempt needs a note"):
        TaxDecision(Treatment.EXEMPT)


def test_a_rule_behind_one_that_fits_all_it_fits_is_named() -> None:
    assert unreachable(RULES) == []
    late = TaxRule("Germany", VAT, ("FR",), tax_id=False)
    assert unreachable((*RULES, late)) == [(late, RULES[4])]
    assert unreachable((TaxRule("all", VAT), TaxRule("exempt", EXEMPT, exempt=True))) == []


COUNTRIES = st.sampled_from(["DE", "FR", "ES", "US", "CH"])
RULE = st.builds(
    TaxRule,
    st.sampled_from(["a", "b", "c"]),
    st.sampled_from([VAT, TVA, REVERSED, OUTSIDE]),
    st.lists(st.sampled_from(["home", "EU", "FR", "US"]), max_size=2).map(tuple),
    st.just(()),
    st.sampled_from([None, True, False]),
    st.booleans(),
)


@settings(max_examples=60)
@given(st.lists(RULE, max_size=5).map(tuple), COUNTRIES, COUNTRIES, st.booleans(), st.booleans())
def test_the_first_rule_that_fits_decides(rules, seller, country, business, exempt) -> None:
    """Against the obvious reading of each rule, written out."""
    tax_id, why = ("X1" if business else ""), ("embassy" if exempt else "")
    question = replace(QUESTION, seller_country=seller, country=country, tax_id=tax_id, exempt=why, rules=rules)
    places = {country} | ({"home"} if country == seller else set())
    if country in EU and country != seller:
        places.add("EU")
    fitting = [
        rule
        for rule in rules
        if (not rule.countries or places & set(rule.countries))
        and (rule.tax_id is None or rule.tax_id == business)
        and rule.exempt == exempt
    ]
    if fitting:
        assert replace(decide(question), reason="") == fitting[0].decision
        assert not any(rule is fitting[0] for rule, _ in unreachable(rules))
    else:
        with pytest.raises(NoTaxRuleCovers):
            decide(question)
