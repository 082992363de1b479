"""Meters of gateways and frameworks as they come: what `preset: kong` stands for, and what to know before billing.

A preset is a meter's keys as an author would write them; `specs` spells it out. Names and labels are those of the
versions named; what was never looked at on a running server says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

_OK = "2.."
_OURS = {
    "metric": "api_requests_total",
    "consumer": "consumer_id",
    "dimensions": ["endpoint"],
    "where": {"status": _OK},
}
_CLOUD = {"metric": "cloud_requests_total", "consumer": "consumer_id", "dimensions": ["product"], "counter": "durable"}
_UNSEEN = "Not looked at on a running server: compare the labels with your own /metrics page first."


@dataclass(frozen=True, slots=True)
class Preset:
    name: str
    about: str
    meter: Mapping[str, Any]
    """Keys of a meter, as written."""
    flag: str = ""
    """What to switch on where the consumer's label is missing or empty."""
    traps: tuple[str, ...] = field(default_factory=tuple)

    @property
    def metric(self) -> str:
        return str(self.meter["metric"])

    @property
    def consumer(self) -> str:
        return str(self.meter["consumer"])


def _preset(name: str, about: str, meter: Mapping[str, Any], *traps: str, flag: str = "") -> Preset:
    return Preset(name, about, meter, flag, traps)


_KONG_FLAGS = "set per_consumer, status_code_metrics and bandwidth_metrics to true in Kong's prometheus plugin"
_KONG = (
    "The label is the consumer's username: a consumer that has only a custom_id is counted under no name.",
    "source is service where the upstream answered, kong where the gateway refused; only the former is billed.",
    "Counters live in a shared dictionary, reach it about once a second, and begin anew when Kong restarts; when it is "
    "full, kong_nginx_metric_errors_total rises and requests are no longer counted.",
)
_TTL = "Series may be removed after a time or beyond a number: what they counted since the last scrape is lost."

