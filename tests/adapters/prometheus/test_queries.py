"""How questions are spelled, and that a label value is data, never query text."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rating.adapters.prometheus import queries
from rating.adapters.prometheus.source import duration
from rating.core.meters import Matcher


def test_the_meters_patterns_and_literal_values() -> None:
    text = queries.selector("m_total", (Matcher("status", "2.."),), {"consumer": {"b", "a.c"}})
    assert text == r'm_total{status=~"2..",consumer=~"a\\.c|b"}'


@pytest.mark.parametrize("evil", ['"} or vector(1) #', "a\\", "x\ny", "a|b", ".*", "$", "é\x7f", ""])
def test_a_value_matches_itself_and_nothing_else(evil: str) -> None:
    pattern = queries.literally([evil])
    assert re.fullmatch(pattern, evil)
    assert not re.fullmatch(pattern, "something")


@given(st.text())
def test_a_quoted_text_ends_where_it_should(text: str) -> None:
    quoted = queries.quoted(text)
    inside = re.sub(r"\\.", "", quoted[1:-1])
    assert quoted[0] == quoted[-1] == '"'
    assert '"' not in inside
    assert "\n" not in quoted


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("15d", timedelta(days=15)),
        ("1y2w", timedelta(days=379)),
        ("36h30m", timedelta(hours=36, minutes=30)),
        ("512MB", None),
        ("", None),
    ],
)
def test_prometheus_spells_its_retention(text: str, span: timedelta | None) -> None:
    assert duration(text) == span
