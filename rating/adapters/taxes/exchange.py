"""The JSON that tax services and files of answers speak: a question out, a decision in. Knows no transport.

A question names the invoice, both parties and the tax point; an answer gives treatment and rates, never amounts: those
are computed here, the same way for every service. README.md has both in full.
"""

from __future__ import annotations

import json
from fractions import Fraction
from typing import Any

import msgspec

from rating.core.money import exact
from rating.core.taxation import TaxDecision, TaxQuestion, Treatment
from rating.core.taxes import Tax
from rating.errors import EdgeDisagrees

VERSION = 1


class _Rate(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    percent: str


class Answer(msgspec.Struct, forbid_unknown_fields=True):
    treatment: Treatment
    rates: list[_Rate] = []
    own_rates: bool = False
    note: str = ""
    reason: str = ""
    reference: str = ""


class _Answered(Answer):
    version: int = VERSION


class Answers(msgspec.Struct, forbid_unknown_fields=True):
    """A file of them, by customer."""

    customers: dict[str, Answer]
    version: int = VERSION


def question_json(question: TaxQuestion) -> dict[str, Any]:
    return {
        "version": VERSION,
        "invoice": question.invoice,
        "date": question.on.isoformat(),
        "currency": question.currency,
        "plan": question.plan,
        "seller": {"key": question.seller, "country": question.seller_country, "tax_id": question.seller_tax_id},
        "customer": {
            "key": question.customer,
            "country": question.country,
            "tax_id": question.tax_id,
            "exempt": question.exempt,
        },
    }


def read_answer(body: bytes, source: str) -> TaxDecision:
    """Raises:
    EdgeDisagrees: it is no answer, or one that contradicts itself.
    """
    return decision(_read(body, _Answered, source), source)


def read_answers(body: bytes, source: str) -> Answers:
    """Raises:
    EdgeDisagrees: it is no file of answers.
    """
    answers: Answers = _read(body, Answers, source)
    return answers


def decision(answer: Answer, source: str) -> TaxDecision:
    """Raises:
    EdgeDisagrees: it contradicts itself.
    """
    try:
        taxes = tuple(Tax(rate.name, _percent(rate.percent)) for rate in answer.rates)
        return TaxDecision(
            answer.treatment, taxes, answer.own_rates, answer.note, answer.reason, source, answer.reference
        )
    except ValueError as error:
        raise EdgeDisagrees(f"{source} gave an answer that cannot be: {error}") from error


def _percent(text: str) -> Fraction:
    percent = exact(text)
    if not 0 <= percent <= 100:
        raise ValueError(f"a rate of {text} percent is not between 0 and 100")
    return percent


def _read(body: bytes, kind: type[Any], source: str) -> Any:
    try:
        found = msgspec.json.decode(body, type=kind)
    except msgspec.MsgspecError as error:
        shown = body[:80].decode(errors="replace")
        raise EdgeDisagrees(f"{source} answered {json.dumps(shown)}, which is no answer: {error}") from error
    if found.version != VERSION:
        raise EdgeDisagrees(f"{source} speaks version {found.version} and this program version {VERSION}")
    return found
