"""What a catalogue comes to: the words an author may use, and the values they become."""

import hashlib
import json
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from zoneinfo import ZoneInfo

import jsonschema
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

import rating.specs
from rating.core.catalogue import Catalogue
from rating.core.column import Column
from rating.core.meters import BirthPolicy, Lifetime, Matcher
from rating.core.money import Currency
from rating.core.periods import Cadence
from rating.specs.compile import compile_catalogue
from rating.specs.editors import schema_text

SKETCH = """\
version: 1
currency: USD
meters:
  api_calls:
    metric: api_requests_total
    consumer: consumer_id
    dimensions: [endpoint]
    where: {status: "2.."}          # bill what succeeded
    unit: request
plans:
  pro:
    name: Pro
    period: month
    fee: "49.00"
    charges:
      - meter: api_calls
        included: 100_000
        graduated:
          - {up_to: 1_000_000, unit_price: "0.0005"}
          - {unit_price: "0.0003"}
    upsell: {to: scale, at: [80%, 100%]}
  scale:
    fee: "499"
subscriptions:
  - {consumer: acme, plan: pro, start: 2026-10-01}
"""

EVERYTHING = """\
version: 1
currency: EUR
timezone: Europe/Berlin
meters:
  calls: &common
    metric: calls_total
    consumer: consumer_id
    dimensions: [endpoint, region]
    where: {status: "2..", path: "/v1/.+"}
    births: hold
    window: 30m
    settling: 10m
    scrape_interval: 1m
    lookback: 30d
    replica_labels: [cluster]
    volatile_labels: [pod]
    target_labels: [job]
    coverage: 95%
  seconds:
    <<: *common
    metric: compute_seconds_total
    unit: second
    resolution: "0.001"
    counter: durable
plans:
  team:
    name: "Team & friends: ümlaut"
    period: quarter
    currency: JPY
    fee: 1_500
    rounding: half_even
    charges:
      - {meter: calls, key: requests, name: Requests, included: "10", stairstep: [{up_to: 5, price: "1"}, {price: "2"}]}
      - {meter: calls, key: volume, volume: [{up_to: 5, unit_price: "1", flat_fee: 3}], beyond: refuse}
      - {meter: seconds, included: "0.5", package: {size: "0.25", price: 2, round: down}}
    upsell: {to: large, at: ["0.5", 100%]}
  large:
    charges: [{meter: calls, unit_price: "0.000000000001"}]
subscriptions:
  - {consumer: zed, plan: large, start: 2026-10-25, anchor: start}
  - {consumer: acme, customer: Acme GmbH, plan: team, start: 2026-03-29, end: 2026-10-25, anchor: 31}
  - {consumer: acme, plan: large, start: 2026-10-24T22:00Z, anchor: 2026-01-15, timezone: UTC}
"""


AGREED = (Path(__file__).parent / "golden" / "agreed.yaml").read_text()


def compiled(text: str) -> Catalogue:
    return compile_catalogue([("catalogue.yaml", text)])


def test_the_sketch_compiles_to_what_it_says() -> None:
    catalogue = compiled(SKETCH)
    meter, plan = catalogue.meters["api_calls"], catalogue.plans["pro"]
    assert (meter.metric, meter.consumer, meter.dimensions) == ("api_requests_total", "consumer_id", ("endpoint",))
    assert meter.where == (Matcher("status", "2.."),)
    assert (plan.title, plan.cadence, plan.fee, plan.currency) == ("Pro", Cadence.MONTH, 49, Currency("USD"))
    assert plan.upsell is not None
    assert (plan.upsell.plan, plan.upsell.thresholds) == ("scale", (Fraction(4, 5), Fraction(1)))
    [card] = plan.cards
    assert (card.key, card.title, card.meter, card.included) == ("api_calls", "api_calls", meter, 100_000)
    # 1,000,000 at 0.0005 and 200,000 at 0.0003
    assert card.price.amounts(Column.of([1_200_000])).fractions() == [Fraction(560)]
    [subscription] = catalogue.subscriptions
    assert subscription.key == "acme/pro/2026-10-01"
    assert subscription.start == datetime(2026, 10, 1, tzinfo=UTC)


def test_every_word_of_a_meter_arrives() -> None:
    meter = compiled(EVERYTHING).meters["seconds"]
    assert meter.metric == "compute_seconds_total"
    assert meter.dimensions == ("endpoint", "region")
    assert meter.where == (Matcher("path", "/v1/.+"), Matcher("status", "2.."))
    assert (meter.unit, meter.digits, meter.lifetime, meter.births) == ("second", 3, Lifetime.DURABLE, BirthPolicy.HOLD)
    assert (meter.window, meter.settling) == (timedelta(minutes=30), timedelta(minutes=10))
    assert (meter.scrape_interval, meter.lookback) == (timedelta(minutes=1), timedelta(days=30))
    assert (meter.replica_labels, meter.volatile_labels, meter.target_labels) == (("cluster",), ("pod",), ("job",))
    assert meter.coverage == Fraction(19, 20)


def test_days_begin_at_midnight_of_the_zone_through_both_changes_of_the_clock() -> None:
    acme, later, zed = compiled(EVERYTHING).subscriptions
    # Clocks go forward on 29 March and back on 25 October 2026, after midnight.
    assert acme.start == datetime(2026, 3, 28, 23, tzinfo=UTC)
    assert acme.end == datetime(2026, 10, 24, 22, tzinfo=UTC) == later.start == zed.start
    assert (acme.anchor, later.anchor, zed.anchor) == (date(2000, 1, 31), date(2026, 1, 15), date(2026, 10, 25))
    assert (acme.zone, later.zone) == (ZoneInfo("Europe/Berlin"), ZoneInfo("UTC"))
    assert (acme.payer, later.payer) == ("Acme GmbH", "acme")


