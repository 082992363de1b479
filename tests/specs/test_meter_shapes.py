"""Meters of other shapes as authors write them: several metrics, keys that stand for consumers, values kept apart."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest

from rating.core.keys import meter_digest
from rating.core.meters import Matcher, Meter
from rating.errors import SpecError
from rating.specs.compile import compile_catalogue

KEY = "sk_live_51H8zzzzzzzzqW3t"
SHAPES = f"""version: 1
currency: USD
meters:
  tokens:
    metrics: [input_tokens_total, output_tokens_total]
    consumer: api_key
    consumers: {{{KEY}: acme, "sha256:{"0" * 64}": globex}}
    dimensions: [model, region]
    dimension_values: {{model: [small, large]}}
"""


def tokens(text: str = SHAPES) -> Meter:
    return compile_catalogue([("c.yaml", text)]).meters["tokens"]


def test_a_meter_of_two_metrics_with_a_lookup_and_a_remainder() -> None:
    meter = tokens()
    assert meter.metrics == ("input_tokens_total", "output_tokens_total")
    assert [one.metrics for one in meter.of_each_metric] == [("input_tokens_total",), ("output_tokens_total",)]
    assert dict(meter.consumers) == {hashlib.sha256(KEY.encode()).hexdigest(): "acme", "0" * 64: "globex"}
    assert meter.dimension_values == (("small", "large"), None)


def test_the_catalogue_that_is_kept_holds_no_key_and_says_the_same() -> None:
    catalogue = compile_catalogue([("c.yaml", SHAPES)])
    assert KEY not in catalogue.text
    assert KEY[:12] not in catalogue.text
    assert compile_catalogue([("book", catalogue.text)]) == catalogue


def test_a_meter_without_the_new_words_keeps_the_digest_it_was_closed_under() -> None:
    meter = Meter("calls", "api_requests_total", "consumer_id", ("endpoint",), (Matcher("status", "2.."),))
    before = "6820bcc4a030b3e1627092b7704f51411a8eb19f6c1d6c6b40035878ae1be65c"
    assert meter_digest(meter) == before
    for change in (
        {"added_metrics": ("b_total",)},
        {"consumers": (("0" * 64, "acme"),)},
        {"dimension_values": (("/search",),)},
    ):
        assert meter_digest(replace(meter, **change)) != before, change


MISTAKES = {
    "metric: a_total, metrics: [b_total]": "metrics: metric is written as well; "
    "list every counter here, or keep metric alone",
    "metrics: [a_total, b_total, a_total]": 'metrics 3: "a_total" is listed twice; it would be counted once; keep one',
    "metrics: []": 'key "metric" is missing; add "metric: ..."',
    "metric: a_total, dimensions: [model], dimension_values: {modle: [x]}": 'dimension_values, modle: "modle" is no '
    'dimension of this meter; did you mean "model"?',
    "metric: a_total, dimensions: [model], dimension_values: {model: [x, x]}": 'dimension_values, model 2: "x" is '
    "listed twice; keep one of them",
    'metric: a_total, dimensions: [model], dimension_values: {model: ["<other>"]}': "dimension_values, model 1: "
    '"<other>" is what all other values become; leave it out',
    "metric: a_total, consumers: {sha256:12: acme}": "consumers, sha256:12: a digest is sha256: and 64 hexadecimal "
    "digits; write the value itself, or all of its digest",
    "metric: a_total, consumers: {a key: <unknown:...>}": 'consumers: "<unknown:...>" is what unknown keys '
    "become; name the consumer",
    f"metric: a_total, consumers: {{abc: x, sha256:{hashlib.sha256(b'abc').hexdigest()}: y}}": "consumers: a key and "
    "its digest are both there; keep one of them",
    "metric: a_total, dimensions: [model], volatile_labels: [model]": 'volatile_labels 1: label "model" is billed by, '
    "but it may change while the counter goes on; remove it here or there",
}


@pytest.mark.parametrize("written", MISTAKES)
def test_one_mistake_in_a_shape_is_one_finding(written: str) -> None:
    text = f"version: 1\ncurrency: USD\nmeters:\n  calls: {{consumer: c, {written}}}\n"
    with pytest.raises(SpecError) as refused:
        compile_catalogue([("c.yaml", text)])
    said = [str(finding) for finding in refused.value.findings]
    assert [
        sentence.removeprefix('c.yaml:4: meter "calls", ').removeprefix('c.yaml:4: meter "calls": ')
        for sentence in said
    ] == [MISTAKES[written]]
