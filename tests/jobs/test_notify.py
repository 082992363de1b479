"""What is told, when, and how often: stories on a book in memory, over counters in memory."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from fractions import Fraction

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rating.adapters.memory_book import MemoryBook
from rating.adapters.memory_source import MemorySource
from rating.adapters.notifiers import InboxNotifier
from rating.core.alerts import Alert
from rating.core.balances import Credit
from rating.core.catalogue import Catalogue
from rating.core.money import Money
from rating.core.notices import Audience, Contact, Kind, Notification, Planned, QuietHours, Routing
from rating.core.periods import EPOCH, Period, milliseconds
from rating.core.plans import Plan
from rating.core.prices.per_unit import PerUnit
from rating.core.subscriptions import Subscription
from rating.core.wallets import Grant
from rating.core.windows import Adjustment, Held, Usage
from rating.jobs.accrue import accrue
from rating.jobs.contracts import Contracts
from rating.jobs.notify import News, notify
from tests.stories import ACME, CALLS, DAY, OCTOBER, PRO, USD, close_days

SCALE = replace(PRO, key="scale", title="Scale", fee=Fraction(60), upsell=None)
SCALE = replace(SCALE, cards=(replace(PRO.cards[0], included=Fraction(1000), price=PerUnit(Fraction("0.002"))),))
HOUR = timedelta(hours=1)
INBOX_ONLY = {"inbox": InboxNotifier()}


def contracts(*subscriptions: Subscription, plan: Plan = PRO, routing: Routing | None = None) -> Contracts:
    catalogue = Catalogue(
        USD,
        {CALLS.name: CALLS},
        {"pro": plan, "scale": SCALE},
        subscriptions,
        digest="d",
        notifications=routing or Routing(),
    )
    return Contracts(((EPOCH, catalogue),), subscriptions)


def counters(counted: Mapping[str, list[tuple[datetime, int]]], start: datetime, end: datetime) -> MemorySource:
    """One process that counts calls: each consumer's counter steps at the instants given, scraped every 15 s."""
    target = {"job": "api", "instance": "api:80"}
    times = [milliseconds(start) + 15_000 * step for step in range((end - start) // timedelta(seconds=15) + 1)]
    born = milliseconds(start - DAY) // 1000
    series: list[tuple[dict[str, str], list[tuple[int, int]]]] = [
        ({"__name__": "up", **target}, [(time, 1) for time in times]),
        ({"__name__": "process_start_time_seconds", **target}, [(time, born) for time in times]),
    ]
    for consumer, steps in counted.items():
        labels = {"__name__": CALLS.metric, **target, "consumer_id": consumer, "endpoint": "/search"}
        samples = [(time, 1000 + sum(n for at, n in steps if milliseconds(at) <= time)) for time in times]
        series.append((labels, samples))
    return MemorySource(series)


NOTHING = MemorySource([])


def look(
    book: MemoryBook, agreed: Contracts, now: datetime, source: MemorySource = NOTHING, *, dry_run: bool = False
) -> News:
    accrued = accrue(book, agreed, now=now)
    return notify(book, agreed, accrued, source, INBOX_ONLY, now=now, dry_run=dry_run)


def said(news: News) -> list[tuple[str, str, str]]:
    return [(one.kind.value, one.consumer, one.mark) for one in news.notifications]


def alert(
    name: str = "RatingAllowanceReached",
    at: datetime = OCTOBER.start + 20 * DAY + 2 * HOUR,
    resolved: bool = False,
    **labels: str,
) -> Alert:
    given_ = {
        "consumer": "acme",
        "plan": "pro",
        "meter": "api_calls",
        "threshold": "80%",
        "audience": "upsell",
    } | labels
    return Alert(name, tuple(sorted(given_.items())), at, resolved)


DAY_20 = OCTOBER.start + 20 * DAY


# from closed windows, with nobody raising any alert --------------------------------------------------------------


def test_each_threshold_is_told_once_when_closed_usage_reaches_it() -> None:
    book, agreed = MemoryBook(), contracts(ACME)
    close_days(book, {"acme": 4}, days=range(19))
    assert said(look(book, agreed, OCTOBER.start + 19 * DAY)) == []
    close_days(book, {"acme": 4}, days=range(19, 20))
    assert said(look(book, agreed, DAY_20)) == [("allowance_reached", "acme", "80%")]
    assert said(look(book, agreed, DAY_20)) == said(look(book, agreed, DAY_20 + HOUR)) == []
    close_days(book, {"acme": 4}, days=range(20, 25))
    assert said(look(book, agreed, OCTOBER.start + 25 * DAY)) == [("allowance_reached", "acme", "100%")]
    close_days(book, {"acme": 4}, days=range(25, 26))
    # 104 of 100: finance hears of what will be charged.
    assert said(look(book, agreed, OCTOBER.start + 26 * DAY)) == [("usage_beyond_allowance", "acme", "")]
    assert len(book.notifications()) == 3


def test_it_says_what_was_used_and_what_the_next_plan_would_cost() -> None:
    book = MemoryBook()
    close_days(book, {"acme": 200}, days=range(15))
    [over, told] = look(book, contracts(ACME), OCTOBER.start + 15 * DAY).notifications[::-1]
    assert (told.kind, over.kind) == (Kind.ALLOWANCE_REACHED, Kind.USAGE_BEYOND_ALLOWANCE)
    assert (told.used, told.allowance, told.live) == (3000, 100, 0)
    assert told.closed_through == OCTOBER.start + 15 * DAY
    # Pro: 49 + 200 x 0.015 + 2,700 x 0.0101 = 79.27; scale: 60 + 2,000 x 0.002 = 64.
    assert told.more == Money(-1527, USD)
    # At 200 a day the month comes to 6,200: pro 49 + 3 + 5,900 x 0.0101 = 111.59, scale 60 + 5,200 x 0.002 = 70.40.
    assert (told.forecast, told.more_at_pace) == (6200, Money(-4119, USD))
    assert (told.next_plan, told.next_plan_title) == ("scale", "Scale")


def test_a_burst_past_both_thresholds_is_told_as_the_higher_one_alone() -> None:
    book, agreed = MemoryBook(), contracts(ACME)
    close_days(book, {"acme": 5}, days=range(20))
    assert ("allowance_reached", "acme", "100%") in said(look(book, agreed, DAY_20))
    book.hear([alert()], at=DAY_20 + HOUR)
    assert said(look(book, agreed, DAY_20 + HOUR)) == []
    # Nor after a correction that takes usage back below the whole allowance.
    window = Period(OCTOBER.start, OCTOBER.start + DAY)
    rows = (Usage("acme", ("/search",), -5),)
    book.adjust(Adjustment("api_calls", window, 1, rows, "counted twice", "me"), at=DAY_20 + HOUR)
    assert said(look(book, agreed, DAY_20 + 2 * HOUR)) == []


def test_the_next_period_is_news_again() -> None:
    book, agreed = MemoryBook(), contracts(ACME)
    close_days(book, {"acme": 4}, days=range(21))
    look(book, agreed, OCTOBER.start + 21 * DAY)
    close_days(book, {"acme": 4}, days=range(21, 52))
    told = look(book, agreed, OCTOBER.start + 52 * DAY)
    assert said(told) == [("allowance_reached", "acme", "80%")]
    assert told.notifications[0].period.start == OCTOBER.end


def test_moving_to_another_plan_is_another_subscription() -> None:
    moved = [replace(ACME, end=DAY_20), Subscription("acme", "pro", DAY_20)]
    book, agreed = MemoryBook(), contracts(*moved)
    close_days(book, {"acme": 4}, days=range(20))
    look(book, contracts(ACME), DAY_20)
    close_days(book, {"acme": 9}, days=range(20, 25))
    # The new one includes 11/31 of 100 calls: 35; 45 are used.
    told = look(book, agreed, OCTOBER.start + 25 * DAY)
    assert [(one.subscription, one.mark) for one in told.notifications if one.audience is Audience.UPSELL] == [
        ("acme/pro/2026-10-21", "100%")
    ]


def test_a_limit_that_is_reached() -> None:
    limited = replace(PRO, upsell=None, cards=(replace(PRO.cards[0], limit=Fraction(120)),))
    book = MemoryBook()
    close_days(book, {"acme": 6}, days=range(20))
    told = look(book, contracts(ACME, plan=limited), DAY_20).notifications
    assert [(one.kind, one.used, one.limit) for one in told if one.audience is Audience.UPSELL] == [
        (Kind.LIMIT_REACHED, 120, 120)
    ]


def test_a_trial_that_ends_is_told_three_days_before() -> None:
    trying = replace(ACME, trial_end=DAY_20)
    book, agreed = MemoryBook(), contracts(trying)
    assert said(look(book, agreed, DAY_20 - 3 * DAY - HOUR)) == []
    [told] = look(book, agreed, DAY_20 - 3 * DAY).notifications
    assert (told.kind, told.ends, told.audience) == (Kind.TRIAL_ENDING, DAY_20, Audience.UPSELL)
    assert said(look(book, agreed, DAY_20 - DAY)) == []
    assert said(look(MemoryBook(), agreed, DAY_20)) == []


def test_prepaid_credit_that_runs_low() -> None:
    prepaid = replace(ACME, credits=(Credit(Fraction(100), "top"), Credit(Fraction(900), "old", expires=OCTOBER.start)))
    book, agreed = MemoryBook(), contracts(prepaid)
    # The fee of 49 is drawn at once; below 20 of 100 once charges exceed 31: 49 + 3 + 2,772 x 0.0101 and more.
    close_days(book, {"acme": 200}, days=range(15))
    assert "prepaid_low" not in {kind for kind, _, _ in said(look(book, agreed, OCTOBER.start + 15 * DAY))}
    close_days(book, {"acme": 200}, days=range(15, 16))
    news = look(book, agreed, OCTOBER.start + 16 * DAY)
    [low] = [one for one in news.notifications if one.kind is Kind.PREPAID_LOW]
    assert (low.left, low.granted, low.mark) == (Money(1871, USD), Money(10000, USD), "100")


def test_a_wallet_that_fell_below_its_threshold() -> None:
    book, agreed = MemoryBook(), contracts(ACME)
    book.fund(Grant("acme", "pay-1", Money(500, USD)), at=OCTOBER.start)
    book.warn_below("acme", Money(1000, USD), at=OCTOBER.start + HOUR)
    book.notice_lows(OCTOBER.start + 2 * HOUR)
    [low] = look(book, agreed, OCTOBER.start + 2 * HOUR).notifications
    assert (low.kind, low.customer, low.left) == (Kind.PREPAID_LOW, "acme", Money(500, USD))
    assert said(look(book, agreed, OCTOBER.start + 3 * HOUR)) == []


# held windows ----------------------------------------------------------------------------------------------------


def test_nothing_is_told_of_usage_that_rests_on_a_held_window() -> None:
    book, agreed = MemoryBook(), contracts(ACME)
    close_days(book, {"acme": 5}, days=range(10))
    book.hold(Held("api_calls", Period(OCTOBER.start + 10 * DAY, OCTOBER.start + 11 * DAY), "doubt"), at=DAY_20)
    close_days(book, {"acme": 5}, days=range(11, 20))
    news = look(book, agreed, DAY_20)
    assert said(news) == []
    [waiting] = news.waiting
    assert waiting.why == "meter api_calls: a window is held, the first at 2026-10-11 00:00"
    # Released: decided anew, with the usage that it had.
    close_days(book, {"acme": 5}, days=range(10, 11))
    [told] = [one for one in look(book, agreed, DAY_20).notifications if one.audience is Audience.UPSELL]
    assert (told.mark, told.used) == ("100%", 100)


def test_an_alert_does_not_make_a_held_window_speak() -> None:
    book, agreed = MemoryBook(), contracts(ACME)
    close_days(book, {"acme": 4}, days=range(19))
    book.hold(Held("api_calls", Period(OCTOBER.start + 19 * DAY, DAY_20), "doubt"), at=DAY_20)
    close_days(book, {"acme": 0}, days=range(20, 20))
    burst = counters(
        {"acme": [(OCTOBER.start + 19 * DAY + HOUR, 50)]}, OCTOBER.start + 19 * DAY - HOUR, DAY_20 + 3 * HOUR
    )
    book.hear([alert()], at=DAY_20 + 2 * HOUR)
    news = look(book, agreed, DAY_20 + 2 * HOUR, burst)
    assert said(news) == []
    assert "a window is held" in news.waiting[0].why


def test_a_missing_window_waits_too() -> None:
    book, agreed = MemoryBook(), contracts(ACME)
    close_days(book, {"acme": 9}, days=range(10))
    close_days(book, {"acme": 9}, days=range(11, 20))
    news = look(book, agreed, DAY_20)
    assert said(news) == []
    assert "1 windows not closed" in news.waiting[0].why


# from hints --------------------------------------------------------------------------------------------------------


def halfway(daily: int = 3) -> MemoryBook:
    book = MemoryBook()
    close_days(book, {"acme": daily, "beta": 1}, days=range(20))
    return book


def test_an_alert_makes_us_look_at_what_was_counted_since() -> None:
    """60 closed, 25 counted today: the alert says 80 %, the counters say 85."""
    book, agreed = halfway(), contracts(ACME)
    today = counters(
        {"acme": [(DAY_20 + HOUR, 20), (DAY_20 + 90 * timedelta(minutes=1), 5)]}, DAY_20 - HOUR, DAY_20 + 3 * HOUR
    )
    assert said(look(book, agreed, DAY_20 + 2 * HOUR, today)) == []
    book.hear([alert()], at=DAY_20 + 2 * HOUR)
    [told] = look(book, agreed, DAY_20 + 2 * HOUR, today).notifications
    assert (told.kind, told.mark, told.used, told.live) == (Kind.ALLOWANCE_REACHED, "80%", 85, 25)
    assert (told.hint, told.hinted_at) == (alert().key, DAY_20 + 2 * HOUR)
    assert told.closed_through == DAY_20
    assert said(look(book, agreed, DAY_20 + 2 * HOUR, today)) == []


def test_the_price_of_the_next_plan_is_at_the_usage_that_is_told() -> None:
    book, agreed = halfway(), contracts(ACME)
    today = counters({"acme": [(DAY_20 + HOUR, 2940)]}, DAY_20 - HOUR, DAY_20 + 3 * HOUR)
    book.hear([alert(threshold="100%")], at=DAY_20 + 2 * HOUR)
    [told] = look(book, agreed, DAY_20 + 2 * HOUR, today).notifications
    assert (told.used, told.mark, told.more) == (3000, "100%", Money(-1527, USD))


def test_an_alert_that_is_not_true_yet_tells_nothing_and_is_looked_at_again() -> None:
    book, agreed = halfway(), contracts(ACME)
    today = counters({"acme": [(DAY_20 + HOUR, 19), (DAY_20 + 3 * HOUR, 1)]}, DAY_20 - HOUR, DAY_20 + 4 * HOUR)
    book.hear([alert()], at=DAY_20 + 2 * HOUR)
    assert said(look(book, agreed, DAY_20 + 2 * HOUR, today)) == []
    # One call later, without another alert.
    assert said(look(book, agreed, DAY_20 + 4 * HOUR, today)) == [("allowance_reached", "acme", "80%")]


@pytest.mark.parametrize(
    ("forged", "why"),
    [
        (alert(consumer="mallory"), "nobody of that name is subscribed"),
        (alert(meter="tokens"), "no such meter"),
        (alert(meter=""), "no meter"),
        (alert(threshold="5%"), "no such threshold, and 60 are used"),
        (alert(threshold="100%"), "60 are used"),
        (alert("RatingLimitReached"), "there is no limit"),
        (alert("RatingTrialEnding"), "there is no trial"),
        (alert("RatingPrepaidLow", customer="acme"), "nothing is prepaid"),
        (alert("RatingUsageBeyondAllowance", audience="finance"), "60 are used"),
        (alert("RatingAllowanceExhaustionPredicted", threshold="forecast"), "3 a day come to 93"),
        (alert(at=DAY_20 - 30 * DAY), "an old period's"),
        (alert("RatingAllowanceReached2", audience="nobody"), "not an audience"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_forged_or_stale_alert_tells_nothing(forged: Alert, why: str) -> None:
    book, agreed = halfway(), contracts(ACME)
    idle = counters({"acme": []}, DAY_20 - HOUR, DAY_20 + 3 * HOUR)
    book.hear([forged], at=DAY_20 + 2 * HOUR)
    assert said(look(book, agreed, DAY_20 + 2 * HOUR, idle)) == [], why


def test_an_alert_for_one_consumer_tells_nothing_of_another() -> None:
    """Beta burst as well, but nobody hinted: its news comes with the closed window."""
    book, agreed = halfway(), contracts(ACME, replace(ACME, consumer="beta"))
    today = counters({name: [(DAY_20 + HOUR, 90)] for name in ("acme", "beta")}, DAY_20 - HOUR, DAY_20 + 3 * HOUR)
    book.hear([alert()], at=DAY_20 + 2 * HOUR)
    assert said(look(book, agreed, DAY_20 + 2 * HOUR, today)) == [("allowance_reached", "acme", "100%")]


def test_a_prediction_needs_an_alert_and_our_own_arithmetic() -> None:
    book, agreed = MemoryBook(), contracts(ACME)
    close_days(book, {"acme": 3}, days=range(19))
    close_days(book, {"acme": 5}, days=range(19, 20))
    idle = counters({"acme": []}, DAY_20 - HOUR, DAY_20 + 3 * HOUR)
    assert said(look(book, agreed, DAY_20 + 2 * HOUR, idle)) == []
    book.hear([alert("RatingAllowanceExhaustionPredicted", threshold="forecast")], at=DAY_20 + 2 * HOUR)
    [told] = look(book, agreed, DAY_20 + 2 * HOUR, idle).notifications
    # 62 used; 5 in the last day; 10 days and 22 hours to go from now: 62 + 5 x 10.916... rounded down.
    assert (told.kind, told.used, told.forecast) == (Kind.EXHAUSTION_PREDICTED, 62, 62 + 5 * Fraction(262, 24) // 1)
    assert said(look(book, agreed, DAY_20 + 2 * HOUR, idle)) == []


def test_no_prediction_in_the_first_tenth_of_a_period_nor_once_all_is_used() -> None:
    early, agreed = MemoryBook(), contracts(ACME)
    close_days(early, {"acme": 30}, days=range(2))
    noted = alert("RatingAllowanceExhaustionPredicted", OCTOBER.start + 2 * DAY, threshold="forecast")
    early.hear([noted], at=OCTOBER.start + 2 * DAY)
    idle = counters({"acme": []}, OCTOBER.start + DAY, OCTOBER.start + 2 * DAY + 2 * HOUR)
    assert said(look(early, agreed, OCTOBER.start + 2 * DAY + HOUR, idle)) == []
    over = MemoryBook()
    close_days(over, {"acme": 9}, days=range(20))
    over.hear([alert("RatingAllowanceExhaustionPredicted", threshold="forecast")], at=DAY_20 + HOUR)
    quiet = counters({"acme": []}, DAY_20 - HOUR, DAY_20 + 3 * HOUR)
    assert "exhaustion_predicted" not in {kind for kind, _, _ in said(look(over, agreed, DAY_20 + HOUR, quiet))}


def test_a_resolved_hint_is_no_hint() -> None:
    book, agreed = halfway(), contracts(ACME)
    today = counters({"acme": [(DAY_20 + HOUR, 25)]}, DAY_20 - HOUR, DAY_20 + 3 * HOUR)
    book.hear([alert(), alert(resolved=True)], at=DAY_20 + 2 * HOUR)
    assert look(book, agreed, DAY_20 + 2 * HOUR, today).hinted == 0


def test_a_source_that_cannot_be_read_waits() -> None:
    book, agreed = halfway(), contracts(ACME)
    down = counters({"acme": [(DAY_20 + HOUR, 25)]}, DAY_20 - 3 * HOUR, DAY_20 - 2 * HOUR)
    book.hear([alert()], at=DAY_20 + 2 * HOUR)
    news = look(book, agreed, DAY_20 + 2 * HOUR, down)
    assert said(news) == []
    assert "expected scrapes were found" in news.waiting[0].why
    up = counters({"acme": [(DAY_20 + HOUR, 25)]}, DAY_20 - 3 * HOUR, DAY_20 + 3 * HOUR)
    assert said(look(book, agreed, DAY_20 + 2 * HOUR, up)) == [("allowance_reached", "acme", "80%")]


def test_what_was_told_of_is_not_read_again() -> None:
    class Counting(MemorySource):
        reads = 0

        def read(self, meter, window):  # type: ignore[no-untyped-def]
            Counting.reads += 1
            return super().read(meter, window)

    book, agreed = halfway(), contracts(ACME)
    target = counters({"acme": [(DAY_20 + HOUR, 25)]}, DAY_20 - HOUR, DAY_20 + 3 * HOUR)
    source = Counting([(labels, samples) for labels, samples in target._series])
    book.hear([alert()], at=DAY_20 + 2 * HOUR)
    for _ in range(5):
        look(book, agreed, DAY_20 + 2 * HOUR, source)
    assert Counting.reads == 1
    book.hear([alert(threshold="100%")], at=DAY_20 + 2 * HOUR)
    look(book, agreed, DAY_20 + 2 * HOUR, source)
    assert Counting.reads == 2


def test_a_dry_run_keeps_nothing() -> None:
    book, agreed = MemoryBook(), contracts(ACME)
    close_days(book, {"acme": 4}, days=range(20))
    assert len(look(book, agreed, DAY_20, dry_run=True).notifications) == 1
    assert book.notifications() == ()


# alerts about the measuring ------------------------------------------------------------------------------------------


def test_alerts_about_the_measuring_reach_our_own_people_once_each_with_their_end() -> None:
    routing = Routing(routes={"operations": ("pager", "inbox")})
    book, agreed = MemoryBook(), contracts(ACME, routing=routing)
    silent = Alert(
        "RatingMeterSilent", (("audience", "operations"), ("meter", "<b>*x*</b>"), ("severity", "critical")), DAY_20
    )
    over = replace(silent, resolved=True)
    for at in (DAY_20, DAY_20 + HOUR):
        book.hear([silent] * 3 + [over], at=at)
    told = [one for _ in range(3) for one in look(book, agreed, DAY_20 + HOUR).notifications]
    assert sorted((one.alert, one.over, one.labels) for one in told) == [
        ("RatingMeterSilent", False, (("meter", "<b>*x*</b>"),)),
        ("RatingMeterSilent", True, (("meter", "<b>*x*</b>"),)),
    ]
    # A customer's inbox is no place for them, even where somebody wrote it there.
    assert {way.channel for one in told for way in one.planned} == {"pager"}


# ways -------------------------------------------------------------------------------------------------------------


class Mail(InboxNotifier):
    to_customer = True


def test_ways_languages_and_quiet_hours() -> None:
    night = QuietHours("22:00", "07:00", "Europe/Berlin")
    routing = Routing(
        routes={"upsell": ("crm", "mail", "inbox"), "trial_ending": ("mail",), "finance": ("mail", "books")},
        contacts={"acme": Contact("ada@acme.example", "de", night)},
        language="fr",
    )
    book, agreed = MemoryBook(), contracts(ACME, routing=routing)
    close_days(book, {"acme": 6}, days=range(20))
    accrued = accrue(book, agreed, now=DAY_20)
    news = notify(book, agreed, accrued, NOTHING, {"mail": Mail(), **INBOX_ONLY}, now=DAY_20)
    ways = {one.kind: one.planned for one in news.notifications}
    assert ways[Kind.ALLOWANCE_REACHED] == (
        Planned("crm", language="fr"),
        Planned("mail", "ada@acme.example", "de", night),
        Planned("inbox", language="de"),
    )
    # What finance hears never goes to the customer.
    assert ways[Kind.USAGE_BEYOND_ALLOWANCE] == (Planned("books", language="fr"),)


# whatever comes in ---------------------------------------------------------------------------------------------------

names = st.sampled_from(
    ["RatingAllowanceReached", "RatingAllowanceExhaustionPredicted", "RatingLimitReached", "RatingPrepaidLow"]
)
noise = st.builds(
    lambda name, consumer, meter, share, hours, resolved: alert(
        name, DAY_20 + hours * HOUR, resolved, consumer=consumer, meter=meter, threshold=share
    ),
    names,
    st.sampled_from(["acme", "beta", "mallory", ""]),
    st.sampled_from(["api_calls", "tokens", ""]),
    st.sampled_from(["80%", "100%", "forecast", ""]),
    st.integers(-48, 4),
    st.booleans(),
)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(noise, max_size=12), st.integers(0, 60), st.integers(0, 60))
def test_whatever_is_raised_only_what_the_counters_say_is_told(raised, acme: int, beta: int) -> None:
    """Never a consumer, a threshold or a limit that exact usage has not reached; and nothing twice."""
    book, agreed = halfway(), contracts(ACME, replace(ACME, consumer="beta"))
    today = counters(
        {"acme": [(DAY_20 + HOUR, acme)], "beta": [(DAY_20 + HOUR, beta)]}, DAY_20 - HOUR, DAY_20 + 5 * HOUR
    )
    book.hear(raised, at=DAY_20 + 4 * HOUR)
    told: list[Notification] = []
    for minutes in (0, 5, 10):
        told += look(book, agreed, DAY_20 + 4 * HOUR + timedelta(minutes=minutes), today).notifications
    truth = {"acme": 60 + acme, "beta": 20 + beta}
    for one in told:
        assert one.used <= truth[one.consumer]
        if one.kind is Kind.ALLOWANCE_REACHED:
            assert truth[one.consumer] >= Fraction(one.mark.rstrip("%"))
        else:
            assert one.kind is Kind.EXHAUSTION_PREDICTED
    assert len({one.key for one in told}) == len(told) == len(book.notifications())


def test_a_thousand_webhooks_shuffled_and_doubled_give_the_same_book() -> None:
    agreed = contracts(ACME, replace(ACME, consumer="beta"))
    today = counters({"acme": [(DAY_20 + HOUR, 45)], "beta": [(DAY_20 + HOUR, 65)]}, DAY_20 - HOUR, DAY_20 + 3 * HOUR)
    distinct = [
        alert(consumer=consumer, threshold=share, at=DAY_20 + HOUR + minute * timedelta(minutes=1))
        for consumer in ("acme", "beta", "mallory")
        for share in ("80%", "100%")
        for minute in range(5)
    ]

    def contents(order: list[Alert], size: int) -> tuple[object, ...]:
        book = halfway()
        for start in range(0, len(order), size):
            book.hear(order[start : start + size], at=DAY_20 + 2 * HOUR)
            if start % (7 * size) == 0:
                look(book, agreed, DAY_20 + 2 * HOUR, today)
        look(book, agreed, DAY_20 + 2 * HOUR, today)
        told = sorted((one.notification.key, one.notification.used) for one in book.notifications())
        return told, sorted(one.alert.key for one in book.heard(DAY_20))

    once = contents(distinct, len(distinct))
    assert [used for _, used in once[0]] == [105, 85]
    chance = random.Random(3)
    many = distinct * 34
    for _ in range(2):
        chance.shuffle(many)
        assert len(many) > 1000
        assert contents(many, chance.randint(1, 40)) == once


def test_a_window_that_is_closed_while_we_look_is_not_counted_twice() -> None:
    """Somebody runs `rating collect` between our accrual and our reading: 60 closed, now 79."""

    class Meanwhile(MemorySource):
        def read(self, meter, window):  # type: ignore[no-untyped-def]
            close_days(book, {"acme": 19, "beta": 1}, days=range(20, 21))
            return super().read(meter, window)

    book, agreed = halfway(), contracts(ACME)
    today = counters({"acme": [(DAY_20 + HOUR, 19)]}, DAY_20 - HOUR, DAY_20 + 3 * HOUR)
    book.hear([alert()], at=DAY_20 + 2 * HOUR)
    news = look(book, agreed, DAY_20 + 2 * HOUR, Meanwhile([(labels, samples) for labels, samples in today._series]))
    assert said(news) == [], "79 of 100, not 98"
