"""Every lifecycle, carried to the local Stripe: to the unit, with nothing parked but what Stripe cannot be told."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

from rating.adapters.memory_book import MemoryBook
from rating.adapters.stripe.amounts import to_stripe
from rating.core.publications import credit_note_subject, invoice_subject
from tests.adapters.stripe.months import carry, gateway
from tests.lifecycles import run
from tests.stripe_peer.peer import StripePeer

GOLDEN = Path(__file__).parents[1] / "golden" / "lifecycles"
FOLDERS = sorted(folder for folder in GOLDEN.iterdir() if folder.is_dir())
LAST = int(datetime(2030, 1, 1, tzinfo=UTC).timestamp())

PARKED = {
    "consolidated-two-currencies invoice/INV-000002": "You cannot combine currencies on a single customer",
    "kuwaiti-dinars invoice/INV-000001": "1.389 KWD cannot be said to Stripe",
    "one-reference-two-amounts step/INV-000001/pay/bank/T1": "20.00 EUR of INV-000001 was paid elsewhere and 51.00 EUR",
    "wallet-two-currencies invoice/INV-000002": "You cannot combine currencies on a single customer",
}
"""What Stripe cannot be told, and how that is said."""


def test_every_lifecycle_is_carried_to_the_unit() -> None:
    carried: Counter[str] = Counter()
    parked = {}
    for folder in FOLDERS:
        book = MemoryBook()
        run(folder, book)
        with StripePeer(now=LAST, standing=True) as peer:
            carry(book, gateway(peer, collection="charge_automatically"), hours=40_000)
            carry(book, gateway(peer, collection="charge_automatically"), hours=40_030)
            state = peer.state()
        away = {one.progress.subject: one.progress.said for one in book.parked("main")}
        assert book.unfinished("main") == (), folder.name
        parked |= {f"{folder.name} {subject}": said for subject, said in away.items()}
        done = book.finished("main", "invoice") | book.finished("main", "credit_note")
        papers = {one["metadata"].get("rating_invoice"): one for one in state["invoices"]}
        notes = {one["metadata"].get("rating_credit_note"): one for one in state["credit_notes"]}
        assert len(papers) == len(state["invoices"]), folder.name
        for invoice in book.invoices():
            if invoice_subject(invoice.number) in done - away.keys():
                assert papers[invoice.number]["total"] == to_stripe(invoice.total), (folder.name, invoice.number)
                carried["invoice"] += 1
        for note in book.credit_notes():
            if credit_note_subject(note.number) in done - away.keys():
                assert notes[note.number]["total"] == to_stripe(note.total), (folder.name, note.number)
                carried["credit note"] += 1
        assert {one["balance"] for one in state["customers"]} <= {0}, folder.name
    assert parked.keys() == PARKED.keys(), parked
    assert all(sentence in parked[subject] for subject, sentence in PARKED.items()), parked
    assert (carried["invoice"], carried["credit note"]) > (150, 15)
