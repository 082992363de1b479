"""What a notification is, what makes it the same one again, and to whom it goes. When to send one is `notifications`.

A notification says once what one subscription's usage (or the measuring itself) has come to. Its key is computed from
what it is about and from nothing that varies: not from how much was used by then, nor from when or why somebody looked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from enum import StrEnum
from fractions import Fraction
from zoneinfo import ZoneInfo

from rating.core.canonical import canonical, digest
from rating.core.money import Money
from rating.core.periods import Period


class Audience(StrEnum):
    """Whom a notification is for."""

    UPSELL = "upsell"
    """The customer, and those who sell to them."""
    FINANCE = "finance"
    OPERATIONS = "operations"


class Topic(StrEnum):
    """What a customer may want to hear of, or not."""

    USAGE = "usage"
    """How much of an allowance is used, and what another plan would cost."""
    ACCOUNT = "account"
    """What stops the service or begins to cost: limits, trials, prepaid credit."""


class Kind(StrEnum):
    """What happened, and (in brackets) what tells two of one kind apart."""

    ALLOWANCE_REACHED = "allowance_reached"
    """A share of an allowance is used (subscription, billing period, meter, share)."""
    EXHAUSTION_PREDICTED = "exhaustion_predicted"
    """At this pace the allowance ends before the period (subscription, billing period, meter)."""
    LIMIT_REACHED = "limit_reached"
    """The most that may be used is used (subscription, billing period, meter)."""
    TRIAL_ENDING = "trial_ending"
    """The first day that is billed comes near (subscription, that instant)."""
    PREPAID_LOW = "prepaid_low"
    """Little is left of what was paid in advance (subscription, what was granted so far)."""
    USAGE_BEYOND_ALLOWANCE = "usage_beyond_allowance"
    """Closed windows hold usage that will be charged (subscription, billing period, meter)."""
    ALERT = "alert"
    """What Alertmanager says of the measuring itself (alert, labels, when it began, whether it is over)."""

    @property
    def topic(self) -> Topic:
        usage = (Kind.ALLOWANCE_REACHED, Kind.EXHAUSTION_PREDICTED, Kind.USAGE_BEYOND_ALLOWANCE)
        return Topic.USAGE if self in usage else Topic.ACCOUNT

    @property
    def audience(self) -> Audience:
        """Whom it is for; an alert of Alertmanager's says so itself."""
        match self:
            case Kind.USAGE_BEYOND_ALLOWANCE:
                return Audience.FINANCE
            case Kind.ALERT:
                return Audience.OPERATIONS
        return Audience.UPSELL


LANGUAGES = ("en", "de", "fr")
"""The languages notifications are written in."""


@dataclass(frozen=True, slots=True)
class QuietHours:
    """Every day from `begins` until `ends` on the clocks of `zone`; over midnight when it ends before it begins."""

    begins: str
    """`22:00`."""
    ends: str
    zone: str = "UTC"

    def contains(self, instant: datetime) -> bool:
        local = instant.astimezone(ZoneInfo(self.zone)).time()
        begins, ends = time.fromisoformat(self.begins), time.fromisoformat(self.ends)
        return begins <= local < ends if begins <= ends else local >= begins or local < ends

    def over(self, instant: datetime) -> datetime:
        """The first instant at or after `instant` at which no clock of the zone shows a quiet time, to the minute."""
        if not self.contains(instant):
            return instant
        zone, ends = ZoneInfo(self.zone), time.fromisoformat(self.ends)
        day = instant.astimezone(zone).date()
        nominal = (
            datetime.combine(day + timedelta(days=days), ends.replace(fold=fold), zone).astimezone(instant.tzinfo)
            for days in (0, 1, 2)
            for fold in (0, 1)
        )
        # Zones change their clocks by less than three hours: up to then it is quiet for certain.
        near = max(instant, min(end for end in nominal if end > instant) - timedelta(hours=3))
        moment = near.replace(second=0, microsecond=0)
        while moment <= instant or self.contains(moment):
            moment += timedelta(minutes=1)
        return moment


