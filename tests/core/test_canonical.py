"""Canonical texts: one text for one value, back to the same value, and unmoved by fields that came later."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields, is_dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from enum import Enum
from fractions import Fraction

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rating.core.canonical import canonical, digest, read
from rating.core.entries import Paper
from rating.core.invoices import Draft, LineItem, LineKind
from rating.core.money import Currency, Money
from rating.core.periods import Period, from_milliseconds
from rating.core.prices.price import Portion
from rating.core.windows import Evidence, Query

patient = settings(suppress_health_check=[HealthCheck.too_slow])
"""Papers are large values: on a busy machine they take a while to draw."""

instants = st.integers(0, 4 * 10**12).map(from_milliseconds)
periods = st.tuples(instants, instants).map(lambda pair: Period(min(pair), max(pair)))
texts = st.text(max_size=8)
numbers = st.fractions()
money = st.builds(Money, st.integers(), st.sampled_from([Currency("USD"), Currency("JPY")]))
portions = st.builds(Portion, texts, numbers, st.none() | numbers, numbers)
lines = st.builds(
    LineItem,
    kind=st.sampled_from(LineKind),
    card=texts,
    title=texts,
    period=periods,
    exact=numbers,
    amount=money,
    meter=texts,
    quantity=numbers,
    portions=st.lists(portions, max_size=2).map(tuple),
    windows=st.integers(),
)
drafts = st.builds(
    Draft,
    subscription=texts,
    consumer=texts,
    customer=texts,
    plan=texts,
    plan_title=texts,
    currency=st.just(Currency("USD")),
    period=periods,
    lines=st.lists(lines, max_size=3).map(tuple),
    catalogue=texts,
)
papers = st.builds(Paper, number=texts, issued_at=instants, previous_hash=texts, draft=drafts)
evidence = st.builds(
    Evidence,
    queries=st.lists(st.builds(Query, texts, st.integers(), st.integers()), max_size=2).map(tuple),
    samples=st.integers(),
    warnings=st.lists(texts, max_size=2).map(tuple),
)


@patient
@given(papers)
def test_a_paper_is_read_back_as_it_was_written(paper: Paper) -> None:
    text = canonical(paper)
    assert read(Paper, text) == paper
    assert canonical(read(Paper, text)) == text


def slow(value: object) -> object:
    """In JSON's own types, by asking each value what it is."""
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Fraction):
        return f"{value.numerator}/{value.denominator}"
    if isinstance(value, Money):
        return f"{value.minor} {value.currency.code}"
    if isinstance(value, Currency):
        return value.code
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, tuple):
        return [slow(item) for item in value]
    if is_dataclass(value):
        held = {field.name: (getattr(value, field.name), field.default) for field in fields(value)}
        return {name: slow(item) for name, (item, default) in held.items() if item != default}
    return value


@patient
@given(papers | evidence)
def test_the_text_is_what_a_json_library_makes_of_the_value(value: object) -> None:
    """Written out field by field for speed: byte for byte the obvious text, or every hash in every book would break."""
    obvious = json.dumps(slow(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert canonical(value) == obvious


@given(evidence)
def test_evidence_is_read_back_as_it_was_written(value: Evidence) -> None:
    assert read(Evidence, canonical(value)) == value


@patient
@given(drafts, drafts)
def test_two_values_share_a_text_only_when_they_are_equal(first: Draft, second: Draft) -> None:
    assert (canonical(first) == canonical(second)) == (first == second)


def test_the_spelling() -> None:
    berlin = timezone(timedelta(hours=2))
    value = {
        "z": Fraction(10, 4),
        "a": Money(-1230, Currency("USD")),
        "instant": datetime(2026, 10, 1, 2, tzinfo=berlin),
        "day": date(2026, 10, 1),
        "kind": LineKind.USAGE,
        "list": (1, None, True, "Größe \N{SNOWMAN}"),
    }
    assert canonical(value) == (
        '{"a":"-1230 USD","day":"2026-10-01","instant":"2026-10-01T00:00:00Z","kind":"usage",'
        '"list":[1,null,true,"Größe \N{SNOWMAN}"],"z":"5/2"}'
    )
    assert digest("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


@dataclass(frozen=True)
class Old:
    name: str
    rate: Fraction = Fraction(0)


@dataclass(frozen=True)
class New:
    name: str
    rate: Fraction = Fraction(0)
    purchase_order: str = ""


def test_a_field_added_later_does_not_change_what_was_written_before() -> None:
    text = canonical(Old("acme"))
    assert text == '{"name":"acme"}'
    assert read(New, text) == New("acme")
    assert canonical(read(New, text)) == text


@pytest.mark.parametrize(
    ("value", "reason"),
    [(0.1, "floats lose digits"), ({"a": 1.5}, "floats lose digits"), (object(), "no canonical text")],
)
def test_what_has_no_one_text_is_refused(value: object, reason: str) -> None:
    with pytest.raises(TypeError, match=reason):
        canonical(value)


def test_an_instant_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="has no time zone"):
        canonical(datetime(2026, 10, 1))  # noqa: DTZ001


@pytest.mark.parametrize(
    "text",
    [
        "not json",
        "[]",
        "{}",
        '{"name": 7}',
        '{"name": "acme", "rate": "1/0"}',
        '{"name": "acme", "surprise": 1}',
        json.dumps({"name": "acme", "rate": []}),
    ],
)
def test_a_text_that_describes_nothing_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        read(Old, text)
