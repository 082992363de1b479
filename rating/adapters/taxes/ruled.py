"""The catalogue's own rules as a tax service: the first that fits decides. Asks nobody."""

from __future__ import annotations

from rating.core.taxation import TaxDecision, TaxQuestion, decide


class RuledTaxes:
    """Keeps the promises of `ports.TaxService`."""

    def decide(self, question: TaxQuestion) -> TaxDecision | None:
        return decide(question) if question.rules else None
