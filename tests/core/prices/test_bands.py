"""Times of use: bands follow the wall clock, also on the two nights a year it jumps."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from fractions import Fraction
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rating.core.column import Column
from rating.core.periods import Period
from rating.core.prices.bands import Band, Banded, Bands
from rating.core.prices.graduated import Graduated
from rating.core.prices.per_unit import PerUnit
from rating.core.tiers import Tier, Tiers
from rating.errors import PricingError

F = Fraction
BERLIN = ZoneInfo("Europe/Berlin")
NIGHT = Band("night", time(22), time(6))
WEEKEND = Band("weekend", weekdays=frozenset({5, 6}))
TARIFF = Bands((NIGHT, WEEKEND), BERLIN)


def local(text: str, zone: ZoneInfo = BERLIN) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=zone).astimezone(UTC)


@pytest.mark.parametrize(
    ("wall", "band"),
    [
        ("2026-10-21 21:59:59", "otherwise"),
        ("2026-10-21 22:00", "night"),
        ("2026-10-22 05:59", "night"),
        ("2026-10-22 06:00", "otherwise"),
        ("2026-10-24 12:00", "weekend"),
        ("2026-10-24 23:00", "night"),  # listed first
        ("2026-10-26 00:00", "night"),
    ],
)
def test_the_first_band_that_holds_names_an_instant(wall: str, band: str) -> None:
    assert TARIFF.at(local(wall)) == band


def test_a_band_across_midnight_belongs_to_the_day_it_begins_on() -> None:
    friday_night = Bands((Band("friday night", time(22), time(6), frozenset({4})),), BERLIN)
    assert friday_night.at(local("2026-10-24 05:00")) == "friday night", "saturday morning"
    assert friday_night.at(local("2026-10-23 05:00")) == "otherwise", "friday morning"


@pytest.mark.parametrize(
    ("evening", "hours"),
    [("2026-03-28", 7), ("2026-03-29", 8), ("2026-10-24", 9), ("2026-10-25", 8)],
    ids=["spring forward", "the night after", "fall back", "the night after that"],
)
def test_a_night_is_as_long_as_the_wall_clock_makes_it(evening: str, hours: int) -> None:
    only_night = Bands((NIGHT,), BERLIN)
    start = local(f"{evening} 12:00")
    nights = [part for part, band in only_night.split(Period(start, start + timedelta(hours=24))) if band == "night"]
    assert [night.length for night in nights] == [timedelta(hours=hours)]


def test_a_band_whose_bound_the_clock_skips_begins_when_the_clock_has_passed_it() -> None:
    early = Bands((Band("early", time(2, 30), time(5)),), BERLIN)
    night = Period(local("2026-03-29 00:00"), local("2026-03-29 06:00"))
    [_, (part, band), _] = early.split(night)
    assert (band, part.start, part.end) == ("early", local("2026-03-29 03:00"), local("2026-03-29 05:00"))


def test_a_band_whose_bound_comes_twice_is_left_and_entered_again() -> None:
    early = Bands((Band("early", time(2, 30), time(5)),), BERLIN)
    start = local("2026-10-25 00:00")
    parts = early.split(Period(start, start + timedelta(hours=7)))
    # 02:30 to 03:00 in summer time, then the clock reads 02:00 again.
    assert [(part.length, band) for part, band in parts] == [
        (timedelta(hours=2, minutes=30), "otherwise"),
        (timedelta(minutes=30), "early"),
        (timedelta(minutes=30), "otherwise"),
        (timedelta(hours=2, minutes=30), "early"),
        (timedelta(hours=1), "otherwise"),
    ]


def test_a_window_inside_one_band_is_not_cut() -> None:
    window = Period(local("2026-10-21 10:00"), local("2026-10-21 11:00"))
    assert TARIFF.split(window) == ((window, "otherwise"),)


def test_dates_bound_a_season() -> None:
    season = Bands((Band("summer", first_day=date(2026, 6, 1), last_day=date(2026, 8, 31)),), BERLIN)
    assert [season.at(local(day)) for day in ("2026-05-31", "2026-06-01", "2026-08-31 23:59", "2026-09-01")] == [
        "otherwise",
        "summer",
        "summer",
        "otherwise",
    ]


ZONES = st.sampled_from([ZoneInfo(name) for name in ("Europe/Berlin", "America/St_Johns", "Asia/Kathmandu", "UTC")])
CLOCKS = st.builds(time, st.integers(0, 23), st.sampled_from([0, 15, 30]))


@settings(max_examples=60, deadline=None)
@given(
    zone=ZONES,
    bands=st.lists(st.builds(Band, st.sampled_from("abc"), CLOCKS, CLOCKS), max_size=3),
    minute=st.integers(0, 360 * 24 * 60),
    hours=st.integers(1, 60),
)
def test_splitting_tiles_the_window_and_every_minute_has_its_own_band(
    zone: ZoneInfo, bands: list[Band], minute: int, hours: int
) -> None:
    begins = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=minute)
    window, tariff = Period(begins, begins + timedelta(hours=hours)), Bands(tuple(bands), zone)
    parts = tariff.split(window)
    assert [part.start for part, _ in parts] == [window.start, *(part.end for part, _ in parts[:-1])]
    assert parts[-1][0].end == window.end
    assert all(before != after for (_, before), (_, after) in pairwise(parts))
    for part, band in parts:
        instant = part.start
        while instant < part.end:
            assert tariff.at(instant) == band
            instant += timedelta(minutes=5)


def test_each_bands_usage_of_the_period_is_rated_on_its_own() -> None:
    tiered = Graduated(Tiers((Tier(F(100), F(1)), Tier(None, F("0.5")))))
    price = Banded(Bands((NIGHT,), BERLIN), {"night": PerUnit(F("0.1")), "otherwise": tiered})
    amounts = price.amounts_of(["night", "otherwise", "night"], Column.of([F(200), F(200), F(10)])).fractions()
    assert amounts == [20, 150, 1]
    with pytest.raises(PricingError, match="depends on the time of use"):
        price.amounts(Column.of([F(1)]))


def test_a_band_without_a_price_is_refused() -> None:
    with pytest.raises(ValueError, match="band night has no price"):
        Banded(Bands((NIGHT,), BERLIN), {"otherwise": PerUnit(F(1))})
