"""The far side of every channel, as a real server on loopback, and a notification to send there."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction

from rating.adapters.notifiers import (
    ChatNotifier,
    HubSpotNotifier,
    InboxNotifier,
    MailNotifier,
    SalesforceNotifier,
    WebhookNotifier,
)
from rating.core.deliveries import Delivery
from rating.core.money import Currency, Money
from rating.core.notices import Audience, Kind, Notification, Planned, Told
from rating.core.periods import Period
from rating.ports import Notifier
from rating_demo.mailbox import Mailbox
from rating_demo.processes import free_port
from rating_demo.receiver import Answer, Receiver

SECRET = "hunter2-very-secret"
AT = datetime(2026, 10, 14, 12, 30, tzinfo=UTC)
OCTOBER = Period(datetime(2026, 10, 1, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC))
USD = Currency("USD")
NEWS = Notification(
    Kind.ALLOWANCE_REACHED,
    Audience.UPSELL,
    "80%",
    subscription="acme/pro/2026-10-01",
    consumer="acme",
    customer="Acme Holding",
    plan="pro",
    plan_title="Pro",
    period=OCTOBER,
    meter="api_calls",
    title="API calls",
    unit="request",
    used=Fraction(81_234),
    live=Fraction(234),
    allowance=Fraction(100_000),
    forecast=Fraction(187_000),
    closed_through=AT - timedelta(minutes=30),
    next_plan="scale",
    next_plan_title="Scale",
    more=Money(-1527, USD),
    more_at_pace=Money(4119, USD),
)


def delivery(one: Notification = NEWS, channel: str = "there", language: str = "en") -> Delivery:
    return Delivery(Told(one, AT), Planned(channel, "ada@acme.example", language))


class Far(ABC):
    """One kind of far side. Each `notifier` is one against a server that answers as asked."""

    name: str
    fails = True
    """Can it be down at all?"""

    def __init__(self) -> None:
        self._stack = ExitStack()

    def close(self) -> None:
        self._stack.close()

    @abstractmethod
    def notifier(self, answers: str = "accepts") -> Notifier:
        """`accepts`, `later` (asks to come back in 90 s where it can say so), `refuses`, `slow` or `down`."""

    @abstractmethod
    def received(self) -> list[tuple[str, str]]:
        """The key by which a second copy can be told, and the readable content, of everything accepted."""


class FarMail(Far):
    name = "email"

    def notifier(self, answers: str = "accepts") -> Notifier:
        said = {"later": "451 greylisted, come back later", "refuses": "550 no such user here"}.get(answers)
        self._box = Mailbox(answer=lambda number: said, silent=0.8 if answers == "slow" else 0)
        if answers != "down":
            self._stack.enter_context(self._box)
        return MailNotifier(
            "there", self._box.server, "Billing <billing@seller.example>", security="none", password=SECRET, timeout=0.4
        )

    def received(self) -> list[tuple[str, str]]:
        return [
            (str(one.message["Message-ID"]), f"{one.message['Subject']}\n{one.text}\n{one.html}")
            for one in self._box.received
        ]


class FarWeb(Far):
    """Everything that is posted to over HTTP."""

    signed = False
    key = "idempotency-key"

    def server(self, answers: str) -> str:
        answer = {
            "accepts": Answer(body=f'{{"echo": "{SECRET}"}}'.encode()),
            "later": Answer(503, (("Retry-After", "90"),)),
            "refuses": Answer(422, body=f"no such field; you said {SECRET}".encode()),
            "slow": Answer(after=0.8),
        }.get(answers)
        if answer is None:
            return f"http://127.0.0.1:{free_port()}/{SECRET}"
        self._receiver = self._stack.enter_context(
            Receiver(secret=SECRET if self.signed else "", answer=lambda number: answer)
        )
        return self._receiver.url

    def notifier(self, answers: str = "accepts") -> Notifier:
        made = self.make(self.server(answers))
        made._poster._timeout = 0.4  # type: ignore[attr-defined]
        return made

    @abstractmethod
    def make(self, url: str) -> Notifier: ...

    def received(self) -> list[tuple[str, str]]:
        return [(one.headers[self.key], one.body.decode()) for one in self._receiver.posted]


class FarWebhook(FarWeb):
    name, signed, key = "webhook", True, "webhook-id"

    def make(self, url: str) -> Notifier:
        return WebhookNotifier("there", url, SECRET)


class FarSlack(FarWeb):
    name = "slack"

    def make(self, url: str) -> Notifier:
        return ChatNotifier("there", f"{url}/{SECRET}", "slack")


class FarTeams(FarWeb):
    name = "teams"

    def make(self, url: str) -> Notifier:
        return ChatNotifier("there", f"{url}/{SECRET}", "teams")


class FarHubSpot(FarWeb):
    name = "hubspot"

    def make(self, url: str) -> Notifier:
        return HubSpotNotifier("there", SECRET, url=url)


class FarSalesforce(FarWeb):
    name = "salesforce"

    def make(self, url: str) -> Notifier:
        return SalesforceNotifier("there", url, SECRET)

    def received(self) -> list[tuple[str, str]]:
        return [(one.path, one.body.decode()) for one in self._receiver.posted]


class FarInbox(Far):
    name, fails = "inbox", False

    def notifier(self, answers: str = "accepts") -> Notifier:
        self._notifier = InboxNotifier()
        return self._notifier

    def received(self) -> list[tuple[str, str]]:
        # What is in the book is in the inbox: its door shows it, tests/web says how.
        return [(delivery().told.notification.id, self._notifier.preview(delivery()))]


FARS: tuple[type[Far], ...] = (FarMail, FarWebhook, FarSlack, FarTeams, FarHubSpot, FarSalesforce, FarInbox)

HOSTILE = replace(
    NEWS,
    customer='Evil\r\nBcc: everybody@example.com\r\n\r\n<script>alert(1)</script> & "Söhne" *bold* _x_ [l](http://x)\x07',
    consumer="e" * 300,
)
