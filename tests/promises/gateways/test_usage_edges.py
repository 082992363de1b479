"""What a person has to do at Chargebee and Recurly, and what these two cannot be told: said in words, and then done."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from rating.adapters.chargebee import ChargebeeUsage
from rating.adapters.recurly import RecurlyUsage
from rating.core.periods import seconds
from rating.errors import EdgeUnavailable
from rating.jobs.publish import retry

from .services import Refusal
from .usage_peers import BEGIN, CODE, DAY, ITEM, RENEWAL, ChargebeeRates, RecurlyRates, rates
from .usage_worlds import CATALOGUE, MINUTES, UsageWorld, begun, first_day

SECOND = BEGIN + timedelta(hours=12)
ADA = "ada/daily/2026-11-01"


@pytest.fixture
def chargebee(monkeypatch: pytest.MonkeyPatch) -> Iterator[ChargebeeRates]:
    with rates("chargebee", monkeypatch) as side:
        yield side


@pytest.fixture
def recurly(monkeypatch: pytest.MonkeyPatch) -> Iterator[RecurlyRates]:
    with rates("recurly", monkeypatch) as side:
        yield side


@pytest.fixture(params=["chargebee", "recurly"])
def peer(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    with rates(request.param, monkeypatch) as side:
        yield side


def parked(world: UsageWorld, gateway: Any) -> str:
    return "\n".join(one.progress.said for one in world.book.parked(gateway.name))


def mended(world: UsageWorld, gateway: Any, now: Any = BEGIN + 2 * MINUTES) -> str:
    """A person asks again; returns what waits then."""
    assert retry(world.book, [gateway.name], None, now=now)
    world.report(gateway, now)
    return parked(world, gateway)


def test_a_product_without_a_name_there_waits_for_one_and_nobody_is_asked(peer: Any) -> None:
    gateway = peer.gateway()
    kind = ChargebeeUsage if isinstance(gateway, ChargebeeUsage) else RecurlyUsage
    nameless = kind(gateway.name, peer.site, {"other/charge/x": "x"}, {}, grace=RENEWAL)
    world = UsageWorld()
    waiting = world.report(nameless, BEGIN + MINUTES).waiting
    word = "items" if kind is ChargebeeUsage else "add_ons"
    assert (
        f"{ADA}: daily/charge/calls is told under no name; write `{word}: {{daily/charge/calls: THEIR_NAME}}`"
        in (waiting[0])
    )
    assert not peer.site.calls
    # Named, it goes on without being asked again.
    assert len(world.report(gateway, BEGIN + MINUTES).subscribed) == 2


def test_a_subscription_is_made_by_a_person_and_then_found(peer: Any) -> None:
    there = peer.site.usages.subscriptions
    kept = there.pop(next(name for name in there if name.endswith("acme")))
    world, gateway = begun(peer)
    assert "has no running subscription of customer acme with calls" in parked(world, gateway)
    there[kept["id"]] = kept
    assert not mended(world, gateway)
    world.close(BEGIN, BEGIN + DAY)
    world.report(gateway, BEGIN + DAY + MINUTES)
    assert peer.counted() == world.used(BEGIN + DAY)


def test_of_two_that_fit_one_is_named(peer: Any) -> None:
    there = peer.site.usages.subscriptions
    first = next(one for name, one in there.items() if name.endswith("acme"))
    there["second"] = {**first, "id": "second"}
    world, gateway = begun(peer)
    assert f"customer acme has 2 fitting subscriptions, {first['id']}, second; write `subscriptions:" in parked(
        world, gateway
    )
    gateway._subscriptions = {ADA: "second"}
    assert not mended(world, gateway)
    world.close(BEGIN, BEGIN + DAY)
    world.report(gateway, BEGIN + DAY + MINUTES)
    assert kept(peer, first["id"], "second") == {first["id"]: 0, "second": world.used(BEGIN + DAY)["acme"]}
    # It stays with that one.
    gateway._subscriptions = {ADA: first["id"]}
    world.catalogue = UsageWorld(CATALOGUE.replace("0.01", "0.02")).catalogue
    for now in (BEGIN + DAY + 2 * MINUTES, BEGIN + 2 * DAY + MINUTES):
        peer.at(now)
        world.report(gateway, now)
    assert f"subscription {first['id']} for {ADA}: usage was told to second so far" in parked(world, gateway)


def test_billing_periods_that_end_elsewhere_are_found_out(peer: Any) -> None:
    for one in peer.site.usages.subscriptions.values():
        if "current_term_end" in one:
            one["current_term_end"] += 12 * 3600
        else:
            one["current_period_ends_at"] = "2026-11-02T02:00:00Z"
    world, gateway = begun(peer)
    said = parked(world, gateway)
    assert "its billing period ends there at 2026-11-02 " in said
    assert "by our book at 2026-11-02 00:00; set its next billing date there to a time from" in said
    world.close(BEGIN, BEGIN + DAY)
    world.report(gateway, BEGIN + DAY + MINUTES)
    assert not peer.counted()


def test_a_subscription_that_began_after_the_usage_is_found_out(peer: Any) -> None:
    """Made in the afternoon: Chargebee would not bill what was used in the morning, and says nothing of it."""
    for one in peer.site.usages.subscriptions.values():
        one |= {"current_term_start": seconds(SECOND) + 3600, "current_period_started_at": "2026-11-01T13:00:00Z"}
    world, gateway = begun(peer)
    said = parked(world, gateway)
    assert (
        "its billing period began there at 2026-11-01 13:00, and the first usage to be told is of 2026-11-01 12:00"
        in (said)
    )
    assert "in the period from 2026-11-02 00:00, collect what was used before by our invoice" in said
    # A person waits for the next period.
    now = BEGIN + DAY + MINUTES
    peer.at(BEGIN + DAY + RENEWAL)
    assert not mended(world, gateway, now)
    for day in range(2):
        world.close(BEGIN + day * DAY, BEGIN + (day + 1) * DAY)
    peer.at(now + DAY)
    world.report(gateway, now + DAY)
    assert peer.counted() == {one: units - world.used(BEGIN + DAY)[one] for one, units in world.used(now + DAY).items()}


def test_a_price_that_changes_here_is_changed_there_by_a_person(peer: Any) -> None:
    world, gateway, now = first_day(peer)
    assert not parked(world, gateway)
    world.catalogue = UsageWorld(CATALOGUE.replace("0.01", "0.02")).catalogue
    world.report(gateway, now)
    now += DAY  # prices change with a period
    peer.at(now)
    world.report(gateway, now)
    name = next(iter((ITEM if isinstance(gateway, ChargebeeUsage) else CODE).values()))
    assert f"our price of daily/charge/calls ({name}) has changed; change it there, then" in parked(world, gateway)
    assert not mended(world, gateway, now + MINUTES)


def test_an_end_is_carried_by_a_person(peer: Any) -> None:
    world, gateway, now = first_day(peer)
    world.catalogue = UsageWorld(
        CATALOGUE.replace("start: 2026-11-01}", "start: 2026-11-01, end: 2026-11-04}")
    ).catalogue
    world.report(gateway, now)
    assert "it ends at 2026-11-04 00:00 by our book and goes on there; let it end there as it does" in parked(
        world, gateway
    )
    # It has gone on there into another period: the end is what is wrong, not the period.
    now += 3 * DAY
    peer.at(now)
    assert "let it end there" in mended(world, gateway, now)
    for one in peer.site.usages.subscriptions.values():
        one |= {"status": "non_renewing", "cancelled_at": seconds(BEGIN + 3 * DAY)}
        one |= {"state": "canceled", "expires_at": "2026-11-04T06:00:00Z"}
    assert not mended(world, gateway, now + MINUTES)


def test_one_that_is_not_billed_is_not_told(peer: Any) -> None:
    """A subscription that a person named, and that was cancelled long before ours ends."""
    there = peer.site.usages.subscriptions
    for one in there.values():
        one |= {"status": "cancelled", "cancelled_at": seconds(BEGIN - DAY)}
        one |= {"state": "expired", "expires_at": "2026-10-31T00:00:00Z"}
    world, gateway = UsageWorld(CATALOGUE.replace("2026-11-01}", "2026-11-01, end: 2027-11-01}")), peer.gateway()
    gateway._subscriptions = {"bob/daily/2026-11-01": next(name for name in there if name.endswith("bob"))}
    world.report(gateway, BEGIN + MINUTES)
    said = parked(world, gateway)
    assert "has no running subscription of customer acme" in said
    assert "-bob for bob/daily/2026-11-01: it is " in said
    world.close(BEGIN, BEGIN + DAY)
    world.report(gateway, BEGIN + DAY + MINUTES)
    assert not peer.counted()


def test_an_item_that_is_not_summed_up_is_not_told(recurly: RecurlyRates) -> None:
    for one in recurly.site.usages.subscriptions.values():
        one["add_ons"][0]["usage_calculation_type"] = "last_in_period"
    world, gateway = begun(recurly)
    assert "has no running subscription of customer bob with calls" in parked(world, gateway)


def test_usage_of_a_closed_invoice_is_not_recorded_where_nobody_bills_it(chargebee: ChargebeeRates) -> None:
    """Chargebee takes it, and never bills it; a person closed the invoice before its time."""
    world, gateway = begun(chargebee)
    world.close(BEGIN, SECOND)
    world.report(gateway, BEGIN + DAY + MINUTES)
    chargebee.at(BEGIN + DAY + MINUTES)
    chargebee.site.usages.close()
    world.close(SECOND, BEGIN + DAY)
    world.report(gateway, BEGIN + DAY + 2 * MINUTES)
    assert not chargebee.counted()
    assert "the invoice of what was used before 2026-11-02 00:00 is closed; charge or credit" in parked(world, gateway)


def test_a_number_on_a_closed_invoice_stands(chargebee: ChargebeeRates) -> None:
    world, gateway, now = first_day(chargebee)
    before = chargebee.counted()
    chargebee.site.usages.close()
    world.adjust(SECOND, 1, now + MINUTES, bob=5)
    world.report(gateway, now + 2 * MINUTES)
    said = parked(world, gateway)
    assert (
        f"record {before['bob'] + 5} of calls-USD-Daily for cb-bob on 2026-11-01: {before['bob']} of it is on" in said
    )
    assert "which is payment_due; charge or credit the difference there by hand" in said
    assert chargebee.counted() == before


def test_a_number_that_was_billed_stands(recurly: RecurlyRates) -> None:
    world, gateway, now = first_day(recurly)
    before = recurly.counted()
    recurly.site.usages.renew("r-bob", 1)
    world.adjust(SECOND, 1, now + MINUTES, bob=5)
    world.report(gateway, now + 2 * MINUTES)
    assert (
        f"record {before['bob'] + 5} of calls for r-bob on 2026-11-01: it was billed as {before['bob']} at"
        in parked(world, gateway)
    )
    assert recurly.counted() == before


def test_a_record_that_stands_twice_is_made_one(recurly: RecurlyRates) -> None:
    """A list that did not show a record yet: found with the next correction."""
    world, gateway, now = first_day(recurly)
    records = recurly.site.usages.records
    records["copy"] = {**next(one for one in records.values() if one["of"][0] == "r-bob"), "id": "copy"}
    world.adjust(SECOND, 1, now + MINUTES, bob=5)
    world.report(gateway, now + 2 * MINUTES)
    assert recurly.counted() == world.used(now)


def test_an_item_that_is_named_otherwise_takes_the_records_with_it(chargebee: ChargebeeRates) -> None:
    world, gateway, now = first_day(chargebee)
    other = ChargebeeUsage(gateway.name, gateway._site, {"daily/charge/calls": "support-USD-Daily"}, {}, grace=RENEWAL)  # type: ignore[attr-defined]
    world.adjust(SECOND, 1, now + MINUTES, bob=5)
    world.report(other, now + 2 * MINUTES)
    assert chargebee.counted() == world.used(now)
    assert {(one["subscription_id"], one["item_price_id"]) for one in chargebee.site.usages.records} == {
        ("cb-acme", "calls-USD-Daily"),
        ("cb-bob", "support-USD-Daily"),
    }


def test_a_window_that_is_closed_late_tells_the_day_anew(peer: Any) -> None:
    world, gateway = begun(peer)
    world.close(BEGIN, SECOND)
    assert not world.report(gateway, BEGIN + DAY + MINUTES).events
    late = BEGIN + DAY + timedelta(hours=2)
    assert len(world.report(gateway, late).events) == 2
    assert peer.counted() == world.used(SECOND)
    world.close(SECOND, BEGIN + DAY)
    assert len(world.report(gateway, late + MINUTES).events) == 2
    assert peer.counted() == world.used(BEGIN + DAY)


def test_a_plan_that_changes_inside_a_day_is_told_to_each_subscription_there(peer: Any) -> None:
    """Until noon to the one; the other begins there with the next period, and a person is told of what lies between."""
    text = CATALOGUE.replace(
        "plans:",
        'plans:\n  dear: {name: Dear, period: day, charges: [{meter: calls, name: Calls, unit_price: "0.02"}]}',
    ).replace(
        "{consumer: bob, plan: daily, start: 2026-11-01}",
        "{consumer: bob, plan: daily, start: 2026-11-01, end: 2026-11-01T12:00Z}\n"
        "  - {consumer: bob, plan: dear, start: 2026-11-01T12:00Z, anchor: 2026-11-01}",
    )
    there, gateway = peer.site.usages.subscriptions, peer.gateway()
    bob = next(name for name in there if name.endswith("bob"))
    there["dear"] = {**there[bob], "id": "dear"}
    items = gateway._items if isinstance(gateway, ChargebeeUsage) else gateway._add_ons
    items["dear/charge/calls"] = items["daily/charge/calls"]
    gateway._subscriptions = {"bob/daily/2026-11-01": bob, "bob/dear/2026-11-01": "dear"}
    world = UsageWorld(text)
    for now in (BEGIN + MINUTES, SECOND + MINUTES):
        world.report(gateway, now)
    for day in (1, 2):
        world.close(BEGIN + (day - 1) * DAY, BEGIN + day * DAY)
        peer.at(BEGIN + day * DAY + MINUTES)
        world.report(gateway, BEGIN + day * DAY + MINUTES)
    used = [world.used(BEGIN + hours * timedelta(hours=12))["bob"] for hours in (1, 2, 4)]
    assert kept(peer, bob, "dear") == {bob: used[0], "dear": used[2] - used[1]}
    assert "of bob/dear/2026-11-01 is not metered" in parked(world, gateway)


def kept(peer: Any, *names: str) -> dict[str, int]:
    """Units that stand there by subscription."""
    records = peer.site.usages.records
    found = dict.fromkeys(names, 0)
    for one in records if isinstance(records, list) else records.values():
        name = one["subscription_id"] if "subscription_id" in one else one["of"][0]
        if name in found:
            found[name] += int(one["quantity"] if "quantity" in one else one["amount"])
    return found


def test_an_answer_that_is_not_of_the_service_is_tried_again(peer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    world, gateway = begun(peer)
    world.close(BEGIN, BEGIN + DAY)
    now = BEGIN + DAY + MINUTES
    ahead = world.report(gateway, now, dry_run=True).events
    names = {(one.subject, one.part): one.name for one in world.book.remote_names(gateway.name)}
    with monkeypatch.context() as patch:
        patch.setattr(peer.site, "asked", lambda *said: (200, {"hello": "stranger"}))
        with pytest.raises(EdgeUnavailable):
            gateway.report(ahead, lambda subject, part="": names.get((subject, part)))
    world.report(gateway, now)
    assert peer.counted() == world.used(now)


def test_a_limit_of_calls_ends_no_report_twice_at_the_same_place(peer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What stood there when a report broke off is not asked for again by the same process."""
    world, gateway = begun(peer)
    for day in range(3):
        world.close(BEGIN + day * DAY, BEGIN + (day + 1) * DAY)
    now = BEGIN + DAY + MINUTES
    ahead = world.report(gateway, now + DAY / 12, dry_run=True).events
    names = {(one.subject, one.part): one.name for one in world.book.remote_names(gateway.name)}
    asked, made = peer.site.asked, [0]

    def limited(*said: Any) -> Any:
        made[0] += 1
        if made[0] > 3:
            raise Refusal(429, {"message": "slow down", "error": {"type": "rate_limited", "message": "slow down"}})
        return asked(*said)

    monkeypatch.setattr(peer.site, "asked", limited)
    rounds = 0
    while True:
        made[0], rounds = 0, rounds + 1
        try:
            assert not gateway.report(ahead, lambda subject, part="": names.get((subject, part)))
            break
        except EdgeUnavailable:
            assert rounds < 9
    assert rounds > 1
    assert sum(peer.counted().values()) == sum(one.value for one in ahead)


def test_who_was_not_taken_up_is_declined_by_name(peer: Any) -> None:
    world, gateway = begun(peer)
    world.close(BEGIN, BEGIN + DAY)
    (one, other) = world.report(gateway, BEGIN + DAY + MINUTES, dry_run=True).events
    declined = gateway.report([one, other], lambda subject, part="": None)
    assert [unreported.event for unreported in declined] == [one, other]
    assert "has no name at" in declined[0].why
    assert not peer.counted()
