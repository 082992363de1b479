"""The whole state of one pretended Stripe account: its clock, its objects, its events, what is due later."""

from __future__ import annotations

import heapq
import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from stripe._api_version import _ApiVersion

from tests.stripe_peer.shelves import Shelf, Thing
from tests.stripe_peer.usage import Usage

DAY = 86_400
API_VERSION: str = _ApiVersion.CURRENT


class Clock:
    """Unix seconds of the server: the machine's clock moved forward, or one that stands still until it is moved."""

    def __init__(self, start: int | None = None, *, standing: bool = False) -> None:
        real = time.time()
        self._standing = standing
        self._moved = 0.0 if start is None else start - real
        self._at = start if start is not None else int(real)

    def now(self) -> int:
        return self._at if self._standing else int(time.time() + self._moved)

    def move(self, to: int) -> None:
        self._moved += to - self.now()
        self._at = to

    def stand(self, standing: bool) -> None:
        at = self.now()
        self._standing = standing
        self._at, self._moved = at, at - time.time()


@dataclass(slots=True)
class Settings:
    """What a test may choose; changed while running by POST /_peer/settings."""

    search_delay: int = 60
    """Seconds of the server's clock after which an object is found by `search`."""
    meter_delay: int = 0
    """Seconds of the server's clock after which meter events show in summaries and bills."""
    meter_event_seconds: float = 0.001
    """Real seconds that a v1 meter event takes, so that two at once for one customer and meter can meet."""
    requests_per_second: int = 0
    """Of the server's clock; 0 is no limit."""
    account_currency: str = "usd"
    draft_seconds: int = 3_600
    """How long an automatically advancing draft waits."""
    meter_errors_later: bool = False
    """v1 meter events that cannot be counted are taken, and reported by a thin event like those of a stream."""
    line_per_tier: bool = False
    """Invoices of subscriptions have one line per tier and flat amount, each rounded, instead of one per item."""
    record_events: bool = True
    """False keeps no events: for measurements of a million objects."""


class Params(dict[str, Any]):
    """Checked parameters that know which of them were looked at. Copying all of them counts as none."""

    def __init__(self, checked: dict[str, Any]) -> None:
        super().__init__(checked)
        self.seen: set[str] = set()

    def get(self, name: str, otherwise: Any = None) -> Any:
        self.seen.add(name)
        return super().get(name, otherwise)

    def __getitem__(self, name: str) -> Any:
        self.seen.add(name)
        return super().__getitem__(name)

    def __contains__(self, name: object) -> bool:
        self.seen.add(str(name))
        return super().__contains__(name)

    def unseen(self) -> list[str]:
        return [name for name in self if name not in self.seen]


@dataclass(slots=True)
class Call:
    """One request, its parameters checked."""

    method: str
    path: str
    params: Params
    ids: tuple[str, ...]
    request_id: str = ""
    idempotency_key: str | None = None
    livemode: bool = False
    token: str = ""

    def get(self, name: str, otherwise: Any = None) -> Any:
        return self.params.get(name, otherwise)


def _field(name: str) -> Callable[[Thing], Any]:
    return lambda thing: thing.get(name)


def _subscription(invoice: Thing) -> Any:
    parent = invoice.get("parent") or {}
    return (parent.get("subscription_details") or {}).get("subscription")


@dataclass
class World:
    """Everything. One thread touches it: the server's."""

    clock: Clock = field(default_factory=Clock)
    settings: Settings = field(default_factory=Settings)

    def __post_init__(self) -> None:
        customer = _field("customer")
        self.customers = Shelf("customer", "cus", email=_field("email"))
        self.invoices = Shelf("invoice", "in", customer=customer, status=_field("status"), subscription=_subscription)
        self.items = Shelf("invoiceitem", "ii", customer=customer, invoice=_field("invoice"))
        self.credit_notes = Shelf("credit_note", "cn", customer=customer, invoice=_field("invoice"))
        self.balance = Shelf("customer_balance_transaction", "cbtxn", customer=customer)
        self.payments = Shelf("invoice_payment", "inpay", invoice=_field("invoice"), status=_field("status"))
        self.intents = Shelf("payment_intent", "pi", customer=customer)
        self.charges = Shelf("charge", "ch", customer=customer, payment_intent=_field("payment_intent"))
        self.refunds = Shelf("refund", "re", charge=_field("charge"), payment_intent=_field("payment_intent"))
        self.disputes = Shelf("dispute", "du", charge=_field("charge"), payment_intent=_field("payment_intent"))
        self.methods = Shelf("PaymentMethod", "pm", customer=customer)
        self.products = Shelf("product", "prod", active=_field("active"))
        self.prices = Shelf("price", "price", product=_field("product"), lookup_key=_field("lookup_key"))
        self.meters = Shelf("billing meter", "mtr", status=_field("status"), event_name=_field("event_name"))
        self.subscriptions = Shelf("subscription", "sub", customer=customer, status=_field("status"))
        self.subscription_items = Shelf("subscription item", "si", subscription=_field("subscription"))
        self.events = Shelf("event", "evt", type=_field("type"))
        self.thin_events = Shelf("event", "evt_thin", type=_field("type"))
        self.endpoints = Shelf("webhook endpoint", "we")
        self.destinations = Shelf("event destination", "ed")
        self.lines: dict[str, list[Thing]] = {}
        """Of each invoice, in their order."""
        self.credit_lines: dict[str, list[Thing]] = {}
        self.numbers: dict[str, str] = {}
        """Invoices by number."""
        self.deleted_customers: set[str] = set()
        self.usage = Usage()
        self.sessions: dict[str, int] = {}
        """Tokens of meter event streams, and when they end."""
        self.listeners: list[Callable[[Thing, bool], None]] = []
        """Told of every event; the second argument says whether it is thin."""
        self.cause: Call | None = None
        """The request that is being carried out."""
        self._due: list[tuple[int, int, Callable[[World], None]]] = []
        self._ids = itertools.count(1)

    def now(self) -> int:
        return self.clock.now()

    def number(self) -> int:
        """The next of the numbers that make names unique."""
        return next(self._ids)

    def later(self, when: int, act: Callable[[World], None]) -> None:
        """Do this once the server's clock has reached that second."""
        heapq.heappush(self._due, (when, next(self._ids), act))

    def next_due(self) -> int | None:
        return self._due[0][0] if self._due else None

    def run_due(self) -> None:
        """Do what the clock has reached, in order of time."""
        while self._due and self._due[0][0] <= self.now():
            heapq.heappop(self._due)[2](self)

    def advance(self, to: int) -> None:
        """Move the clock there, stopping at everything that falls due on the way."""
        while self._due and self._due[0][0] <= to:
            when, _, act = heapq.heappop(self._due)
            if when > self.now():
                self.clock.move(when)
            act(self)
        if to > self.now():
            self.clock.move(to)

    @property
    def livemode(self) -> bool:
        return self.cause is not None and self.cause.livemode
