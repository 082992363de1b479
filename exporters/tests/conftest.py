"""What several tests share: the harness that kills servers and the other side of the brokers, loaded by path because
tests are not packages here; and the brokers themselves, real servers started once."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import ModuleType
from typing import Any, Self

import pytest
from hypothesis import settings

# Nothing is asserted on the clock: a busy machine is no failure.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")


def _loaded(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, Path(__file__).parent / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up by name
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def crash_harness() -> ModuleType:
    return _loaded("crash_harness")


@pytest.fixture(scope="session")
def broker_peers() -> ModuleType:
    return _loaded("broker_peers")


INSTALL = os.environ.get("PARTS_INSTALL", "1") != "0"


class MockKafka:
    """The broker that librdkafka has for its own tests, in this process: the wire protocol without a Kafka."""

    mock = True

    def __enter__(self) -> Self:
        from confluent_kafka import Producer

        self._host = Producer({"bootstrap.servers": "none", "test.mock.num.brokers": 1, "log_level": 0})
        self.url = next(iter(self._host.list_topics(timeout=10).brokers.values()))
        self.url = f"{self.url.host}:{self.url.port}"
        return self

    def __exit__(self, *_: object) -> None:
        del self._host


@pytest.fixture(scope="session")
def broker_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Any]]:
    """Starts a broker once for all tests: "kafka", "rabbitmq", "redis" or "nats"; skips where it cannot be had."""
    parts = pytest.importorskip("rating_demo.brokers", reason="needs the engine's demonstration, which starts servers")
    kinds = {"kafka": parts.Kafka, "rabbitmq": parts.RabbitMQ, "redis": parts.Redis, "nats": parts.Nats}
    running: dict[str, Any] = {}
    with ExitStack() as stack:

        def server(kind: str) -> Any:
            if kind not in running:
                folder = () if kind == "rabbitmq" else (tmp_path_factory.mktemp(kind),)
                try:
                    running[kind] = stack.enter_context(kinds[kind](*folder, install=INSTALL))
                except parts.PartMissing as missing:
                    if kind != "kafka":
                        pytest.skip(str(missing))
                    print(f"{missing}: librdkafka's mock broker stands in, and what it cannot do is skipped")
                    running[kind] = stack.enter_context(MockKafka())
            return running[kind]

        yield server


@pytest.fixture(scope="session")
def cloud_peers() -> ModuleType:
    return _loaded("cloud_peers")
