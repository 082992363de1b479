"""Channels as written: how each is reached, with its secrets. A file of its own, because a catalogue is kept for ever.

Decides what may be written and says so without ever repeating a value: any of them may be a secret.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import PlainValidator

from rating.core.notices import INBOX
from rating.errors import SpecError
from rating.specs.fields import Spec, key
from rating.specs.findings import Findings, Place
from rating.specs.nearest import or_one_of
from rating.specs.notifications import Address
from rating.specs.source import read


def _text(value: object) -> str:
    if not isinstance(value, str) or not value or any(ord(char) < 32 for char in value):
        raise ValueError("is not text of one line; quote it")
    return value


def _url(value: object) -> str:
    parts = urlsplit(_text(value))
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("is not an address of a web service; write https://...")
    return str(value)


def _server(value: object) -> str:
    host, _, port = _text(value).rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise ValueError("is not a server with its port; write smtp.example.com:587")
    return str(value)


Line = Annotated[str, PlainValidator(_text)]
Url = Annotated[str, PlainValidator(_url)]
Server = Annotated[str, PlainValidator(_server)]


class MailSpec(Spec):
    """Email by SMTP, to the customer's own address or always to the same one."""

    kind: Literal["email"]
    server: Server
    security: Literal["starttls", "tls", "none"] = "starttls"
    username: Line = ""
    password: Line = ""
    sender: Line
    to: Address | None = None
    ca_file: Line = ""


class ChatSpec(Spec):
    """An incoming webhook of Slack's or Teams's."""

    kind: Literal["chat"]
    url: Url
    style: Literal["slack", "teams"] = "slack"


class WebhookSpec(Spec):
    """Any receiver of signed JSON, such as a CRM's own intake."""

    kind: Literal["webhook"]
    url: Url
    secret: Line


class HubSpotSpec(Spec):
    """A deal in HubSpot, found again by a unique property of ours."""

    kind: Literal["hubspot"]
    token: Line
    url: Url = "https://api.hubapi.com"
    version: Line = "2026-03"
    id_property: Line = "rating_notification_id"
    pipeline: Line = "default"
    stage: Line = "appointmentscheduled"


class SalesforceSpec(Spec):
    """A record in Salesforce, found again by an external id of ours."""

    kind: Literal["salesforce"]
    url: Url
    token: Line
    version: Line = "v60.0"
    record: Line = "Opportunity"
    id_field: Line = "Rating_Notification__c"
    stage: Line = "Prospecting"


ChannelSpec = MailSpec | ChatSpec | WebhookSpec | HubSpotSpec | SalesforceSpec
KINDS: Mapping[str, type[ChannelSpec]] = {
    "email": MailSpec,
    "chat": ChatSpec,
    "webhook": WebhookSpec,
    "hubspot": HubSpotSpec,
    "salesforce": SalesforceSpec,
}


def channels(name: str, text: str) -> dict[str, ChannelSpec]:
    """The channels written in a file, by name.

    Raises:
        SpecError: with every mistake; no value is repeated in it.
    """
    document = read(name, text)
    findings = Findings([document])
    top = Place(0, ())
    found: dict[str, ChannelSpec] = {}
    written = document.value if document.root is not None else {}
    if not isinstance(written, dict):
        findings.add(top, "the file holds no mapping", "write name: {kind: ..., ...} for each channel")
        written = {}
    for channel, raw in written.items():
        spec = _channel(channel, raw, top.at(channel), findings)
        if spec is not None:
            found[channel] = spec
    mistakes = findings.in_order()
    if mistakes:
        raise SpecError(mistakes)
    return found


def _channel(name: Any, raw: Any, place: Place, findings: Findings) -> ChannelSpec | None:
    try:
        key(name)
    except ValueError:
        findings.add(place, "is no name for a channel", "use letters, digits, - _ and .")
        return None
    if name == INBOX:
        findings.add(place, "the inbox is the engine's own and needs no address", "choose another name")
        return None
    kind = raw.get("kind") if isinstance(raw, dict) else None
    model = KINDS.get(kind) if isinstance(kind, str) else None
    if model is None:
        findings.add(place, "has no kind that is known", or_one_of("", KINDS))
        return None
    unwritable = {
        word: value for word, value in raw.items() if not isinstance(value, str) and word in model.model_fields
    }
    for word in unwritable:
        # Said here and not by the model, whose sentence would repeat what may be a password.
        findings.add(place.at(word), "is not text", "quote it")
    return None if unwritable else findings.checked(model, raw, place)
