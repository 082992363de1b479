"""The file of sources becomes the servers it names, or findings. Secrets stay in files of their own.

A catalogue names sources and says nothing of servers: it is kept in the book and shown to people.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import Field, PlainValidator

from rating.errors import SpecError
from rating.specs.fields import Duration, Spec, Text, key, shown
from rating.specs.findings import Findings, Place
from rating.specs.nearest import or_one_of
from rating.specs.source import read

DIALECTS = ("prometheus", "thanos", "mimir", "victoriametrics")
WAYS = ("auto", "promql", "remote")


def server_url(value: object) -> str:
    """Where a server is: http or https, a host, perhaps a path."""
    parts = urlsplit(value) if isinstance(value, str) else None
    if parts is None or parts.scheme not in ("http", "https") or not parts.netloc:
        example = "http://prometheus:9090"
        if isinstance(value, str) and "://" not in value and "@" not in value and value.strip():
            example = f"http://{value.strip()}"
        # A password in front of the host is shown to nobody.
        said = f"***@{value.rpartition('@')[2]}" if isinstance(value, str) and "@" in value else value
        raise ValueError(f"{shown(said)} is not a URL; write it like {example}")
    return str(value).rstrip("/")


def known_dialect(value: object) -> str:
    return _one_of(DIALECTS, value)


def known_way(value: object) -> str:
    return _one_of(WAYS, value)


def _one_of(words: Sequence[str], value: object) -> str:
    if value not in words:
        meant = or_one_of(value if isinstance(value, str) else "", words, "write one of these")
        raise ValueError(f"{shown(value)} is not one of {', '.join(words)}; {meant}")
    return str(value)


class SourceSpec(Spec):
    """One whole: a server, or several that scrape the same targets."""

    urls: list[Annotated[str, PlainValidator(server_url)]] = Field(
        min_length=1, description="The server; several are replicas of one another and are merged."
    )
    dialect: Annotated[str, PlainValidator(known_dialect)] = "prometheus"
    read: Annotated[str, PlainValidator(known_way)] | None = Field(
        default=None, description="How samples are read; as RATING_PROMETHEUS_READ says when absent."
    )
    timeout: Duration = timedelta(seconds=120)
    tenant: Text | None = None
    bearer_token_file: Text | None = None
    username: Text | None = None
    password_file: Text | None = None
    ca_file: Text | None = None
    client_cert: Text | None = None
    client_key: Text | None = None


def compile_sources(name: str, text: str) -> dict[str, SourceSpec]:
    """The sources of a file.

    Raises:
        SpecError: with every mistake, in the order of the file.
    """
    findings = Findings([read(name, text)])
    [document] = findings.documents
    place = Place(0, ())
    found: dict[str, SourceSpec] = {}
    if not isinstance(document.value, dict):
        findings.add(place, "the file names no source", "write a mapping: {eu: {urls: [http://prometheus-eu:9090]}}")
    else:
        for written, raw in document.value.items():
            try:
                key(written)
            except ValueError as error:
                what, _, hint = str(error).partition("; ")
                findings.add(place.at(written), what, hint)
            spec = findings.checked(SourceSpec, raw, place.at(written))
            if spec is not None:
                found[written] = spec
    if findings.in_order():
        raise SpecError(findings.in_order())
    return found
