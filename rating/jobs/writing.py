"""Writing: gathers what each invoice of a run needs (usage, earlier papers, siblings) and drafts them in order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from fractions import Fraction

from rating.core.billing import Due
from rating.core.drafts import NOTHING_AHEAD, draft, opening, pool_use
from rating.core.invoices import Draft, LineItem, LineKind
from rating.core.items import Item, waiting
from rating.core.late import Paper, late_lines
from rating.core.parties import NOBODY, LatePolicy
from rating.core.parts import parts
from rating.core.periods import Period
from rating.core.plans import FeeDue
from rating.core.standing import NOTHING_BEFORE, Standing, looks_back, standing
from rating.core.subscriptions import Subscription
from rating.core.taxation import TaxDecision
from rating.jobs.contracts import Contracts, billed_under
from rating.jobs.late import LateUsage, as_billed
from rating.jobs.lives import taken_back
from rating.jobs.taxation import Taxation
from rating.jobs.usage import UsageReader
from rating.ports import Book, TaxService


class Writer:
    """Drafts due invoices, oldest first: what it drafts is history for what it drafts next."""

    def __init__(
        self,
        book: Book,
        subscriptions: Iterable[Subscription],
        *,
        contracts: Contracts | None = None,
        as_of: datetime | None = None,
        taxes: TaxService | None = None,
    ) -> None:
        """With `contracts`, late usage of issued invoices is settled and parties are said; `as_of` is when
        the new ones are issued. `taxes` decides how they are taxed, the catalogue's rules where there is none.
        """
        self._book = book
        self._parties = NOBODY if contracts is None or as_of is None else contracts.parties(as_of)
        self._taken_back = taken_back(book)
        self._credited: dict[str, list[LineItem]] = {}
        for note in book.credit_notes():
            self._credited.setdefault(note.draft.invoice, []).extend(note.draft.lines)
        self._items: dict[str, list[Item]] = {}
        for one in book.items():
            self._items.setdefault(one.subscription, []).append(one)
        self._contracts = contracts
        self._usage = UsageReader(book, as_of)
        self._papers: dict[str, list[Paper]] = {}
        self._late = LateUsage(book)
        self._taxation = Taxation(contracts, taxes, self._parties)
        self._postponed: set[str] = set()
        self._of_customer: dict[tuple[str, str], list[Subscription]] = {}
        for subscription in subscriptions:
            self._of_customer.setdefault((subscription.payer, subscription.plan), []).append(subscription)

    def obstacles(self, item: Due) -> tuple[str, ...]:
        """Why it cannot be drafted yet."""
        if item.subscription.key in self._postponed and looks_back(item.subscription, item.plan):
            return ("an earlier invoice it depends on waits",)
        return self._missing(item) or self._taxation.obstacles(item)

    def ask_taxes(self, item: Due) -> tuple[str, ...]:
        """Have it drafted with its taxes, whether or not its windows are there; or why nobody can say."""
        return self._taxation.obstacles(item)

    def take_taxes(self, item: Due, decision: TaxDecision | None) -> None:
        """Have it drafted with the taxes that its invoice was issued with: nobody is asked again."""
        self._taxation.take(item, decision)

    def _missing(self, item: Due) -> tuple[str, ...]:
        """The windows that keep it waiting."""
        if item.opening:
            return ()
        own = self._usage.gaps(parts(item.subscription, item.plan, item.period))
        siblings = [self._usage.gaps(parts(other, item.plan, item.period)) for other in self._before(item)]
        return tuple(dict.fromkeys(sentence for sentences in (own, *siblings) for sentence in sentences))

    def postpone(self, item: Due) -> None:
        self._postponed.add(item.subscription.key)

    def draft(self, item: Due, replaces: str = "", items: Sequence[Item] | None = None) -> Draft:
        """Draft it on the windows that are closed, whether or not they are all (see `obstacles`).

        `replaces` is the invoice it is issued in place of. `items` are the one-offs on it; those that wait, when None.
        """
        late, known = self._settled(item)
        if self.late_policy(item.subscription) is LatePolicy.CREDIT_NOTE:
            # What is too much has a credit note of its own.
            late = tuple(line for line in late if line.amount.minor > 0 or line.quantity > 0)
        left = self._left(item.subscription, item, known)
        own = self._waiting(item.subscription) if items is None else items
        if item.opening:
            drafted = opening(item.subscription, item.plan, item.catalogue, left, own, self._taxation.decided(item))
        else:
            left = replace(left, pool_used=self._pool_used(item))
            drafted = self._drafted(item.subscription, item, left, late, own, self._ahead(item))
        payer = item.subscription.payer
        seller, buyer = self._parties.seller(payer), self._parties.customer(payer)
        drafted = replace(drafted, seller=seller, buyer=buyer, replaces=replaces)
        if item.subscription.key in self._papers:
            self._papers[item.subscription.key].append(Paper("", drafted))
        return drafted

    def late_policy(self, subscription: Subscription) -> LatePolicy:
        buyer = self._parties.customer(subscription.payer)
        return LatePolicy.NEXT_INVOICE if buyer is None else buyer.late

    def late(self, item: Due) -> tuple[LineItem, ...]:
        """What would settle the late usage of earlier invoices on this one."""
        return self._settled(item)[0]

    def _settled(self, item: Due) -> tuple[tuple[LineItem, ...], Sequence[Draft] | None]:
        """The lines for late usage, and the earlier papers as they would be today; None when they are as issued."""
        consumers = {item.subscription.consumer, *(other.consumer for other in self._before(item))}
        if self._contracts is None or item.opening or not self._late.touches(consumers):
            return (), None
        exchange = item.subscription.exchange
        currency = item.plan.currency if exchange is None else exchange.currency
        earlier = self._earlier(item.subscription, item)
        lines: list[LineItem] = []
        known: list[Draft] = []
        changed = False
        for place, paper in enumerate(earlier, start=1):
            old = paper.draft
            # What is carried over from a period with late usage changes the periods after it.
            changed = changed or self._late.touches(consumers, old.period)
            if paper.number and not old.opening and changed:
                rerated = self._rerated(item.subscription, old, known)
                lines += late_lines(paper, rerated, earlier[place:], currency)
                known.append(rerated)
            else:
                known.append(old)
        return tuple(lines), known

    def _rerated(self, subscription: Subscription, old: Draft, before: Sequence[Draft]) -> Draft:
        """The period of an issued invoice under the contract it was billed under, from all usage known now."""
        assert self._contracts is not None
        catalogue = billed_under(self._book, self._contracts, old)
        plan = catalogue.plans[old.plan]
        item = Due(old.period.end, old.key, as_billed(subscription, catalogue, old), old.period, plan, old.catalogue)
        left = standing(item.subscription, plan, before)
        used = self._pool_used(item)
        usage = self._usage.alone(subscription.consumer, parts(item.subscription, plan, old.period))
        return draft(
            item.subscription, plan, old.period, usage, old.catalogue, Standing(carried=left.carried, pool_used=used)
        )

    def _waiting(self, subscription: Subscription) -> tuple[Item, ...]:
        """The one-offs of the subscription that are on none of its invoices nor on one drafted in this run."""
        own = self._items.get(subscription.key, ())
        return waiting(own, [paper.draft for paper in self._own(subscription)]) if own else ()

    def _ahead(self, item: Due) -> dict[tuple[str, Period], Fraction]:
        """What was charged in advance for this period, and for periods that were not used at all, by fee."""
        subscription, plan = item.subscription, item.plan
        keys = {fee.key for fee in plan.all_fees if fee.due is FeeDue.ADVANCE}
        if not keys or not (subscription.pauses or subscription.end is not None):
            return {}
        charged: dict[tuple[str, Period], Fraction] = {}
        for paper in self._earlier(subscription, item):
            for line in paper.draft.lines:
                if line.kind is LineKind.FEE and line.card in keys:
                    period = subscription.period(plan.cadence, line.period.start)
                    unused = period.end <= item.period.start and subscription.billed(period) is None
                    if period == item.period or unused:
                        key = (line.card, period)
                        charged[key] = charged.get(key, Fraction(0)) + line.exact
        if subscription.pauses and item.period.start > subscription.start:
            # Paused when it would have been charged in advance, and resumed since.
            for key_of in sorted(keys):
                charged.setdefault((key_of, item.period), Fraction(0))
        return charged

    def _drafted(
        self,
        subscription: Subscription,
        item: Due,
        left: Standing,
        late: Sequence[LineItem] = (),
        items: Sequence[Item] = (),
        ahead: Mapping[tuple[str, Period], Fraction] = NOTHING_AHEAD,
    ) -> Draft:
        priced = parts(subscription, item.plan, item.period)
        usage = self._usage.of(subscription.consumer, priced)
        taxed = self._taxation.decided(item)
        return draft(subscription, item.plan, item.period, usage, item.catalogue, left, late, items, ahead, taxed)

    def _left(self, subscription: Subscription, item: Due, known: Sequence[Draft] | None = None) -> Standing:
        if not looks_back(subscription, item.plan):
            return NOTHING_BEFORE
        left = standing(subscription, item.plan, [paper.draft for paper in self._earlier(subscription, item)])
        # Money was paid as it stands on the papers; units are left over from what was used, late or not.
        return left if known is None else replace(left, carried=standing(subscription, item.plan, known).carried)

    def _earlier(self, subscription: Subscription, item: Due) -> list[Paper]:
        """The subscription's papers before this one, issued or drafted in this run."""
        return [
            paper
            for paper in self._own(subscription)
            if paper.draft.period.start < item.period.start or (paper.draft.opening and not item.opening)
        ]

    def _own(self, subscription: Subscription) -> list[Paper]:
        """All papers of the subscription that were not taken back."""
        if subscription.key not in self._papers:
            self._papers[subscription.key] = [
                Paper(invoice.number, part, before, tuple(self._credited.get(invoice.number, ())))
                for invoice in self._book.invoices(consumer=subscription.consumer)
                if invoice.number not in self._taken_back
                for before, part in invoice.draft.parts
                if part.subscription == subscription.key
            ]
        return self._papers[subscription.key]

    def _before(self, item: Due) -> list[Subscription]:
        """Subscriptions of the same customer whose consumers use a shared pool first."""
        if item.opening or not any(pool.by_customer for pool in item.plan.pools):
            return []
        siblings = self._of_customer.get((item.subscription.payer, item.subscription.plan), [])
        return [other for other in siblings if other.key < item.subscription.key and other.billed(item.period)]

    def _pool_used(self, item: Due) -> dict[str, Fraction]:
        shared = {pool.key for pool in item.plan.pools if pool.by_customer}
        used: dict[str, Fraction] = {}
        for other in self._before(item):
            drafted = self._drafted(other, item, replace(self._left(other, item), pool_used=dict(used)))
            for pool, quantity in pool_use(drafted, item.plan, parts(other, item.plan, item.period)).items():
                if pool in shared:
                    used[pool] = used.get(pool, Fraction(0)) + quantity
        return used
