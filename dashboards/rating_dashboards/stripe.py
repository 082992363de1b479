"""Stripe parity: where what Stripe says will stand beside what the book says. Nothing is collected there yet."""

from __future__ import annotations

from rating.core import vocabulary as names
from rating.core.catalogue import Catalogue
from rating_dashboards.style import PLAN, Board, Query, Row, chosen, currency_unit, note, number
from rating_rules.promql import call, metric


def stripe(catalogue: Catalogue) -> Board:
    codes = sorted({plan.currency.code for plan in catalogue.plans.values()} | {catalogue.currency.code})
    return Board(
        "rating-stripe",
        "Rating / Stripe parity",
        "What the book has issued, and, once invoices are sent to Stripe, what Stripe has collected of it.",
        [
            Row(
                "The book's side",
                [
                    note(
                        "Not connected",
                        "This engine does not send invoices to Stripe yet, so there is nothing to compare. "
                        "The book's own side stands below.",
                        height=3,
                    ),
                    *(
                        number(
                            f"Issued in all, {code}",
                            Query(call("sum", metric(names.INVOICED_AMOUNT, chosen("plan"), currency=code))),
                            currency_unit(code),
                            decimals=2,
                        )
                        for code in codes
                    ),
                ],
            )
        ],
        (PLAN,),
        since="now-30d",
    )