@pytest.mark.parametrize("text", [SKETCH, EVERYTHING])
def test_the_canonical_text_compiles_to_an_equal_catalogue_and_its_hash_is_the_digest(text: str) -> None:
    catalogue = compiled(text)
    assert compiled(catalogue.text) == catalogue
    assert catalogue.digest == hashlib.sha256(catalogue.text.encode()).hexdigest()


@pytest.mark.parametrize("saved", ["\ufeff{}", "{}\r\n", "%YAML 1.2\n---\n{}\n..."])
def test_however_an_editor_saved_it_it_is_the_same_catalogue(saved: str) -> None:
    text = SKETCH.replace("\n", "\r\n") if "\r" in saved else SKETCH
    assert compiled(saved.format(text) if "{}" in saved else text) == compiled(SKETCH)


def test_words_that_yaml_takes_for_something_else_stay_what_was_written() -> None:
    text = SKETCH.replace("  scale:\n", "  no:\n").replace("to: scale", "to: no").replace("acme", "on")
    text += "  - {consumer: 1:30, plan: no, start: 2026-10-01}\n  - {consumer: 010, plan: no, start: 2026-10-01}\n"
    catalogue = compiled(text)
    assert [one.consumer for one in catalogue.subscriptions] == ["010", "1:30", "on"]
    assert "no" in catalogue.plans


def test_comments_spelling_order_and_files_do_not_change_the_digest() -> None:
    head, rest = SKETCH.split("plans:\n")
    same = [
        ("b.yaml", "version: 1\nplans:\n" + rest.replace("100_000", "100000").replace('"49.00"', "49")),
        ("a.yaml", "# ours\n" + head.replace("    unit: request\n", '    window: 60m\n    unit: "request"\n')),
    ]
    assert compile_catalogue(same) == compiled(SKETCH)
    assert compiled(SKETCH.replace("0.0003", "0.00030")).digest == compiled(SKETCH).digest
    assert compiled(SKETCH.replace("0.0003", "0.0004")).digest != compiled(SKETCH).digest


class Quoted(yaml.SafeDumper):
    """Every text in quotes, as an author who had been bitten would write it."""


Quoted.add_representer(str, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"'))

amounts = st.decimals(0, 10**9, places=12, allow_nan=False).map(lambda amount: f"{amount:f}")
quantities = st.integers(0, 10**15)
names = st.text(min_size=1, max_size=20).filter(str.strip) | st.sampled_from(
    ["0E0", "1e3", "null", "~", "no", "true", "2026-10-01", "012", "1:30", "0x1f", "*a", "- a", "a: b", "#", "<<", "="]
)


@settings(max_examples=60, deadline=None)
@given(
    fee=amounts,
    included=quantities,
    bounds=st.lists(st.integers(1, 10**15), min_size=0, max_size=4, unique=True).map(sorted),
    prices=st.lists(amounts, min_size=5, max_size=5),
    kind=st.sampled_from(["graduated", "volume"]),
    name=names,
    consumer=names,
)
def test_whatever_is_written_survives_the_canonical_text(
    fee: str, included: int, bounds: list[int], prices: list[str], kind: str, name: str, consumer: str
) -> None:
    tiers = [{"up_to": bound, "unit_price": price} for bound, price in zip(bounds, prices, strict=False)]
    written = yaml.safe_load(SKETCH.replace("2026-10-01", "'2026-10-01'"))
    written["plans"]["pro"] |= {"fee": fee, "name": name}
    written["plans"]["pro"]["charges"] = [
        {"meter": "api_calls", "included": included, kind: [*tiers, {"unit_price": prices[-1]}]}
    ]
    written["subscriptions"][0]["consumer"] = consumer
    catalogue = compiled(yaml.dump(written, Dumper=Quoted))
    assert compiled(catalogue.text) == catalogue
    assert catalogue.plans["pro"].fee == Fraction(fee)
    assert catalogue.plans["pro"].title == name
    assert catalogue.subscriptions[0].consumer == consumer


def test_the_committed_schema_is_fresh_valid_and_explains_every_key() -> None:
    committed = Path(rating.specs.__path__[0]) / "catalogue.schema.json"
    assert committed.read_text() == schema_text(), "run: rating schema --write"
    schema = json.loads(schema_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    for mapping in (schema, *schema["$defs"].values()):
        for key, about in mapping.get("properties", {}).items():
            assert "description" in about, key


@pytest.mark.parametrize("text", [SKETCH, EVERYTHING, AGREED])
def test_the_schema_accepts_what_compiles(text: str) -> None:
    class Dated(yaml.SafeLoader):
        """Editors read dates as text."""

    Dated.yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    jsonschema.validate(yaml.load(text, Dated), json.loads(schema_text()))


@pytest.mark.parametrize(
    ("old", "new"),
    [('"49.00"', "49.01"), ("period: month", "period: monthly"), ("included:", "includes:"), ("80%", "80 percent")],
)
def test_the_schema_refuses_what_the_compiler_refuses(old: str, new: str) -> None:
    text = SKETCH.replace("2026-10-01", "'2026-10-01'")
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(yaml.safe_load(text.replace(old, new, 1)), json.loads(schema_text()))
