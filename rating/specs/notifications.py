"""Who is told what, and how, as written: routes, contacts, languages, quiet hours. Secrets stand in `channels`.

Turns the section `notifications:` of a catalogue into a Routing, or findings about it.
"""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from enum import StrEnum
from fractions import Fraction
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from pydantic import Field, PlainSerializer, PlainValidator, WithJsonSchema

from rating.core.notices import LANGUAGES, Audience, Contact, Kind, QuietHours, Routing, Topic
from rating.core.parties import Parties
from rating.specs.fields import Duration, Key, Share, Spec, Text, Zone, duration_text, share_text, shown
from rating.specs.findings import Findings, Place
from rating.specs.nearest import or_one_of
from rating.specs.words import words

Language = StrEnum("Language", {language.upper(): language for language in LANGUAGES})  # type: ignore[misc]
ROUTES = (*(str(audience) for audience in Audience), *(str(kind) for kind in Kind))
_HOURS = re.compile(r"([01]\d|2[0-3]):[0-5]\d\s*-\s*([01]\d|2[0-3]):[0-5]\d\Z")
# Deliberately narrow: what stands here is put into the head of a mail.
_ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*\Z")
NEVER = "none"


def hours(value: object) -> tuple[str, str] | str:
    """`22:00-07:00`, or `none`."""
    if value == NEVER:
        return NEVER
    if not isinstance(value, str) or not _HOURS.match(value):
        raise ValueError(f'{shown(value)} is no span of a day; write "22:00-07:00", or none')
    begins, _, ends = value.partition("-")
    return begins.strip(), ends.strip()


def hours_text(value: tuple[str, str] | str) -> str:
    return value if isinstance(value, str) else "-".join(value)


def address(value: object) -> str:
    """An address for email, without a name."""
    if not isinstance(value, str) or not _ADDRESS.match(value) or len(value) > 254:
        raise ValueError(f"{shown(value)} is not an email address; write it like billing@example.com")
    return value


def route(value: object) -> str:
    """An audience or a kind of notification."""
    if not isinstance(value, str) or value not in ROUTES:
        meant = or_one_of(value if isinstance(value, str) else "", ROUTES)
        raise ValueError(f"{shown(value)} is neither an audience nor a kind of notification; {meant}")
    return value


Hours = Annotated[
    Any,
    PlainValidator(hours),
    PlainSerializer(hours_text),
    WithJsonSchema({"type": "string", "pattern": r"^(none|\d\d:\d\d\s*-\s*\d\d:\d\d)$"}),
]
Address = Annotated[
    str, PlainValidator(address), PlainSerializer(str), WithJsonSchema({"type": "string", "format": "email"})
]
Route = Annotated[str, PlainValidator(route), PlainSerializer(str), WithJsonSchema({"enum": list(ROUTES)})]


class ContactSpec(Spec):
    """How a customer is reached."""

    email: Address | None = Field(default=None, description="Where mails to the customer go.")
    language: Annotated[Language, *words(Language)] | None = Field(
        default=None, description="The catalogue's language when absent."
    )
    timezone: Zone | None = Field(
        default=None, description="On whose clocks quiet hours are; the catalogue's time zone when absent."
    )
    quiet_hours: Hours | None = Field(
        default=None, description='No mails meanwhile: "22:00-07:00", or none. The default of the section when absent.'
    )
    declined: list[Annotated[Topic, *words(Topic)]] = Field(
        default_factory=list, description="Topics the customer does not want mails about."
    )


class NotificationsSpec(Spec):
    """Who is told what. Addresses with secrets in them stand in the file RATING_CHANNELS names."""

    routes: dict[Route, list[Key]] = Field(
        default_factory=dict,
        description="Channels by audience (upsell, finance, operations) or by kind of notification, which goes first: "
        "{upsell: [crm, mail], trial_ending: [mail]}. Upsell goes to the customer's inbox alone when absent.",
    )
    contacts: dict[Text, ContactSpec] = Field(default_factory=dict, description="Customers, by who pays.")
    language: Annotated[Language, *words(Language)] = Field(
        default=Language("en"), description="The language of customers who name none."
    )
    quiet_hours: Hours | None = Field(default=None, description="Quiet hours of customers who name none.")
    trial_ending: Duration = Field(
        default=timedelta(days=3), description="How long before the end of a trial it is spoken of."
    )
    prepaid_low: Share = Field(
        default=Fraction(1, 5), description="The share of granted credit below which it is called low."
    )


def routing_of(spec: NotificationsSpec, place: Place, findings: Findings, zone: ZoneInfo, parties: Parties) -> Routing:
    """The routing, with a finding for each number that makes no sense.

    A customer's address and language for papers serve for notifications as well, where no others are written here.
    """
    if not timedelta(0) < spec.trial_ending <= timedelta(days=60):
        findings.add(
            place.at("trial_ending"), f"{duration_text(spec.trial_ending)} is not a time to look ahead", "write 3d"
        )
    if not 0 < spec.prepaid_low < 1:
        findings.add(place.at("prepaid_low"), f"{share_text(spec.prepaid_low)} is never crossed", "write 20%")
    for name, channels in spec.routes.items():
        for i, channel in enumerate(channels):
            if channel in channels[:i]:
                findings.add(place.at("routes", name, i), f'channel "{channel}" is named twice', "keep one of them")
    contacts = {
        customer: Contact(
            email=contact.email or "",
            language="" if contact.language is None else str(contact.language),
            quiet=_quiet(
                spec.quiet_hours if contact.quiet_hours is None else contact.quiet_hours, contact.timezone or zone
            ),
            declined=frozenset(contact.declined),
        )
        for customer, contact in spec.contacts.items()
    }
    for customer, party in parties.customers.items():
        contact = contacts.get(customer, Contact(quiet=_quiet(spec.quiet_hours, zone)))
        language = party.locale.partition("_")[0]
        contacts[customer] = replace(
            contact,
            email=contact.email or (party.email if _ADDRESS.match(party.email) else ""),
            language=contact.language or (language if language in LANGUAGES else ""),
        )
    return Routing(
        routes={name: tuple(channels) for name, channels in spec.routes.items()},
        contacts=contacts,
        language=str(spec.language),
        quiet=_quiet(spec.quiet_hours, zone),
        trial_ending=spec.trial_ending,
        prepaid_low=spec.prepaid_low,
    )


def _quiet(span: tuple[str, str] | str | None, zone: ZoneInfo) -> QuietHours | None:
    if span is None:
        return None
    # A span of no length is never: it stands in the way of the default.
    return QuietHours("00:00", "00:00", zone.key) if isinstance(span, str) else QuietHours(*span, zone.key)
