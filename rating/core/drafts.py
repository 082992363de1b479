"""Drafts an invoice: one subscription, one billing period, its closed usage windows and the contract in force.

A pure function: the same windows and the same plan give the same lines, to the cent, on any machine and in any year.
How a quantity becomes an exact amount is `charges`; when an invoice is due is `schedule`; its number is the book's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from fractions import Fraction

from rating.core.charges import Kind, explain, rate, rate_mixed
from rating.core.column import Column
from rating.core.invoices import Draft, LineItem, LineKind
from rating.core.items import Item, line_of
from rating.core.money import Money, decimal_text, round_amount
from rating.core.parts import Part, allowance_part, parts, share_of
from rating.core.periods import Period, next_period, seconds
from rating.core.plans import Fee, FeeDue, Plan, Pool
from rating.core.prices.price import Portion
from rating.core.ratecards import RateCard
from rating.core.settlements import settle
from rating.core.standing import NOTHING_BEFORE, Standing
from rating.core.subscriptions import Subscription
from rating.core.taxation import TaxDecision
from rating.core.taxes import Tax
from rating.core.windows import Completeness, Usage

NOTHING_AHEAD: Mapping[tuple[str, Period], Fraction] = {}


@dataclass(frozen=True, slots=True)
class MeteredUsage:
    """What one meter counted for one consumer over one period, as the sum of closed windows.

    Quantities are integers in the meter's resolution.
    """

    quantity: int = 0
    windows: int = 0
    degraded: int = 0
    digest: str = ""
    mix: Mapping[tuple[datetime, tuple[str, ...]], int] = field(default_factory=dict)
    """By window start and dimension values; kept only where a price asks for it."""


def metered(
    rows: Iterable[tuple[Period, Completeness, Usage]], windows: int, degraded: int, mixed: bool = False
) -> MeteredUsage:
    """Sum usage windows of one meter and one consumer. `rows` come in order of time, then dimensions.

    The digest is SHA-256 over one line `start-seconds|dimension values|quantity` per row, so that anybody holding the
    windows can recompute it.
    """
    digest, quantity = hashlib.sha256(), 0
    mix: dict[tuple[datetime, tuple[str, ...]], int] = {}
    for window, _, usage in rows:
        quantity += usage.quantity
        digest.update(f"{seconds(window.start)}|{'|'.join(usage.dimensions)}|{usage.quantity}\n".encode())
        if mixed:
            mix[window.start, usage.dimensions] = usage.quantity
    return MeteredUsage(quantity, windows, degraded, digest.hexdigest(), mix)


def draft(
    subscription: Subscription,
    plan: Plan,
    period: Period,
    usage: Mapping[tuple[str, Period], MeteredUsage],
    catalogue: str,
    standing: Standing = NOTHING_BEFORE,
    late: Sequence[LineItem] = (),
    items: Sequence[Item] = (),
    ahead: Mapping[tuple[str, Period], Fraction] = NOTHING_AHEAD,
    taxed: TaxDecision | None = None,
) -> Draft:
    """The invoice of `subscription` for the billing period `period`.

    `usage` is keyed by meter and span, one for each of `parts`; a meter without usage may be left out. A subscription
    that covers part of the period pays that part of the fee and has that part of each allowance. `standing` is what
    earlier invoices and the customer's other consumers leave for this one; `late` settles their late usage. `items` are
    one-offs that wait for it. `ahead` is what earlier invoices charged in advance for this period, or for one that was
    not used at all, by fee and period: what a cancellation or a pause has left unused is given back, what a resumption
    has added is charged. `taxed` is how it was decided to be taxed, in place of what the plan says.

    Raises:
        ValueError: the subscription is not billed in the period.
        NoTierCovers: a quantity lies beyond a price's last finite tier.
    """
    billed = subscription.billed(period)
    if billed is None:
        raise ValueError(f"subscription {subscription.key} is not billed in {period}")
    paper = _Paper(subscription, plan)
    for fee in plan.all_fees:
        if fee.due is FeeDue.ARREARS:
            paper.fee(fee, billed, period)
    after = next_period(plan.cadence, subscription.anchor, subscription.zone, period)
    following = subscription.billed(after)
    for fee in plan.all_fees:
        if fee.due is FeeDue.ADVANCE and following is not None:
            paper.fee(fee, following, after)
    for part in served(plan, parts(subscription, plan, period), usage, standing):
        paper.usage(part, usage.get((part.card.meter.name, part.span), MeteredUsage()), standing)
    paper.settled(late)
    for (key, charged_for), charged in sorted(ahead.items(), key=lambda entry: (entry[0][1], entry[0][0])):
        paper.trued_up(plan, key, charged_for, charged)
    return paper.drafted(billed, period, standing, catalogue, items=items, taxed=taxed)


def opening(
    subscription: Subscription,
    plan: Plan,
    catalogue: str,
    standing: Standing = NOTHING_BEFORE,
    items: Sequence[Item] = (),
    taxed: TaxDecision | None = None,
) -> Draft:
    """What is due when the subscription begins: fees due once, and the first period's fees in advance.

    After a trial, what is billed begins when the trial ends, and so does this invoice's period.
    """
    begun = subscription.begins
    period = subscription.period(plan.cadence, begun)
    billed = subscription.billed(period)
    if billed is None:
        raise ValueError(f"subscription {subscription.key} is not billed in {period}")
    paper = _Paper(subscription, plan)
    for fee in plan.all_fees:
        if fee.due is FeeDue.ONCE:
            paper.fee(fee, billed, billed)
        elif fee.due is FeeDue.ADVANCE:
            paper.fee(fee, billed, period)
    drafted = paper.drafted(billed, period, standing, catalogue, whole=True, items=items, taxed=taxed)
    return replace(drafted, opening=True)


def served(
    plan: Plan, priced: Sequence[Part], usage: Mapping[tuple[str, Period], MeteredUsage], standing: Standing
) -> tuple[Part, ...]:
    """The parts with what they may use of carried-over allowance and of the plan's pools added to their own.

    What is carried over serves the first part of a card; a pool serves its cards in the plan's order.
    """
    left = {pool.key: _granted(pool, priced) - standing.pool_used.get(pool.key, Fraction(0)) for pool in plan.pools}
    carried = dict(standing.carried)
    found = []
    for part in priced:
        card = part.card
        more = carried.pop(card.key, Fraction(0))
        quantity = card.meter.quantity(usage.get((card.meter.name, part.span), MeteredUsage()).quantity)
        for pool in plan.pools:
            if card.key in pool.cards:
                taken = max(Fraction(0), min(left[pool.key], quantity - card.included - more))
                left[pool.key] -= taken
                more += taken
        found.append(replace(part, card=card.with_included(card.included + more)) if more else part)
    return tuple(found)


def _granted(pool: Pool, priced: Sequence[Part]) -> Fraction:
    """A consumer's own pool is for a whole period, so part of one has that part; a customer's is whole."""
    own = [part for part in priced if part.card.key in pool.cards]
    if pool.by_customer or not own:
        return pool.included
    share = max(sum((part.share for part in own if part.card.key == key), Fraction(0)) for key in pool.cards)
    return allowance_part(max((part.card.meter for part in own), key=lambda meter: meter.digits), pool.included, share)


def pool_use(drafted: Draft, plan: Plan, priced: Sequence[Part]) -> dict[str, Fraction]:
    """What one invoice has used of each pool: the part of its allowances that is not the cards' own."""
    own = {(part.card.key, part.span): part.card.included for part in priced}
    used = dict.fromkeys((pool.key for pool in plan.pools), Fraction(0))
    for line in drafted.lines:
        for pool in plan.pools:
            if line.kind is LineKind.USAGE and line.card in pool.cards:
                used[pool.key] += line.included - line.carried - own[line.card, line.period]
    return used


