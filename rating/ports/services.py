"""Services asked for a decision."""

from __future__ import annotations

from typing import Protocol

from rating.core.taxation import TaxDecision, TaxQuestion


class TaxService(Protocol):
    """Who decides how an invoice is taxed. It gives treatment and rates; amounts are ours."""

    def decide(self, question: TaxQuestion) -> TaxDecision | None:
        """How this invoice is taxed; None to leave it at what the plan says.

        The same question gets the same treatment and rates as long as nobody changes them. An answer is whole or it is
        an error: never a default for what could not be found out.

        Raises:
            NoTaxRuleCovers: it understood, and cannot say.
            EdgeUnavailable: unreachable, timed out, or failing; a retry may succeed.
            EdgeRefused: it says no to this program (unauthorised, not a tax service at all).
            EdgeDisagrees: its answer is none, or contradicts itself.
        """
