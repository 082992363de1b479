"""Real test sites, where a key to one is given: a small month is carried to it, twice, and is there once.

    CHARGEBEE_TEST_SITE=acme-test CHARGEBEE_TEST_KEY=test_... pytest tests/promises/gateways/test_sandboxes.py
    RECURLY_TEST_KEY=... pytest tests/promises/gateways/test_sandboxes.py

What is made there stays there. Customers and numbers are those of one run, so that it may be asked again.
"""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from rating.adapters.chargebee import ChargebeeGateway
from rating.adapters.chargebee.site import Site
from rating.adapters.memory_book import MemoryBook
from rating.adapters.recurly import RecurlyGateway
from rating.adapters.recurly.account import Account
from rating.core.money import Money
from rating.core.publications import InvoiceDispatch
from rating.ports import InvoiceGateway

from .papers import USD, BookTrail, draft

NOTHING = Money(0, USD)


def dispatches(book: MemoryBook, now: datetime) -> list[InvoiceDispatch]:
    run = f"{now:%Y%m%d%H%M%S}"
    papers = book.issue([draft(f"rating-{run}-a", 1000, 230), draft(f"rating-{run}-b", 99_900, 1, 5)], at=now)
    return [InvoiceDispatch(replace(paper, number=f"T{run}-{paper.number}"), NOTHING) for paper in papers]


def carried_twice(gateway: InvoiceGateway, name: str) -> list[tuple[InvoiceDispatch, str]]:
    """Each paper with its name there: the second time nothing is known of the first but that it was begun."""
    now = datetime.now(UTC).replace(microsecond=0)
    book = MemoryBook()
    found = []
    for one in dispatches(book, now):
        names = []
        for at in (f"{name}-1", f"{name}-2"):
            for _ in range(2):
                trail: Any = BookTrail(book, at, one.subject, now)
                gateway.publish(one, trail, now=now)
            names.append(trail.name())
        assert names[0] == names[1], "it was made twice"
        found.append((one, str(names[0])))
    return found


@pytest.mark.skipif(
    not os.environ.get("CHARGEBEE_TEST_KEY", "").startswith("test_"),
    reason="no test site of Chargebee's: set CHARGEBEE_TEST_SITE and CHARGEBEE_TEST_KEY",
)
def test_a_month_at_a_test_site_of_chargebee() -> None:
    site = Site(os.environ["CHARGEBEE_TEST_SITE"], os.environ["CHARGEBEE_TEST_KEY"])
    for one, name in carried_twice(ChargebeeGateway("chargebee", site), "chargebee"):
        there: Any = site.ask("look", site.client.Invoice.retrieve, name)
        assert (there.invoice.id, there.invoice.total) == (one.invoice.number, one.invoice.total.minor)


@pytest.mark.skipif(not os.environ.get("RECURLY_TEST_KEY"), reason="no test site of Recurly's: set RECURLY_TEST_KEY")
def test_a_month_at_a_test_site_of_recurly() -> None:
    account = Account(os.environ["RECURLY_TEST_KEY"], region=os.environ.get("RECURLY_TEST_REGION", "us"))
    for one, name in carried_twice(RecurlyGateway("recurly", account), "recurly"):
        there: Any = account.ask("look", lambda site, name=name: site.get_invoice(name))
        assert (there.po_number, str(there.total)) == (one.invoice.number, str(float(one.invoice.total.digits)))
