"""A file of answers by customer, as an accounting system may export it: read anew for each question that is asked."""

from __future__ import annotations

from pathlib import Path

from rating.adapters.taxes.exchange import decision, read_answers
from rating.core.taxation import TaxDecision, TaxQuestion
from rating.errors import EdgeUnavailable, NoTaxRuleCovers


class AnsweredTaxes:
    """Keeps the promises of `ports.TaxService`."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def decide(self, question: TaxQuestion) -> TaxDecision | None:
        try:
            body = self._path.read_bytes()
        except OSError as error:
            raise EdgeUnavailable(
                f"the tax answers {self._path} cannot be read: {error.strerror}; the invoice waits"
            ) from error
        answers = read_answers(body, self._path.name)
        if question.customer not in answers.customers:
            raise NoTaxRuleCovers(f"the tax answers {self._path} do not say how {question.customer} is taxed")
        return decision(answers.customers[question.customer], self._path.name)
