"""What every broker adapter promises, on real servers: each message once, in order, through any crash."""

from __future__ import annotations

import os
import random
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from rating_exporters import broker_kafka
from rating_exporters.brokers import BrokerRefused, BrokerUnavailable, Delivery, Gap, Message, Place
from rating_exporters.eventrule import EventRule
from rating_exporters.events import EventCounter
from rating_exporters.eventstate import EventState

KINDS = ("kafka", "redis", "nats", "nats work queue", "rabbitmq queue", "rabbitmq stream")
KILLS = int(os.environ.get("EXPORTERS_KILLS", "12"))  # of each broker; by option as many as one likes
WORKER = Path(__file__).parent / "event_worker.py"


@pytest.fixture(params=KINDS)
def peer(
    request: pytest.FixtureRequest,
    broker_server: Callable[[str], Any],
    broker_peers: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
) -> Any:
    kind = request.param
    server = broker_server(kind.partition(" ")[0])
    peer = broker_peers.PEERS[kind](server.url)
    peer.kind = kind
    if hasattr(server, "mock"):
        peer.truncates = peer.remakes = False
        monkeypatch.setattr("rating_exporters.broker_kafka.PATIENCE", 1.0)  # it does not answer what it does not know
    return peer


@pytest.fixture
def topic(peer: Any, broker_peers: ModuleType) -> str:
    name = broker_peers.fresh_name()
    peer.make(name)
    return str(name)


def received(broker: Any, count: int, seconds: float = 15) -> list[Delivery]:
    """That many deliveries, waited for; then a moment for one too many."""
    found: list[Delivery] = []
    deadline = time.monotonic() + seconds
    while len(found) < count and time.monotonic() < deadline:
        found += broker.receive(100, 0.2)
    return found + list(broker.receive(100, 0.05))


class Opened:
    """An adapter that is open, with the places it was given."""

    def __init__(self, broker: Any, places: dict[str, Place]) -> None:
        self.broker, self.places = broker, places

    def __enter__(self) -> Any:
        self.broker.open(lambda: self.places)
        return self.broker

    def __exit__(self, *_: object) -> None:
        self.broker.close()


def opened_and_read(broker: Any, places: dict[str, Place]) -> None:
    broker.open(lambda: places)
    for _ in range(20):
        broker.receive(100, 0.2)


def places_of(deliveries: list[Delivery]) -> dict[str, Place]:
    return {one.partition: Place(one.position, one.note) for one in deliveries if one.position}


def bodies(deliveries: list[Delivery]) -> list[bytes]:
    return [one.body for one in deliveries if isinstance(one, Message)]


def test_messages_come_in_order_with_their_headers_and_go_on_after_the_stored_position(
    peer: Any, topic: str, broker_peers: ModuleType
) -> None:
    first, then = broker_peers.numbered(0, 20), broker_peers.numbered(20, 5)
    peer.publish(topic, first)
    with Opened(peer.adapter(topic), {}) as broker:
        found = received(broker, 20)
        assert bodies(found) == [body for body, _, _ in first]
        message = found[0]
        assert isinstance(message, Message)
        assert message.headers["kind"] == "call"
        assert message.topic == topic
        if peer.positional:
            positions = [one.position for one in found]
            assert positions == sorted(set(positions))
        else:
            assert [one.id for one in found if isinstance(one, Message)] == [f"m{n}" for n in range(20)]
        broker.confirm(found)
    peer.publish(topic, then)
    with Opened(peer.adapter(topic), places_of(found)) as broker:
        again = [one for one in received(broker, 5) if one.position > found[-1].position or not one.position]
        assert bodies(again) == [body for body, _, _ in then]


def test_what_was_not_confirmed_and_not_stored_comes_again(peer: Any, topic: str, broker_peers: ModuleType) -> None:
    sent = broker_peers.numbered(0, 10)
    peer.publish(topic, sent)
    with Opened(peer.adapter(topic), {}) as broker:
        found = received(broker, 10)
        assert len(found) == 10
    with Opened(peer.adapter(topic), {}) as broker:
        again = received(broker, 10)
    assert bodies(again) == bodies(found)
    assert [one.position for one in again] == [one.position for one in found]


