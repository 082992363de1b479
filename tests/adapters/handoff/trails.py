"""Papers for a folder, and a trail that forgets: files need none."""

from __future__ import annotations

from datetime import UTC, datetime
from fractions import Fraction

from rating.core.invoices import Draft, Invoice, LineItem, LineKind
from rating.core.money import Currency, Money
from rating.core.periods import Period
from rating.core.publications import InvoiceDispatch

NOW = datetime(2026, 9, 1, 6, tzinfo=UTC)
AUGUST = Period(datetime(2026, 8, 1, tzinfo=UTC), datetime(2026, 9, 1, tzinfo=UTC))
USD = Currency("USD")


class NoTrail:
    begun_at: datetime | None = None
    revived = 0

    def name(self, part: str = "", subject: str | None = None) -> str | None:
        return None

    def keep(self, name: str, part: str = "", subject: str | None = None) -> None:
        return


def dispatch(number: int) -> InvoiceDispatch:
    """Invoice INV-00000n of n times ten dollars and five cents."""
    lines = (
        LineItem(LineKind.FEE, "", "Pro", AUGUST, Fraction(10 * number), Money(1000 * number, USD)),
        LineItem(
            LineKind.USAGE, "api", "=HYPERLINK(1)", AUGUST, Fraction(5, 100), Money(5, USD), meter="api",
            unit="request", quantity=Fraction(1000),
        ),
    )  # fmt: skip
    draft = Draft("acme/pro/2026-08-01", "acme", "acme", "pro", "Pro", USD, AUGUST, lines, "c" * 64)
    return InvoiceDispatch(Invoice(f"INV-{number:06d}", NOW, draft, "d" * 64, ""), Money(0, USD))