PRESETS: Mapping[str, Preset] = {
    preset.name: preset
    for preset in (
        _preset(
            "kong",
            "Kong's prometheus plugin (3.10): requests that the upstream answered",
            {
                "metric": "kong_http_requests_total",
                "consumer": "consumer",
                "dimensions": ["service", "route"],
                "where": {"source": "service", "code": _OK, "consumer": ".+"},
                "counter": "durable",
            },
            *_KONG,
            flag=_KONG_FLAGS,
        ),
        _preset(
            "kong/bandwidth",
            "Kong's prometheus plugin (3.10): bytes sent to the consumer",
            {
                "metric": "kong_bandwidth_bytes",
                "consumer": "consumer",
                "dimensions": ["service", "route"],
                "where": {"direction": "egress", "consumer": ".+"},
                "unit": "byte",
                "counter": "durable",
            },
            *_KONG[::2],
            flag=_KONG_FLAGS,
        ),
        _preset(
            "tyk",
            "Tyk Pump's base metrics: requests by API key",
            {"metric": "tyk_http_status_per_key", "consumer": "key", "where": {"code": _OK}},
            "The label is the API key: say under `consumers:` whom each stands for (only digests are kept).",
            "With obfuscate_api_keys several keys may look alike: switch it off, or use custom metrics.",
            "Tyk calls these metrics legacy from 5.13 on and recommends OpenTelemetry.",
            flag="let Tyk Pump write the base metrics, without obfuscate_api_keys",
        ),
        _preset(
            "apisix",
            "APISIX's prometheus plugin: answered requests",
            {
                "metric": "apisix_http_status",
                "consumer": "consumer",
                "dimensions": ["route"],
                "where": {"code": _OK, "consumer": ".+"},
                "counter": "durable",
            },
            "apisix_http_requests_total has no consumer and is a gauge: it cannot be billed.",
            _TTL + " Leave `expire` unset.",
            flag="put an authentication plugin on the route, so that APISIX knows the consumer",
        ),
        _preset(
            "apisix/prompt-tokens",
            "APISIX's AI proxy: tokens asked",
            {
                "metric": "apisix_llm_prompt_tokens",
                "consumer": "consumer",
                "dimensions": ["route_id"],
                "where": {"consumer": ".+"},
                "unit": "token",
                "counter": "durable",
            },
            _TTL + " Leave `expire` unset.",
            flag="put an authentication plugin on the route, so that APISIX knows the consumer",
        ),
        _preset(
            "apisix/completion-tokens",
            "APISIX's AI proxy: tokens answered",
            {
                "metric": "apisix_llm_completion_tokens",
                "consumer": "consumer",
                "dimensions": ["route_id"],
                "where": {"consumer": ".+"},
                "unit": "token",
                "counter": "durable",
            },
            _TTL + " Leave `expire` unset.",
            flag="put an authentication plugin on the route, so that APISIX knows the consumer",
        ),
        _preset(
            "envoy-ai-gateway",
            "Envoy AI Gateway (1.1): tokens by model and direction",
            {
                "metric": "gen_ai_client_token_usage_sum",
                "consumer": "tenant_id",
                "dimensions": ["gen_ai_response_model", "gen_ai_token_type"],
                "unit": "token",
            },
            "Up to version 0.4 the metric was gen_ai_client_token_usage_token_sum.",
            "The tenant comes from a request header: set it behind authentication, or callers choose who pays.",
            flag="set controller.metricsRequestHeaderAttributes=x-tenant-id:tenant.id",
        ),
        _preset(
            "litellm",
            "LiteLLM's proxy (1.109): requests by team",
            {"metric": "litellm_requests_metric_total", "consumer": "team", "dimensions": ["requested_model"]},
            "To bill end users instead write `consumer: end_user` and enable end user tracking for Prometheus.",
            _TTL,
            flag="give every key a team, or choose user, api_key_alias or end_user as the consumer",
        ),
        _preset(
            "litellm/input-tokens",
            "LiteLLM's proxy (1.109): input tokens by team and model",
            {
                "metric": "litellm_input_tokens_metric_total",
                "consumer": "team",
                "dimensions": ["model"],
                "unit": "token",
            },
            "Cached input is counted here too; litellm_input_cached_tokens_metric_total counts it apart.",
            _TTL,
            flag="give every key a team, or choose user, api_key_alias or end_user as the consumer",
        ),
        _preset(
            "litellm/output-tokens",
            "LiteLLM's proxy (1.109): output tokens by team and model",
            {
                "metric": "litellm_output_tokens_metric_total",
                "consumer": "team",
                "dimensions": ["model"],
                "unit": "token",
            },
            _TTL,
            flag="give every key a team, or choose user, api_key_alias or end_user as the consumer",
        ),
        _preset(
            "traefik",
            "Traefik (3): requests by service",
            {
                "metric": "traefik_service_requests_total",
                "consumer": "account",
                "dimensions": ["service"],
                "where": {"code": _OK, "account": ".+"},
            },
            "The label is a request header: let an authentication middleware set it, or callers choose who pays.",
            "Entry points and routers count the same requests again: bill one of the three.",
            flag="set metrics.prometheus.headerLabels.account to the header (Traefik 3)",
        ),
        _preset(
            "nginx",
            "prometheus-nginxlog-exporter in front of nginx's access log",
            {
                "metric": "nginx_http_response_count_total",
                "consumer": "consumer",
                "dimensions": ["method"],
                "where": {"status": _OK, "consumer": ".+"},
            },
            "It forgets its place in the log when it restarts; `rating-exporters logs` counts each line once.",
            "The first part of the name is the exporter's namespace: here nginx.",
            flag="relabel a field of the log format to consumer",
        ),
        _preset(
            "nginx/vts",
            "nginx-module-vts with a filter by consumer",
            {
                "metric": "nginx_vts_filter_requests_total",
                "consumer": "filter_name",
                "where": {"filter": "consumer::.*", "code": "2xx"},
                "counter": "durable",
            },
            _UNSEEN,
            "Counters live in shared memory and begin anew when nginx restarts.",
            flag="set vhost_traffic_status_filter_by_set_key $consumer consumer::*",
        ),
        _preset(
            "otel",
            "OpenTelemetry's HTTP server metric: answered requests by route",
            {
                "metric": "http_server_request_duration_seconds_count",
                "consumer": "tenant_id",
                "dimensions": ["http_route"],
                "where": {"http_response_status_code": _OK, "tenant_id": ".+"},
            },
            "No tenant attribute is there by default: add one to the metric, from an authenticated request.",
            "Beside a collector the process start time is the collector's: declare the meter's target_labels.",
            flag="add an attribute tenant.id to the HTTP server metric",
        ),
        _preset(
            "otel/tokens",
            "OpenTelemetry's GenAI client metric: tokens by model and direction",
            {
                "metric": "gen_ai_client_token_usage_sum",
                "consumer": "tenant_id",
                "dimensions": ["gen_ai_request_model", "gen_ai_token_type"],
                "unit": "token",
            },
            "Semantic conventions of GenAI are still moving: pin the version of the instrumentation.",
            flag="add an attribute tenant.id to the metric",
        ),
        _preset(
            "kafka",
            "Messages counted by `rating-exporters events`, each once",
            {"metric": "events_total", "consumer": "consumer_id", "dimensions": ["topic"], "counter": "durable"},
            "The offsets of kafka_exporter and the byte rates of Kafka's JMX are no counters: they cannot be billed.",
        ),
        _preset(
            "aws-apigateway",
            "Requests by API key, from usage plans, by `rating-exporters cloud aws`",
            {**_CLOUD, "settling": "26h"},
            "AWS tells usage by the day, and late: figures are whole after a day.",
            "CloudWatch's metrics of API Gateway know no API key: they cannot be billed by consumer.",
        ),
        _preset(
            "azure-apim",
            "Calls by subscription, from reports, by `rating-exporters cloud azure`",
            {**_CLOUD, "settling": "2h"},
            "The platform metric Requests knows no subscription: it cannot be billed by consumer.",
            "emit-metric arrives as a gauge per interval: never use increase() of it.",
        ),
        _preset(
            "apigee",
            "Calls by developer app, from analytics, by `rating-exporters cloud apigee`",
            {**_CLOUD, "settling": "2h"},
            "proxyv2/request_count shows false spikes after a scale-down, and no cloud metric knows the developer app.",
        ),
        _preset(
            "gloo",
            "Hits of Envoy's rate limit service, by descriptor",
            {
                "metric": "ratelimit_service_rate_limit_total_hits",
                "consumer": "key1",
                "where": {"domain": ".+", "key1": ".+"},
            },
            _UNSEEN,
            "Hits beyond the limit are counted as well, and nothing tells whether the upstream answered.",
            "Access logs say more: `rating-exporters logs` counts them.",
            flag="describe the consumer as a rate limit descriptor",
        ),
        _preset(
            "emissary",
            "Hits of Envoy's rate limit service, by label",
            {
                "metric": "ratelimit_service_rate_limit_total_hits",
                "consumer": "key1",
                "where": {"domain": ".+", "key1": ".+"},
            },
            _UNSEEN,
            "Hits beyond the limit are counted as well, and nothing tells whether the upstream answered.",
            "Access logs say more: `rating-exporters logs` counts them.",
            flag="describe the consumer as a rate limit label",
        ),
        _preset(
            "fastapi",
            "rating-exporters' ASGI middleware: answered requests",
            _OURS,
            "With a DurableStore write `counter: durable`, or every restart bills the whole total again.",
        ),
        _preset(
            "flask",
            "rating-exporters' WSGI middleware: answered requests",
            _OURS,
            "With a DurableStore write `counter: durable`, or every restart bills the whole total again.",
        ),
    )
}
