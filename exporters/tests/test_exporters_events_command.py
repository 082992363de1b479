"""`rating-exporters events` as it is typed: a look beforehand, a page, kills and rebalances of real processes."""

from __future__ import annotations

import json
import random
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

COMMAND = [sys.executable, "-m", "rating_exporters", "events"]


class Running:
    """One process of the command and the address of its page."""

    def __init__(self, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [*COMMAND, *arguments, "--listen", "127.0.0.1:0"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line.startswith("counting"), self.process.communicate()[1]
        self.address = line.split()[-1]

    def page(self) -> dict[str, float]:
        text = urllib.request.urlopen(self.address, timeout=5).read().decode()
        return {
            name: float(value) for name, value in re.findall(r"^([a-z]\S*\{.*\}|[a-z]\S*) (\S+)$", text, re.MULTILINE)
        }

    def total(self, metric: str) -> int:
        return int(sum(value for name, value in self.page().items() if name.startswith(metric + "{")))

    def until(self, metric: str, total: int, seconds: float = 30) -> int:
        deadline = time.monotonic() + seconds
        while (now := self.total(metric)) != total and time.monotonic() < deadline:
            time.sleep(0.1)
        return now

    def end(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        status = self.process.wait(timeout=30)
        for stream in (self.process.stdout, self.process.stderr):
            assert stream is not None
            stream.close()
        return status


def test_a_check_says_what_would_count_and_changes_nothing_then_a_restart_goes_on(
    tmp_path: Path, broker_server: Callable[[str], Any], broker_peers: ModuleType
) -> None:
    peer = broker_peers.RedisPeer(broker_server("redis").url)
    topic, state = broker_peers.fresh_name(), str(tmp_path / "state.sqlite")
    peer.publish(topic, [*broker_peers.numbered(0, 4), (b"nonsense", {}, "")])
    arguments = ["redis", "--at", peer.url, "--topic", topic, "--state", state, "--quantity", "n"]
    for _ in range(2):
        look = subprocess.run([*COMMAND, *arguments, "--check"], capture_output=True, text=True, check=False)
        assert look.returncode == 1, look.stderr
        assert f"read 5 messages of {topic}; nothing changed" in look.stdout
        assert f'would add 2 to events_total{{consumer_id="c0",topic="{topic}"}}' in look.stdout
        assert f'would add 3 to event_quantity_total{{consumer_id="c0",topic="{topic}"}}' in look.stdout
        assert re.search(rf"would set aside {topic} \d+-\d+: the body is no JSON", look.stdout)
        assert not Path(state).exists()
    told = subprocess.run([*COMMAND, *arguments, "--check", "--output", "json"], capture_output=True, check=False)
    look = json.loads(told.stdout)
    labels = {"consumer_id": "c0", "topic": topic}
    assert {"metric": "event_quantity_total", "labels": labels, "amount": 3} in look["adds"]
    assert (look["read"], look["of"], look["warnings"]) == (5, f"messages of {topic}", [])
    ((where, reason),) = [tuple(one.values()) for one in look["set_aside"]]
    assert where.startswith(topic)
    assert "the body is no JSON" in reason
    assert told.returncode == 1
    running = Running(*arguments)
    assert running.until("events_total", 4) == 4
    assert running.end(signal.SIGKILL) == -9
    peer.publish(topic, broker_peers.numbered(4, 3))
    running = Running(*arguments)
    assert running.until("events_total", 7) == 7
    # Beside the process that counts: from where it is, and without a word of its lock.
    look = subprocess.run([*COMMAND, *arguments, "--check"], capture_output=True, text=True, check=False)
    assert (look.returncode, look.stdout) == (0, f"read 0 messages of {topic}; nothing changed\n")
    page = running.page()
    assert page[f'rating_exporters_events_read_total{{outcome="set_aside",topic="{topic}"}}'] == 1
    assert page[f'event_quantity_total{{consumer_id="c0",topic="{topic}"}}'] == 0 + 3 + 6
    assert page["process_start_time_seconds"] > 0
    assert running.end() == 0


def test_a_broker_that_goes_away_is_waited_for(
    tmp_path: Path, broker_peers: ModuleType, broker_server: Callable[[str], Any]
) -> None:
    broker_server("nats")  # skips where there is none
    with sys.modules["rating_demo.brokers"].Nats(tmp_path / "nats") as server:
        peer = broker_peers.NatsPeer(server.url)
        peer.make("T")
        peer.publish("T", broker_peers.numbered(0, 5))
        running = Running("nats", "--at", server.url, "--topic", "T", "--state", str(tmp_path / "state"))
        assert running.until("events_total", 5) == 5
        server.stop()
        time.sleep(0.5)
        assert running.total("events_total") == 5  # the page is there all the while
        server.start()
        peer.publish("T", broker_peers.numbered(5, 5))
        assert running.until("events_total", 10) == 10
        assert running.end() == 0


@pytest.mark.slow
def test_a_consumer_group_that_loses_and_gains_members_counts_each_message_once(
    tmp_path: Path, broker_server: Callable[[str], Any], broker_peers: ModuleType
) -> None:
    peer = broker_peers.KafkaPeer(broker_server("kafka").url)
    peer.partitions = 4
    topic, state, rng = "grouped", str(tmp_path / "state"), random.Random(3)
    peer.make(topic)
    arguments = ["kafka", "--at", peer.url, "--topic", topic, "--state", state, "--quantity", "n", "--group", "g"]
    for option in ("session.timeout.ms=1500", "heartbeat.interval.ms=300"):
        arguments += ["--option", option]
    members, sent = [Running(*arguments)], 0
    for _ in range(5):
        for _ in range(4):
            count = rng.randrange(20, 200)
            peer.publish(topic, broker_peers.numbered(sent, count))
            sent += count
            time.sleep(0.1)
        if len(members) < 2 or (len(members) < 3 and rng.random() < 0.5):
            members.append(Running(*arguments))
        else:
            assert members.pop(rng.randrange(len(members))).end(rng.choice([signal.SIGKILL, signal.SIGTERM])) in (-9, 0)
    assert members[0].until("events_total", sent) == sent
    assert members[0].total("event_quantity_total") == sum(range(sent))
    # Another state file cannot know how far this one is.
    arguments[arguments.index(state)] = str(tmp_path / "another")
    for member in members:
        assert member.end() == 0  # and not even when nobody is left
    refused = subprocess.run(
        [*COMMAND, *arguments, "--listen", "127.0.0.1:0"], capture_output=True, text=True, timeout=60
    )
    assert refused.returncode == 2
    assert "has counted it into another state file" in refused.stderr


def test_a_compacted_topic_is_warned_of(
    tmp_path: Path, broker_server: Callable[[str], Any], broker_peers: ModuleType
) -> None:
    from confluent_kafka.admin import NewTopic

    peer = broker_peers.KafkaPeer(broker_server("kafka").url)
    admin = peer._admin()
    admin.create_topics([NewTopic("compacted", 1, 1, config={"cleanup.policy": "compact"})])["compacted"].result()
    arguments = ["kafka", "--at", peer.url, "--topic", "compacted", "--state", str(tmp_path / "s"), "--check", "1"]
    look = subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, check=False)
    assert "read 0 messages of compacted" in look.stdout
    assert "warning: topic compacted is compacted (cleanup.policy=compact)" in look.stdout


def test_messages_of_an_aborted_transaction_are_not_counted(
    tmp_path: Path, broker_server: Callable[[str], Any], broker_peers: ModuleType
) -> None:
    from confluent_kafka import Producer

    peer = broker_peers.KafkaPeer(broker_server("kafka").url)
    peer.make("transacted")
    producer = Producer({"bootstrap.servers": peer.url, "transactional.id": "t"})
    producer.init_transactions(20)
    for end in (producer.commit_transaction, producer.abort_transaction, producer.commit_transaction):
        producer.begin_transaction()
        for body, _, _ in broker_peers.numbered(0, 10):
            producer.produce("transacted", body)
        producer.flush(10)
        end(20)
    running = Running("kafka", "--at", peer.url, "--topic", "transacted", "--state", str(tmp_path / "s"))
    assert running.until("events_total", 20) == 20
    time.sleep(0.3)
    assert running.total("events_total") == 20
    assert running.end() == 0
