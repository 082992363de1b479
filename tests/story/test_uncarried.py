"""What metered customers have beside usage and fees: said everywhere, parked by name, and put away by a person."""

from __future__ import annotations

from datetime import date, timedelta
from fractions import Fraction
from typing import TYPE_CHECKING

from rating.core.items import Item
from rating.core.money import Currency, Money
from rating.core.wallets import Grant
from rating.jobs.dismiss import dismiss
from rating.jobs.publish import retry
from tests.story.metered import HOUR, NOVEMBER, Metered
from tests.story.test_metered import COARSE, DAY, at, begun, close_small, engine, small

if TYPE_CHECKING:
    from tests.stripe_peer.peer import StripePeer

USD = Currency("USD")
SETUP = Item("ada/daily/2026-11-01", "Setup fee", Fraction(500), date(2026, 11, 1), "PO-7")
ITEM = "item/ada/daily/2026-11-01/2026-11-01/PO-7"


def parked(there: Metered) -> dict[str, str]:
    return {one.progress.subject: one.progress.said for one in there.book.parked("stripe")}


def test_a_one_off_item_is_parked_once_and_put_away(stripe_peer: StripePeer) -> None:
    there = begun(stripe_peer)
    there.book.add_item(SETUP, at=NOVEMBER.start)
    (dry,) = there.report(NOVEMBER.start + HOUR, dry_run=True).uncarried
    assert parked(there) == {}
    for _ in range(2):
        there.report(NOVEMBER.start + HOUR)
    assert parked(there) == {ITEM: dry.said}
    assert dry.said == (
        'item ada/daily/2026-11-01/2026-11-01/PO-7: "Setup fee" over 500 USD is on our invoice and is not carried '
        f"there; add it there by hand, then `rating stripe dismiss {ITEM} --reason ...`"
    )
    # Looked at again, it still is not carried; put away, it is never said again.
    retry(there.book, ["stripe"], ITEM, now=NOVEMBER.start)
    assert [one.subject for one in there.report(NOVEMBER.start + HOUR).parked] == [ITEM]
    assert dismiss(there.book, "stripe", ITEM, why="in_1 has it", author="eve", now=NOVEMBER.start)
    told = there.report(NOVEMBER.start + HOUR)
    assert (told.uncarried, told.parked, parked(there)) == ((), (), {})


def test_an_item_of_the_time_before_was_collected_by_our_invoice(stripe_peer: StripePeer) -> None:
    there = engine(stripe_peer.url, stripe_peer.key, found=small(COARSE))
    there.book.add_item(SETUP, at=NOVEMBER.start)
    close_small(there.book, there.catalogue, NOVEMBER.start, NOVEMBER.start + DAY)
    there.billed(NOVEMBER.start + DAY + HOUR)
    now = at(stripe_peer, NOVEMBER.start + DAY + HOUR)
    there.apply(now)
    assert there.report(now).uncarried == ()
    there.book.add_item(Item(SETUP.subscription, "Training", Fraction(80), date(2026, 11, 2)), at=now)
    assert [one.customer for one in there.report(now).uncarried] == ["ada"]


def test_nobody_with_money_in_a_wallet_is_subscribed_before_it_is_seen_to(stripe_peer: StripePeer) -> None:
    there = engine(stripe_peer.url, stripe_peer.key, found=small(COARSE))
    there.apply(NOVEMBER.start)
    there.book.fund(Grant("ada", "pi_1", Money(5_000, USD)), at=NOVEMBER.start)
    there.book.fund(Grant("eve", "pi_2", Money(5_000, USD)), at=NOVEMBER.start)
    told = there.report(NOVEMBER.start + HOUR)
    assert [one for one, _ in told.subscribed] == ["bob/daily/2026-11-01"]
    assert told.waiting == (
        "ada/daily/2026-11-01: is not made there, ada has money in a wallet here; see `rating publish --parked`",
    )
    assert "50.00 USD in the wallet of ada would pay our invoices" in parked(there)["wallet/ada/pi_1"]
    assert dismiss(there.book, "stripe", "wallet/ada/pi_1", why="given there", author="", now=NOVEMBER.start)
    assert [one for one, _ in there.report(NOVEMBER.start + HOUR).subscribed] == ["ada/daily/2026-11-01"]
    # Whoever is there goes on; the next money is said anew.
    there.book.fund(Grant("bob", "pi_3", Money(700, USD), expires=NOVEMBER.start + DAY), at=NOVEMBER.start + HOUR)
    close_small(there.book, there.catalogue, NOVEMBER.start, NOVEMBER.start + DAY)
    told = there.report(at(stripe_peer, NOVEMBER.start + DAY - timedelta(minutes=1)))
    assert {one.customer for one in told.events} == {"ada", "bob"}
    assert list(parked(there)) == ["wallet/bob/pi_3"]
    there.report(NOVEMBER.start + DAY)
    assert parked(there) == {}, "it has expired"


def test_a_wallet_that_paid_our_invoice_while_the_gateway_charged_it_stays_a_persons(stripe_peer: StripePeer) -> None:
    there = begun(stripe_peer)
    there.book.fund(Grant("ada", "pi_1", Money(100, USD)), at=NOVEMBER.start + HOUR)
    close_small(there.book, there.catalogue, NOVEMBER.start, NOVEMBER.start + DAY)
    now = at(stripe_peer, NOVEMBER.start + DAY + HOUR / 2)
    there.billed(now)
    there.report(now)
    said = parked(there)["wallet/ada/pi_1"]
    assert "1.00 USD from the wallet of ada has paid our invoices while the gateway charged the same" in said
    assert "would pay" not in said
    assert there.report(now).parked == ()
    assert list(parked(there)) == ["wallet/ada/pi_1"]
