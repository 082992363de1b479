"""Usage windows: what one meter counted in one closed period, for whom, and on what evidence.

Decides what a closing is and how its completeness is named. How usage is computed from samples is `counters`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from fractions import Fraction
from typing import NamedTuple

from rating.core.periods import Period


class Completeness(StrEnum):
    COMPLETE = "complete"
    """Scrapes found as expected, no warnings, the partition adds up."""
    DEGRADED = "degraded"
    """Gaps, baseline births or crashes: billed as seen, with a bound or an estimate of what is missing."""
    HELD = "held"
    """Nothing is billed until a person or a later retry resolves it."""


class Usage(NamedTuple):
    """One usage window's content: who, which dimension values (in the meter's order), how much.

    `quantity` is an integer in the meter's resolution. A tuple, because there are millions of these.
    """

    consumer: str
    dimensions: tuple[str, ...]
    quantity: int


@dataclass(frozen=True, slots=True)
class Query:
    """One question put to the source: its text and the evaluation instant in milliseconds since the epoch."""

    text: str
    at: int
    series: int
    """How many series answered."""


ESTIMATE, BOUND = "estimate", "at most, each consumer"
"""What the figure of unseen usage is, wherever it is printed."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """Why a window's usage may be believed, and what it could not see."""

    queries: tuple[Query, ...] = ()
    identities: int = 0
    """Counters, with replicas merged."""
    samples: int = 0
    """Raw samples read one by one (clean counters need none)."""
    resets: int = 0
    births: int = 0
    """Counters with no sample before the window, counted from zero on proof."""
    baselines: int = 0
    """Counters with no sample before the window and no proof of birth: their first value was not billed."""
    scrapes_seen: int = 0
    scrapes_expected: int = 0
    unseen: int = 0
    """Estimate of increments between a last scrape and a crash, in the meter's resolution."""
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    bound: int | None = None
    """The most that any one consumer may have used and no sample shows, in the meter's resolution; None where no rate
    limit is declared, and `unseen` is all there is to say."""
    tail: int = 0
    """With a bound: the most one consumer may have used after the last scrapes, for the next window to count."""
    uncovered: int = 0
    """Milliseconds, summed over gauges, in which no sample spoke for one that nobody saw gone: they count nothing."""
    digest: str = ""
    """SHA-256 over the readings used, in a documented order: the same samples give the same digest."""

    @property
    def lacking(self) -> int:
        """What no sample shows, in the meter's resolution: a bound for each consumer where there is one, else an
        estimate for all together."""
        return self.unseen if self.bound is None else self.bound

    @property
    def lacking_is(self) -> str:
        return ESTIMATE if self.bound is None else BOUND

    @property
    def coverage(self) -> Fraction:
        """Share of expected scrapes that were found; 1 when none were expected."""
        if self.scrapes_expected == 0:
            return Fraction(1)
        return min(Fraction(1), Fraction(self.scrapes_seen, self.scrapes_expected))


@dataclass(frozen=True, slots=True)
class Closing:
    """One meter, one window: final once it is in the book."""

    meter: str
    window: Period
    completeness: Completeness
    usage: tuple[Usage, ...]
    """Sorted by consumer and dimensions, one row each, zero quantities left out."""
    evidence: Evidence = field(default_factory=Evidence)

    def __post_init__(self) -> None:
        if self.completeness is Completeness.HELD:
            raise ValueError("a held window is not closed; use Held")


@dataclass(frozen=True, slots=True)
class Held:
    """A window that cannot be trusted yet: shown, never billed, never skipped."""

    meter: str
    window: Period
    reason: str
    evidence: Evidence = field(default_factory=Evidence)


@dataclass(frozen=True, slots=True)
class Adjustment:
    """What a closed window turned out to have counted more or less: an entry beside the closing, which stays."""

    meter: str
    window: Period
    revision: int
    """1 for the first adjustment of its window, then 2 ...; with meter and window start it is the entry's key."""
    rows: tuple[Usage, ...]
    """Signed differences to the window as it stood, sorted by consumer and dimensions, one row each, none zero."""
    reason: str
    """`late samples`, or a person's."""
    author: str
    evidence: Evidence = field(default_factory=Evidence)
    """Of the reading it was found by."""

    def __post_init__(self) -> None:
        if self.revision < 1:
            raise ValueError(f"revision {self.revision} of an adjustment is not 1 or more")
        keys = [row[:2] for row in self.rows]
        if not keys or keys != sorted(set(keys)) or not all(row.quantity for row in self.rows):
            raise ValueError("an adjustment has at least one row, sorted, each once and none of zero")
