"""What a message says and what it adds; the state file; and that no message, however strange, upsets or misleads it."""

from __future__ import annotations

import base64
import json
import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from rating_exporters import cli
from rating_exporters.brokers import Delivery, Gap, Message, Place, Position, Stored
from rating_exporters.eventrule import EventRule, judged
from rating_exporters.events import EventCounter, guard_for
from rating_exporters.eventstate import EventState, SetAside
from rating_exporters.guard import Guard


def message(
    body: Any, headers: Mapping[str, str] | None = None, *, at: int = 1, identity: str | None = None
) -> Message:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Message("orders", "orders/0", (at,) if at else (), raw, headers or {}, identity)


def says(rule: EventRule, one: Delivery) -> Any:
    """The labels and amounts of a message, or why it is set aside."""
    verdict = judged(rule, Guard({}, registry=None), one).says
    if isinstance(verdict, SetAside):
        return verdict.reason
    return [[(labels, amount) for (_, labels), amount in event.adds] for event in verdict]


EVENT = {"specversion": "1.0", "id": "7", "source": "/jobs", "type": "job.done", "subject": "acme"}
BINARY = {"ce_specversion": "1.0", "ce_id": "7", "ce_source": "/jobs", "ce_type": "job.done", "ce_subject": "acme"}
BY_TYPE = EventRule("cloudevents", "subject", {"kind": "type"}, "data.gb", 3)
ACME = [[(("acme", "orders", "job.done"), 1), (("acme", "orders", "job.done"), 1500)]]


@pytest.mark.parametrize(
    ("rule", "one", "found"),
    [
        (EventRule(), message({"consumer_id": "acme"}), [[(("acme", "orders"), 1)]]),
        (EventRule(), message({"consumer_id": 42}), [[(("42", "orders"), 1)]]),
        (EventRule(), message({}), [[(("<anonymous>", "orders"), 1)]]),
        (EventRule(), message({"consumer_id": "<overflow>"}), [[(("<unknown>", "orders"), 1)]]),
        (EventRule(consumer="who.id"), message({"who": {"id": "a"}, "who.id": "b"}), [[(("a", "orders"), 1)]]),
        (EventRule(consumer="who.id"), message({"who.id": "b"}), [[(("b", "orders"), 1)]]),
        (EventRule(consumer="header:X-Who"), message({}, {"x-who": "acme"}), [[(("acme", "orders"), 1)]]),
        (EventRule("headers", "who"), message(b"\xff", {"who": "acme"}), [[(("acme", "orders"), 1)]]),
        (EventRule(dimensions={"paid": "p"}), message({"p": True}), [[(("<anonymous>", "orders", "true"), 1)]]),
        (BY_TYPE, message({**EVENT, "data": {"gb": 1.5}}), ACME),
        (BY_TYPE, message({**EVENT, "data_base64": base64.b64encode(b'{"gb": "1.500"}').decode()}), ACME),
        (BY_TYPE, message(b'{"gb": 1.5}', {**BINARY, "content-type": "application/json"}), ACME),
        (
            BY_TYPE,
            message([{**EVENT, "data": {"gb": 1.5}}], {"content-type": "application/cloudevents-batch+json"}),
            ACME,
        ),
        (EventRule("cloudevents"), message({**EVENT, "data": {"id": 1}}), [[(("acme", "orders"), 1)]]),
    ],
)  # fmt: skip
def test_an_event_is_counted_by_the_fields_named(rule: EventRule, one: Message, found: Any) -> None:
    assert says(rule, one) == found


QUANTITY = EventRule(quantity="n", decimals=2)


@pytest.mark.parametrize(
    ("rule", "one", "reason"),
    [
        (EventRule(), message(b""), "the body is empty"),
        (EventRule(), message(b"{"), "the body is no JSON"),
        (EventRule(), message(b"\xff\xfe"), "the body is no JSON"),
        (EventRule(), message(b"[" * 100_000), "the body is no JSON"),
        (EventRule(), message(b'{"n": NaN}'), "NaN is no JSON number"),
        (EventRule(), message(b'{"n": %s}' % (b"9" * 5_000)), "the body is no JSON"),
        (EventRule(), message([1]), "no JSON object but list"),
        (EventRule(), message({"consumer_id": {"a": 1}}), "which is no name"),
        (EventRule(), message({"consumer_id": 1.5}), "which is no name"),
        (QUANTITY, message({}), "quantity n is missing"),
        (QUANTITY, message({"n": True}), "no number"),
        (QUANTITY, message({"n": "many"}), "no number"),
        (QUANTITY, message({"n": "Infinity"}), "at least 0 and below"),
        (QUANTITY, message({"n": -1}), "at least 0 and below"),
        (QUANTITY, message({"n": "1e999999999"}), "at least 0 and below"),
        (QUANTITY, message({"n": "1e-999999999"}), "finer than the 2 decimals"),
        (QUANTITY, message({"n": 0.125}), "finer than the 2 decimals"),
        (QUANTITY, message({"n": "1." + "0" * 400}), "401 digits"),
        (QUANTITY, message({"n": 2**53}), "below 2^53"),
        (EventRule("cloudevents"), message({"id": "7"}), "attribute specversion is missing"),
        (EventRule("cloudevents"), message({**EVENT, "id": ""}), "attribute id is missing"),
        (EventRule("cloudevents"), message(b"", {"ce-specversion": "1.0"}), "header ce-id is missing"),
        (BY_TYPE, message({**EVENT, "data_base64": "!"}), "no base64"),
        (EventRule("cloudevents"), message({}, {"content-type": "application/cloudevents-batch+json"}), "no list"),
        (EventRule(identity="key"), message({"key": ""}), "could not be told from a new event"),
        (EventRule(), message({}, at=0), "no message id"),
    ],
)
def test_what_cannot_be_counted_is_set_aside_and_says_why(rule: EventRule, one: Message, reason: str) -> None:
    assert reason in says(rule, one)


