"""What one event adds to which counters: consumer, dimensions, quantity and identity, from its fields.

Decides what a field's value means and which values cannot be counted. Leaves where fields are to `eventfields`, and
whether an event was counted before to `eventstate`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any

from .brokers import Delivery, Gap
from .eventfields import FORMATS, Find, NoEvent, events_in
from .eventstate import Counted, SetAside, Verdict
from .guard import Guard, named
from .records import LIMIT
from .vocabulary import ANONYMOUS, CONSUMER, EVENT_QUANTITY, EVENTS, NAME

DEFAULT_CONSUMER = {"json": "consumer_id", "cloudevents": "subject", "headers": "consumer_id"}


@dataclass(frozen=True, slots=True)
class EventRule:
    """How events are read. `dimensions` are label to field; `quantity` is a field whose values are whole numbers of
    10^-`decimals`; `identity` is a field that is the same when an event is published twice (of CloudEvents, source and
    id are that by themselves). ValueError when it makes no sense."""

    form: str = "json"
    consumer: str = ""
    dimensions: Mapping[str, str] = field(default_factory=dict)
    quantity: str | None = None
    decimals: int = 0
    identity: str | None = None

    def __post_init__(self) -> None:
        if self.form not in FORMATS:
            raise ValueError(f"format {self.form!r} is not one of {', '.join(FORMATS)}")
        for label in self.dimensions:
            if not NAME.fullmatch(label) or label.startswith("__") or label in (CONSUMER, "topic"):
                raise ValueError(f"dimension {label!r} cannot be a label of its own (letters, digits, _)")
        if not 0 <= self.decimals <= 12:
            raise ValueError(f"{self.decimals} decimals: 0 to 12 can be counted")

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels of both counters."""
        return (CONSUMER, "topic", *self.dimensions)

    def settings(self) -> dict[str, str]:
        """What the totals mean, for `EventState` to hold on to."""
        return {"labels": ", ".join(self.labels), "decimals": str(self.decimals)}


def judged(rule: EventRule, guard: Guard, delivery: Delivery) -> Verdict:
    """What a delivery says, by a rule. All events of a message count, or the whole message is set aside."""
    if isinstance(delivery, Gap):
        return Verdict(delivery)
    try:
        found = [_counted(rule, guard, delivery.topic, find, delivery.id) for find in events_in(rule.form)(delivery)]
        if not delivery.position and any(event.id is None for event in found):
            raise NoEvent("no message id, and the queue has no positions: its redelivery could not be told from it")
    except NoEvent as error:
        return Verdict(delivery, SetAside(str(error)))
    return Verdict(delivery, tuple(found))


def _counted(rule: EventRule, guard: Guard, topic: str, find: Find, message_id: str | None) -> Counted:
    consumer = guard.admit(
        EVENTS, CONSUMER, named(_label(find, rule.consumer or DEFAULT_CONSUMER[rule.form]), ANONYMOUS)
    )
    labels = [consumer, topic]
    for label, path in rule.dimensions.items():
        labels.append(guard.admit(EVENTS, label, _label(find, path)))
    adds = [((EVENTS, tuple(labels)), 1)]
    if rule.quantity is not None:
        adds.append(((EVENT_QUANTITY, tuple(labels)), _quantity(find(rule.quantity), rule)))
    return Counted(tuple(adds), _identity(rule, find, message_id))


def _label(find: Find, path: str) -> str:
    value = find(path)
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str | int):
        raise NoEvent(f"{path} is {_short(value)}, which is no name: text or a whole number can be one")
    try:
        return str(value)
    except ValueError:  # an integer of thousands of digits
        raise NoEvent(f"{path} is a number of too many digits") from None


def _quantity(value: Any, rule: EventRule) -> int:
    where = rule.quantity
    if value is None:
        raise NoEvent(f"quantity {where} is missing")
    if isinstance(value, bool) or not isinstance(value, int | str | Decimal):
        raise NoEvent(f"quantity {where} is {_short(value)}, which is no number")
    try:
        number = Decimal(value.strip() if isinstance(value, str) else value)
    except (InvalidOperation, ValueError):
        raise NoEvent(f"quantity {where} is {_short(value)}, which is no number") from None
    # Looked at before it is made whole: 1e999999999 would take all the memory there is.
    if not number.is_finite() or number < 0 or number.adjusted() > 16:
        raise NoEvent(f"quantity {where} is {_short(value)}: at least 0 and below 2^53 can be counted")
    if not number:
        return 0
    if number.adjusted() < -rule.decimals:
        raise NoEvent(f"quantity {where} is {_short(value)}, finer than the {rule.decimals} decimals declared")
    _, digits, exponent = number.as_tuple()
    if len(digits) > 100:
        raise NoEvent(f"quantity {where} has {len(digits)} digits; nobody counts that finely")
    power = int(exponent) + rule.decimals
    whole: int = int("".join(map(str, digits)))
    if power < 0:
        whole, rest = divmod(whole, 10**-power)
        if rest:
            raise NoEvent(f"quantity {where} is {_short(value)}, finer than the {rule.decimals} decimals declared")
    else:
        whole *= int(10**power)
    if whole > LIMIT:
        raise NoEvent(f"quantity {where} is {_short(value)}: at least 0 and below 2^53 units can be counted")
    return whole


def _identity(rule: EventRule, find: Find, message_id: str | None) -> str | None:
    if rule.identity is not None:
        value = find(rule.identity)
        if not isinstance(value, str | int) or isinstance(value, bool) or value == "":
            raise NoEvent(f"id {rule.identity} is {_short(value)}, so a repetition could not be told from a new event")
        return str(value)
    if rule.form == "cloudevents":
        return f"{find('source')}\n{find('id')}"  # their pair is unique, says the specification
    return message_id


def _short(value: Any) -> str:
    text = "missing" if value is None else str(value) if isinstance(value, Decimal) else repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