def test_messages_deleted_before_they_were_read_are_a_gap_of_that_many(
    peer: Any, topic: str, broker_peers: ModuleType
) -> None:
    if not peer.truncates:
        pytest.skip(f"a {peer.kind} deletes nothing on request")
    peer.publish(topic, broker_peers.numbered(0, 10))
    with Opened(peer.adapter(topic), {}) as broker:
        found = received(broker, 10)
    peer.publish(topic, broker_peers.numbered(10, 30))
    peer.keep_newest(topic, 12, of=40)
    with Opened(peer.adapter(topic), places_of(found)) as broker:
        rest = received(broker, 13)
    gaps = [one for one in rest if isinstance(one, Gap)]
    assert [gap.lost for gap in gaps] == [40 - 12 - 10]
    assert bodies(rest) == [body for body, _, _ in broker_peers.numbered(28, 12)]
    assert [one.position for one in rest] == sorted(one.position for one in rest)
    assert gaps[0].position > found[-1].position


def test_everything_deleted_is_a_gap_as_well_and_what_comes_then_is_counted(
    peer: Any, topic: str, broker_peers: ModuleType
) -> None:
    if not peer.truncates:
        pytest.skip(f"a {peer.kind} deletes nothing on request")
    peer.publish(topic, broker_peers.numbered(0, 5))
    with Opened(peer.adapter(topic), {}) as broker:
        found = received(broker, 5)
    peer.publish(topic, broker_peers.numbered(5, 5))
    peer.keep_newest(topic, 0, of=10)
    peer.publish(topic, broker_peers.numbered(10, 2))
    with Opened(peer.adapter(topic), places_of(found)) as broker:
        rest = received(broker, 3)
    assert sum(one.lost for one in rest if isinstance(one, Gap)) == 5
    assert bodies(rest) == [body for body, _, _ in broker_peers.numbered(10, 2)]


def test_a_topic_made_anew_is_refused_or_counted_from_its_start(
    peer: Any, topic: str, broker_peers: ModuleType
) -> None:
    if not peer.remakes:
        pytest.skip(f"a {peer.kind} has no positions that could be passed, or cannot be made anew here")
    peer.publish(topic, broker_peers.numbered(0, 10))
    with Opened(peer.adapter(topic), {}) as broker:
        found = received(broker, 10)
    peer.remake(topic)
    peer.publish(topic, broker_peers.numbered(100, 11))  # one more than there were: a length alone would not show it
    broker = peer.adapter(topic)
    if peer.kind == "nats":  # a stream made anew is known by its birth
        with Opened(broker, places_of(found)):
            assert bodies(received(broker, 11)) == [body for body, _, _ in broker_peers.numbered(100, 11)]
        return
    if peer.kind == "redis":  # ids are times, and these are later: nothing is skipped, but the numbers do not fit
        peer._client().delete(topic)
        peer.publish(topic, broker_peers.numbered(100, 3))
    try:
        with pytest.raises(BrokerRefused, match=f"made anew.*--begin-again {topic}"):
            opened_and_read(broker, places_of(found))
    finally:
        broker.close()


