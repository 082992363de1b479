"""Notify: look where exact usage, or somebody's hint, says that there may be news; tell each piece of it once.

The hint is never the news: an alert makes us read the counters since the last closed window for the consumer it names,
and what is told follows from those readings, the closed windows and the contract. Nothing is told of a consumer whose
usage rests on a held window; once that is resolved, it is decided anew.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from fractions import Fraction

from rating.core.alerts import Heard
from rating.core.money import Currency
from rating.core.notices import Kind, Notification, Routing
from rating.core.notifications import (
    Position,
    about_alert,
    about_prepaid,
    about_trial,
    about_usage,
    about_wallet,
    forecast,
    hinted,
    overshadowing,
    planned,
    rounded,
    standing_hints,
    untold,
)
from rating.core.plans import Plan
from rating.core.settlements import remaining
from rating.core.subscriptions import Subscription
from rating.jobs import live as reading
from rating.jobs.accrue import Accrued, AccruedPlan
from rating.jobs.contracts import Contracts
from rating.jobs.live import Live
from rating.jobs.positions import Wholeness, pace, positions, with_live
from rating.ports import Book, CounterSource, Notifier

REMEMBERED = timedelta(days=3)
"""Hints older than this are no longer looked at: closed windows have long said what they hinted at."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """News that may not be told yet."""

    consumer: str
    meter: str
    why: str


@dataclass(frozen=True, slots=True)
class News:
    """What one look came to."""

    notifications: tuple[Notification, ...]
    """New ones, with the ways they go out on."""
    waiting: tuple[Waiting, ...] = ()
    hinted: int = 0
    """Consumers whose counters were read because somebody hinted."""


@dataclass(frozen=True, slots=True)
class Gathered:
    """Everything the decision looks at."""

    usage: tuple[tuple[Position, bool, Heard | None], ...]
    """Each with whether its end may be predicted, and the hint that made us look."""
    others: tuple[tuple[Notification, Plan | None], ...]
    waiting: tuple[Waiting, ...]
    hinted: int
    live: Mapping[str, Mapping[str, Live]] = field(default_factory=dict)


def notify(
    book: Book,
    contracts: Contracts,
    accrued: Accrued,
    source: CounterSource,
    notifiers: Mapping[str, Notifier],
    *,
    now: datetime,
    clock: Callable[[], datetime] | None = None,
    dry_run: bool = False,
) -> News:
    """Tell what is news at `now`. Twice is once. Entries are recorded as of `clock`, or `now` without one.

    Raises:
        NoPlanInForce, NoTierCovers: the contract does not say what usage costs.
    """
    routing = contracts.current.notifications
    gathered = gather(book, contracts, accrued, source, routing, now=now)

    decided = decide(gathered, book.told(_keys(gathered, now)), now)

    standing = {(one.subscription.key, one.meter.name): one for one, _, _ in gathered.usage}
    entries = tuple(
        replace(
            _at_pace(book, contracts, gathered, one, standing.get((one.subscription, one.meter)), now),
            planned=planned(one, routing, *_reach(notifiers)),
        )
        for one in decided
    )
    told = entries if dry_run else book.tell(entries, at=now if clock is None else clock())
    return News(told, gathered.waiting, gathered.hinted)


def decide(gathered: Gathered, told: Collection[str], now: datetime) -> tuple[Notification, ...]:
    """What of the news is told now, in a fixed order."""
    found = {one.key: one for one in untold(_news(gathered, now), told)}
    return tuple(found[key] for key in sorted(found))


def gather(
    book: Book, contracts: Contracts, accrued: Accrued, source: CounterSource, routing: Routing, *, now: datetime
) -> Gathered:
    """Positions from closed windows; for those a hint names, from what was counted since as well."""
    heard = book.heard(now - REMEMBERED)
    hints = _hints(book, heard, contracts, accrued)
    counted, waiting = _read(book, contracts, accrued, source, hints, now)
    whole = Wholeness(book)
    usage: list[tuple[Position, bool, Heard | None]] = []
    fresh: set[tuple[str, str]] = set()
    for consumer, by_meter in counted.items():
        for position in _live_positions(book, contracts, consumer, by_meter, now):
            named = hints.get((consumer, position.meter.name), {})
            if not named:
                continue
            fresh.add((position.subscription.key, position.meter.name))
            why = whole.doubt(position)
            if why:
                waiting.append(Waiting(consumer, position.meter.name, why))
                continue
            predicting = Kind.EXHAUSTION_PREDICTED in named
            position = replace(position, pace=pace(book, position, now))
            usage.append((position, predicting, min(named.values(), key=lambda one: one.at)))
    for position in positions(accrued, contracts):
        if (position.subscription.key, position.meter.name) in fresh:
            continue
        why = whole.doubt(position)
        if why:
            waiting.append(Waiting(position.subscription.consumer, position.meter.name, why))
        else:
            usage.append((position, False, None))
    alerts = [(one, None) for entry in heard if (one := about_alert(entry)) is not None]
    lows = [(about_wallet(low), None) for low in book.lows() if low.at >= now - REMEMBERED]
    others = (*_trials(accrued, contracts, routing, now), *_prepaid(book, accrued, routing), *lows, *alerts)
    return Gathered(tuple(usage), others, tuple(dict.fromkeys(waiting)), len(counted), counted)


def _hints(
    book: Book, heard: Iterable[Heard], contracts: Contracts, accrued: Accrued
) -> dict[tuple[str, str], dict[Kind, Heard]]:
    """Standing hints at what is not told yet, by consumer and meter. Whoever is not subscribed is not looked at."""
    standing = standing_hints(heard)
    named = {one.alert.label("consumer") for one in standing}
    if not named:
        return {}
    open_now: dict[str, list[tuple[Subscription, AccruedPlan]]] = {}
    for group in accrued.plans:
        for subscription in group.subscriptions:
            if subscription.consumer in named:
                open_now.setdefault(subscription.consumer, []).append((subscription, group))
    about: list[tuple[Heard, Notification, Plan]] = []
    for one in standing:
        for subscription, group in open_now.get(one.alert.label("consumer"), ()):
            about.append((one, hinted(one.alert, subscription, group.plan, group.period), group.plan))
    keys = {one.key for _, one, _ in about} | {o.key for _, one, plan in about for o in overshadowing(one, plan)}
    told = book.told(keys)
    found: dict[tuple[str, str], dict[Kind, Heard]] = {}
    for hint, news, plan in about:
        if news.meter in contracts.current.meters and list(untold([(news, plan)], told)):
            found.setdefault((news.consumer, news.meter), {}).setdefault(news.kind, hint)
    return found


def _read(
    book: Book,
    contracts: Contracts,
    accrued: Accrued,
    source: CounterSource,
    hints: Mapping[tuple[str, str], Mapping[Kind, Heard]],
    now: datetime,
) -> tuple[dict[str, dict[str, Live]], list[Waiting]]:
    """By consumer and meter: what was counted since the last closed window, one reading per meter.

    A hint that the closed windows have overtaken needs no reading: they know all it could have meant. A prediction is
    looked at again for as long as it stands.
    """
    asked: dict[str, list[str]] = {}
    looked: dict[str, dict[str, Live]] = {}
    for (consumer, name), named in sorted(hints.items()):
        through = accrued.through.get(name)
        if through is None:
            continue
        if any(through <= one.at for one in named.values()):
            asked.setdefault(name, []).append(consumer)
        elif Kind.EXHAUSTION_PREDICTED in named:
            looked.setdefault(consumer, {})[name] = Live(through, through)
    waiting = []
    for name, consumers in asked.items():
        found = reading.since(source, contracts.current.meters[name], consumers, accrued.through[name], now)
        for consumer in consumers:
            if found.doubt:
                waiting.append(Waiting(consumer, name, found.doubt))
            else:
                looked.setdefault(consumer, {})[name] = found
    return looked, waiting


def _live_positions(
    book: Book, contracts: Contracts, consumer: str, by_meter: Mapping[str, Live], now: datetime
) -> Iterable[Position]:
    accrued = with_live(book, contracts, consumer, by_meter, now)
    units = {
        (consumer, name): one.quantities.get(consumer, 0)
        for name, one in by_meter.items()
        if accrued.through.get(name) == one.start
    }
    return positions(accrued, contracts, everyone=True, live=units)


def _news(gathered: Gathered, now: datetime) -> list[tuple[Notification, Plan | None]]:
    found = list(gathered.others)
    for position, predicting, hint in gathered.usage:
        for one in about_usage(position, now, predicting=predicting):
            if hint is not None:
                one = replace(one, hint=hint.alert.key, hinted_at=hint.at)
            found.append((one, position.plan))
    return found


def _keys(gathered: Gathered, now: datetime) -> set[str]:
    news = _news(gathered, now)
    return {one.key for one, _ in news} | {other.key for one, plan in news for other in overshadowing(one, plan)}


def _at_pace(
    book: Book, contracts: Contracts, gathered: Gathered, one: Notification, position: Position | None, now: datetime
) -> Notification:
    """Where usage will stand if it goes on as it did lately, and what the next plan would then cost or save."""
    if position is None or one.kind is Kind.USAGE_BEYOND_ALLOWANCE or one.used <= 0:
        return one
    ahead = forecast(replace(position, pace=pace(book, position, now)), now)
    if ahead is None or one.more is None:
        return replace(one, forecast=ahead)
    by_meter = gathered.live.get(one.consumer, {})
    accrued = with_live(book, contracts, one.consumer, by_meter, now, factor=ahead / one.used)
    for group in accrued.plans:
        for index, subscription in enumerate(group.subscriptions):
            if subscription.key == one.subscription and group.upgrade is not None:
                more = rounded(group.upgrade.fractions()[index], group.currency)
                return replace(one, forecast=ahead, more_at_pace=more)
    return replace(one, forecast=ahead)


def _trials(
    accrued: Accrued, contracts: Contracts, routing: Routing, now: datetime
) -> Iterable[tuple[Notification, Plan]]:
    for subscription in accrued.trials:
        plan, _ = contracts.plan(subscription.plan, now)
        one = about_trial(subscription, plan, routing.trial_ending, now)
        if one is not None:
            yield one, plan


def _prepaid(book: Book, accrued: Accrued, routing: Routing) -> Iterable[tuple[Notification, Plan]]:
    """Credit that is still worth something, less what the open period has come to."""
    for group in accrued.plans:
        for index, subscription in enumerate(group.subscriptions):
            if not subscription.credits:
                continue
            granted, left = _credit(book, subscription, accrued.at)
            owed = group.fee + sum(
                (
                    Fraction(int(entry.rated.amount.units[index]), entry.rated.amount.denominator)
                    for entry in group.cards
                ),
                Fraction(0),
            )
            currency: Currency = group.currency
            one = about_prepaid(subscription, group.plan, granted, left - owed, routing.prepaid_low, currency)
            if one is not None:
                yield one, group.plan


def _credit(book: Book, subscription: Subscription, now: datetime) -> tuple[Fraction, Fraction]:
    """What was granted and has not expired, and what invoices have left of it."""
    papers = (
        invoice.draft
        for invoice in book.invoices(consumer=subscription.consumer)
        if invoice.draft.subscription == subscription.key
    )
    lines = [line for paper in papers for line in paper.lines]
    worth = [
        credit for credit in remaining(subscription.credits, lines) if credit.expires is None or credit.expires > now
    ]
    keys = {credit.key for credit in worth}
    granted = sum((credit.amount for credit in subscription.credits if credit.key in keys), Fraction(0))
    return granted, sum((credit.amount for credit in worth), Fraction(0))


def _reach(notifiers: Mapping[str, Notifier]) -> tuple[Sequence[str], Sequence[str]]:
    """Channels that end at the customer, and those that do not disturb."""
    theirs = [name for name, one in notifiers.items() if one.to_customer]
    return theirs, ["inbox"]
