"""What `rating publish` says of gateways that rate by themselves: what they would be told, and what came of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from rating.bootstrap import load_catalogue, open_usage_gateways
from rating.cli.frame import now, stderr
from rating.core.publications import Outcome
from rating.core.usageevents import DAY
from rating.jobs import contracts
from rating.jobs.report_usage import Reported, report
from rating.ports import Book, UsageGateway
from rating.settings import Settings
from rating.specs.gateways import GatewaySpec, collection


@dataclass(frozen=True, slots=True)
class Told:
    """One gateway's round."""

    gateway: str
    reported: Reported
    parked: int
    """Everything that waits for a person there."""
    spans: str
    """What a number is about there: hours, or days."""


def tell(book: Book, settings: Settings, specs: dict[str, GatewaySpec], *, dry_run: bool = False) -> tuple[Told, ...]:
    """Carry subscriptions and usage to every gateway that rates by itself, or find out what would be carried."""
    served = open_usage_gateways(specs)
    if not served:
        return ()
    gathered = contracts.gather(book, load_catalogue(settings), now=now())
    return tuple(_told(book, gathered, one, specs, dry_run) for one in served)


def _told(
    book: Book, gathered: contracts.Contracts, gateway: UsageGateway, specs: dict[str, GatewaySpec], dry_run: bool
) -> Told:
    who, name = collection(specs), gateway.name
    reported = report(
        book,
        gathered,
        gateway,
        takes=lambda customer: who.gateway_of(customer) == name,
        now=now(),
        clock=now,
        dry_run=dry_run,
    )
    spans = "days" if gateway.grain == DAY else "hours"
    return Told(name, reported, len(book.parked(name)), spans)


def planned(told: Iterable[Told]) -> Iterator[dict[str, object]]:
    """What would be carried, as rows of `rating publish --dry-run`: usage by customer and meter."""
    for one in told:
        for subscription, said in one.reported.subscribed:
            yield _row(one.gateway, "", f"subscription/{subscription}", "waiting", said)
        sums: dict[tuple[str, str], list[int]] = {}
        for event in one.reported.events:
            sums.setdefault((event.customer, event.meter), []).append(event.value)
        for (customer, meter), values in sorted(sums.items()):
            action = f"tell {sum(values)} units in {len(values)} {one.spans}"
            yield _row(one.gateway, customer, f"usage of {meter}", "waiting", action)
        whose = {each.subject: each for each in one.reported.uncarried}
        for each in whose.values():
            yield _row(one.gateway, each.customer, each.subject, "parked", each.said)
        for parked in one.reported.parked:
            if parked.subject not in whose:
                yield _row(one.gateway, "", parked.subject, "parked", parked.said)


def entered(told: Iterable[Told]) -> Iterator[dict[str, object]]:
    """What was carried, as rows of `rating publish`."""
    for one in told:
        for subscription, said in one.reported.subscribed:
            yield _entry(one.gateway, f"subscription/{subscription}", Outcome.DONE, said)
        if one.reported.events:
            said = f"{len(one.reported.events)} numbers told about {one.reported.hours} {one.spans} of meters"
            yield _entry(one.gateway, "usage", Outcome.DONE, said)
        for parked in one.reported.parked:
            yield _entry(one.gateway, parked.subject, parked.outcome, parked.said)


def say(told: Sequence[Told]) -> None:
    """What waits and what cannot be metered, one sentence a line."""
    for one in told:
        for finding in one.reported.offered.findings:
            stderr.print(f"gateway {one.gateway}: {finding}", soft_wrap=True)
        for waiting in one.reported.waiting:
            stderr.print(f"gateway {one.gateway}: {waiting}", soft_wrap=True)


def real_money(told: Iterable[Told], specs: dict[str, GatewaySpec]) -> list[str]:
    """What will be told for real money, one sentence a gateway that has something to be told."""
    return [
        f"gateway {one.gateway} rates for REAL MONEY: {len(one.reported.subscribed)} subscriptions, "
        f"{len(one.reported.events)} numbers of usage"
        for one in told
        if specs[one.gateway].real_money and (one.reported.subscribed or one.reported.events)
    ]


def _row(gateway: str, customer: str, subject: str, state: str, action: str) -> dict[str, object]:
    return {"gateway": gateway, "customer": customer, "subject": subject, "state": state, "action": action}


def _entry(gateway: str, subject: str, outcome: Outcome, said: str) -> dict[str, object]:
    return {"gateway": gateway, "subject": subject, "outcome": outcome.value, "said": said}