class _Paper:
    """Lines as they are written, in the currency of the subscription."""

    def __init__(self, subscription: Subscription, plan: Plan) -> None:
        self._subscription, self._plan = subscription, plan
        exchange = subscription.exchange
        self._currency, self._rate = (
            (plan.currency, Fraction(1)) if exchange is None else (exchange.currency, exchange.rate)
        )
        self._lines: list[LineItem] = []

    def fee(self, fee: Fee, billed: Period, period: Period) -> None:
        whole = billed == period and not self._subscription.pauses
        share = Fraction(1) if whole else share_of(self._plan, self._subscription, billed, period)
        title = fee.title if share == 1 else f"{fee.title}, {share.numerator}/{share.denominator} of the period"
        exact = fee.amount * share * self._rate
        self._lines.append(LineItem(LineKind.FEE, fee.key, title, billed, exact, self._rounded(exact)))

    def trued_up(self, plan: Plan, key: str, period: Period, charged: Fraction) -> None:
        """The difference between what a fee in advance comes to, as the period turned out, and what was charged."""
        fee = next((fee for fee in plan.all_fees if fee.key == key and fee.due is FeeDue.ADVANCE), None)
        billed = self._subscription.billed(period)
        if fee is None:
            return
        share = share_of(plan, self._subscription, billed, period) if billed is not None else Fraction(0)
        exact = fee.amount * share * self._rate - charged
        if exact:
            title = f"{fee.title}, {'unused part given back' if exact < 0 else 'part that was not charged in advance'}"
            self._lines.append(LineItem(LineKind.FEE, key, title, billed or period, exact, self._rounded(exact)))

    def usage(self, part: Part, usage: MeteredUsage, standing: Standing) -> None:
        card = part.card
        quantity = card.meter.quantity(usage.quantity)
        if card.mixed:
            rated, portions = rate_mixed(card, by_kind(card, usage.mix))
        else:
            rated, portions = rate(card, Column.of([quantity])), explain(card, quantity)
        listed = rated.amount.total()
        exact = listed * self._rate
        if exact != listed:
            what = f"{decimal_text(listed)} {self._plan.currency} at {decimal_text(self._rate)}"
            portions = (*portions, Portion(what, Fraction(0), None, exact - listed))
        first = all(line.card != card.key for line in self._lines)
        self._lines.append(
            LineItem(
                kind=LineKind.USAGE,
                card=card.key,
                title=card.title,
                period=part.span,
                exact=exact,
                amount=self._rounded(exact),
                meter=card.meter.name,
                unit=card.meter.unit,
                digits=card.meter.digits,
                quantity=quantity,
                included=card.included,
                carried=standing.carried.get(card.key, Fraction(0)) if first else Fraction(0),
                portions=portions,
                windows=usage.windows,
                degraded=usage.degraded,
                usage_digest=usage.digest,
            )
        )

    def settled(self, late: Sequence[LineItem]) -> None:
        self._lines += late

    def drafted(
        self,
        billed: Period,
        period: Period,
        standing: Standing,
        catalogue: str,
        whole: bool = False,
        items: Sequence[Item] = (),
        taxed: TaxDecision | None = None,
    ) -> Draft:
        """The draft, with what is agreed about its charges as a whole. `whole`: cap and minimum are not for it."""
        subscription, plan = self._subscription, self._plan
        agreed = plan.settlement.times(self._rate)
        self._lines += settle(
            self._lines,
            replace(agreed, maximum=None, minimum=None) if whole else agreed,
            period=billed,
            share=share_of(plan, subscription, billed, period),
            currency=self._currency,
            rounding=plan.rounding,
            credits=standing.credits,
            redeemed=standing.redeemed,
            own_taxes=_own_taxes(subscription, plan),
            items=[line_of(item, billed, self._currency, plan.rounding) for item in items],
            decided=taxed,
        )
        return Draft(
            subscription=subscription.key,
            consumer=subscription.consumer,
            customer=subscription.payer,
            plan=plan.key,
            plan_title=plan.title,
            currency=self._currency,
            period=period,
            lines=tuple(self._lines),
            catalogue=catalogue,
            zone=subscription.zone.key,
            tax=taxed,
        )

    def _rounded(self, exact: Fraction) -> Money:
        return round_amount(exact, self._currency, self._plan.rounding)


def by_kind(card: RateCard, mix: Mapping[tuple[datetime, tuple[str, ...]], int]) -> dict[Kind, Fraction]:
    """Usage of a mixed card summed by kind, in whole units."""
    kinds: dict[Kind, int] = {}
    for (start, dimensions), quantity in mix.items():
        kind = card.kind(dimensions, start)
        kinds[kind] = kinds.get(kind, 0) + quantity
    return {kind: card.meter.quantity(quantity) for kind, quantity in kinds.items()}


def _own_taxes(subscription: Subscription, plan: Plan) -> dict[tuple[bool, str], tuple[Tax, ...]]:
    """Rates of fees and cards that are not the plan's; of several versions of a card, the last one's."""
    fees = {(True, fee.key): fee.taxes for fee in plan.all_fees}
    cards = {(False, card.key): card.taxes for card in map(subscription.own, plan.cards)}
    return {key: taxes for key, taxes in {**fees, **cards}.items() if taxes is not None}
