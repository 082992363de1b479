"""Every way a step can fail, as one tree whose classes say what the caller should do next.

    RatingError
    ├── SpecError                the author's file is wrong; holds all Findings
    ├── UsageError               the measurement cannot be trusted
    │   ├── WindowStillOpen          wait
    │   ├── SamplesMissing           a person looks
    │   └── UnknownConsumer          counted, but nobody to bill: kept, listed, never dropped
    ├── PricingError             the rate card does not say what this usage costs
    │   ├── MixedCurrencies          two currencies met in one sum
    │   ├── NoTierCovers             the quantity lies beyond the last tier
    │   ├── NoTaxRuleCovers          nothing says how this customer is taxed: the invoice waits
    │   └── NoPlanInForce            no plan on that day
    ├── BookError                the book refuses
    │   ├── Contradiction            the same key with different content: a person looks
    │   ├── AlreadyIssued            the invoice exists
    │   └── Overtaken                somebody wrote first: read again
    └── EdgeError                an outside system
        ├── EdgeUnavailable          retry later
        ├── EdgeRefused              do not retry
        └── EdgeDisagrees            a person looks

A Finding is the other channel: a value, many at once, for authors of catalogues and for checks of the book. Messages
say where, what, both numbers and what to do.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum


class Severity(StrEnum):
    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Finding:
    """One mistake of an author, or one broken invariant of the book."""

    where: str
    """File and line (`plans.yaml:14`), or the key of the entry in question."""
    what: str
    hint: str = ""
    severity: Severity = Severity.ERROR

    def __str__(self) -> str:
        sentence = f"{self.where}: {self.what}"
        if self.hint:
            sentence = f"{sentence}; {self.hint}"
        return sentence if self.severity is Severity.ERROR else f"{sentence} (warning)"


class RatingError(Exception):
    """Anything this program refuses to do, with a sentence a person can act on."""


class SpecError(RatingError):
    """The author's file is wrong. Carries every Finding, not the first one."""

    def __init__(self, findings: tuple[Finding, ...]) -> None:
        self.findings = findings
        super().__init__("\n".join(str(finding) for finding in findings))


class UsageError(RatingError):
    """The measurement cannot be trusted; nothing is billed from it."""


class WindowStillOpen(UsageError):
    """The window has not ended, or its settling delay has not passed: wait."""


class SamplesMissing(UsageError):
    """The samples that would prove this window are gone or incomplete: a person looks."""


class UnknownConsumer(UsageError):
    """Usage was counted for a consumer without a subscription: kept and listed, never dropped."""


class PricingError(RatingError):
    """The rate card does not say what this usage costs."""


class MixedCurrencies(PricingError):
    """Two currencies met in one sum."""


class NoTierCovers(PricingError):
    """The quantity lies beyond the last finite tier and the card does not say what happens there."""


class NoTaxRuleCovers(PricingError):
    """Nothing says how this customer is taxed; the invoice waits until something does."""


class NoPlanInForce(PricingError):
    """The consumer has no plan at that instant."""


class BookError(RatingError):
    """The book refuses the entry, or cannot be read."""


class Contradiction(BookError):
    """The book holds this key with different content; it stops the line and calls a person."""


class AlreadyIssued(BookError):
    """This invoice was issued before; an issued invoice changes only by a credit note or a later adjustment."""


class Overtaken(BookError):
    """Another writer was faster: read again and decide anew."""


class EdgeError(RatingError):
    """An outside system did not do what was asked of it."""


class EdgeUnavailable(EdgeError):
    """Unreachable, slow or failing: try again later."""

    def __init__(self, message: str = "", *, retry_after: timedelta | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        """How long the other side asked us to wait, where it said so."""


class EdgeRefused(EdgeError):
    """It understood and said no: trying again changes nothing."""


class EdgeDisagrees(EdgeError):
    """It answered something that contradicts what we know: a person looks."""