def test_a_rule_that_makes_no_sense_is_refused() -> None:
    for wrong, match in (
        ({"form": "xml"}, "not one of json"),
        ({"dimensions": {"topic": "a"}}, "label of its own"),
        ({"dimensions": {"a-b": "a"}}, "label of its own"),
        ({"decimals": 13}, "0 to 12"),
    ):
        with pytest.raises(ValueError, match=match):
            EventRule(**wrong)  # type: ignore[arg-type]


@given(st.integers(0, 10**9), st.integers(0, 12), st.integers(0, 6))
def test_a_decimal_is_counted_in_whole_units_exactly_or_not_at_all(whole: int, places: int, decimals: int) -> None:
    text = str(Decimal(whole).scaleb(-places))
    found = says(EventRule(quantity="n", decimals=decimals), message({"n": text}))
    units = Fraction(whole, 10**places) * 10**decimals  # the slow, obvious computation
    if units.denominator == 1:
        assert found[0][1][1] == units
    else:
        assert "finer than" in found


class Scripted:
    """A broker from a list, that forgets what was confirmed and repeats the rest after each opening."""

    def __init__(self, deliveries: Sequence[Delivery]) -> None:
        self.left = list(deliveries)
        self.at = 0

    def open(self, stored: Stored) -> None:
        self.at = 0

    def receive(self, most: int, seconds: float) -> Sequence[Delivery]:
        found = self.left[self.at : self.at + most]
        self.at += len(found)
        return found

    def confirm(self, deliveries: Sequence[Delivery]) -> None:
        for one in deliveries:
            self.left.remove(one)
            self.at -= 1

    def backlog(self) -> Mapping[str, int]:
        return {"orders": len(self.left) - self.at}

    def warnings(self) -> Sequence[str]:
        return []

    def close(self) -> None:
        return


def counter_of(
    path: Path, deliveries: Sequence[Delivery], rule: EventRule | None = None, **options: Any
) -> EventCounter:
    rule = rule or EventRule()
    registry = options.pop("registry", None)
    state = EventState(path, rule.settings(), **options)
    counter = EventCounter(Scripted(deliveries), state, rule, registry=registry, clock=lambda: 5.0)
    counter.open()
    return counter


def samples(registry: CollectorRegistry) -> dict[tuple[str, ...], float]:
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in registry.collect()
        for sample in family.samples
    }


def test_a_page_of_events_has_totals_repetitions_losses_and_backlog(tmp_path: Path) -> None:
    registry = CollectorRegistry()
    rule = EventRule(quantity="n", decimals=1)
    sent: list[Delivery] = [message({"consumer_id": "acme", "n": 0.5}, at=n) for n in (1, 2, 2, 1, 3)]
    sent += [Gap("orders", "orders/0", (9,), 6), message({"n": 0.25}, at=10), message({"n": 1}, at=9)]
    counter = counter_of(tmp_path / "s", sent, rule, registry=registry)
    assert counter.step() == 8
    counter.look_at_backlog()
    assert samples(registry) == {
        ("events_total", "acme", "orders"): 3,
        ("events_created", "acme", "orders"): 5.0,
        ("event_quantity_total", "acme", "orders"): 1.5,
        ("event_quantity_created", "acme", "orders"): 5.0,
        ("rating_exporters_events_read_total", "orders", "counted"): 3,
        ("rating_exporters_events_read_created", "orders", "counted"): 5.0,
        ("rating_exporters_events_read_total", "orders", "repeated"): 3,
        ("rating_exporters_events_read_created", "orders", "repeated"): 5.0,
        ("rating_exporters_events_read_total", "orders", "set_aside"): 1,
        ("rating_exporters_events_read_created", "orders", "set_aside"): 5.0,
        ("rating_exporters_events_lost_total", "orders"): 6,
        ("rating_exporters_events_lost_created", "orders"): 5.0,
        ("rating_exporters_event_backlog", "orders"): 0,
    }
    assert counter.state.places() == {"orders/0": Place((10,))}
    counter.state.close()


