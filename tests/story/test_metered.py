"""A month of the demonstration in metered mode: what Stripe bills for what it was told is what we bill, to the cent."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from rating.adapters.memory_book import MemoryBook
from rating.core.keys import meter_digest
from rating.core.periods import Period
from rating.core.windows import Adjustment, Closing, Completeness, Evidence, Held, Usage
from rating.errors import EdgeUnavailable
from rating.jobs.offer import apply
from rating.ports import Book
from rating.specs.compile import compile_catalogue
from tests.story.metered import HOUR, METERED, NOVEMBER, Metered, close, engine, totals

if TYPE_CHECKING:
    from tests.stripe_peer.peer import StripePeer

DAY = timedelta(days=1)
SMALL = """
version: 1
currency: USD
meters:
  calls: {metric: calls_total, consumer: c, window: 6h}
  streamed: {metric: streamed_total, consumer: c, unit: second, resolution: "0.001", window: 30m}
plans:
  daily:
    name: Daily
    period: day
    fee: "1.00"
    charges:
      - meter: calls
        name: Calls
        included: 100
        graduated: [{up_to: 1_000, unit_price: "0.01"}, {unit_price: "0.0075"}]
      - {meter: streamed, name: Streamed, unit_price: "0.00045"}
subscriptions:
  - {consumer: ada, plan: daily, start: 2026-11-01}
  - {consumer: bob, plan: daily, start: 2026-11-01}
