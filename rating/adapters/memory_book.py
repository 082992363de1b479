"""The Book of `ports` in plain dicts: the obvious implementation, for tests, previews and trying things out."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime

from rating.adapters.memory_notices import MemoryNotices
from rating.core.entries import (
    GENESIS,
    adjustable,
    adjusted,
    cancellable,
    issue,
    keepable,
    keepable_closing,
    merged,
    recorded,
    recorded_after,
    same_adjustment,
    same_cancellation,
    same_catalogue,
    same_closing,
    same_draft,
    same_subscription,
    whole_seconds,
)
from rating.core.funding import burned_by, collected, granting, same_grant, withdrawable
from rating.core.invoices import Draft, Invoice
from rating.core.money import Currency, Money
from rating.core.periods import Period
from rating.core.subscriptions import Subscription
from rating.core.wallets import (
    Grant,
    GrantAccount,
    LowBalance,
    Move,
    MoveKind,
    Threshold,
    Wallet,
    WalletGlance,
    moved_after,
)
from rating.core.windows import Adjustment, Closing, Completeness, Held, Usage
from rating.ports import Accrual, AdjustmentEntry, ClosingHead, HeldEntry, KeptCatalogue, UsageRow


class MemoryBook(MemoryNotices):
    """Safe to share between threads; gone with the process."""

    def __init__(self) -> None:
        super().__init__()
        self._turn = threading.RLock()
        self._closings: dict[tuple[str, datetime], tuple[Closing, str, datetime]] = {}
        self._adjustments: dict[tuple[str, datetime], list[AdjustmentEntry]] = {}
        self._holds: dict[tuple[str, datetime, str], HeldEntry] = {}
        self._catalogues: dict[tuple[str, datetime], KeptCatalogue] = {}
        self._subscriptions: dict[str, Subscription] = {}
        self._ends: dict[str, datetime] = {}
        self._invoices: dict[str, Invoice] = {}
        self._grants: dict[tuple[str, str], GrantAccount] = {}
        self._thresholds: list[Threshold] = []
        self._lows: dict[tuple[str, Currency, datetime], LowBalance] = {}
        self._accruals: tuple[Accrual, ...] = ()
        self._claims: set[str] = set()

    # usage
    def close(self, closing: Closing, *, meter_digest: str, at: datetime) -> bool:
        keepable_closing(closing)
        key = (closing.meter, closing.window.start)
        with self._turn:
            if key in self._closings:
                same_closing(closing, self._closings[key][0])
                return False
            self._closings[key] = (closing, meter_digest, recorded(at))
            return True

    def hold(self, held: Held, *, at: datetime) -> None:
        for instant in (held.window.start, held.window.end):
            whole_seconds(instant, f"window {held.meter}")
        with self._turn:
            self._holds.setdefault((held.meter, held.window.start, held.reason), HeldEntry(held, recorded(at)))

    def closings(self, meter: str, period: Period) -> tuple[ClosingHead, ...]:
        return tuple(
            ClosingHead(
                closing.meter,
                closing.window,
                closing.completeness,
                len({usage.consumer for usage in closing.usage}),
                meter_digest,
                at,
                closing.evidence,
            )
            for closing, meter_digest, at in self._closed(period, meter)
        )

    def closed(self, meter: str, period: Period) -> dict[datetime, Completeness]:
        return {closing.window.start: closing.completeness for closing, _, _ in self._closed(period, meter)}

    def closed_through(self, meter: str) -> datetime | None:
        with self._turn:
            ends = (closing.window.end for (name, _), (closing, _, _) in self._closings.items() if name == meter)
            return max(ends, default=None)

    def held(self) -> tuple[HeldEntry, ...]:
        with self._turn:
            entries = sorted(self._holds.values(), key=lambda entry: entry.at)
            latest = {(entry.held.window.start, entry.held.meter): entry for entry in entries}
            return tuple(latest[key] for key in sorted(latest) if key[::-1] not in self._closings)

    def adjust(self, adjustment: Adjustment, *, at: datetime) -> bool:
        key = (adjustment.meter, adjustment.window.start)
        with self._turn:
            kept = self._adjustments.get(key, [])
            closed = self._closings[key][0].window if key in self._closings else None
            adjustable(adjustment, closed, len(kept))
            if adjustment.revision <= len(kept):
                same_adjustment(adjustment, kept[adjustment.revision - 1].adjustment.rows)
                return False
            issued = max((invoice.issued_at for invoice in self._invoices.values()), default=None)
            self._adjustments[key] = [*kept, AdjustmentEntry(adjustment, recorded_after(at, issued))]
            return True

    def adjustments(self, period: Period, meter: str | None = None) -> tuple[AdjustmentEntry, ...]:
        with self._turn:
            return tuple(
                entry
                for name, start in sorted(self._adjustments)
                if meter in (None, name) and period.contains(start)
                for entry in self._adjustments[name, start]
            )

    def adjusted(self, period: Period | None = None) -> frozenset[str]:
        with self._turn:
            return frozenset(
                row.consumer
                for (_, start), entries in self._adjustments.items()
                if period is None or period.contains(start)
                for entry in entries
                for row in entry.adjustment.rows
            )

    def usage(
        self,
        period: Period,
        meter: str | None = None,
        consumer: str | None = None,
        *,
        as_of: datetime | None = None,
    ) -> Iterator[UsageRow]:
        known = None if as_of is None else recorded(as_of)
        differences: dict[tuple[str, datetime], list[Usage]] = {}
        for entry in self.adjustments(period, meter):
            if known is None or entry.at <= known:
                key = (entry.adjustment.meter, entry.adjustment.window.start)
                differences.setdefault(key, []).extend(entry.adjustment.rows)
        for closing, _, _ in self._closed(period, meter):
            rows = adjusted(closing.usage, differences.get((closing.meter, closing.window.start), ()))
            for usage in rows:
                if consumer in (None, usage.consumer):
                    yield UsageRow(closing.meter, closing.window, usage, closing.completeness)

    def totals(
        self, meter: str, period: Period, consumer: str | None = None, *, as_of: datetime | None = None
    ) -> tuple[Usage, ...]:
        rows = merged(row.usage for row in self.usage(period, meter, consumer, as_of=as_of))
        return tuple(row for row in rows if row.quantity)

    def sums(self, meter: str, period: Period, consumer: str | None = None) -> dict[str, int]:
        found: dict[str, int] = {}
        for name, _, quantity in self.totals(meter, period, consumer):
            found[name] = found.get(name, 0) + quantity
        return found

    def _closed(self, period: Period, meter: str | None) -> list[tuple[Closing, str, datetime]]:
        """By meter and start."""
        with self._turn:
            return [
                self._closings[name, start]
                for name, start in sorted(self._closings)
                if meter in (None, name) and period.contains(start)
            ]

    # contracts
    def keep_catalogue(self, digest: str, text: str, *, in_force_from: datetime, at: datetime) -> bool:
        whole_seconds(in_force_from, f"catalogue {digest}")
        with self._turn:
            for kept in self._catalogues.values():
                if kept.digest == digest:
                    same_catalogue(digest, text, kept.text)
            if (digest, in_force_from) in self._catalogues:
                return False
            self._catalogues[digest, in_force_from] = KeptCatalogue(digest, text, in_force_from, recorded(at))
            return True

    def catalogues(self) -> tuple[KeptCatalogue, ...]:
        with self._turn:
            return tuple(sorted(self._catalogues.values(), key=lambda kept: (kept.in_force_from, kept.recorded_at)))

    def subscribe(self, subscription: Subscription, *, at: datetime) -> bool:
        for instant in filter(None, (subscription.start, subscription.end)):
            whole_seconds(instant, f"subscription {subscription.key}")
        with self._turn:
            if subscription.key in self._subscriptions:
                same_subscription(subscription, self._subscriptions[subscription.key])
                return False
            self._subscriptions[subscription.key] = subscription
            return True

    def cancel(self, key: str, *, end: datetime, at: datetime) -> None:
        with self._turn:
            cancellable(key, end, self._subscriptions.get(key))
            whole_seconds(end, f"subscription {key}")
            same_cancellation(key, end, self._ends.setdefault(key, end))

    def subscriptions(self) -> tuple[Subscription, ...]:
        with self._turn:
            return tuple(
                replace(one, end=self._ends.get(key, one.end)) for key, one in sorted(self._subscriptions.items())
            )

    # invoices
    def issue(self, drafts: Sequence[Draft], *, at: datetime) -> tuple[Invoice, ...]:
        with self._turn:
            issued = dict(self._invoices)
            owed = []
            for draft in drafts:
                if draft.key in issued:
                    same_draft(draft, issued[draft.key])
                    continue
                previous = next(reversed(issued.values())).content_hash if issued else GENESIS
                issued[draft.key], _ = issue(draft, len(issued) + 1, previous, at)
                owed.append((draft.customer, issued[draft.key].number, draft.total))
            self._move(burned_by(self.wallets(), owed, recorded(at)))
            self._invoices = issued
            return tuple(issued[draft.key] for draft in drafts)

    def invoices(self, period: Period | None = None, consumer: str | None = None) -> tuple[Invoice, ...]:
        with self._turn:
            return tuple(
                invoice
                for invoice in self._invoices.values()
                if consumer in (None, invoice.draft.consumer)
                and (period is None or period.contains(invoice.draft.period.start))
            )

    def invoice(self, number: str) -> Invoice | None:
        return next((invoice for invoice in self.invoices() if invoice.number == number), None)

    def issued(self) -> frozenset[str]:
        with self._turn:
            return frozenset(invoice.draft.key for invoice in self._invoices.values())

    # wallets
    def fund(self, grant: Grant, *, at: datetime) -> bool:
        if grant.expires is not None:
            whole_seconds(grant.expires, f"grant {grant.reference}")
        keepable(grant.amount.minor, f"grant {grant.reference} of {grant.customer}")
        key = (grant.customer, grant.reference)
        with self._turn:
            if key in self._grants:
                same_grant(grant, self._grants[key].grant)
                return False
            move = granting(grant, self._moved_after(at, grant.customer, grant.amount.currency))
            self._grants[key] = GrantAccount(grant, (move,))
            return True

    def withdraw(self, customer: str, reference: str, *, why: str, at: datetime) -> Move | None:
        with self._turn:
            wallet, account = withdrawable(self.wallets(customer), customer, reference)
            if not account.left:
                return None
            instant = self._moved_after(at, customer, wallet.currency)
            move = account.moved(-account.left, MoveKind.WITHDRAWN, instant, cause=why)
            self._move([move])
            return move

    def warn_below(self, customer: str, amount: Money, *, at: datetime) -> bool:
        keepable(amount.minor, f"threshold of {customer}")
        with self._turn:
            kept = [
                one for one in self._thresholds if (one.customer, one.amount.currency) == (customer, amount.currency)
            ]
            if (kept[-1].amount if kept else Money(0, amount.currency)) == amount:
                return False
            instant = moved_after(recorded(at), kept[-1].at if kept else None)
            self._thresholds.append(Threshold(customer, amount, instant))
            return True

    def wallets(self, customer: str | None = None) -> tuple[Wallet, ...]:
        with self._turn:
            found = collected(self._grants.values(), self._thresholds)
            return tuple(wallet for wallet in found if customer in (None, wallet.customer))

    def glance(self, at: datetime) -> tuple[WalletGlance, ...]:
        return tuple(WalletGlance(wallet.customer, wallet.worth(at), wallet.threshold) for wallet in self.wallets())

    def notice_lows(self, until: datetime) -> tuple[LowBalance, ...]:
        with self._turn:
            fell = [low for wallet in self.wallets() for low in wallet.lows(until)]
            new = {key: low for low in fell if (key := (low.customer, low.balance.currency, low.at)) not in self._lows}
            self._lows |= new
            return tuple(new.values())

    def lows(self) -> tuple[LowBalance, ...]:
        with self._turn:
            return tuple(sorted(self._lows.values(), key=lambda low: (low.at, low.customer, low.balance.currency)))

    def _move(self, moves: Iterable[Move]) -> None:
        for move in moves:
            account = self._grants[move.customer, move.reference]
            self._grants[move.customer, move.reference] = GrantAccount(account.grant, (*account.moves, move))

    def _moved_after(self, at: datetime, customer: str, currency: Currency) -> datetime:
        own = [wallet.moved_at for wallet in self.wallets(customer) if wallet.currency == currency]
        return moved_after(recorded(at), own[0] if own else None)

    # projections
    def show_accruals(self, accruals: Sequence[Accrual], *, at: datetime) -> None:
        for one in accruals:
            keepable(one.quantity, f"accrual {one.subscription} {one.card}: quantity")
            whole_seconds(one.period_start, f"accrual {one.subscription}")
        self._accruals = tuple(sorted(accruals, key=lambda one: (one.subscription, one.card, one.period_start)))

    def accruals(self) -> tuple[Accrual, ...]:
        return self._accruals

    # claims
    @contextmanager
    def claim(self, job: str) -> Iterator[bool]:
        with self._turn:
            free = job not in self._claims
            self._claims.add(job)
        try:
            yield free
        finally:
            if free:
                self._claims.discard(job)
