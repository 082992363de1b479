"""Promises of a gateway that rates: it counts what our book has, to the unit, once, wherever it was cut off."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from itertools import count

import pytest

from rating.core.publications import Outcome, following
from rating.errors import EdgeUnavailable

from .peers import Died
from .usage_peers import BEGIN, DAY, RENEWAL, UsagePeer, rates
from .usage_worlds import MINUTES, UsageWorld, begun, first_day

SECOND = BEGIN + timedelta(hours=12)


@pytest.fixture(params=["stripe", "chargebee", "recurly"])
def peer(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[UsagePeer]:
    with rates(request.param, monkeypatch) as side:
        yield side


def lived(peer: UsagePeer, world: UsageWorld) -> int:
    """Two days with their invoices, each round twice; where the process dies, another begins. Returns the deaths."""
    deaths = 0
    for day in range(3):
        now = BEGIN + day * DAY + MINUTES
        if day:
            world.close(now - MINUTES - DAY, now - MINUTES)
        peer.at(now)
        rounds = 2
        while rounds:
            try:
                gateway = peer.gateway()
                if not day:
                    peer.ready(world, gateway, now)
                world.report(gateway, now)
                rounds -= 1
            except Died:
                deaths += 1
        peer.at(now - MINUTES + RENEWAL)
    return deaths


def test_what_is_billed_there_is_what_the_book_has(peer: UsagePeer) -> None:
    world = UsageWorld()
    lived(peer, world)
    used = world.used(BEGIN + 2 * DAY)
    assert set(used) == {"acme", "bob"}
    assert peer.billed() == used
    assert peer.counted() == used
    assert not world.book.parked(peer.gateway().name)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_wherever_the_process_dies_nothing_is_lost_and_nothing_doubled(peer: UsagePeer, after: bool) -> None:
    deaths = 0
    for call in count(0, peer.every):
        world = UsageWorld()
        with peer.dying(call, after=after):
            died = lived(peer, world)
        assert peer.billed() == peer.counted() == world.used(BEGIN + 2 * DAY), call
        peer.empty()
        if not died:
            break
        deaths += 1
    assert deaths > 4


def test_a_correction_takes_the_place_of_what_was_told(peer: UsagePeer) -> None:
    world, gateway, now = first_day(peer)
    before = dict(world.used(now))
    assert peer.counted() == before
    half = before["bob"] - world.used(SECOND)["bob"]
    for revision, units in enumerate((6, -6, -half, 9), 1):
        # Up, back to the first number, to nothing, and up again.
        world.adjust(SECOND, revision, now + MINUTES / 5, bob=units)
        now += MINUTES / 2
        assert {one.customer for one in world.report(gateway, now).events} == {"bob"}
        assert peer.counted() == {one: units for one, units in world.used(now).items() if units}
        assert world.report(gateway, now).events == ()
    assert peer.counted()["bob"] == before["bob"] - half + 9


def test_what_is_declined_waits_for_a_person_and_the_rest_is_told(peer: UsagePeer) -> None:
    world, gateway = begun(peer)
    world.close(BEGIN, BEGIN + DAY)
    world.adjust(SECOND, 1, BEGIN + DAY, bob=-10_000)
    now = BEGIN + DAY + MINUTES
    peer.at(now)
    world.report(gateway, now)
    (parked,) = world.book.parked(gateway.name)
    assert parked.progress.subject.endswith("/bob")
    assert "is below zero" in parked.progress.said
    assert peer.counted()["acme"] == world.used(now)["acme"]
    assert world.report(gateway, now).events == ()
    # What was wrong is mended, and a person asks again.
    world.adjust(SECOND, 2, now, bob=10_000)
    world.report(gateway, now)
    entries = world.book.progressed(gateway.name, parked.progress.subject)
    world.book.progress((following(gateway.name, parked.progress.subject, entries, Outcome.REVIVED, "asked"),), at=now)
    world.report(gateway, now)
    assert not world.book.parked(gateway.name)
    assert peer.counted() == world.used(now)


def test_one_that_is_away_is_told_later(peer: UsagePeer) -> None:
    world, gateway = begun(peer)
    world.close(BEGIN, BEGIN + DAY)
    now = BEGIN + DAY + MINUTES
    peer.at(now)
    ahead = world.report(gateway, now, dry_run=True).events
    assert {one.customer for one in ahead} == {"acme", "bob"}
    names = {(one.subject, one.part): one.name for one in world.book.remote_names(gateway.name)}
    with peer.away():
        with pytest.raises(EdgeUnavailable) as raised:
            gateway.report(ahead, lambda subject, part="": names.get((subject, part)))
        assert raised.value.retry_after == peer.waits
        reported = world.report(gateway, now)
        assert reported.away
        assert reported.waiting
    assert not peer.counted()
    for minute in range(1, 6):
        world.report(gateway, now + minute * timedelta(minutes=5))
    assert peer.counted() == world.used(now)


def test_a_dry_run_says_what_will_be_told_and_tells_nothing(peer: UsagePeer) -> None:
    world, gateway = begun(peer)
    world.close(BEGIN, BEGIN + DAY)
    now = BEGIN + DAY + MINUTES
    peer.at(now)
    ahead = world.report(gateway, now, dry_run=True)
    assert not peer.counted()
    assert set(world.report(gateway, now).events) == set(ahead.events)
    assert sum(one.value for one in ahead.events) == sum(peer.counted().values())


def test_what_is_known_after_the_invoice_is_final_waits_for_a_person(peer: UsagePeer) -> None:
    world, gateway, _ = first_day(peer)
    before = peer.counted()
    late = BEGIN + DAY + 2 * RENEWAL
    peer.at(late)
    world.adjust(SECOND, 1, late, bob=5)
    world.report(gateway, late)
    (parked,) = world.book.parked(gateway.name)
    assert "known since the invoice of" in parked.progress.said
    assert peer.counted() == before
