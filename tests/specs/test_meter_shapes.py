"""Meters of other shapes as authors write them: several metrics, keys that stand for consumers, values kept apart."""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from datetime import timedelta
from fractions import Fraction
from pathlib import Path

import pytest

from rating.core.keys import meter_digest
from rating.core.meters import Degraded, Kind, Matcher, Meter, Rate
from rating.core.money import Rounding
from rating.errors import SpecError
from rating.specs.compile import compile_catalogue
from rating.specs.fields import rate, rate_text
from rating.specs.sources import compile_sources

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


GAUGE = """version: 1
currency: USD
meters:
  stored:
    metric: bucket_bytes
    kind: gauge
    consumer: tenant
    hold: 10m
    unit: GiB second
    resolution: "0.001"
    conversion: {per: 1_073_741_824, round: half_even}
    where_not: {bucket: "tmp-.*"}
    tolerate: 2%
    sources: [eu, us]
  tokens: {metric: tokens_total, consumer: tenant, conversion: {per: 1_000}, max_rate: 3_000/m, tolerate: 500}
"""


def test_a_gauge_is_read_to_its_resolution_and_counted_a_thousand_times_finer() -> None:
    catalogue = compile_catalogue([("c.yaml", GAUGE)])
    stored, tokens = catalogue.meters["stored"], catalogue.meters["tokens"]
    assert (stored.kind, stored.digits, stored.reading_digits) == (Kind.GAUGE, 6, 3)
    assert (stored.conversion, stored.rounding) == (Fraction(1, 2**30), Rounding.HALF_EVEN)
    assert stored.where == (Matcher("bucket", "tmp-.*", negated=True),)
    assert (stored.tolerated, stored.tolerated_share) == (None, Fraction(2, 100))
    assert stored.sources == ("eu", "us")
    assert (tokens.conversion, tokens.tolerated) == (Fraction(1, 1000), 500)
    assert tokens.max_rate == Rate(Fraction(3000), timedelta(minutes=1))
    assert compile_catalogue([("book", catalogue.text)]) == catalogue


@pytest.mark.parametrize(
    ("written", "kept"), {"50/s": "50/s", "10 / 100ms": "10/100ms", "7_000/1h30m": "7000/h30m"}.items()
)
def test_a_rate_is_units_in_a_span(written: str, kept: str) -> None:
    assert rate_text(rate(written)) == kept
    assert rate(kept) == rate(written)


def test_the_readme_shows_meters_and_sources_that_are_right() -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    shapes, sources = re.findall(r"```yaml\n(.*?)```", readme.partition("### Meters of other shapes")[2], re.DOTALL)[:2]
    catalogue = compile_catalogue([("README.md", f"version: 1\ncurrency: USD\n{shapes}")])
    assert sorted(catalogue.meters) == ["compute", "stored", "tokens"]
    assert set(catalogue.meters["tokens"].sources) == set(compile_sources("README.md", sources))


def test_what_does_not_change_a_measurement_does_not_change_its_digest() -> None:
    meter = Meter("calls", "api_requests_total", "consumer_id")
    for change in (
        {"sources": ("eu",)},
        {"degraded": Degraded.HOLD},
        {"max_rate": rate("50/s")},
        {"tolerated": Fraction(1)},
    ):
        assert meter_digest(replace(meter, **change)) == meter_digest(meter), change
    for change in ({"conversion": Fraction(1, 1000)}, {"where": (Matcher("a", "b", negated=True),)}):
        assert meter_digest(replace(meter, **change)) not in (
            meter_digest(meter),
            meter_digest(replace(meter, where=(Matcher("a", "b"),))),
        )


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
    "metric: g, kind: gauge, counter: durable": "counter: is about counters, and this is a gauge; leave it out",
    "metric: g, kind: gauge, births: zero": "births: is about counters, and this is a gauge; leave it out",
    "metric: g, kind: gauge, max_rate: 5/s": "max_rate: is about counters, and this is a gauge; leave it out: between "
    "two samples a gauge may have any value, and what it came to is the step rule's",
    'metric: g, kind: gauge, resolution: "0.0000000001"': "resolution: a gauge's time is counted in milliseconds, "
    'which leaves its readings 9 decimals; write "0.000000001" or coarser',
    "metric: g, kind: gauge, hold: 10s": "hold: a sample that holds for 10s has ended before the next scrape "
    "after 15s; write several scrape intervals, such as 5m",
    "metric: a_total, hold: 10m": "hold: is about gauges, and this is a counter; write kind: gauge, or leave it out",
    "metric: a_seconds_bucket": 'metric: "a_seconds_bucket" counts each observation once in every bucket it fits; bill '
    'a_seconds_count, or one bucket by where: {le: "0\\.5"}',
    "metric: a_total, max_rate: 50": "max_rate: 50 is not a rate; write it like 50/s or 3_000/m",
    "metric: a_total, max_rate: 50/x": 'max_rate: "1x" is not a duration; write it like 15s, 5m, 1h or 15d',
    "metric: a_total, conversion: {per: 10, times: 10}": "conversion: a conversion divides or multiplies; write "
    "exactly one of per and times",
    "metric: a_total, conversion: {per: 0}": "conversion, per: 0 leaves nothing to count or price; write more than 0",
    "metric: a_total, degraded: hold, tolerate: 1%": "tolerate: degraded: hold tolerates nothing; keep one of them",
    "metric: a_total, sources: [eu, eu]": 'sources 2: "eu" is listed twice; it would be counted twice; keep one',
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
