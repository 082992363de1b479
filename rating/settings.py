"""The environment as one frozen value. The only reader of os.environ in the engine."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from rating.errors import Finding, SpecError

PREFIX = "RATING_"
_LONGEST = 24 * 3600 + 1
MOST_WORKERS = 16
"""Prometheus answers 20 queries at once by default, and eyes and alerts ask as well."""


def _setting(default: Any, what: str, secret: bool = False, most: int = MOST_WORKERS) -> Any:
    return field(default=default, repr=not secret, metadata={"what": what, "secret": secret, "most": most})


@dataclass(frozen=True, slots=True)
class Settings:
    """Every setting is an environment variable `RATING_<NAME>`; most are also a flag of the commands."""

    catalog: Path = _setting(Path("catalogue.yaml"), "the catalogue: a YAML file or a folder of them")
    database_url: str = _setting("sqlite:///rating.db", "the book: sqlite:///FILE or postgresql+psycopg://...", True)
    prometheus_url: str = _setting(
        "http://localhost:9090", "where counters are read; several replicas or shards separated by commas", True
    )
    prometheus_timeout: float = _setting(120.0, "seconds to wait for one answer of Prometheus")
    prometheus_bearer_token: str = _setting("", "sent as Authorization: Bearer", True)
    prometheus_username: str = _setting("", "basic authentication")
    prometheus_password: str = _setting("", "basic authentication", True)
    prometheus_tenant: str = _setting("", "X-Scope-OrgID, for Mimir and Cortex")
    prometheus_ca_file: str = _setting("", "certificate authority that signed Prometheus's certificate")
    prometheus_client_cert: str = _setting("", "client certificate, PEM")
    prometheus_client_key: str = _setting("", "key of the client certificate, PEM")
    prometheus_dialect: str = _setting("prometheus", "prometheus, thanos, mimir or victoriametrics")
    prometheus_read: str = _setting("auto", "how samples are read: auto, promql or remote (remote read)")
    prometheus_queries: int = _setting(2, "how much one Prometheus server is asked for at a time")
    sources: str = _setting("", "a YAML file of named sources that meters may choose")
    collect_workers: int = _setting(4, "windows read at once in a backfill, at most")
    listen: str = _setting("127.0.0.1:9465", "address and port of /metrics and /healthz in `rating run`")
    tick_seconds: float = _setting(15.0, "how often `rating run` asks what is due")
    retention_months: int = _setting(
        0, "whole months after which `rating book prune` may roll windows up to days; never when absent", most=1200
    )
    seller: str = _setting("", "name printed on invoices")
    locale: str = _setting("en", "language and numbers of documents whose customer has none of their own, de_AT")
    brands: str = _setting("", "a folder with a folder for each brand: colours, logo, templates of documents")
    tax_url: str = _setting(
        "", "who decides how invoices are taxed: https://... or file:///...; the catalogue's rules when empty", True
    )
    tax_token: str = _setting("", "sent to the tax service as Authorization: Bearer", True)
    grafana_url: str = _setting("", "where `rating dashboards push` puts the boards", True)
    grafana_token: str = _setting("", "a Grafana service account token", True)
    board_token: str = _setting("", "bearer token with which Grafana reads invoices and who was told from us", True)

    hook_token: str = _setting("", "bearer token that Alertmanager shows at /hooks/alertmanager", True)
    hook_username: str = _setting("", "or basic authentication there")
    hook_password: str = _setting("", "or basic authentication there", True)
    hook_open: str = _setting("", "yes: serve that hook without a secret, on a loopback address only")
    channels: str = _setting("", "YAML file of the channels notifications go out on, with their secrets")
    gateways: str = _setting("", "YAML file of the gateways that collect our invoices, with their keys")
    public_url: str = _setting("", "where customers reach this engine: links in mails begin with it")
    token_secret: str = _setting("", "signs unsubscribe links and inbox tokens; at least 16 characters", True)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None, **flags: object) -> Settings:
        """Environment first, flags over it; None flags are as if not given.

        Raises:
            SpecError: a variable cannot be read as its type, or an unknown RATING_ variable is set.
        """
        environment = os.environ if environment is None else environment
        known = {f"{PREFIX}{item.name.upper()}": item for item in fields(cls)}
        findings, values = [], {}
        for name, text in environment.items():
            if not name.startswith(PREFIX):
                continue
            if name not in known:
                findings.append(Finding(name, "no such setting", f"known are {', '.join(sorted(known))}"))
                continue
            item = known[name]
            convert: Any = type(item.default)
            try:
                values[item.name] = convert(text)
                # All numbers here are spans of time; nan is not above zero either.
                most = item.metadata["most"]
                if convert is int and not 1 <= values[item.name] <= most:
                    findings.append(Finding(name, f"{text} is outside 1 to {most}", item.metadata["what"]))
                if convert is float and not 0 < values[item.name] < _LONGEST:
                    hint = f"{item.metadata['what']}, more than 0 and at most a day"
                    findings.append(Finding(name, f"{text} seconds cannot be waited for", hint))
            except ValueError:
                shown = "the value" if item.metadata["secret"] else repr(text)
                findings.append(Finding(name, f"{shown} is not a {convert.__name__}", item.metadata["what"]))
        if findings:
            raise SpecError(tuple(findings))
        return replace(cls(**values), **{key: value for key, value in flags.items() if value is not None})  # type: ignore[arg-type]

    @property
    def prometheus_urls(self) -> tuple[str, ...]:
        return tuple(url.strip().rstrip("/") for url in self.prometheus_url.split(",") if url.strip())


def safe_url(url: str) -> str:
    """A URL that may be printed: any password replaced by stars, query parameters left out."""
    parts = urlsplit(url)
    if parts.password is None:
        return url.partition("?")[0]
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, f"{parts.username or ''}:***@{host}", parts.path, "", ""))
