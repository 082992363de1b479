"""The doctor recognises gateways on a real server: there and named, there and nameless, billed already, absent."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from rating.adapters.prometheus import PrometheusSource
from rating.core.periods import milliseconds
from rating.core.presets import PRESETS
from rating.ports import Verdict
from rating_demo import blocks
from rating_demo.openmetrics import Series
from rating_demo.parts import Prometheus

NOW = datetime(2026, 10, 1, 12, tzinfo=UTC)


def series(metric: str, **labels: str) -> Series:
    times = np.arange(milliseconds(NOW - timedelta(minutes=30)), milliseconds(NOW), 60_000)
    return Series(metric, {"job": "gateway", **labels}, times, np.arange(len(times)))


@pytest.mark.slow
def test_gateways_are_recognised_and_their_flags_missed(prometheus_binary: Path, tmp_path: Path) -> None:
    told = [
        series("kong_http_requests_total", service="a", code="200", source="service"),
        series("kong_http_requests_total", service="b", code="200", source="service"),
        series("litellm_requests_metric_total", team="red"),
        series("litellm_requests_metric_total", team="blue"),
        series("litellm_requests_metric_total", user="nobody's"),
        series("ratelimit_service_rate_limit_total_hits", domain="d", key1="acme"),
        series("api_requests_total", consumer_id="acme", status="200"),
    ]
    blocks.create(told, tmp_path / "blocks")
    with Prometheus(tmp_path / "prometheus", blocks=tmp_path / "blocks", retention="100y") as server:
        found = list(PrometheusSource([server.url]).recognise(PRESETS, {"api_requests_total"}, NOW))
    said = [(one.verdict, one.about, one.what) for one in found]
    assert said == [
        (
            Verdict.WARN,
            "kong",
            "kong_http_requests_total is there with 2 series, and its label consumer is empty: nobody could be billed",
        ),
        (Verdict.WARN, "litellm", "1 of 3 series of litellm_requests_metric_total have no team"),
        (Verdict.OK, "litellm", "litellm_requests_metric_total is there for 2 consumers and no meter counts it"),
        (
            Verdict.OK,
            "gloo or emissary",
            "ratelimit_service_rate_limit_total_hits is there for 1 consumer and no meter counts it",
        ),
    ]
    assert "per_consumer" in found[0].hint
    assert "paste meters: litellm: {preset: litellm}" in " ".join(found[2].hint.split())


def test_a_server_that_is_gone_is_a_warning_and_no_traceback() -> None:
    found = list(PrometheusSource(["http://127.0.0.1:9"], timeout=0.5).recognise(PRESETS, (), NOW))
    assert {one.verdict for one in found} == {Verdict.WARN}
