"""Which contract a period is billed under: gathers the catalogues the book has kept and answers for one instant.

A period is billed under the catalogue that was in force when it began; an edit reaches the next period. `rating catalog
adopt --from` makes an edit reach back. A subscription that vanished from the files is still billed until it is ended:
deleting a line must not lose an invoice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache

from rating.core.catalogue import Catalogue
from rating.core.invoices import Draft
from rating.core.keys import meter_digest
from rating.core.meters import Meter
from rating.core.parties import Parties
from rating.core.periods import EPOCH, stamp
from rating.core.plans import Plan
from rating.core.subscriptions import Subscription, merge
from rating.errors import Finding, NoPlanInForce, Severity, SpecError
from rating.ports import Book, KeptCatalogue
from rating.specs.compile import compile_catalogue


@dataclass(frozen=True, slots=True)
class Contracts:
    """Every catalogue version that matters, oldest first, and the subscriptions of all of them."""

    versions: tuple[tuple[datetime, Catalogue], ...]
    """In force from, and what it says; never empty."""
    subscriptions: tuple[Subscription, ...]
    findings: tuple[Finding, ...] = ()

    @property
    def current(self) -> Catalogue:
        return self.versions[-1][1]

    def parties(self, instant: datetime) -> Parties:
        """Sellers and customers as they are described at that instant."""
        past = [catalogue for since, catalogue in self.versions if since <= instant]
        return (past[-1] if past else self.versions[0][1]).parties

    def plan(self, key: str, instant: datetime) -> tuple[Plan, str]:
        """The plan as it stood at `instant`, and the digest of the catalogue it stood in.

        A plan that was written down only later is taken from the first version that has it.

        Raises:
            NoPlanInForce: no version has it.
        """
        past = [catalogue for since, catalogue in self.versions if since <= instant]
        later = [catalogue for since, catalogue in self.versions if since > instant]
        for catalogue in (*past[-1:], *later):
            if key in catalogue.plans:
                return catalogue.plans[key], catalogue.digest
        raise NoPlanInForce(f'plan "{key}" is in no catalogue kept since {stamp(instant)}; write it into the catalogue')


def keep(book: Book, catalogue: Catalogue, *, now: datetime) -> bool:
    """Keep the catalogue in the book when it differs from the one in force. True when it was kept.

    The first one ever kept is in force from the beginning of time.

    Raises:
        SpecError: it gives a meter another resolution than the book counts it in.
    """
    kept = book.catalogues()
    _same_resolution(kept, catalogue)
    if kept and in_force(kept, now).digest == catalogue.digest:
        return False
    since = now.replace(microsecond=0) if kept else EPOCH
    return book.keep_catalogue(catalogue.digest, catalogue.text, in_force_from=since, at=now)


def adopt(book: Book, catalogue: Catalogue, *, since: datetime, now: datetime) -> bool:
    """Keep the catalogue as in force from `since` on, over whatever was kept before. Raises as `keep` does."""
    _same_resolution(book.catalogues(), catalogue)
    return book.keep_catalogue(catalogue.digest, catalogue.text, in_force_from=since, at=now)


def in_force(kept: Sequence[KeptCatalogue], instant: datetime) -> KeptCatalogue:
    """The version for `instant`; the first one when all began later."""
    ordered = sorted(kept, key=lambda version: (version.recorded_at, version.in_force_from))
    before = [version for version in ordered if version.in_force_from <= instant]
    # What was recorded last wins over the whole span it claims: adopting from a past day replaces what stood there.
    return before[-1] if before else ordered[0]


def metered_from(contracts: Contracts) -> dict[str, datetime]:
    """Per meter: the first instant at which somebody is billed by it. A meter nobody is billed by is not named.

    A meter that a plan gained later need not be measured for the time before.
    """
    begins: dict[str, datetime] = {}
    known: set[str] = set()
    for since, catalogue in contracts.versions:
        used = {key: {card.meter.name for card in plan.cards} for key, plan in catalogue.plans.items()}
        for subscription in contracts.subscriptions:
            own = {card.meter.name for card in subscription.overrides}
            for meter in used.get(subscription.plan, set()) | own:
                # A plan written down late holds for the time before as well; see `Contracts.plan`.
                first = max(subscription.start, since) if subscription.plan in known else subscription.start
                begins[meter] = min(begins.get(meter, first), first)
        known |= catalogue.plans.keys()
    return begins


def gather(book: Book, catalogue: Catalogue, *, now: datetime) -> Contracts:
    """The contracts as the book and the present catalogue know them. Writes nothing. Raises as `keep` does."""
    kept = book.catalogues()
    _same_resolution(kept, catalogue)
    spans = _spans(kept, catalogue, now)
    commanded, paused = book.subscriptions(), book.pauses()
    subscriptions, findings = _subscriptions([version for _, version in spans], catalogue, commanded)
    if paused:
        subscriptions = tuple(replace(one, pauses=paused.get(one.key, ())) for one in subscriptions)
    return Contracts(tuple(spans), subscriptions, findings)


def billed_under(book: Book, contracts: Contracts, paper: Draft) -> Catalogue:
    """The catalogue an invoice was rated under, whatever is in force for its period now.

    Raises:
        NoPlanInForce: neither the book nor the present catalogue is it.
    """
    for _, catalogue in contracts.versions:
        if catalogue.digest == paper.catalogue:
            return catalogue
    for version in book.catalogues():
        if version.digest == paper.catalogue:
            return _compiled(version)
    raise NoPlanInForce(
        f"invoice of {paper.key} was rated under catalogue {paper.catalogue[:12]}, which the book has not kept; "
        "adopt it from that day to settle the invoice's late usage"
    )


def meter_as_closed(book: Book, meter: Meter, digest: str) -> Meter | None:
    """The meter as a window was measured by it: as it is now, or as a catalogue that the book has kept had it.

    How far its windows are trusted and where it is read are the present meter's: these are not what was measured.
    None when no catalogue has it any more.
    """
    if meter_digest(meter) == digest:
        return meter
    for version in book.catalogues():
        kept = _compiled(version).meters.get(meter.name)
        if kept is not None and meter_digest(kept) == digest:
            return replace(
                kept,
                sources=meter.sources,
                max_rate=meter.max_rate,
                degraded=meter.degraded,
                tolerated=meter.tolerated,
                tolerated_share=meter.tolerated_share,
            )
    return None


def _same_resolution(kept: Sequence[KeptCatalogue], catalogue: Catalogue) -> None:
    """Quantities in the book are bare integers: read in another resolution they would be bills a thousand times off."""
    before = {name: meter for version in kept for name, meter in _compiled(version).meters.items()}
    findings = tuple(
        Finding(
            f"meter {name}",
            f"counts with {meter.digits} decimals, and its windows in the book are counted with {before[name].digits}",
            "restore its resolution, or give the new meter a name of its own",
        )
        for name, meter in sorted(catalogue.meters.items())
        if name in before and meter.digits != before[name].digits
    )
    if findings:
        raise SpecError(findings)


def _compiled(version: KeptCatalogue) -> Catalogue:
    return _compiled_text(version.digest, version.text)


@cache
def _compiled_text(digest: str, text: str) -> Catalogue:
    # What was kept never changes, and is asked for at every tick.
    return compile_catalogue([(f"catalogue {digest[:12]} in the book", text)])


def _spans(kept: Sequence[KeptCatalogue], catalogue: Catalogue, now: datetime) -> list[tuple[datetime, Catalogue]]:
    """Turn "recorded last wins from its day on" into consecutive spans, each with its compiled catalogue."""
    if not kept:
        return [(EPOCH, catalogue)]
    compiled = {catalogue.digest: catalogue}
    spans: list[tuple[datetime, Catalogue]] = []
    for since in sorted({version.in_force_from for version in kept}):
        version = in_force(kept, since)
        if version.digest not in compiled:
            compiled[version.digest] = _compiled(version)
        if not spans or spans[-1][1].digest != version.digest:
            spans.append((since, compiled[version.digest]))
    if spans[-1][1].digest != catalogue.digest:
        # Not kept yet (a dry run): it would be in force from now on.
        spans.append((now, catalogue))
    return spans


def _subscriptions(
    versions: Sequence[Catalogue], current: Catalogue, commanded: Sequence[Subscription]
) -> tuple[tuple[Subscription, ...], tuple[Finding, ...]]:
    known = {subscription.key: subscription for version in versions for subscription in version.subscriptions}
    # A plan that left the catalogue still holds for those who were on it.
    plans = {key: plan for version in (*versions, current) for key, plan in version.plans.items()}
    together, clashes = merge(current.subscriptions, commanded, plans)
    present = {subscription.key: subscription for subscription in together}
    vanished = tuple(
        Finding(
            f"subscription {key}",
            "is no longer in the catalogue but was never ended, so it is still billed",
            "put it back with an `end:` date",
            Severity.WARNING,
        )
        for key in sorted(known.keys() - present.keys())
        if known[key].end is None
    )
    merged = {**known, **present}
    return tuple(merged[key] for key in sorted(merged)), (*clashes, *vanished)
