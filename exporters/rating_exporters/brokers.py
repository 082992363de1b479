"""What a message broker is to this package: one Protocol, and the values that pass through it.

Decides the promises that make "each message once" possible; leaves counting to `events`, and what a message says to
`eventfields`. One adapter each: `broker_kafka`, `broker_rabbitmq`, `broker_redis`, `broker_nats`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

# Rises within a partition; empty where the broker has no such thing (queues).
Position: TypeAlias = tuple[int, ...]


class BrokerUnavailable(RuntimeError):
    """The broker cannot be reached or broke off: close, wait, open again."""


class BrokerRefused(RuntimeError):
    """Going on would count wrongly, or the broker said no: a person looks."""


@dataclass(frozen=True, slots=True)
class Place:
    """How far a partition has been counted, and the adapter's own note about it."""

    position: Position
    note: str = ""


Stored: TypeAlias = Callable[[], Mapping[str, Place]]


@dataclass(frozen=True, slots=True)
class Message:
    """One delivery. `partition` is what positions belong to, and `position` where in it this message stands; with an
    empty position, `id` is what tells it from its own redelivery. Header names are in lower case; a broker's own facts
    about the message are among them (`broker-key`, `broker-subject` ...). `note` is kept with the position, for the
    adapter to know it again; `receipt` is the adapter's own."""

    topic: str
    partition: str
    position: Position
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    id: str | None = None
    note: str = ""
    receipt: Any = None


@dataclass(frozen=True, slots=True)
class Gap:
    """Everything up to `position` that was not delivered never will be: at most `lost` messages, gone before they were
    read. A gap of nothing is how an adapter says where it begins."""

    topic: str
    partition: str
    position: Position
    lost: int = 0
    note: str = ""


Delivery: TypeAlias = Message | Gap


class Broker(Protocol):
    """Where messages come from. What every adapter promises:

    * Positions within a partition rise, and nothing between two deliveries is left out, unless a `Gap` says so.
    * It begins after the stored position of each partition, and where there is none, at the beginning, unless made to
      begin at the end. `stored` is asked again whenever a partition is taken up.
    * What was delivered and not confirmed is delivered again after the next `open`. What was confirmed may be.
    * A stored position that the broker's log cannot have reached raises BrokerRefused.

    Raises BrokerUnavailable when the broker is gone, BrokerRefused when it says no.
    """

    def open(self, stored: Stored) -> None:
        """Connect and begin."""

    def receive(self, most: int, seconds: float) -> Sequence[Delivery]:
        """What has come, up to `most`; waits for the first up to `seconds`."""

    def confirm(self, deliveries: Sequence[Delivery]) -> None:
        """These are counted, and that is on the disk. May get lost."""

    def backlog(self) -> Mapping[str, int]:
        """By topic: messages there are and that were not delivered yet, as far as the broker says."""

    def warnings(self) -> Sequence[str]:
        """What about these topics could lose messages that nobody can see are lost; after `open`."""

    def close(self) -> None:
        """Disconnect. Twice is nothing."""


def rewound(what: str, stored: object, now: object, topic: str) -> BrokerRefused:
    """The refusal of a log that is shorter than what was counted from it."""
    return BrokerRefused(
        f"{what}: counted up to {stored}, and now it ends at {now}: it was deleted and made anew, or lost its end, and "
        f"nobody can tell which messages are new; if it was made anew, --begin-again {topic} counts it from its start "
        "(totals go on)"
    )


def without_password(url: str) -> str:
    """An address as it may stand in a message."""
    return url.rpartition("@")[2]


Kinds: TypeAlias = "type[BaseException] | tuple[type[BaseException], ...]"


@contextmanager
def translated(where: str, *, refused: Kinds = (), unavailable: Kinds) -> Iterator[None]:
    """A library's exceptions become ours, with the place and the library's reason."""
    try:
        yield
    except refused as error:
        raise BrokerRefused(f"{where}: {_reason(error)}") from error
    except unavailable as error:
        raise BrokerUnavailable(f"{where}: {_reason(error)}") from error


def _reason(error: BaseException) -> str:
    inner: Any = error.args[0] if error.args else None  # librdkafka's errors hold their sentence
    return str(inner.str()) if hasattr(inner, "str") else str(error) or repr(error)


def named_headers(pairs: Sequence[tuple[str, object]]) -> dict[str, str]:
    """Headers with lower-case names and text values; of several with one name, the first."""
    found: dict[str, str] = {}
    for name, value in pairs:
        text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
        found.setdefault(name.lower(), text)
    return found
