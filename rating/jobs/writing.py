"""Writing: gathers what each invoice of a run needs (usage, earlier papers, siblings) and drafts them in order."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from fractions import Fraction

from rating.core.billing import Due
from rating.core.drafts import draft, opening, pool_use
from rating.core.invoices import Draft, LineItem
from rating.core.late import Paper, late_lines
from rating.core.parts import parts
from rating.core.standing import NOTHING_BEFORE, Standing, looks_back, standing
from rating.core.subscriptions import Subscription
from rating.jobs.contracts import Contracts, billed_under
from rating.jobs.late import LateUsage, as_billed
from rating.jobs.usage import UsageReader
from rating.ports import Book


class Writer:
    """Drafts due invoices, oldest first: what it drafts is history for what it drafts next."""

    def __init__(
        self,
        book: Book,
        subscriptions: Iterable[Subscription],
        *,
        contracts: Contracts | None = None,
        as_of: datetime | None = None,
    ) -> None:
        """With `contracts`, late usage of issued invoices is settled; `as_of` is when the new ones are issued."""
        self._book = book
        self._contracts = contracts
        self._usage = UsageReader(book, as_of)
        self._papers: dict[str, list[Paper]] = {}
        self._late = LateUsage(book)
        self._postponed: set[str] = set()
        self._of_customer: dict[tuple[str, str], list[Subscription]] = {}
        for subscription in subscriptions:
            self._of_customer.setdefault((subscription.payer, subscription.plan), []).append(subscription)

    def obstacles(self, item: Due) -> tuple[str, ...]:
        """Why it cannot be drafted yet."""
        if item.subscription.key in self._postponed and looks_back(item.subscription, item.plan):
            return ("an earlier invoice it depends on waits",)
        if item.opening:
            return ()
        own = self._usage.gaps(parts(item.subscription, item.plan, item.period))
        siblings = [self._usage.gaps(parts(other, item.plan, item.period)) for other in self._before(item)]
        return tuple(dict.fromkeys(sentence for sentences in (own, *siblings) for sentence in sentences))

    def postpone(self, item: Due) -> None:
        self._postponed.add(item.subscription.key)

    def draft(self, item: Due) -> Draft:
        """Draft it on the windows that are closed, whether or not they are all (see `obstacles`)."""
        late, known = self._settled(item)
        left = self._left(item.subscription, item, known)
        if item.opening:
            drafted = opening(item.subscription, item.plan, item.catalogue, left)
        else:
            drafted = self._drafted(item.subscription, item, replace(left, pool_used=self._pool_used(item)), late)
        if item.subscription.key in self._papers:
            self._papers[item.subscription.key].append(Paper("", drafted))
        return drafted

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

    def _drafted(self, subscription: Subscription, item: Due, left: Standing, late: Sequence[LineItem] = ()) -> Draft:
        priced = parts(subscription, item.plan, item.period)
        usage = self._usage.of(subscription.consumer, priced)
        return draft(subscription, item.plan, item.period, usage, item.catalogue, left, late)

    def _left(self, subscription: Subscription, item: Due, known: Sequence[Draft] | None = None) -> Standing:
        if not looks_back(subscription, item.plan):
            return NOTHING_BEFORE
        left = standing(subscription, item.plan, [paper.draft for paper in self._earlier(subscription, item)])
        # Money was paid as it stands on the papers; units are left over from what was used, late or not.
        return left if known is None else replace(left, carried=standing(subscription, item.plan, known).carried)

    def _earlier(self, subscription: Subscription, item: Due) -> list[Paper]:
        """The subscription's papers before this one, issued or drafted in this run."""
        if subscription.key not in self._papers:
            invoices = self._book.invoices(consumer=subscription.consumer)
            self._papers[subscription.key] = [
                Paper(invoice.number, invoice.draft)
                for invoice in invoices
                if invoice.draft.subscription == subscription.key
            ]
        return [
            paper
            for paper in self._papers[subscription.key]
            if paper.draft.period.start < item.period.start or (paper.draft.opening and not item.opening)
        ]

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