@dataclass(frozen=True, slots=True)
class Planned:
    """One way on which one notification goes out."""

    channel: str
    recipient: str = ""
    """An address, where the channel sends to the customer's own."""
    language: str = "en"
    quiet: QuietHours | None = None


@dataclass(frozen=True, slots=True)
class Notification:
    """What is told, with the numbers as they were when it was decided."""

    kind: Kind
    audience: Audience
    mark: str = ""
    """What tells it from others about the same: a share such as `80%`, the instant a trial ends, an alert's key."""
    subscription: str = ""
    consumer: str = ""
    customer: str = ""
    """Who pays."""
    plan: str = ""
    plan_title: str = ""
    period: Period | None = None
    """The billing period it is about."""
    zone: str = "UTC"
    """Where the customer's days begin."""
    meter: str = ""
    title: str = ""
    """What the plan calls it: `API calls`."""
    unit: str = ""
    used: Fraction = Fraction(0)
    """In whole units of the meter; to the last sample where it rests on live readings."""
    live: Fraction = Fraction(0)
    """The part of it that is counted since the last closed window."""
    allowance: Fraction = Fraction(0)
    limit: Fraction | None = None
    forecast: Fraction | None = None
    """Where usage will stand at the period's end at the present pace."""
    closed_through: datetime | None = None
    next_plan: str = ""
    next_plan_title: str = ""
    more: Money | None = None
    """What the period would cost more on the next plan at this usage; below zero it saves."""
    more_at_pace: Money | None = None
    """The same for the whole period at the present pace."""
    ends: datetime | None = None
    left: Money | None = None
    granted: Money | None = None
    alert: str = ""
    """The name of the alert it is about."""
    labels: tuple[tuple[str, str], ...] = ()
    since: datetime | None = None
    over: bool = False
    """Is the alert over?"""
    hint: str = ""
    """The key of the alert that made us look; empty when nobody had to."""
    hinted_at: datetime | None = None
    """When that alert was heard."""
    planned: tuple[Planned, ...] = ()

    @property
    def key(self) -> str:
        """The same for whatever is the same news: it is told once."""
        start = None if self.period is None else self.period.start
        return canonical([self.kind, self.subscription, start, self.meter, self.mark])

    @property
    def id(self) -> str:
        """A short name for people, links and message ids."""
        return notification_id(self.key)


def notification_id(key: str) -> str:
    return f"n-{digest(key)[:16]}"


@dataclass(frozen=True, slots=True)
class Told:
    """A notification in the book."""

    notification: Notification
    at: datetime


@dataclass(frozen=True, slots=True)
class Preference:
    """A customer does or does not want to hear of a topic by email. The last one counts."""

    customer: str
    topic: Topic
    wanted: bool
    source: str
    """Who said so: `link`, `command` or `inbox`."""


@dataclass(frozen=True, slots=True)
class Contact:
    """How a customer is reached."""

    email: str = ""
    language: str = ""
    """The catalogue's when empty."""
    quiet: QuietHours | None = None
    """The catalogue's when None."""
    declined: frozenset[Topic] = frozenset()


@dataclass(frozen=True, slots=True)
class Routing:
    """Which way each kind goes, and when to speak of what no alert speaks of."""

    routes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """By kind, else by audience: names of channels."""
    contacts: Mapping[str, Contact] = field(default_factory=dict)
    """By customer."""
    language: str = "en"
    quiet: QuietHours | None = None
    trial_ending: timedelta = timedelta(days=3)
    """How long before a trial's end it is spoken of."""
    prepaid_low: Fraction = Fraction(1, 5)
    """The share of what was granted below which prepaid credit is low."""

    def channels(self, kind: Kind, audience: Audience) -> tuple[str, ...]:
        for name in (kind.value, audience.value):
            if name in self.routes:
                return self.routes[name]
        return (INBOX,) if audience is Audience.UPSELL else ()

    def contact(self, customer: str) -> Contact:
        return self.contacts.get(customer, Contact())


INBOX = "inbox"
"""The channel that needs no address: the customer's list in the engine itself."""
