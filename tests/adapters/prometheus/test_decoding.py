"""Samples in an answer's JSON become columns, whatever the spelling, and the very float64 that Python reads."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as some

from rating.adapters.prometheus.decoding import RawReply, pairs

instants = some.integers(0, 2**42).map(lambda milliseconds: milliseconds / 1000)
values = some.floats().map(str) | some.integers(0, 2**70).map(str) | some.sampled_from(["NaN", "+Inf", "-Inf", "1e+06"])


@given(some.lists(some.lists(some.tuples(instants, values), max_size=4), max_size=4), some.booleans())
def test_every_number_is_read_as_python_reads_it(series: list[list[tuple[float, str]]], spaced: bool) -> None:
    body = {"status": "success", "data": {"result": [{"metric": {}, "values": one} for one in series]}}
    text = json.dumps(body, separators=None if spaced else (",", ":"))
    items = msgspec.json.decode(text, type=RawReply).data.result
    counts, seconds, found = pairs([item.values for item in items])
    assert counts.tolist() == [len(one) for one in series]
    assert seconds.tolist() == [second for one in series for second, _ in one]
    assert [*map(repr, found.tolist())] == [repr(float(value)) for one in series for _, value in one]


def test_digits_that_do_not_stand_together_are_no_number() -> None:
    with pytest.raises(ValueError, match="a reading is not a number"):
        pairs([msgspec.Raw(b'[[1,"1 0"]]')])
    with pytest.raises(ValueError, match="a reading is not a number"):
        pairs([msgspec.Raw(b'[[1,"1,2"]]')])


def test_a_series_without_values_has_none() -> None:
    counts, seconds, found = pairs([msgspec.Raw(b"[]"), msgspec.Raw(b'[[1,"2"]]')])
    assert (counts.tolist(), seconds.tolist(), found.tolist()) == ([0, 1], [1.0], [2.0])
