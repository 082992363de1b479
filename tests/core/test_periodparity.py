"""Amounts of billing periods beside what a gateway charges for them, case by case."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from rating.core.money import Currency, Money
from rating.core.periodparity import Charged, Rated, amounts
from rating.core.periods import Period
from rating.core.remotepapers import RemoteCharge, RemoteNote, RemotePaper, Stand

MAY = Period(datetime(2026, 5, 1, tzinfo=UTC), datetime(2026, 6, 1, tzinfo=UTC))
JUNE = Period(MAY.end, datetime(2026, 7, 1, tzinfo=UTC))


def usd(minor: int, currency: str = "USD") -> Money:
    return Money(minor, Currency(currency))


OURS = Rated("acme/pro", "sub_1", MAY, usd(500), True)
NAME = "acme/pro/2026-05-01T00:00:00Z"


def charge(
    minor: int, *, of: str = "sub_1", start: datetime = MAY.start, corrects: str = "", unit: str = "USD"
) -> RemoteCharge:
    return RemoteCharge(of, start, usd(minor, unit), corrects)


def paper(
    *charges: RemoteCharge, name: str = "in_1", stand: Stand = Stand.OPEN, made_there: bool = True
) -> RemotePaper:
    return RemotePaper(name, "", usd(0), stand, (), made_there, charges)


CASES: dict[str, tuple[Charged, list[str]]] = {
    "the same": (Charged([paper(charge(500))]), []),
    "in several lines": (Charged([paper(charge(200), charge(300))]), []),
    "too little": (Charged([paper(charge(400))]), ["period_amount: charges 4.00 USD: 1.00 USD too little"]),
    "too much": (Charged([paper(charge(501))]), ["period_amount: charges 5.01 USD: 0.01 USD too much"]),
    "a draft is not judged": (Charged([paper(charge(1), stand=Stand.DRAFT)]), []),
    "none": (Charged([]), ["period_missing_there: has no invoice at far"]),
    "a void one is none": (Charged([paper(charge(500), stand=Stand.VOID)]), ["period_missing_there: has no invoice"]),
    "one that we carried there is none": (
        Charged([paper(charge(500), made_there=False)]),
        ["period_missing_there: has no invoice"],
    ),
    "another subscription on the same invoice": (Charged([paper(charge(500), charge(77, of="sub_2"))]), []),
    "its line begins with the subscription": (Charged([paper(charge(500, start=MAY.start + timedelta(days=3)))]), []),
    "corrected on the next invoice": (
        Charged([paper(charge(400)), paper(charge(100, of="", corrects=NAME), name="in_2")]),
        [],
    ),
    "corrected by what waits": (Charged([paper(charge(501))], (), [charge(-1, of="", corrects=NAME)]), []),
    "credited": (Charged([paper(charge(600))], [RemoteNote("cn_1", "", "in_1", usd(100))]), []),
    "a credit note on an invoice of several periods says not which": (
        Charged([paper(charge(600), charge(1, of="sub_2"))], [RemoteNote("cn_1", "", "in_1", usd(100))]),
        ["period_amount: charges 6.00 USD: 1.00 USD too much"],
    ),
    "another currency": (Charged([paper(charge(500, unit="EUR"))]), ["currency: is charged in EUR at far"]),
    "a time that we do not bill": (
        Charged([paper(charge(500)), paper(charge(30, start=JUNE.end), name="in_3")]),
        ["period_missing_here: charges 0.30 USD at far from 2026-07-01 00:00 on"],
    ),
    "nothing for it": (Charged([paper(charge(500)), paper(charge(0, start=JUNE.end), name="in_3")]), []),
    "what is under way": (Charged([paper(charge(500)), paper(charge(30, start=JUNE.start), name="in_3")]), []),
    "the time before": (Charged([paper(charge(500), charge(9, start=MAY.start - timedelta(days=1)))]), []),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_a_difference(case: str) -> None:
    theirs, wanted = CASES[case]
    open_one = Rated("acme/pro", "sub_1", JUNE, usd(0), False)
    found = [f"{one.kind}: {one.finding.what}" for one in amounts("far", [OURS, open_one], theirs)]
    assert len(found) == len(wanted)
    for said, (kind, _, what) in zip(found, (one.partition(": ") for one in wanted), strict=True):
        assert said.startswith(f"{kind}: ")
        assert what in said


def test_a_period_that_costs_nothing_needs_no_invoice() -> None:
    free = Rated("acme/pro", "sub_1", MAY, usd(0), True)
    assert list(amounts("far", [free], Charged([]))) == []
