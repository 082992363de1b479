"""Access logs as gateways write them: Kong, Envoy, Apigee and AWS API Gateway; and any line by a pattern.

Decides where each of them has consumer, method, path, status and bytes. Leaves reading nginx's own formats to
`loglines`. A line that does not fit is None: counted as malformed, never guessed at.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from .loglines import COMBINED, Entry, LineRule, json_lines, json_object, nginx

# Envoy's default format, and behind it what it lacks: "%REQ(X-CONSUMER-ID)%".
ENVOY = (
    '[$start_time] "$request_method $path $protocol" $status $response_flags $bytes_received $bytes_sent $duration '
    '$upstream_service_time "$x_forwarded_for" "$user_agent" "$request_id" "$authority" "$upstream_host" "$consumer"'
)


@dataclass(frozen=True, slots=True)
class Shape:
    """Where a JSON line has what counting needs: dotted paths, the first that is there. `template` is a route."""

    consumer: tuple[str, ...]
    method: tuple[str, ...]
    path: tuple[str, ...]
    status: tuple[str, ...]
    sent: tuple[str, ...]
    template: tuple[str, ...] = ()


SHAPES: Mapping[str, Shape] = {
    # file-log, http-log, tcp-log: one serialised request a line. A consumer without a username has a custom_id.
    "kong": Shape(
        ("consumer.username", "consumer.custom_id", "consumer.id"),
        ("request.method",), ("request.uri", "request.url"), ("response.status",), ("response.size",),
    ),
    # Envoy has no JSON of its own; these are the keys that Istio gives it, with the consumer's header added.
    "envoy-json": Shape(
        ("consumer", "x_consumer_id", "consumer_id"), ("method",), ("path",), ("response_code",), ("bytes_sent",)
    ),
    # MessageLogging writes what its Message says; the keys are those of Apigee's own variables and dimensions.
    "apigee": Shape(
        ("developer.app.name", "developer_app", "client_id", "apikey"),
        ("request.verb", "request_verb"), ("proxy.pathsuffix", "request.uri", "request.path", "request_uri"),
        ("response.status.code", "response_status_code", "response.status"), ("response_size", "response.size"),
    ),
    # The JSON example of AWS's guide with apiKeyId added; resourcePath (REST) and routeKey (HTTP) are templates.
    "aws-apigateway": Shape(
        ("apiKeyId", "identity.apiKeyId", "apiKey", "principalId", "caller", "user"),
        ("httpMethod", "method"), ("path", "resourcePath"), ("status",), ("responseLength",),
        ("resourcePath", "routeKey"),
    ),
}  # fmt: skip

NAMES = ("combined", "json", "envoy", *SHAPES)


def rule_for(form: str, consumer: str | None = None) -> LineRule:
    """The reader of a format by name, or of an nginx `log_format`. `consumer` is where he is named, if not where the
    format has him by itself. ValueError when the format lacks what counting needs."""
    if form in SHAPES:
        shape = SHAPES[form]
        return shaped(replace(shape, consumer=(consumer,)) if consumer else shape)
    if form == "envoy":
        return nginx(ENVOY, consumer or "consumer")
    if form == "json":
        return json_lines(consumer or "remote_user")
    return nginx(COMBINED if form == "combined" else form, consumer or "remote_user")


def shaped(shape: Shape) -> LineRule:
    """Reads one JSON object a line by a shape."""

    def rule(line: bytes) -> Entry | None:
        fields = json_object(line)
        if fields is None:
            return None
        found = {
            name: _first(fields, getattr(shape, name))
            for name in ("consumer", "method", "path", "status", "sent", "template")
        }
        return _entry(found)

    return rule


def pattern(text: str) -> LineRule:
    """Reads lines by a regular expression with the named groups method, path and status, and if it has them consumer,
    sent and template. The whole line must fit."""
    try:
        compiled = re.compile(text)
    except re.error as error:
        raise ValueError(f"pattern: {error}") from None
    known = {"consumer", "method", "path", "status", "sent", "template"}
    missing = {"method", "path", "status"} - set(compiled.groupindex)
    strange = set(compiled.groupindex) - known
    if missing or strange:
        wrong = f"lacks {', '.join(sorted(missing))}" if missing else f"has a group called {', '.join(sorted(strange))}"
        raise ValueError(f"pattern: it {wrong}; its groups are (?P<method>...), path, status, consumer, sent, template")

    def rule(line: bytes) -> Entry | None:
        match = compiled.fullmatch(line.decode("utf-8", "replace"))
        return None if match is None else _entry({name: value or "" for name, value in match.groupdict().items()})

    return rule


def _entry(found: Mapping[str, str]) -> Entry | None:
    method, path = found["method"], found["path"] or found.get("template", "")
    status, sent = found["status"], found.get("sent", "") or "0"
    template = found.get("template", "")
    verb, _, rest = template.partition(" ")
    if rest.startswith("/"):  # AWS's routeKey: "GET /things/{id}"
        template, method = rest, method or verb
        path = path if path.startswith("/") else rest
    sound = method and path.startswith("/") and status.isascii() and status.isdigit() and len(status) == 3
    if not sound or not (sent == "-" or (sent.isascii() and sent.isdigit() and len(sent) < 16)):
        return None
    who = found.get("consumer", "")
    return Entry(
        None if who in ("", "-") else who, method, path.partition("?")[0], int(status), 0 if sent == "-" else int(sent),
        template if template.startswith("/") else None,
    )  # fmt: skip


def _first(fields: Mapping[str, Any], paths: tuple[str, ...]) -> str:
    for path in paths:
        value = _at(fields, path)
        if isinstance(value, str | int) and not isinstance(value, bool):
            try:
                text = str(value)
            except ValueError:  # a number of thousands of digits
                continue
            if text not in ("", "-"):
                return text
    return ""


def _at(fields: Mapping[str, Any], path: str) -> Any:
    """The value at a dotted path; a key that has the dots itself goes first."""
    if path in fields:
        return fields[path]
    value: Any = fields
    for part in path.split("."):
        if not isinstance(value, dict):
            return None
        value = value.get(part)
    return value
