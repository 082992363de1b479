"""What the README shows can be typed in."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from prometheus_client import REGISTRY

from rating_exporters import cli, cloud_command, events_command, logs_command, vocabulary
from rating_exporters.loglines import nginx
from rating_exporters.logpresets import NAMES

README = (Path(__file__).parents[1] / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_the_first_example_counts(tmp_path: Path) -> None:
    app = FastAPI()

    @app.get("/things/{thing}")
    def thing(thing: str) -> str:
        return thing

    (example,) = blocks("python")
    place: dict[str, Any] = {"app": app}
    exec(example.replace("/var/lib/api/usage", str(tmp_path)), place)
    try:
        with TestClient(app) as client:
            client.get("/things/7", headers={"x-api-key": "k-1"})
            page = client.get("/metrics/").text
        series = 'api_requests_total{consumer_id="acme",endpoint="/things/{thing}",method="GET",status="200"} 1\n'
        assert series in page
    finally:
        place["store"].close()
    assert not any(name.startswith("api_") for name in REGISTRY._names_to_collectors)


def test_the_commands_parse(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []

    def served(options: Any) -> int:
        seen.append(options)
        return 0

    monkeypatch.setattr(logs_command, "run", served)
    monkeypatch.setattr(events_command, "run", served)
    monkeypatch.setattr(cloud_command, "run", served)
    for block in blocks("sh"):
        words = shlex.split(block.replace("\\\n", " "))
        assert words[0] == "rating-exporters"
        assert cli.main(words[1:]) == 0
    events, options, cloud = seen
    assert (events.broker, events.topic, events.check, events.decimals) == ("kafka", ["orders"], 20, 3)
    assert (cloud.which, cloud.since, cloud.check, cloud.consumer) == ("azure", "2026-11-01", True, "subscription")
    assert options.route == ["/things/{id}", "/search"]
    rule = nginx(options.format, options.consumer)
    found = rule(b"acme|GET /things/7|200|12|2026-11-21T07:00:00+00:00")
    assert found is not None
    assert (found.consumer, found.path, found.sent) == ("acme", "/things/7", 12)


def test_every_log_format_is_described() -> None:
    assert {name for name in NAMES if f"`{name}`" not in README} == set()


def test_every_metric_is_listed() -> None:
    names = {value for value in vars(vocabulary).values() if isinstance(value, str) and value.startswith(PREFIXES)}
    assert {name for name in names if f"`{name}" not in README} == set()


PREFIXES = ("api_", "llm_", "rating_exporters_")
