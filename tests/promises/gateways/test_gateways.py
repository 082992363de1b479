"""Promises of a gateway: each paper once, to the unit, wherever it was cut off."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta

import pytest

from rating.core.publications import Dispatch
from rating.ports import Book, InvoiceGateway

from .papers import NOW, BookTrail, Month, month, totals
from .peers import Died, Peer

LATER = timedelta(hours=30)
"""When a service may have forgotten the keys of earlier calls."""


def carry(gateway: InvoiceGateway, book: Book, dispatches: tuple[Dispatch, ...], now: datetime = NOW) -> list[str]:
    said = [gateway.publish(one, BookTrail(book, gateway.name, one.subject, now), now=now) for one in dispatches]
    gateway.finish(now=now)
    return said


def test_what_is_there_equals_what_was_issued_to_the_unit(peer: Peer) -> None:
    told = month()
    said = carry(peer.gateway(), told.book, told.dispatches)
    assert all(said)
    assert peer.held() == Counter(totals(told.dispatches))


@pytest.mark.parametrize("pause", [timedelta(), LATER])
def test_published_twice_is_published_once(peer: Peer, pause: timedelta) -> None:
    told = month()
    gateway = peer.gateway()
    carry(gateway, told.book, told.dispatches)
    if pause:
        peer.forget_keys()
    carry(gateway, told.book, told.dispatches, NOW + pause)
    carry(peer.gateway(), told.book, told.dispatches, NOW + pause)
    assert peer.held() == Counter(totals(told.dispatches))


@pytest.mark.parametrize("pause", [timedelta(), LATER])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_wherever_the_process_dies_nothing_is_lost_and_nothing_doubled(
    peer: Peer, after: bool, pause: timedelta
) -> None:
    deaths = 0
    while _dies(peer, told := month(), deaths, after):
        if pause:
            peer.forget_keys()
        # Another one dies a little later, and only the third comes to the end.
        _dies(peer, told, 3, after, NOW + pause)
        carry(peer.gateway(), told.book, told.dispatches, NOW + 2 * pause)
        assert peer.held() == Counter(totals(told.dispatches)), deaths
        peer.empty()
        deaths += 1
    assert deaths > len(told.dispatches)


def _dies(peer: Peer, told: Month, call: int, after: bool, now: datetime = NOW) -> bool:
    try:
        with peer.dying(call, after=after):
            carry(peer.gateway(), told.book, told.dispatches, now)
    except Died:
        return True
    return False


def test_a_preview_names_the_paper_and_changes_nothing(peer: Peer) -> None:
    told = month()
    gateway = peer.gateway()
    for one in told.dispatches:
        assert one.subject.split("/")[1] in gateway.preview(one)
    assert peer.held() == Counter()
