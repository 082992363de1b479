"""Plans that were chosen, changed or ended at a gateway, and what each does to the subscription in our book."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from rating.core.resubscribing import Contracted, about_subscription
from rating.core.settling import Ending, Verdict
from rating.core.signals import Began, Ended, Moved, SubscriptionFact
from rating.core.subscriptions import Subscription
from tests.adapters.stripe.histories import catalogue

BEGIN = datetime(2026, 10, 1, tzinfo=UTC)
AT = datetime(2026, 10, 5, 10, 20, tzinfo=UTC)
TEN, ELEVEN = AT.replace(minute=0), AT.replace(hour=11, minute=0)
BASIC = Subscription("c", "basic", BEGIN)
MOVED = Moved("sub_1", "cus_1", "basic", "pro", AT)


def contracted(*kept: Subscription, written: tuple[Subscription, ...] = ()) -> Contracted:
    return Contracted(written, kept, catalogue().plans, ZoneInfo("UTC"))


PRO = Subscription("c", "pro", ELEVEN)


@pytest.mark.parametrize(
    ("fact", "before", "verdict", "actions"),
    [
        (Began("sub_1", "cus_1", "basic", AT), contracted(), Verdict.ENTERED, (replace(BASIC, start=TEN),)),
        (Began("sub_1", "cus_1", "basic", AT), contracted(BASIC), Verdict.KNOWN, ()),
        (Began("sub_1", "cus_1", "basic", AT), contracted(written=(BASIC,)), Verdict.KNOWN, ()),
        # It would bill the same usage twice until the other one has ended.
        (Began("sub_1", "cus_1", "pro", AT), contracted(BASIC), Verdict.WAITS, ()),
        (Began("sub_1", "cus_1", "gone", AT), contracted(), Verdict.PARKED, ()),
        (Began("sub_1", "cus_1", "", AT), contracted(), Verdict.PARKED, ()),
        (MOVED, contracted(BASIC), Verdict.ENTERED, (Ending(BASIC.key, ELEVEN), PRO)),
        (MOVED, contracted(replace(BASIC, end=ELEVEN), PRO), Verdict.KNOWN, ()),
        (MOVED, contracted(), Verdict.WAITS, ()),
        (MOVED, contracted(written=(BASIC,)), Verdict.PARKED, ()),
        (replace(MOVED, at=ELEVEN), contracted(BASIC), Verdict.ENTERED, (Ending(BASIC.key, ELEVEN), PRO)),
        (replace(MOVED, plan="basic"), contracted(BASIC), Verdict.KNOWN, ()),
        (Ended("sub_1", "cus_1", "basic", AT), contracted(BASIC), Verdict.ENTERED, (Ending(BASIC.key, ELEVEN),)),
        (Ended("sub_1", "cus_1", "basic", AT), contracted(replace(BASIC, end=ELEVEN)), Verdict.KNOWN, ()),
        (Ended("sub_1", "cus_1", "basic", AT), contracted(), Verdict.WAITS, ()),
        (Ended("sub_1", "cus_1", "basic", AT), contracted(written=(BASIC,)), Verdict.PARKED, ()),
    ],
)
def test_what_becomes_of_it(
    fact: SubscriptionFact, before: Contracted, verdict: Verdict, actions: tuple[object, ...]
) -> None:
    found = about_subscription(fact, "c", "c", before)
    assert (found.verdict, found.actions) == (verdict, actions), found.said


def test_whose_usage_it_is_has_to_be_known() -> None:
    found = about_subscription(MOVED, "", "acme", contracted(BASIC))
    assert found.verdict is Verdict.PARKED
    assert "rating_consumer" in found.said


def test_who_pays_is_kept() -> None:
    (new,) = about_subscription(Began("sub_1", "cus_1", "basic", AT), "c", "acme", contracted()).actions
    assert isinstance(new, Subscription)
    assert new.payer == "acme"
