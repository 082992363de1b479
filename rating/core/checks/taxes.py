"""Rules about taxes: an invoice is taxed as was decided of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rating.core.checks.records import Record, drafts
from rating.core.invoices import Draft, LineKind
from rating.core.taxation import TaxDecision, Treatment
from rating.errors import Finding


def taxes_follow_decision(records: Sequence[Record]) -> Iterator[Finding]:
    """What was decided to be untaxed has no tax and says why; where charges keep no rates of their own, every tax on
    the paper is one that was decided.
    """
    for one, draft in drafts(records):
        for _, part in draft.parts:
            if part.tax is not None:
                yield from _follows(one.number, part, part.tax)


def _follows(number: str, part: Draft, decided: TaxDecision) -> Iterator[Finding]:
    lines = [line for line in part.lines if line.kind is LineKind.TAX]
    if decided.note and all(line.title != decided.note for line in lines):
        yield Finding(
            f"invoice {number}", f"does not print {decided.note!r}, which was decided of it", "compare with a backup"
        )
    if decided.treatment is Treatment.STANDARD and decided.own_rates:
        return
    names = {tax.title for tax in decided.taxes} | {decided.treatment.value}
    for line in lines:
        if line.card not in names or (decided.treatment is not Treatment.STANDARD and line.amount.minor):
            yield Finding(
                f"invoice {number}",
                f"has {line.amount} of {line.title!r}, but was decided to be {decided.treatment.value} "
                f"with {', '.join(sorted(tax.title for tax in decided.taxes)) or 'no rates'}",
                "a person must look",
            )