def test_an_event_published_twice_counts_once_while_its_id_is_remembered(tmp_path: Path) -> None:
    def event(identity: str, at: int) -> Message:
        return message({**EVENT, "id": identity}, at=at)

    sent = [event("a", 1), event("b", 2), event("a", 3), event("c", 4), event("b", 5), event("a", 6)]
    counter = counter_of(tmp_path / "s", sent, EventRule("cloudevents"), kept_ids=2)
    while counter.step(most=1):
        continue
    # a is forgotten when c comes (two ids are remembered), b is not.
    assert counter.state.totals()["events_total", ("acme", "orders")][0] == 4
    assert counter.state.totals()["rating_exporters_events_read_total", ("orders", "repeated")][0] == 2
    counter.state.close()


def test_two_processes_on_one_state_count_what_both_received_once(tmp_path: Path) -> None:
    sent = [message({"consumer_id": "acme"}, at=n) for n in range(1, 41)]
    one, other = (counter_of(tmp_path / "s", sent, shared=True) for _ in range(2))
    while one.step(most=3) + other.step(most=7):
        continue
    assert one.state.totals() == other.state.totals()
    assert one.state.totals()["events_total", ("acme", "orders")][0] == 40
    with pytest.raises(BlockingIOError, match="another process"):
        counter_of(tmp_path / "s", [])
    one.state.close()
    other.state.close()


def test_a_state_file_holds_on_to_what_its_totals_mean(tmp_path: Path) -> None:
    counter_of(tmp_path / "s", [], EventRule(dimensions={"kind": "k"})).state.close()
    with pytest.raises(ValueError, match=r"labels consumer_id, topic, kind, and now consumer_id, topic is asked for"):
        counter_of(tmp_path / "s", [])
    with pytest.raises(ValueError, match="decimals 0, and now 2"):
        counter_of(tmp_path / "s", [], EventRule(dimensions={"kind": "k"}, decimals=2))


def test_a_total_stops_where_a_float_would_stop_counting_and_nothing_of_the_batch_is_kept(tmp_path: Path) -> None:
    rule = EventRule(quantity="n")
    most = 2**53 - 1
    counter = counter_of(tmp_path / "s", [message({"n": most}, at=1), message({"n": 1}, at=2)], rule)
    counter.step(most=1)
    with pytest.raises(OverflowError, match=f"total {most + 1} would pass {most}"):
        counter.step(most=1)
    assert counter.state.totals()["events_total", ("<anonymous>", "orders")][0] == 1
    assert counter.state.places() == {"orders/0": Place((1,))}
    counter.state.close()


def test_consumers_beyond_the_bound_overflow_and_keep_their_place_over_a_restart(tmp_path: Path) -> None:
    registry = CollectorRegistry()
    sent = [message({"consumer_id": f"c{n}"}, at=n) for n in range(1, 6)]
    for restart, who in enumerate(("c1", "c9")):
        rule, state = EventRule(), EventState(tmp_path / "s", EventRule().settings())
        registry = CollectorRegistry()
        more = [message({"consumer_id": who}, at=10 + restart)]
        counter = EventCounter(Scripted(more if restart else sent), state, rule, guard=guard_for(rule, registry, 2))
        counter.open()
        counter.step()
        totals = {
            labels[0]: total for (metric, labels), (total, _) in state.totals().items() if metric == "events_total"
        }
        state.close()
    assert totals == {"c1": 1, "c2": 1, "<overflow>": 4}
    overflow = {"metric": "events_total", "label": "consumer_id"}
    assert registry.get_sample_value("rating_exporters_overflow_total", overflow) == 1