"""


def small(text: str = SMALL) -> Any:
    return compile_catalogue([("small.yaml", text)])


def close_small(book: Book, found: Any, first: datetime, last: datetime) -> None:
    for meter in found.meters.values():
        for number, window in enumerate(Period(first, last).windows(meter.window)):
            rows = tuple(
                Usage(name, (), 397 * (number + 1) + place) for place, name in enumerate(("ada", "bob")) if number % 5
            )
            closing = Closing(meter.name, window, Completeness.COMPLETE, rows, Evidence())
            book.close(closing, meter_digest=meter_digest(meter), at=window.end)


def at(peer: StripePeer, now: datetime) -> datetime:
    peer.advance_to(int(now.timestamp()))
    return now


@pytest.mark.parametrize("line_per_tier", [False, True])
def test_a_month_is_billed_there_as_it_is_here(stripe_peer: StripePeer, line_per_tier: bool) -> None:
    stripe_peer.settings(line_per_tier=line_per_tier)
    there = engine(stripe_peer.url, stripe_peer.key)
    assert there.apply(NOVEMBER.start) > 0
    assert there.apply(NOVEMBER.start) == 0
    first = there.report(NOVEMBER.start + HOUR)
    assert len(first.subscribed) == len(METERED)
    close(there.book, there.catalogue, NOVEMBER)
    for now in (NOVEMBER.start + 15 * DAY, NOVEMBER.end + timedelta(minutes=20)):
        at(stripe_peer, now)
        assert there.report(now).events
        assert there.report(now).events == ()
    stripe_peer.advance(7200)
    ours = {key: [one.total.minor] for key, one in there.bill(NOVEMBER.end + HOUR).items() if "scale" not in key}
    assert totals(stripe_peer.state()) == ours
    assert len(ours) == len(METERED)
    assert min(ours.values()) > [0]


def test_what_cannot_be_metered_is_said_once_per_plan(stripe_peer: StripePeer) -> None:
    there = engine(stripe_peer.url, stripe_peer.key)
    assert [str(one) for one in there.wanted(NOVEMBER.start).findings] == [
        'plan scale: cannot be metered: charge "tokens": free units and packages cannot be combined there; '
        "use `mode: invoices` for it"
    ]


ROUNDS = tuple(timedelta(minutes=minutes) for minutes in (10, 20, 55))
"""After the end of a day, until its invoice is final; what failed is tried again in the next one."""


class Cut(BaseException):
    """The process ends here."""


def cut_at(there: Metered, call: int) -> None:
    """End the process once that many requests were answered, before anything is made of the last answer."""
    http: Any = there.account._http
    request, count = http.request, [0]

    def counted(*arguments: Any, **options: Any) -> Any:
        answer = request(*arguments, **options)
        count[0] += 1
        if count[0] == call:
            raise Cut
        return answer

    http.request = counted


def two_days(peer: StripePeer, found: Any, cut: int = 0) -> dict[str, list[int]]:
    """Two days of two customers, started anew wherever it is cut off; returns what we have billed for them."""
    book = MemoryBook()
    there = engine(peer.url, peer.key, book, found)
    cut_at(there, cut)
    begin, died = NOVEMBER.start, []
    for day in range(3):
        if day:
            close_small(book, found, begin + (day - 1) * DAY, begin + day * DAY)
        for late in ROUNDS:
            now = at(peer, begin + day * DAY + late)
            for _ in range(2):
                try:
                    if day == 0:
                        there.apply(now)
                    there.report(now)
                except Cut:
                    died.append(now)
                    there = engine(peer.url, peer.key, book, found)
                except EdgeUnavailable:
                    pass
    at(peer, begin + 2 * DAY + 3 * HOUR)
    ours: dict[str, list[int]] = {}
    for key, total in there.billed(begin + 2 * DAY + HOUR):
        ours.setdefault(key, []).append(total)
    assert not there.book.parked("stripe")
    assert len(died) == bool(cut)
    return ours


def well(peer: StripePeer, ours: dict[str, list[int]]) -> None:
    """Everything stands there once, and costs what it costs here."""
    state = peer.state()
    assert totals(state) == ours
    for things, key in (
        ("meters", "event_name"),
        ("prices", "lookup_key"),
        ("products", "name"),
        ("customers", "name"),
    ):
        names = [thing[key] for thing in state[things]]
        assert len(names) == len(set(names)), (things, names)
    assert len(state["subscriptions"]) == 2


def test_told_twice_and_with_windows_shorter_than_an_hour(stripe_peer: StripePeer) -> None:
    ours = two_days(stripe_peer, small())
    well(stripe_peer, ours)
    assert ours == {"ada/daily/2026-11-01": [2972, 2972], "bob/daily/2026-11-01": [2974, 2974]}


COARSE = SMALL.replace("window: 30m", "window: 12h").replace("window: 6h", "window: 12h")
"""Few events, so that each call can be the one that is cut."""


def calls_of_a_story() -> int:
    from tests.stripe_peer.peer import StripePeer

    with StripePeer(now=int(NOVEMBER.start.timestamp()), standing=True) as peer:
        well(peer, two_days(peer, small(COARSE)))
        return len(peer.requests())


@pytest.mark.slow
def test_cut_off_between_every_two_calls_nothing_is_doubled_and_nothing_lost() -> None:
    from tests.stripe_peer.peer import StripePeer

    calls = calls_of_a_story()
    assert calls > 30
    for call in range(1, calls + 1):
        with StripePeer(now=int(NOVEMBER.start.timestamp()), standing=True) as peer:
            well(peer, two_days(peer, small(COARSE), cut=call))


@pytest.mark.slow
@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "answer", "status": 500, "when": "after"},
        {"kind": "cut", "when": "after"},
        {"kind": "answer", "status": 500},
    ],
    ids=["500 after the work was done", "no answer after the work was done", "500 before it"],
)
def test_a_call_that_fails_anywhere_is_made_good(fault: dict[str, Any]) -> None:
    from tests.stripe_peer.peer import StripePeer

    # Each call where the work was done and the answer a failure; every third where the rest is much the same.
    each = 1 if fault.get("when") == "after" and fault["kind"] == "answer" else 3
    for call in range(1, calls_of_a_story() + 1, each):
        with StripePeer(now=int(NOVEMBER.start.timestamp()), standing=True) as peer:
            peer.fail(number=call, **fault)
            ours = two_days(peer, small(COARSE))
            assert peer.faults()[0]["played"] == 1, call
            well(peer, ours)


def begun(peer: StripePeer, text: str = COARSE, **options: Any) -> Metered:
    """An engine whose catalogue stands there, with two customers subscribed at the beginning of November."""
    there = engine(peer.url, peer.key, MemoryBook(), small(text), **options)
    there.apply(NOVEMBER.start)
    there.report(NOVEMBER.start)
    return there


def used(peer: StripePeer, meter: str = "rating.calls") -> dict[str, int]:
    """What a meter shows by customer, over November."""
    state = peer.state()
    name = next(one["id"] for one in state["meters"] if one["event_name"] == meter)
    client = peer.client().v1.billing.meters.event_summaries
    span: Any = {"start_time": int(NOVEMBER.start.timestamp()), "end_time": int(NOVEMBER.end.timestamp())}
    found = {}
    for customer in state["customers"]:
        shown = client.list(name, {"customer": customer["id"], **span}).data
        found[customer["name"]] = int(sum(one.aggregated_value for one in shown))
    return found


def adjust(book: Book, start: datetime, revision: int, *rows: tuple[str, int]) -> None:
    change = Adjustment(
        "calls",
        Period(start, start + 12 * HOUR),
        revision,
        tuple(Usage(consumer, (), quantity) for consumer, quantity in rows),
        "late samples",
        "a test",
    )
    book.adjust(change, at=start + 13 * HOUR)


def test_an_adjustment_takes_the_place_of_what_was_told(stripe_peer: StripePeer) -> None:
    there = begun(stripe_peer)
    close_small(there.book, there.catalogue, NOVEMBER.start, NOVEMBER.start + DAY)
    second = NOVEMBER.start + 12 * HOUR
    there.report(at(stripe_peer, NOVEMBER.start + DAY + timedelta(minutes=10)))
    assert used(stripe_peer) == {"ada": 794, "bob": 795}
    adjust(there.book, second, 1, ("ada", 6))
    told = there.report(at(stripe_peer, NOVEMBER.start + DAY + timedelta(minutes=20))).events
    assert [(one.customer, one.value) for one in told] == [("ada", 800)]
    assert used(stripe_peer) == {"ada": 800, "bob": 795}
    # Back to the first number: it must not be taken for the event of that number that is there already.
    adjust(there.book, second, 2, ("ada", -6))
    there.report(at(stripe_peer, NOVEMBER.start + DAY + timedelta(minutes=25)))
    assert used(stripe_peer) == {"ada": 794, "bob": 795}
    # Nothing is left of it: an hour is told to be zero, however long ago it was told to be something else.
    adjust(there.book, second, 3, ("ada", -794), ("bob", -795))
    told = there.report(at(stripe_peer, NOVEMBER.start + DAY + timedelta(minutes=30))).events
    assert [(one.customer, one.value) for one in told] == [("ada", 0), ("bob", 0)]
    assert used(stripe_peer) == {"ada": 0, "bob": 0}


def test_what_is_known_after_the_invoice_is_final_waits_for_a_person(stripe_peer: StripePeer) -> None:
    there = begun(stripe_peer)
    close_small(there.book, there.catalogue, NOVEMBER.start, NOVEMBER.start + DAY)
    there.report(at(stripe_peer, NOVEMBER.start + DAY + timedelta(minutes=10)))
    adjust(there.book, NOVEMBER.start + 12 * HOUR, 1, ("ada", 6))
    late = there.report(at(stripe_peer, NOVEMBER.start + DAY + timedelta(hours=2)))
    assert [one for one in late.events if one.meter == "rating.calls"] == []
    (parked,) = there.book.parked("stripe")
    assert parked.progress.subject == "usage/calls/2026-11-01T12:00:00Z/1/ada"
    assert "800 units of rating.calls" in parked.progress.said
    assert "our next invoice settles what was corrected later" in parked.progress.said
    assert used(stripe_peer)["ada"] == 794
    assert there.report(NOVEMBER.start + DAY + timedelta(hours=3)).parked == ()


MONTHLY = COARSE.replace("period: day", "period: quarter")


def test_usage_older_than_what_is_accepted_is_parked_with_what_to_do(stripe_peer: StripePeer) -> None:
    there = begun(stripe_peer, MONTHLY.replace("2026-11-01", "2026-10-01"))
    assert [one["current_period_start"] for one in stripe_peer.state()["subscription_items"]] == [
        int(datetime(2026, 10, 1, tzinfo=NOVEMBER.start.tzinfo).timestamp())
    ] * 6
    now = at(stripe_peer, NOVEMBER.start + 36 * DAY + HOUR)
    close_small(there.book, there.catalogue, NOVEMBER.start, NOVEMBER.start + 2 * DAY)
    told = there.report(now)
    assert {one.hour for one in told.events if one.meter == "rating.calls"} == {
        NOVEMBER.start + 36 * HOUR,
        NOVEMBER.start + DAY,
    } - {NOVEMBER.start + DAY}
    old = [one for one in told.parked if one.subject.startswith("usage/calls/2026-11-01T12")]
    assert [one.subject.rsplit("/", 1)[1] for one in old] == ["ada", "bob"]
    assert "older than the 35 days in which it is told; charge them there by an item" in old[0].said


def test_a_held_window_is_not_told_and_said_to_be_missing(stripe_peer: StripePeer) -> None:
    there = begun(stripe_peer)
    window = Period(NOVEMBER.start, NOVEMBER.start + 12 * HOUR)
    there.book.hold(Held("calls", window, "too few scrapes"), at=window.end)
    told = there.report(at(stripe_peer, window.end + HOUR))
    assert not [one for one in told.events if one.meter == "rating.calls"]
    (said,) = told.waiting
    assert said.startswith("window calls 2026-11-01 00:00 to 2026-11-01 12:00 is held: too few scrapes")
    assert "before 2026-11-02 01:00" in said


def test_a_dry_run_says_what_would_be_told_and_tells_nobody(stripe_peer: StripePeer) -> None:
    there = engine(stripe_peer.url, stripe_peer.key, MemoryBook(), small(COARSE))
    there.apply(NOVEMBER.start)
    stripe_peer.forget_requests()
    dry = there.report(NOVEMBER.start, dry_run=True)
    assert [said for _, said in dry.subscribed] == ["would be made", "would be made"]
    there.report(NOVEMBER.start)
    close_small(there.book, there.catalogue, NOVEMBER.start, NOVEMBER.start + DAY)
    before = len(stripe_peer.requests()), len(there.book.progressed("stripe"))
    dry = there.report(NOVEMBER.start + DAY, dry_run=True)
    assert {(one.meter, one.customer) for one in dry.events} >= {("rating.calls", "ada"), ("rating.streamed", "bob")}
    assert (len(stripe_peer.requests()), len(there.book.progressed("stripe"))) == before
    assert set(there.report(NOVEMBER.start + DAY).events) == set(dry.events)


def test_without_its_prices_a_subscription_waits(stripe_peer: StripePeer) -> None:
    there = engine(stripe_peer.url, stripe_peer.key, MemoryBook(), small(COARSE))
    assert there.report(NOVEMBER.start).waiting[0].endswith("its prices do not stand there yet; `rating stripe apply`")
    assert stripe_peer.state()["subscriptions"] == []


LINEAR = COARSE.replace('    fee: "1.00"\n', "").replace(
    'included: 100\n        graduated: [{up_to: 1_000, unit_price: "0.01"}, {unit_price: "0.0075"}]',
    'unit_price: "0.02"',
)
TOGETHER = LINEAR.replace('      - {meter: streamed, name: Streamed, unit_price: "0.00045"}\n', "").replace(
    "consumer: bob, plan: daily", "consumer: bob, customer: ada, plan: daily"
)


def test_consumers_of_one_customer_are_added_up_where_their_sum_owes_the_same(stripe_peer: StripePeer) -> None:
    there = begun(stripe_peer, TOGETHER)
    close_small(there.book, there.catalogue, NOVEMBER.start, NOVEMBER.start + DAY)
    told = there.report(at(stripe_peer, NOVEMBER.start + DAY + timedelta(minutes=10))).events
    assert [(one.customer, one.value) for one in told] == [("ada", 794 + 795)]
    stripe_peer.advance(7200)
    ours = sum(total for _, total in there.billed(NOVEMBER.start + DAY + HOUR))
    assert totals(stripe_peer.state()) == {"ada/daily/2026-11-01": [ours]}


def test_consumers_of_one_customer_with_an_allowance_each_are_not_metered_together(stripe_peer: StripePeer) -> None:
    text = COARSE.replace("consumer: bob, plan: daily", "consumer: bob, customer: ada, plan: daily")
    there = begun(stripe_peer, text)
    (finding,) = there.wanted(NOVEMBER.start).findings
    assert finding.where == "subscription bob/daily/2026-11-01"
    assert "would charge every use to both" in finding.what
    (parked,) = there.book.parked("stripe")
    assert parked.progress.subject == "period/bob/daily/2026-11-01/2026-11-01T00:00:00Z"
    assert len(stripe_peer.state()["subscriptions"]) == 1


def test_a_price_changes_with_the_period_and_the_old_one_is_put_away(stripe_peer: StripePeer) -> None:
    there = begun(stripe_peer)
    dearer = small(COARSE.replace('unit_price: "0.01"', 'unit_price: "0.02"'))
    close_small(there.book, there.catalogue, NOVEMBER.start, NOVEMBER.start + DAY)
    there.catalogue = dearer
    noon = at(stripe_peer, NOVEMBER.start + 12 * HOUR)
    done = apply(there.book, there.gateway, there.wanted(noon), now=noon)
    assert [(one.act.value, one.thing.value, one.key.split(":")[1]) for one in done] == [
        ("create", "price", "daily/charge/calls")
    ]
    assert there.report(noon).subscribed == ()
    there.report(at(stripe_peer, NOVEMBER.start + DAY + timedelta(minutes=5)))
    close_small(there.book, there.catalogue, NOVEMBER.start + DAY, NOVEMBER.start + 2 * DAY)
    there.report(at(stripe_peer, NOVEMBER.start + 2 * DAY + timedelta(minutes=5)))
    later = at(stripe_peer, NOVEMBER.start + 2 * DAY + 2 * HOUR)
    ours: dict[str, list[int]] = {}
    for key, total in there.billed(later):
        ours.setdefault(key, []).append(total)
    assert totals(stripe_peer.state()) == ours
    assert ours["ada/daily/2026-11-01"][0] < ours["ada/daily/2026-11-01"][1]
    done = apply(there.book, there.gateway, there.wanted(later), now=later)
    assert [(one.act.value, one.thing.value) for one in done] == [("archive", "price")]
    assert there.apply(later) == 0


def test_a_plan_changes_with_the_period_and_a_subscription_ends_with_it(stripe_peer: StripePeer) -> None:
    more = COARSE.replace(
        "subscriptions:\n",
        '  other: {name: Other, period: day, fee: "3.00", charges: [{meter: calls, name: Calls, unit_price: "0.03"}]}\n'
        "subscriptions:\n",
    )
    there = begun(stripe_peer, more)
    changed = more.replace(
        "  - {consumer: ada, plan: daily, start: 2026-11-01}\n",
        "  - {consumer: ada, plan: daily, start: 2026-11-01, end: 2026-11-02}\n"
        "  - {consumer: ada, plan: other, start: 2026-11-02}\n",
    )
    there.catalogue = small(changed)
    there.report(at(stripe_peer, NOVEMBER.start + 12 * HOUR))
    for day in (1, 2):
        close_small(there.book, there.catalogue, NOVEMBER.start + (day - 1) * DAY, NOVEMBER.start + day * DAY)
        there.report(at(stripe_peer, NOVEMBER.start + day * DAY + timedelta(minutes=5)))
    later = at(stripe_peer, NOVEMBER.start + 2 * DAY + 2 * HOUR)
    ours: dict[str, list[int]] = {}
    for key, total in there.billed(later):
        ours.setdefault(key, []).append(total)
    assert totals(stripe_peer.state()) == ours
    assert set(ours) == {"ada/daily/2026-11-01", "ada/other/2026-11-02", "bob/daily/2026-11-01"}
    assert [len(ours[key]) for key in sorted(ours)] == [1, 1, 2]


def test_a_subscription_that_begins_inside_a_period_waits_for_the_next_and_its_part_for_a_person(
    stripe_peer: StripePeer,
) -> None:
    text = COARSE.replace("period: day", "period: week").replace("start: 2026-11-01}", "start: 2026-11-04}", 1)
    there = begun(stripe_peer, text)
    now = at(stripe_peer, NOVEMBER.start + 4 * DAY)
    there.report(now)
    parked = {one.progress.subject: one.progress.said for one in there.book.parked("stripe")}
    (said,) = [said for subject, said in parked.items() if subject.startswith("period/ada/")]
    assert "is not metered: only 2026-11-04 00:00 to 2026-11-07 00:00 is billed of it" in said
    there.report(at(stripe_peer, NOVEMBER.start + 7 * DAY))
    starts = {one["metadata"]["rating_key"]: one["start_date"] for one in stripe_peer.state()["subscriptions"]}
    assert starts["ada/daily/2026-11-04"] == int((NOVEMBER.start + 6 * DAY).timestamp())


def test_what_was_made_before_a_crash_is_found_after_its_key_was_forgotten(stripe_peer: StripePeer) -> None:
    there = engine(
        stripe_peer.url, stripe_peer.key, MemoryBook(), small(COARSE.replace("period: day", "period: month"))
    )
    there.apply(NOVEMBER.start)
    http: Any = there.account._http
    request = http.request

    def cut(method: str, url: str, *rest: Any, **options: Any) -> Any:
        answer = request(method, url, *rest, **options)
        if (method.lower(), url.rpartition("/")[2]) == ("post", "subscriptions"):
            raise Cut
        return answer

    http.request = cut
    with pytest.raises(Cut):
        there.report(NOVEMBER.start)
    there = engine(stripe_peer.url, stripe_peer.key, there.book, there.catalogue)
    done = there.report(at(stripe_peer, NOVEMBER.start + 2 * DAY)).subscribed
    assert [said.split()[0] for _, said in done] == ["found", "made"]
    assert len(stripe_peer.state()["subscriptions"]) == 2
