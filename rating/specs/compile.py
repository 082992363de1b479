"""The author's files become one Catalogue, or every Finding at once. Pure: reads no files, knows no clock.

Three passes: the text is read with its lines (`source`), each part is checked alone (`schema`), and the parts are
checked against each other. A part that is wrong by itself still counts as defined, so that one typo is one finding.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from zoneinfo import ZoneInfo

from rating.core.catalogue import Catalogue
from rating.core.meters import Meter
from rating.core.money import Currency
from rating.core.notices import Routing
from rating.core.parties import Parties
from rating.core.plans import Plan
from rating.core.subscriptions import Subscription
from rating.errors import Finding, Severity, SpecError
from rating.specs.bundles import Written, together
from rating.specs.charges import charges_of
from rating.specs.fields import key, text
from rating.specs.findings import Findings, Model, Place
from rating.specs.meters import meter_of
from rating.specs.nearest import or_one_of
from rating.specs.notifications import NotificationsSpec, routing_of
from rating.specs.parties import CustomerSpec, SellerSpec, parties_of
from rating.specs.plans import check_upsells, plan_of
from rating.specs.presets import spelled_out
from rating.specs.render import canonical_text
from rating.specs.schema import CatalogueSpec, HeadSpec, MeterSpec, PlanSpec, SubscriptionSpec
from rating.specs.source import read
from rating.specs.subscriptions import check_together, subscription_of
from rating.specs.taxation import TaxRuleSpec, rules_of


@dataclass(frozen=True, slots=True)
class Examined:
    """What came of an author's files: the catalogue when no finding is an error, and every finding in order."""

    catalogue: Catalogue | None
    findings: tuple[Finding, ...]


def compile_catalogue(sources: Sequence[tuple[str, str]]) -> Catalogue:
    """The catalogue written in `sources`, pairs of (file name, text), merged in the order given.

    Raises:
        SpecError: with every error found, in the order of the files.
    """
    examined = examine(sources)
    if examined.catalogue is None:
        raise SpecError(tuple(finding for finding in examined.findings if finding.severity is Severity.ERROR))
    return examined.catalogue


def examine(sources: Sequence[tuple[str, str]]) -> Examined:
    """Compile and keep the warnings too. Never raises for what an author wrote."""
    findings = Findings([read(name, text) for name, text in sources])
    parts = _Parts()
    for file, document in enumerate(findings.documents):
        if document.root is None:
            if not document.findings:
                findings.add(Place(file, ()), "is empty", "begin with version: 1")
            continue
        _head(document.value, Place(file, ()), findings, parts)
    catalogue = _together(parts, findings)
    ordered = findings.in_order()
    wrong = any(finding.severity is Severity.ERROR for finding in ordered)
    return Examined(None if wrong else catalogue, ordered)


@dataclass(slots=True)
class _Parts:
    """The files' sections side by side, as written."""

    head: dict[str, tuple[Any, Place]] = field(default_factory=dict)
    """version, currency and timezone, each where it was first written."""
    meters: dict[str, tuple[Any, Place]] = field(default_factory=dict)
    plans: dict[str, tuple[Any, Place]] = field(default_factory=dict)
    sellers: dict[str, tuple[Any, Place]] = field(default_factory=dict)
    customers: dict[str, tuple[Any, Place]] = field(default_factory=dict)
    taxes: list[tuple[Any, Place]] = field(default_factory=list)
    subscriptions: list[tuple[Any, Place]] = field(default_factory=list)
    notifications: tuple[Any, Place] | None = None


def _head(value: Any, place: Place, findings: Findings, parts: _Parts) -> None:
    if not isinstance(value, dict):
        findings.add(place, "the file holds no mapping", f"write keys such as {', '.join(HeadSpec.model_fields)}")
        return
    # Key by key, so that one wrong section does not hide what the others say.
    for word, written in value.items():
        head = findings.checked(HeadSpec, {word: written}, place)
        if head is None or word not in ("version", "currency", "timezone") or written is None:
            continue
        first = parts.head.setdefault(word, (getattr(head, word), place.at(word)))
        if first[0] != getattr(head, word):
            other = f"{first[0]} at {findings.where(first[1])}"
            findings.add(place.at(word), f"is {written} here and {other}", "write it once")
    _define(value.get("meters"), place.at("meters"), parts.meters, findings)
    _define(value.get("plans"), place.at("plans"), parts.plans, findings)
    _define(value.get("sellers"), place.at("sellers"), parts.sellers, findings)
    _define(value.get("customers"), place.at("customers"), parts.customers, findings, named=False)
    if value.get("notifications") is not None:
        here = place.at("notifications")
        if parts.notifications is not None:
            first_place = findings.where(parts.notifications[1])
            findings.add(here, f"is also written at {first_place}", "write it once")
        parts.notifications = parts.notifications or (value["notifications"], here)
    for word, found in (("subscriptions", parts.subscriptions), ("taxes", parts.taxes)):
        entries = value.get(word)
        if isinstance(entries, list):
            found += [(entry, place.at(word, i)) for i, entry in enumerate(entries)]


def _define(
    entries: Any, place: Place, defined: dict[str, tuple[Any, Place]], findings: Findings, *, named: bool = True
) -> None:
    """`named`: by keys of ours; customers have names of their own."""
    for name, entry in entries.items() if isinstance(entries, dict) else ():
        here = place.at(name)
        try:
            (key if named else text)(name)
        except ValueError as error:
            what, _, hint = str(error).partition("; ")
            findings.add(place.at(name), what, hint)
        if name in defined:
            findings.add(here, f"is also defined at {findings.where(defined[name][1])}", "keep one of them")
        defined.setdefault(name, (entry, here))


