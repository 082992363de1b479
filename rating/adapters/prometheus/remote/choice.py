"""Which way a server is read: by remote read where it serves that and nothing would come out differently, else by
PromQL.

Every reason against remote read is a sentence: `rating doctor` shows it, and where a person asked for remote read it is
the error.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Any

import msgspec
import yaml

from rating.adapters.prometheus import queries
from rating.adapters.prometheus.client import Client
from rating.adapters.prometheus.decoding import NamesReply, Reply
from rating.adapters.prometheus.dialects import Dialect
from rating.core.meters import Meter
from rating.core.periods import Period, milliseconds
from rating.core.vocabulary import UP
from rating.errors import EdgeRefused, RatingError

_NEEDED = ("cramjam", "google_crc32c")
_PROBED = 60_000


class Way(StrEnum):
    """How samples are read, as a person may ask for it."""

    AUTO = "auto"
    """By remote read where that can be done, else by PromQL."""
    PROMQL = "promql"
    REMOTE = "remote"


class Unserved(RatingError):
    """Why this server cannot be read by remote read."""


class _Config(msgspec.Struct):
    yaml: str = ""


class _ConfigReply(Reply):
    data: _Config = msgspec.field(default_factory=_Config)


@dataclass(frozen=True, slots=True)
class Remote:
    """What has to be known to read these servers by remote read."""

    external: tuple[Mapping[str, str], ...]
    """Each server's external labels, which it adds to the series it sends."""


def missing() -> str:
    """Why this machine cannot do remote read; empty when it can."""
    lacking = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    return f"the extra `fast` is not installed ({', '.join(lacking)})" if lacking else ""


@cache
def compiled() -> bool:
    """Whether chunks are decoded by machine code here."""
    return importlib.util.find_spec("numba") is not None


def served(clients: Sequence[Client], dialect: Dialect, meter: Meter, window: Period) -> Remote:
    """Whether these servers can be read by remote read for this meter.

    Raises:
        Unserved: they cannot; says why.
        EdgeUnavailable: a server cannot be asked.
    """
    if not dialect.streams:
        raise Unserved(f"{dialect.name} serves no remote read")
    if said := missing():
        raise Unserved(said)
    external = tuple(_external(client, dialect) for client in clients)
    for client, labels in zip(clients, external, strict=True):
        _check_labels(client, labels, meter, window)
    return Remote(external)


def probe(client: Client, at: int) -> None:
    """Ask for next to nothing, to see whether it is answered.

    Raises:
        Unserved: this server does not answer in streamed chunks.
    """
    from rating.adapters.prometheus.remote.streams import read  # its libraries are an extra
    from rating.adapters.prometheus.remote.wire import How, Matcher

    try:
        for _ in read(client, [Matcher(How.EQUAL, "__name__", UP)], at - _PROBED, at, "a probe"):
            pass
    except EdgeRefused as error:
        raise Unserved(str(error)) from error


def _external(client: Client, dialect: Dialect) -> dict[str, str]:
    if not dialect.tells_config:
        return {}
    try:
        text = client.get(_ConfigReply, "/api/v1/status/config").data.yaml
    except EdgeRefused as error:
        raise Unserved(
            f"{client.shown_url} does not show its configuration, and remote read adds its external labels"
        ) from error
    if "\nremote_read:" in f"\n{text}":
        raise Unserved(f"{client.shown_url} reads from other stores itself (remote_read), and hands only its own on")
    return external_labels(text)


def external_labels(text: str) -> dict[str, str]:
    """`global.external_labels` of a Prometheus's configuration, of which the rest may be large."""
    lines = f"\n{text}".partition("\nglobal:")[2].split("\n")
    own = next((number for number, line in enumerate(lines) if number and line[:1] not in ("", " ", "#")), len(lines))
    found: Any = yaml.safe_load("\n".join(["global:" + lines[0], *lines[1:own]])) or {}
    labels = (found.get("global") or {}).get("external_labels") or {}
    return {str(name): str(value) for name, value in labels.items()}


def _check_labels(client: Client, external: Mapping[str, str], meter: Meter, window: Period) -> None:
    """A series' own label wins over an external one of that name, and then the two cannot be told apart."""
    span = {
        "match[]": queries.counters(meter),
        "start": f"{milliseconds(window.start - meter.lookback) / 1000:.3f}",
        "end": f"{milliseconds(window.end) / 1000:.3f}",
    }
    for label in external:
        if client.get(NamesReply, f"/api/v1/label/{label}/values", span).data:
            raise Unserved(f"{client.shown_url}: {meter.metric} has a label {label} of its own beside the external one")
