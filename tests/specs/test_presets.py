"""`preset:` in a meter: what it stands for, what an author may change, and that the book keeps it spelled out."""

from __future__ import annotations

import pytest
import yaml

from rating.core.catalogue import Catalogue
from rating.core.meters import Lifetime, Matcher
from rating.core.presets import PRESETS
from rating.specs.compile import compile_catalogue, examine
from rating.specs.presets import pasted

NAMED = (
    "kong tyk apisix envoy-ai-gateway litellm traefik nginx otel kafka azure-apim aws-apigateway apigee gloo emissary "
    "fastapi flask"
).split()


def compiled(meter: str) -> Catalogue:
    return compile_catalogue([("meters.yaml", f"version: 1\ncurrency: USD\nmeters:\n  calls: {meter}\n")])


def test_every_gateway_of_the_list_has_a_preset() -> None:
    assert set(NAMED) <= set(PRESETS)


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_compiles_and_is_the_same_pasted_long_or_short(name: str) -> None:
    short, long = (
        compile_catalogue([("m.yaml", f"version: 1\ncurrency: USD\n{pasted(PRESETS[name], short=flag)}")])
        for flag in (True, False)
    )
    assert short.meters == long.meters
    assert short.text == long.text
    assert short.digest == long.digest
    assert "preset" not in yaml.safe_load(short.text)["meters"].popitem()[1]


def test_kong_stands_for_what_its_upstreams_answered() -> None:
    meter = compiled("{preset: kong}").meters["calls"]
    assert (meter.metric, meter.consumer, meter.dimensions) == (
        "kong_http_requests_total",
        "consumer",
        ("service", "route"),
    )
    assert meter.where == (Matcher("code", "2.."), Matcher("consumer", ".+"), Matcher("source", "service"))
    assert meter.lifetime is Lifetime.DURABLE


def test_what_is_written_beside_a_preset_comes_first() -> None:
    meter = compiled('{preset: kong, where: {code: "[23]..", workspace: eu}, dimensions: [], unit: call}').meters[
        "calls"
    ]
    assert {matcher.label: matcher.pattern for matcher in meter.where} == {
        "code": "[23]..",
        "consumer": ".+",
        "source": "service",
        "workspace": "eu",
    }
    assert (meter.dimensions, meter.unit) == ((), "call")


def test_another_consumer_label_takes_its_condition_with_it() -> None:
    meter = compiled("{preset: otel, consumer: account}").meters["calls"]
    assert [matcher.label for matcher in meter.where] == ["http_response_status_code"]


def test_several_metrics_take_the_place_of_the_presets_one() -> None:
    meter = compiled("{preset: fastapi, metrics: [api_requests_total, api_retries_total]}").meters["calls"]
    assert meter.metrics == ("api_requests_total", "api_retries_total")


def test_a_misspelt_preset_is_named_with_the_one_that_was_meant() -> None:
    text = "version: 1\ncurrency: USD\nmeters:\n  calls: {preset: litelm, metric: m_total, consumer: team}\n"
    assert [str(finding) for finding in examine([("m.yaml", text)]).findings] == [
        'm.yaml:4: meter "calls", preset: no preset is called "litelm"; did you mean "litellm"?'
    ]