def test_a_topic_that_is_not_there_is_refused_and_a_server_that_is_not_is_unavailable(
    peer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rating_exporters.broker_kafka.PATIENCE", 1.0)
    broker = peer.adapter("nowhere", peer.gone)
    try:
        with pytest.raises(BrokerUnavailable):
            broker.open(dict)
    finally:
        broker.close()
    if peer.kind == "redis":
        return  # a stream begins to be when somebody adds to it
    if peer.kind == "kafka" and not peer.remakes:
        return  # the mock broker makes a topic when it is asked for one
    broker = peer.adapter("nowhere")
    try:
        with pytest.raises(BrokerRefused, match=r"nowhere|not found"):
            broker.open(dict)
    finally:
        broker.close()


def test_the_backlog_is_what_is_there_and_was_not_read(peer: Any, topic: str, broker_peers: ModuleType) -> None:
    peer.publish(topic, broker_peers.numbered(0, 30))
    with Opened(peer.adapter(topic), {}) as broker:
        found: list[Delivery] = []
        while len(found) < 10:
            found += broker.receive(10 - len(found), 0.2)
        backlog = broker.backlog()
        if peer.kind == "rabbitmq stream":
            assert backlog == {}  # AMQP does not say
        else:
            assert backlog == {topic: 20}
        assert all(isinstance(warning, str) for warning in broker.warnings())


def test_beginning_at_the_end_leaves_out_what_was_there_and_a_restart_nothing(
    peer: Any, topic: str, broker_peers: ModuleType
) -> None:
    if peer.kind.startswith("rabbitmq"):
        broker = peer.adapter(topic, at_end=True)
        with pytest.raises(BrokerRefused, match="beginning"):
            broker.open(dict)
        return
    peer.publish(topic, broker_peers.numbered(0, 10))
    with Opened(peer.adapter(topic, at_end=True), {}) as broker:
        found = received(broker, 1, seconds=1)
        assert [one.lost for one in found if isinstance(one, Gap)] == [0]
        assert [one for one in found if one.position > found[0].position] == []
        broker.confirm(found)  # what a work queue delivers all the same is known by its position
    peer.publish(topic, broker_peers.numbered(10, 3))  # while nobody was there
    with Opened(peer.adapter(topic, at_end=True), places_of(found[:1])) as broker:
        rest = [one for one in received(broker, 3) if one.position > found[0].position]
    assert bodies(rest) == [body for body, _, _ in broker_peers.numbered(10, 3)]


@pytest.fixture
def stream(peer: Any, topic: str, broker_peers: ModuleType) -> Iterator[Callable[[], int]]:
    """Publishes a few messages at a time for as long as the test runs; called, it stops and says how many there are."""
    stop, sent = threading.Event(), [0]

    def work() -> None:
        rng = random.Random(7)
        while not stop.wait(0.05):
            count = rng.randrange(1, 12)
            peer.publish(topic, broker_peers.numbered(sent[0], count))
            sent[0] += count

    thread = threading.Thread(target=work)
    thread.start()

    def finish() -> int:
        stop.set()
        thread.join()
        return sent[0]

    yield finish
    finish()


def counted(state: Path) -> tuple[int, int]:
    """Events and quantity in a state file, whoever writes it."""
    database = sqlite3.connect(state)
    found = dict(database.execute("SELECT metric, sum(total) FROM totals WHERE metric LIKE 'event%' GROUP BY metric"))
    database.close()
    return found.get("events_total", 0), found.get("event_quantity_total", 0)


@pytest.mark.slow
def test_killed_between_any_two_steps_each_message_counts_once(
    peer: Any, topic: str, stream: Callable[[], int], tmp_path: Path
) -> None:
    state = tmp_path / "state.sqlite"
    command = [sys.executable, WORKER, peer.kind, peer.url, topic, state, str(KILLS), "11"]
    subprocess.run(command, check=True, env={**os.environ, "EVENTS_PATIENCE": str(broker_kafka.PATIENCE)})
    sent = stream()
    rule = EventRule(quantity="n")
    counter = EventCounter(peer.adapter(topic), EventState(state, rule.settings()), rule)
    counter.open()
    deadline = time.monotonic() + 30
    while counted(state)[0] < sent and time.monotonic() < deadline:
        counter.step(seconds=0.1)
    for _ in range(5):
        counter.step(seconds=0.1)  # what would come a second time has come by now
    counter.broker.close()
    totals = counter.state.totals()
    counter.state.close()
    assert counted(state) == (sent, sum(range(sent)))
    for consumer in range(3):
        own = range(consumer, sent, 3)
        assert totals["events_total", (f"c{consumer}", topic)][0] == len(own)
        assert totals["event_quantity_total", (f"c{consumer}", topic)][0] == sum(own)
    assert totals.get(("rating_exporters_events_lost_total", (topic,)), (0, 0))[0] == 0