def _together(parts: _Parts, findings: Findings) -> Catalogue | None:
    before = findings.count
    currency, zone = _defaults(parts, findings)
    meter_specs: dict[str, MeterSpec] = {}
    meters: dict[str, Meter | None] = {}
    for name, (raw, place) in parts.meters.items():
        meters[name] = None
        meter_spec, right = findings.salvaged(MeterSpec, spelled_out(raw, place, findings), place)
        if meter_spec is not None:
            meter = meter_of(name, meter_spec, place, findings)
            if right:
                meter_specs[name], meters[name] = meter_spec, meter
    plan_specs: dict[str, PlanSpec] = {}
    plans: dict[str, Plan | None] = {}
    written: dict[str, Written] = {}
    for name, (raw, place) in parts.plans.items():
        plans[name] = None
        entries = raw.get("charges") if isinstance(raw, dict) else None
        charges = charges_of(entries, place.at("charges"), findings, meters)
        plan_spec, right = _plan_spec(raw, place, findings)
        if plan_spec is not None:
            plan = plan_of(name, plan_spec, charges, place, findings, meters, currency, zone)
            written[name] = Written(plan_spec, charges, place)
            if right and None not in charges:
                plan_specs[name] = plan_spec.model_copy(update={"charges": charges})
                plans[name] = plan
    check_upsells(parts.plans, findings)
    plans = together(written, plans, findings, meters, currency)
    subscribed: list[tuple[Subscription, SubscriptionSpec, Place]] = []
    for raw, place in parts.subscriptions:
        spec = findings.checked(SubscriptionSpec, raw, place)
        if spec is None:
            continue
        subscription = subscription_of(spec, place, findings, plans, meters, zone)
        if subscription is not None:
            subscribed.append((subscription, spec, place))
    sellers, customers = (
        _checked(SellerSpec, parts.sellers, findings),
        _checked(CustomerSpec, parts.customers, findings),
    )
    parties = parties_of(sellers, customers, findings)
    routes, routing = _routing(parts, findings, [subscription for subscription, _, _ in subscribed], zone, parties)
    ruled = [
        (rule, place) for raw, place in parts.taxes if (rule := findings.checked(TaxRuleSpec, raw, place)) is not None
    ]
    places = {name: place for name, (_, place) in parts.plans.items()}
    tax_rules = rules_of(ruled, findings, parts.sellers, {name: (plans[name], places[name]) for name in places})
    check_together([(subscription, place) for subscription, _, place in subscribed], findings, plans)
    if findings.count > before or currency is None:
        return None
    subscribed.sort(key=lambda entry: (entry[0].consumer, entry[0].start, entry[0].plan))
    whole = CatalogueSpec.model_construct(
        version=1,
        currency=currency,
        timezone=None if zone.key == "UTC" else zone,
        meters=meter_specs,
        plans=plan_specs,
        sellers={name: spec for name, (spec, _) in sellers.items()},
        customers={name: spec for name, (spec, _) in customers.items()},
        taxes=[spec for spec, _ in ruled],
        subscriptions=[spec for _, spec, _ in subscribed],
        notifications=routes,
    )
    written_text = canonical_text(whole)
    return Catalogue(
        currency=Currency(currency),
        meters={name: meter for name, meter in sorted(meters.items()) if meter is not None},
        plans={name: plan for name, plan in sorted(plans.items()) if plan is not None},
        subscriptions=tuple(subscription for subscription, _, _ in subscribed),
        zone=zone,
        parties=parties,
        notifications=routing,
        tax_rules=tax_rules,
        text=written_text,
        digest=hashlib.sha256(written_text.encode()).hexdigest(),
    )


def _checked(
    model: type[Model], written: dict[str, tuple[Any, Place]], findings: Findings
) -> dict[str, tuple[Model, Place]]:
    checked = ((name, findings.checked(model, raw, place), place) for name, (raw, place) in written.items())
    return {name: (spec, place) for name, spec, place in checked if spec is not None}


def _routing(
    parts: _Parts, findings: Findings, subscriptions: Sequence[Subscription], zone: ZoneInfo, parties: Parties
) -> tuple[NotificationsSpec | None, Routing]:
    """Who is told what, as written and as meant."""
    if parts.notifications is None:
        return None, Routing()
    raw, place = parts.notifications
    spec = findings.checked(NotificationsSpec, raw, place)
    if spec is None:
        return None, Routing()
    payers = {subscription.payer for subscription in subscriptions}
    for customer in spec.contacts:
        if payers and customer not in payers:
            hint = or_one_of(customer, payers, "name the customer of a subscription")
            findings.warn(place.at("contacts", customer), f'no subscription here is paid by "{customer}"', hint)
    return spec, routing_of(spec, place, findings, zone, parties)


def _defaults(parts: _Parts, findings: Findings) -> tuple[str | None, ZoneInfo]:
    """The catalogue's currency and zone, from whichever file says them."""
    start = Place(0, ())
    readable = any(document.root is not None for document in findings.documents)
    for word, example in (("version", "version: 1"), ("currency", "currency: USD")):
        written = any(word in _keys(document.value) for document in findings.documents)
        if readable and not written:
            findings.add(start, f'key "{word}" is missing', f'add "{example}"')
    currency, _ = parts.head.get("currency", (None, start))
    zone, _ = parts.head.get("timezone", (ZoneInfo("UTC"), start))
    return currency, zone


def _keys(value: Any) -> Sequence[str]:
    return list(value) if isinstance(value, dict) else []


def _plan_spec(raw: Any, place: Place, findings: Findings) -> tuple[PlanSpec | None, bool]:
    """The plan without its charges, which are checked one by one, and whether it is right."""
    if isinstance(raw, dict) and isinstance(raw.get("charges"), list):
        raw = {**raw, "charges": []}
    return findings.salvaged(PlanSpec, raw, place)
