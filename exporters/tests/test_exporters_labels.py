"""Whatever a client calls himself: the page says it back, no series is made up, and no count is lost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as plain

from rating_exporters import Call, DurableStore, UsageMetrics, render
from rating_exporters.vocabulary import cleaned

INJECTED = 'acme",status="200"} 999\napi_requests_total{consumer_id="globex'
odd = ["", '"', "\\", "\n", '\\"\n', "\\n", "é\u2028\x00\x85", "<overflow>", "\ud800", "x" * 10_000, INJECTED]
names = st.sampled_from(odd) | st.text(st.characters(codec=None), max_size=30)


def held(page: str, parser: object) -> dict[str, float]:
    found: Counter[str] = Counter()
    for family in parser(page):  # type: ignore[operator]
        for sample in family.samples:
            if sample.name == "api_requests_total":
                found[sample.labels["consumer_id"]] += sample.value
                assert set(sample.labels) == {"consumer_id", "endpoint", "method", "status"}
    return dict(found)


def expected(calls: Mapping[str, int]) -> dict[str, float]:
    """By the rules, one at a time: nobody is anonymous, brackets are unknown, ten thousand characters overflow."""
    found: Counter[str] = Counter()
    for name, count in calls.items():
        if name == "":
            found["<anonymous>"] += count
        elif name.startswith("<") and name.endswith(">"):
            found["<unknown>"] += count
        elif len(name) > 1_024:
            found["<overflow>"] += count
        else:
            found[cleaned(name)] += count
    return {name: float(count) for name, count in found.items()}


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(names, st.integers(1, 3), max_size=6), st.booleans())
@example(dict.fromkeys(odd, 1), True)
@example(dict.fromkeys(odd, 1), False)
def test_any_name_comes_back_from_the_page_with_its_count(
    tmp_path_factory: pytest.TempPathFactory, calls: dict[str, int], durable: bool
) -> None:
    registry = CollectorRegistry()
    folder: Path = tmp_path_factory.mktemp("labels")
    store = DurableStore(folder, registry, sync=False) if durable else None
    options = {"counter": store.counter} if store is not None else {}
    metrics = UsageMetrics(registry, duration=False, **options)  # type: ignore[arg-type]
    for name, count in calls.items():
        for _ in range(count):
            with Call(metrics, name, "job"):
                pass
    wanted = expected(calls)
    assert held(render(registry).decode(), plain) == wanted
    assert held(render(registry, openmetrics=True).decode(), openmetrics) == wanted
    if store is not None:
        store.close()
        again = CollectorRegistry()  # and after a restart, from the file
        second = DurableStore(folder, again, sync=False)
        UsageMetrics(again, duration=False, counter=second.counter)
        assert held(render(again).decode(), plain) == wanted
        second.close()
