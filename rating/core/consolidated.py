"""Consolidated: one invoice for several subscriptions of a customer, made of the papers each would have had.

Decides which papers may share an invoice. Amounts are those of the papers: what stands on the invoice is their lines,
one section after the other, so that a customer may be invoiced either way for the same money.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import replace

from rating.core.invoices import Draft, Section
from rating.core.parties import Together
from rating.core.taxation import TaxDecision


def wants_one(draft: Draft) -> bool:
    """Does who pays want its subscriptions on one invoice?"""
    return draft.buyer is not None and draft.buyer.invoices is Together.CONSOLIDATED


def kinship(draft: Draft) -> Hashable:
    """Papers that are equal in this may stand on one invoice: payer, seller, currency, zone, billing period, how they
    are taxed, and whether they are openings."""
    return (
        draft.customer,
        draft.seller,
        draft.buyer,
        draft.currency,
        draft.zone,
        draft.period,
        draft.opening,
        _taxed(draft),
    )


def _taxed(draft: Draft) -> Hashable:
    """Treatment, rates and note; not why, which may differ from question to question."""
    return None if draft.tax is None else replace(draft.tax, reason="", reference="")


def together(drafts: Sequence[Draft], customer: str) -> Draft:
    """One invoice for these papers, in the order given. A single one stays itself."""
    first, *others = drafts
    if not others:
        return first
    return replace(
        first,
        customer=customer,
        subscription="",
        consumer="",
        plan="",
        plan_title="",
        tax=_together([draft.tax for draft in drafts if draft.tax is not None]),
        lines=tuple(line for draft in drafts for line in draft.lines),
        sections=tuple(
            Section(
                draft.subscription,
                draft.consumer,
                draft.plan,
                draft.plan_title,
                draft.catalogue,
                len(draft.lines),
                draft.opening,
                draft.replaces,
            )
            for draft in drafts
        ),
    )


def alike(drafts: Sequence[Draft], customer: str) -> list[Draft]:
    """The papers of one customer on as few invoices as the way they are taxed allows."""
    groups: dict[Hashable, list[Draft]] = {}
    for draft in drafts:
        groups.setdefault(_taxed(draft), []).append(draft)
    return [together(group, customer) for group in groups.values()]


def consolidated(drafts: Iterable[Draft]) -> tuple[Draft, ...]:
    """The drafts with those of one customer together where the customer wants it; in the order of the first of each."""
    groups: dict[Hashable, list[Draft]] = {}
    for number, draft in enumerate(drafts):
        groups.setdefault(kinship(draft) if wants_one(draft) else number, []).append(draft)
    return tuple(together(group, group[0].customer) for group in groups.values())


def _together(decisions: Sequence[TaxDecision]) -> TaxDecision | None:
    """The one way in which all are taxed, with the references of every question about them."""
    if not decisions:
        return None
    references = dict.fromkeys(decision.reference for decision in decisions if decision.reference)
    return replace(decisions[0], reference=" ".join(references))
