"""When to speak: every span and share the rules use, in one table, each with its reason.

Plans say at which share of an allowance to offer more; everything the catalogue cannot know stands here.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from fractions import Fraction


@dataclass(frozen=True, slots=True)
class Policy:
    rate_span: timedelta = timedelta(minutes=5)
    """Rates look back this far; at least four scrapes of a slow meter."""

    live_interval: timedelta = timedelta(seconds=15)
    """Live usage and its alerts are evaluated this often, or with every scrape where those are more frequent."""
    live_margin: timedelta = timedelta(minutes=10)
    """How late a closing may be, beyond the settling delay, before live usage starts to be understated."""
    live_span_limit: timedelta = timedelta(hours=2)
    """Counters that vanished longer ago are left to the next closing: a raw range over all of them costs too much."""

    trend_span: timedelta = timedelta(days=1)
    """A forecast follows the last day, so that night and noon weigh alike."""
    trend_step: timedelta = timedelta(minutes=10)
    trend_points: int = 72
    """Half a day of history before a trend is believed; until then the period's average pace forecasts."""
    forecast_after: Fraction = Fraction(1, 10)
    """Share of a period that must have passed before its forecast may alert."""
    forecast_for: timedelta = timedelta(minutes=1)

    charges_interval: timedelta = timedelta(minutes=5)
    """What will be charged beyond allowances is evaluated this often: it is true of many at once, and can wait."""

    trial_notice: timedelta = timedelta(days=3)
    """A trial that ends sooner is a conversation now."""

    unusual_interval: timedelta = timedelta(minutes=5)
    """What compares weeks is evaluated this often: it reads a week of every consumer."""
    unusual_step: timedelta = timedelta(hours=3)
    """A week is looked at in so many steps; each reads one recorded number per consumer."""
    unusual_for: timedelta = timedelta(minutes=15)
    unusual_times: int = 4
    """So many times the most a consumer used around this hour a week ago, and its week's average, is unusual."""
    unusual_least: int = 100
    """Units in one window below which nobody is called, whatever came before."""
    spend_span: timedelta = timedelta(hours=6)
    spend_least: int = 10
    """Major units of money within `spend_span` below which nobody is called."""
    origin_labels: tuple[str, ...] = ("country", "region", "asn", "network")
    """Dimensions that say where a call came from. A consumer's calls from a new one may be somebody else's."""
    origin_share: Fraction = Fraction(5, 100)
    """Share of a consumer's traffic from a place it never called from within the last week."""
    mix_shift: Fraction = Fraction(1, 2)
    """Share of a consumer's traffic that has moved to other endpoints since last week's mixture."""
    mix_span: timedelta = timedelta(hours=1)
    falling_to: Fraction = Fraction(1, 2)
    """A week with less than this share of the week before is a customer who is leaving."""

    scrape_failing_for: timedelta = timedelta(minutes=2)
    """A gap longer than this can swallow a restart whole: what was counted before it is then gone."""
    silent_for: timedelta = timedelta(minutes=5)
    silent_memory: timedelta = timedelta(hours=6)
    """A meter that spoke within this span is expected to speak on."""
    flat_for: timedelta = timedelta(minutes=30)
    """No increase for this long, where the same half hour a day ago and a week ago had some."""
    lag: timedelta = timedelta(minutes=30)
    """How long a due window may wait."""
    held_for: timedelta = timedelta(minutes=15)
    """Held windows are retried; a person is called when retries did not help."""
    degraded_span: timedelta = timedelta(hours=6)
    errors_span: timedelta = timedelta(minutes=15)
    drift: Fraction = Fraction(1, 4)
    """`increase()` loses about a fifth at births and replaced pods and far less otherwise; beyond a quarter, one of the
    two measurements is wrong."""
    engine_down_for: timedelta = timedelta(minutes=5)
    unbilled_for: timedelta = timedelta(minutes=10)
    """A subscription entered just after the first call is no news."""

    reconcile_within: timedelta = timedelta(hours=36)
    """Gateways are compared once a day; half a day more is for retries while one is away."""
    refused_span: timedelta = timedelta(hours=1)
    refused_least: int = 3
    """Deliveries to a hook that anybody can reach: a few that nobody signed are strangers who try."""

    runbook: str = "rules/README.md"
    """Where people find what to do; the alert's name is the anchor."""


DEFAULT = Policy()
