"""Writing: gathers what each invoice of a run needs (usage, earlier papers, siblings) and drafts them in order."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from fractions import Fraction

from rating.core.billing import Due
from rating.core.drafts import draft, opening, pool_use
from rating.core.invoices import Draft
from rating.core.parts import parts
from rating.core.standing import NOTHING_BEFORE, Standing, looks_back, standing
from rating.core.subscriptions import Subscription
from rating.jobs.usage import UsageReader
from rating.ports import Book


class Writer:
    """Drafts due invoices, oldest first: what it drafts is history for what it drafts next."""

    def __init__(self, book: Book, subscriptions: Iterable[Subscription]) -> None:
        self._book = book
        self._usage = UsageReader(book)
        self._papers: dict[str, list[Draft]] = {}
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
        left = self._left(item.subscription, item)
        if item.opening:
            drafted = opening(item.subscription, item.plan, item.catalogue, left)
        else:
            drafted = self._drafted(item.subscription, item, replace(left, pool_used=self._pool_used(item)))
        if item.subscription.key in self._papers:
            self._papers[item.subscription.key].append(drafted)
        return drafted

    def _drafted(self, subscription: Subscription, item: Due, left: Standing) -> Draft:
        priced = parts(subscription, item.plan, item.period)
        usage = self._usage.of(subscription.consumer, priced)
        return draft(subscription, item.plan, item.period, usage, item.catalogue, left)

    def _left(self, subscription: Subscription, item: Due) -> Standing:
        if not looks_back(subscription, item.plan):
            return NOTHING_BEFORE
        if subscription.key not in self._papers:
            invoices = self._book.invoices(consumer=subscription.consumer)
            self._papers[subscription.key] = [
                invoice.draft for invoice in invoices if invoice.draft.subscription == subscription.key
            ]
        earlier = [
            paper
            for paper in self._papers[subscription.key]
            if paper.period.start < item.period.start or (paper.opening and not item.opening)
        ]
        return standing(subscription, item.plan, earlier)

    def _before(self, item: Due) -> list[Subscription]:
        """Subscriptions of the same customer whose consumers use a shared pool first."""
        if item.opening or not any(pool.by_customer for pool in item.plan.pools):
            return []
        siblings = self._of_customer[item.subscription.payer, item.subscription.plan]
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
