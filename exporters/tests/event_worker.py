"""Counts a topic in one life after the other, each of which kills itself with SIGKILL after some number of steps:
between receiving, any two SQL statements of the transaction, committing and confirming.

Arguments: peer, address, topic, state file, lives, seed. Each life is a fork, so that it costs no imports.
"""

from __future__ import annotations

import importlib.util
import os
import random
import signal
import sys
from pathlib import Path
from typing import Any

from rating_exporters import broker_kafka
from rating_exporters.eventrule import EventRule
from rating_exporters.events import EventCounter
from rating_exporters.eventstate import EventState

spec = importlib.util.spec_from_file_location("broker_peers", Path(__file__).parent / "broker_peers.py")
assert spec is not None
assert spec.loader is not None
peers = importlib.util.module_from_spec(spec)
sys.modules[spec.name] = peers
spec.loader.exec_module(peers)

kind, url, topic, path = sys.argv[1:5]
lives, rng = int(sys.argv[5]), random.Random(sys.argv[6])
left, lurking = 0, False
broker_kafka.PATIENCE = float(os.environ.get("EVENTS_PATIENCE", broker_kafka.PATIENCE))


def step(*_: object) -> None:
    """One more step; the last one is fatal."""
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)


class Stepping:
    """A broker whose every call is two steps."""

    def __init__(self, broker: Any) -> None:
        self.broker = broker

    def __getattr__(self, name: str) -> Any:
        call = getattr(self.broker, name)

        def stepped(*arguments: Any) -> Any:
            if name == "confirm" and lurking:  # the one place of which there are few: counted, and nobody told
                os.kill(os.getpid(), signal.SIGKILL)
            step()
            answer = call(*arguments)
            step()
            return answer

        return stepped


def live() -> None:
    """Count until the steps are used up."""
    rule = EventRule(quantity="n")
    state = EventState(Path(path), rule.settings())
    state._database.set_trace_callback(step)
    counter = EventCounter(Stepping(peers.PEERS[kind](url).adapter(topic)), state, rule)
    counter.open()
    while True:
        counter.step(most=7, seconds=0.05)


importlib.import_module({"kafka": "confluent_kafka", "redis": "redis", "nats": "nats"}.get(kind.split()[0], "pika"))
for _ in range(lives):
    left, lurking = rng.randrange(8, 80), rng.random() < 0.3
    child = os.fork()
    if child == 0:
        try:
            live()
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    if not os.WIFSIGNALED(status) or os.WTERMSIG(status) != signal.SIGKILL:
        sys.exit(f"a life ended with status {status}, and not by its own hand")
