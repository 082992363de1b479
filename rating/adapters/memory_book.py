"""The Book of `ports` in plain dicts: the obvious implementation, for tests, previews and trying things out."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import date, datetime

from rating.adapters.memory_notices import MemoryNotices
from rating.adapters.memory_publications import MemoryPublications
from rating.adapters.memory_windows import MemoryWindows
from rating.core.creditnotes import CreditDraft, CreditNote, creditable, fits
from rating.core.entries import (
    billed_before,
    cancellable,
    corrected_meanwhile,
    genesis,
    issue,
    issue_credit,
    keepable,
    placed_before,
    recorded,
    same_cancellation,
    same_catalogue,
    same_credit,
    same_draft,
    same_entry,
    same_subscription,
    unknown_invoice,
    whole_seconds,
)
from rating.core.funding import burned_by, collected, given_back, granting, paid_of, same_grant, withdrawable
from rating.core.invoices import Draft, Invoice, LineKind
from rating.core.items import Item, same_item
from rating.core.lifecycle import Account, InvoiceEntry, State, Step, account, allowed, creditable_in, replaceable
from rating.core.money import Currency, Money
from rating.core.payouts import SERIES, Payout, StatementDraft, issue_statement, same_statement, stated_before
from rating.core.periods import Period
from rating.core.subscriptions import Pause, Subscription, pausable, resumable
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
from rating.ports import Accrual, KeptCatalogue


class MemoryBook(MemoryWindows, MemoryNotices, MemoryPublications):
    """Safe to share between threads; gone with the process."""

    def __init__(self) -> None:
        super().__init__()
        self._turn = threading.RLock()
        self._catalogues: dict[tuple[str, datetime], KeptCatalogue] = {}
        self._subscriptions: dict[str, Subscription] = {}
        self._ends: dict[str, datetime] = {}
        self._invoices: dict[str, Invoice] = {}
        self._grants: dict[tuple[str, str], GrantAccount] = {}
        self._thresholds: list[Threshold] = []
        self._lows: dict[tuple[str, Currency, datetime], LowBalance] = {}
        self._steps: dict[str, list[InvoiceEntry]] = {}
        self._notes: dict[str, CreditNote] = {}
        self._items: dict[str, Item] = {}
        self._pauses: dict[str, tuple[Pause, ...]] = {}
        self._payouts: dict[str, Payout] = {}
        self._accruals: tuple[Accrual, ...] = ()
        self._claims: set[str] = set()

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

    def pause(self, subscription: str, *, start: datetime, at: datetime) -> bool:
        whole_seconds(start, f"subscription {subscription}")
        with self._turn:
            kept = self._pauses.get(subscription, ())
            if not pausable(subscription, start, kept):
                return False
            self._pauses[subscription] = (*kept, Pause(start))
            return True

    def resume(self, subscription: str, *, end: datetime, at: datetime) -> bool:
        whole_seconds(end, f"subscription {subscription}")
        with self._turn:
            kept = self._pauses.get(subscription, ())
            paused = resumable(subscription, end, kept)
            if paused is None:
                return False
            self._pauses[subscription] = (*kept[:-1], replace(paused, end=end))
            return True

    def pauses(self) -> dict[str, tuple[Pause, ...]]:
        with self._turn:
            return dict(self._pauses)

    # invoices
    def issue(self, drafts: Sequence[Draft], *, at: datetime, known: int | None = None) -> tuple[Invoice, ...]:
        with self._turn:
            issued = dict(self._invoices)
            owed = []
            new = [draft for draft in drafts if draft.key not in issued]
            if known is not None:
                corrected = frozenset[str]().union(*self._touched[known:])
                for consumer in sorted({part.consumer for draft in new for _, part in draft.parts} & corrected):
                    raise corrected_meanwhile(consumer)
            billed = {key: one.number for one in issued.values() for key in one.draft.keys}
            for draft in drafts:
                if draft.key in issued:
                    same_draft(draft, issued[draft.key])
                    continue
                for key in draft.keys:
                    if key in billed:
                        raise billed_before(key, billed[key])
                for number in {part.replaces for _, part in draft.parts if part.replaces}:
                    replaceable(number, *self._taken(number))
                self._items_free(draft, issued.values())
                series = [one for one in issued.values() if one.draft.series == draft.series]
                previous = series[-1].content_hash if series else genesis(draft.series)
                issued[draft.key], _ = issue(draft, len(series) + 1, previous, at)
                billed.update(dict.fromkeys(draft.keys, issued[draft.key].number))
                owed.append((draft.customer, issued[draft.key].number, draft.total))
            self._move(burned_by(self.wallets(), owed, recorded(at)))
            self._invoices = issued
            return tuple(issued[draft.key] for draft in drafts)

    def _items_free(self, draft: Draft, issued: Iterable[Invoice]) -> None:
        wanted = {line.card for line in draft.lines if line.kind is LineKind.ITEM}
        for one in issued if wanted else ():
            for card in sorted(line.card for line in one.draft.lines if line.kind is LineKind.ITEM):
                before, most = self._taken(one.number)
                stands = before is None or most is None or (before.state is not State.VOID and before.credited < most)
                if card in wanted and stands:
                    raise placed_before(card, one.number)

    def latest_adjustment(self) -> int:
        with self._turn:
            return len(self._touched)

    def invoices(self, period: Period | None = None, consumer: str | None = None) -> tuple[Invoice, ...]:
        with self._turn:
            return tuple(
                invoice
                for invoice in self._invoices.values()
                if (consumer is None or consumer in {part.consumer for _, part in invoice.draft.parts})
                and (period is None or period.contains(invoice.draft.period.start))
            )

    def invoice(self, number: str) -> Invoice | None:
        return next((invoice for invoice in self.invoices() if invoice.number == number), None)

    def issued(self) -> frozenset[str]:
        with self._turn:
            return frozenset(
                key for invoice in self._invoices.values() for key in (invoice.draft.key, *invoice.draft.keys)
            )

    # what follows an issued invoice
    def enter(self, entry: InvoiceEntry, *, at: datetime) -> bool:
        with self._turn:
            for kept in self._steps.get(entry.invoice, ()):
                if kept.key == entry.key:
                    same_entry(entry, kept)
                    return False
            invoice = self.invoice(entry.invoice)
            if invoice is None:
                raise unknown_invoice(entry.invoice)
            allowed(entry, self._account(invoice))
            if entry.amount is not None:
                keepable(entry.amount.minor, f"{entry.key}: amount")
            self._steps.setdefault(entry.invoice, []).append(entry)
            if entry.step is Step.VOID:
                self._move(given_back(self.wallets(), self._account(invoice), entry.key, recorded(at)))
            return True

    def entries(self, invoice: str | None = None) -> tuple[InvoiceEntry, ...]:
        with self._turn:
            return tuple(
                entry for number in sorted(self._steps) if invoice in (None, number) for entry in self._steps[number]
            )

    def credit(self, draft: CreditDraft, *, at: datetime, entry: InvoiceEntry | None = None) -> CreditNote:
        with self._turn:
            kept = self._notes.get(draft.key)
            invoice = self.invoice(draft.invoice)
            if invoice is None:
                raise unknown_invoice(draft.invoice)
            if kept is None:
                creditable_in(self._account(invoice))
                fits(draft, invoice, self.credit_notes(draft.invoice))
            else:
                same_credit(draft, kept)
            if entry is not None:
                self.enter(entry, at=at)
            if kept is None:
                series = [note for note in self._notes.values() if note.draft.series == draft.series]
                previous = series[-1].content_hash if series else genesis(draft.series)
                self._notes[draft.key], _ = issue_credit(draft, len(series) + 1, previous, at)
                cause = self._notes[draft.key].number
                self._move(given_back(self.wallets(), self._account(invoice), cause, recorded(at)))
            return self._notes[draft.key]

    def credit_notes(self, invoice: str | None = None) -> tuple[CreditNote, ...]:
        with self._turn:
            return tuple(note for note in self._notes.values() if invoice in (None, note.draft.invoice))

    def _account(self, invoice: Invoice) -> Account:
        credited = [note.total for note in self.credit_notes(invoice.number)]
        prepaid = paid_of(self.wallets(invoice.draft.customer), invoice)
        return account(invoice, self._steps.get(invoice.number, ()), credited, None, prepaid)

    def _taken(self, number: str) -> tuple[Account | None, Money | None]:
        invoice = self.invoice(number)
        return (None, None) if invoice is None else (self._account(invoice), creditable(invoice))

    def add_item(self, item: Item, *, at: datetime) -> bool:
        with self._turn:
            if item.key in self._items:
                same_item(item, self._items[item.key])
                return False
            self._items[item.key] = item
            return True

    def items(self) -> tuple[Item, ...]:
        with self._turn:
            return tuple(self._items.values())

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

    # partners
    def issue_statements(self, drafts: Sequence[StatementDraft], *, at: datetime) -> tuple[Payout, ...]:
        with self._turn:
            issued = dict(self._payouts)
            sources = {line.source for payout in issued.values() for line in payout.draft.lines}
            for draft in drafts:
                if draft.key in issued:
                    same_statement(draft, issued[draft.key])
                    continue
                for line in draft.lines:
                    if line.source in sources:
                        raise stated_before(line.source)
                    sources.add(line.source)
                previous = next(reversed(issued.values())).content_hash if issued else genesis(SERIES)
                issued[draft.key], _ = issue_statement(draft, len(issued) + 1, previous, at)
            self._payouts = issued
            return tuple(issued[draft.key] for draft in drafts)

    def statements(self, partner: str | None = None) -> tuple[Payout, ...]:
        with self._turn:
            return tuple(payout for payout in self._payouts.values() if partner in (None, payout.draft.partner))

    def statement(self, number: str) -> Payout | None:
        return next((payout for payout in self.statements() if payout.number == number), None)

    # what the journal is written from
    def issued_in(self, period: Period) -> Iterator[Invoice]:
        found = [one for one in self.invoices() if period.contains(one.issued_at)]
        return iter(sorted(found, key=lambda one: one.number))

    def credited_in(self, period: Period) -> Iterator[CreditNote]:
        found = [one for one in self.credit_notes() if period.contains(one.issued_at)]
        return iter(sorted(found, key=lambda one: one.number))

    def stated_in(self, period: Period) -> Iterator[Payout]:
        found = [one for one in self.statements() if period.contains(one.issued_at)]
        return iter(sorted(found, key=lambda one: one.number))

    def entered_on(self, day: date) -> Iterator[InvoiceEntry]:
        return iter(sorted((one for one in self.entries() if one.on == day), key=lambda one: one.key))

    def moved_in(self, period: Period) -> Iterator[GrantAccount]:
        with self._turn:
            accounts = list(self._grants.values())
        for one in accounts:
            expires = one.grant.expires
            if any(period.contains(move.at) for move in one.moves) or (expires and period.contains(expires)):
                yield one

    def papers(self, numbers: Collection[str]) -> dict[str, Invoice]:
        return {one.number: one for one in self.invoices() if one.number in numbers}

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