def test_what_was_set_aside_is_listed_with_its_reason_and_a_bounded_body(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "s"
    counter = counter_of(path, [message(b"x" * 100_000, {"kind": "call"}), message(b"\xff\n", at=2)])
    counter.step()
    counter.state.close()
    assert cli.main(["events", "--set-aside", "--state", str(path)]) == 0
    printed = capsys.readouterr().out
    assert "1970-01-01T00:00:05Z orders/0 1: the body is no JSON" in printed
    assert '{"kind": "call"}' in printed
    assert "body (100000 bytes)" in printed
    assert "2 messages set aside" in printed
    assert len(printed) < 2_000
    ((kept,),) = sqlite3.connect(path).execute("SELECT max(length(body)) FROM set_aside")
    assert kept == 64 << 10


def test_the_command_says_what_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state = ["--state", str(tmp_path / "s")]
    at = ["--at", "127.0.0.1:9", "--topic", "t", *state]
    for arguments, sentence in (
        (state, "which broker, where and what?"),
        (["redis", *at, "--dimension", "a"], "--dimension a: it reads NAME=VALUE"),
        (["redis", *at, "--group", "g"], "--group is for kafka"),
        (["redis", *at, "--remember", "10"], "--remember 10: a broker may deliver thousands of messages again"),
        (["redis", "--at", "redis://:secret@127.0.0.1:9/0", "--topic", "t", *state], "is it running"),
        (["redis", *at, "--set-aside", "--state", str(tmp_path / "no")], "no such state file"),
    ):
        assert cli.main(["events", *arguments]) == 2
        error = capsys.readouterr().err
        assert sentence in error
        assert "secret" not in error


# Anything may be in a message: whatever comes, each is counted or set aside, and the totals say so.

texts = st.text(st.characters(codec=None), max_size=40) | st.sampled_from(
    ["\ud800", "x" * 10_000, '"\n\\', "<unknown>"]
)
values: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
documents = st.fixed_dictionaries(
    {}, optional={"consumer_id": values, "n": values, "id": values, "source": values, "type": values, "data": values,
                  "specversion": st.just("1.0"), "subject": values, "k": values},
)  # fmt: skip
raw_bodies = st.binary(max_size=80) | documents.map(lambda one: json.dumps(one).encode())
header_names = ["content-type", "ce_id", "ce_source", "ce_type", "ce_specversion", "who"]
header_sets = st.dictionaries(st.sampled_from(header_names),
                              texts | st.just("application/cloudevents-batch+json"), max_size=5)  # fmt: skip
rules = st.sampled_from([
    EventRule(quantity="n", decimals=3),
    EventRule(dimensions={"k": "k", "h": "header:who"}),
    EventRule("cloudevents", dimensions={"k": "data.k"}, identity=None),
    EventRule("cloudevents", quantity="data"),
    EventRule("headers", "who"),
    EventRule(identity="id"),
])  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(rules, st.lists(st.tuples(raw_bodies, header_sets), min_size=1, max_size=8))
def test_no_message_can_upset_the_counter_and_none_is_lost(
    tmp_path_factory: pytest.TempPathFactory, rule: EventRule, sent: Iterable[tuple[bytes, dict[str, str]]]
) -> None:
    messages = [message(body, headers, at=n + 1, identity=f"m{n}") for n, (body, headers) in enumerate(sent)]
    counter = counter_of(tmp_path_factory.mktemp("fuzz") / "s", messages, rule)
    counter.step()
    totals = counter.state.totals()
    assert counter.state.places() == {"orders/0": Place((len(messages),))}
    counter.state.close()
    outcomes: Counter[str] = Counter()
    events = 0
    for (metric, labels), (total, _) in totals.items():
        if metric == "rating_exporters_events_read_total":
            outcomes[labels[1]] += total
        elif metric == "events_total":
            events += total
            assert all(len(value) <= 1_024 for value in labels)
    assert outcomes["counted"] == events
    batches = any(headers.get("content-type") == "application/cloudevents-batch+json" for _, headers in sent)
    assert outcomes.total() == len(messages) or (batches and rule.form == "cloudevents")


deliveries_of = st.lists(st.tuples(st.sampled_from(["a", "b"]), st.integers(1, 12), st.booleans()), max_size=40)


@settings(max_examples=40, deadline=None)
@given(deliveries_of, st.lists(st.integers(1, 5), min_size=40, max_size=40))
def test_however_deliveries_repeat_a_position_counts_at_most_once_and_in_rising_order(
    tmp_path_factory: pytest.TempPathFactory, script: list[tuple[str, int, bool]], batches: list[int]
) -> None:
    sent: list[Delivery] = [
        Gap("orders", part, (at,), 1) if gap else Message("orders", part, (at,), b'{"consumer_id": "c"}')
        for part, at, gap in script
    ]
    counter = counter_of(tmp_path_factory.mktemp("order") / "s", sent)
    for most in batches:
        counter.step(most=most)
    high: dict[str, Position] = {}
    new = lost = repeated = 0  # one delivery after the other, by hand
    for one in sent:
        if one.position <= high.get(one.partition, (0,)):
            repeated += isinstance(one, Message)
            continue
        high[one.partition] = one.position
        new += isinstance(one, Message)
        lost += isinstance(one, Gap)
    totals = {key: total for key, (total, _) in counter.state.totals().items()}
    counter.state.close()
    assert totals.get(("events_total", ("c", "orders")), 0) == new
    assert totals.get(("rating_exporters_events_read_total", ("orders", "repeated")), 0) == repeated
    assert totals.get(("rating_exporters_events_lost_total", ("orders",)), 0) == lost
