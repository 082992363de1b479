"""Gateways as written: who collects our invoices, by which key. In a file of its own: a catalogue is kept for ever.

Decides what may be written, who takes which customer, and that a key for real money is used only where the author says
so. No finding repeats a value that may be a secret.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import date, datetime
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, PlainValidator

from rating.core.collection import Collection
from rating.errors import SpecError
from rating.specs.fields import Key, Spec, key
from rating.specs.findings import Findings, Place
from rating.specs.nearest import or_one_of
from rating.specs.source import read

MOST_REQUESTS, MOST_WORKERS = 100, 16
"""Stripe's published limit in live mode, and what one process does at once at most."""

LONGEST_GRACE = 72
"""Hours. The most that Stripe lets an account choose is no longer than that."""
LONGEST_PENDING = 1200
"""Hours. The fifty days that Chargebee lets an invoice stay pending."""
LATEST_RENEWAL = 11
"""Hours after midnight in UTC: at noon the next day begins to weigh."""

_KEY = re.compile(r"(sk|rk)_(test|live)_[A-Za-z0-9_]+\Z")
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


def _secret_key(value: object) -> str:
    if not isinstance(value, str) or not _KEY.match(value):
        raise ValueError("is not a secret key of Stripe's; write the one that begins with sk_test_ or rk_test_")
    return value


def _chargebee_key(value: object) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"(test|live)_[A-Za-z0-9]+", value):
        raise ValueError("is not a key of Chargebee's; write the one that begins with test_")
    return value


def _recurly_key(value: object) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[A-Za-z0-9]{16,}", value):
        raise ValueError("is not a private key of Recurly's; write the one under Integrations, API Credentials")
    return value


def _folder(value: object) -> str:
    if not isinstance(value, str) or not value or not value.isprintable():
        raise ValueError("is no folder; write /var/lib/rating/handed")
    return value


def _webhook_secret(value: object) -> str:
    if not isinstance(value, str) or not value.startswith("whsec_") or not value.isprintable():
        raise ValueError("is not the secret of a webhook endpoint; write the one that begins with whsec_")
    return value


def _local_url(value: object) -> str:
    parts = urlsplit(value) if isinstance(value, str) else None
    if parts is None or parts.scheme not in ("http", "https") or not parts.hostname or parts.username:
        raise ValueError("is not an address of a web service; write http://127.0.0.1:12111")
    if parts.scheme == "http" and parts.hostname not in _LOOPBACK:
        raise ValueError("would carry the key in the clear; write https://, or an address of this machine")
    return str(value).rstrip("/")


def _link(value: object) -> str:
    if not isinstance(value, str) or urlsplit(value).scheme != "https" or value.count("{number}") != 1:
        raise ValueError("is no link to a document; write https://billing.example/invoices/{number}")
    return value


def _remote(value: object) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[^\s/]{1,100}", value):
        raise ValueError("is no name of theirs; write it as it stands there, without spaces or slashes")
    return value


def _product(value: object) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[^/]+/(charge/.+|fee(/.+)?)", value):
        raise ValueError("is no product of ours; write PLAN/charge/CHARGE or PLAN/fee/FEE")
    return value


def _ours(value: object) -> str:
    if not isinstance(value, str) or not value or not value.isprintable():
        raise ValueError("is no subscription of ours; `rating subscriptions list` shows them")
    return value


Remote = Annotated[str, PlainValidator(_remote)]
Ours = Annotated[str, PlainValidator(_ours)]
Product = Annotated[str, PlainValidator(_product)]


def _day(value: object) -> date:
    if isinstance(value, str):
        with suppress(ValueError):
            return date.fromisoformat(value)
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    raise ValueError("is not a day; write 2026-11-01")


def _between(least: int, most: int) -> PlainValidator:
    def checked(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise ValueError(f"is not a whole number from {least} to {most}; write digits without quotes")
        return value

    return PlainValidator(checked)


class GatewaySpec(Spec):
    """What every gateway may say."""

    customers: list[Key] = Field(default_factory=list)
    default: bool = False
    since: Annotated[date, PlainValidator(_day)] | None = None
    """Invoices issued before this day are not carried there."""
    live: bool = False
    """Real money is moved only where this is true."""

    @property
    def real_money(self) -> bool:
        return False

    def mistakes(self) -> Iterator[tuple[str, str, str]]:
        """What its entries say together and must not: which entry, what, and what to do."""
        if self.live and not self.real_money:
            yield "live", "is true and the key is one for tests", "take the live key, or leave live away"


class StripeSpec(GatewaySpec):
    """An account of Stripe's."""

    kind: Literal["stripe"]
    key: Annotated[str, PlainValidator(_secret_key)] = Field(repr=False)
    webhook_secret: Annotated[str, PlainValidator(_webhook_secret)] = Field(default="", repr=False)
    webhook_secrets: list[Annotated[str, PlainValidator(_webhook_secret)]] = Field(default_factory=list, repr=False)
    """Further ones: of an endpoint for thin events, and of the old one while a secret is being replaced."""
    mode: Literal["invoices", "metered"] = "invoices"
    """Whether our invoices are collected there, or our windows rated there."""
    collection: Literal["send_invoice", "charge_automatically"] = "send_invoice"
    days_until_due: Annotated[int, _between(0, 365)] = 30
    """For an invoice on which no terms are agreed."""
    documents: Annotated[str, PlainValidator(_link)] = ""
    """Where the customer finds our paper, `https://billing.example/invoices/{number}`."""
    requests_per_second: Annotated[int, _between(1, MOST_REQUESTS)] = 20
    """Stripe publishes 100 in live mode and 25 in a sandbox, and 25 for most single calls."""
    workers: Annotated[int, _between(1, MOST_WORKERS)] = 4
    """Customers served at once."""
    grace_hours: Annotated[int, _between(1, LONGEST_GRACE)] = 1
    """In metered mode: how long Stripe keeps a period's invoice open for late usage, as the account's settings say."""
    url: Annotated[str, PlainValidator(_local_url)] = ""
    """Stripe itself when empty."""

    @property
    def real_money(self) -> bool:
        return "_live_" in self.key[:8]

    def mistakes(self) -> Iterator[tuple[str, str, str]]:
        yield from _of_key(self)
        yield from _of_url(self, self.url)

    @property
    def proofs(self) -> tuple[str, ...]:
        """Every secret by which what is told here may be signed."""
        return tuple(filter(None, (self.webhook_secret, *self.webhook_secrets)))


class FilesSpec(GatewaySpec):
    """A folder, for everybody else."""

    kind: Literal["files"]
    folder: Annotated[str, PlainValidator(_folder)]
    """As seen from this file."""

    def mistakes(self) -> Iterator[tuple[str, str, str]]:
        if self.live:
            yield "live", "is true, and files move no money", "leave it away"


class RecordsSpec(GatewaySpec):
    """Where our invoices are collected, or our usage is rated by prices that a person writes there."""

    mode: Literal["invoices", "usage"] = "invoices"
    subscriptions: dict[Ours, Remote] = Field(default_factory=dict)
    """In usage mode: what subscriptions of ours are called there, where a customer has several."""

    @property
    def products(self) -> Mapping[str, str]:
        """What each product of ours is called there, under which usage is recorded."""
        return {}

    _word = ""

    def records_mistakes(self) -> Iterator[tuple[str, str, str]]:
        if self.mode == "usage" and not self.products:
            hint = f"write {self._word}: {{pro/charge/api_calls: THEIR_NAME}}; `rating publish --dry-run` names all"
            yield "mode", f"is usage, and no {self._word} are named", hint
        if self.mode == "invoices":
            for entry in (self._word, "subscriptions", "grace_hours"):
                if entry in self.model_fields_set:
                    yield entry, "is read with mode: usage only", "write mode: usage, or leave it away"
        if self.mode == "usage" and self.since is not None:
            yield "since", "is about invoices, and usage is told from the billing period under way on", "leave it away"


class ChargebeeSpec(RecordsSpec):
    """A site of Chargebee's."""

    kind: Literal["chargebee"]
    site: Key
    key: Annotated[str, PlainValidator(_chargebee_key)] = Field(repr=False)
    url: Annotated[str, PlainValidator(_local_url)] = ""
    """Chargebee itself when empty."""
    items: dict[Product, Remote] = Field(default_factory=dict)
    """In usage mode: the metered item price of each product, `pro/charge/api_calls: api-calls-USD-Monthly`."""
    grace_hours: Annotated[int, _between(1, LONGEST_PENDING)] = 24
    """In usage mode: how long a period's invoice stays pending there, as the site's settings say."""

    _word = "items"

    @property
    def products(self) -> Mapping[str, str]:
        return self.items

    @property
    def real_money(self) -> bool:
        return self.key.startswith("live_")

    def mistakes(self) -> Iterator[tuple[str, str, str]]:
        yield from _of_key(self)
        yield from _of_url(self, self.url)
        yield from self.records_mistakes()


class RecurlySpec(RecordsSpec):
    """A site of Recurly's. Its keys do not say whether they are for real money, so `live` does."""

    kind: Literal["recurly"]
    key: Annotated[str, PlainValidator(_recurly_key)] = Field(repr=False)
    region: Literal["us", "eu"] = "us"
    live: bool
    url: Annotated[str, PlainValidator(_local_url)] = ""
    """Recurly itself when empty."""
    add_ons: dict[Product, Remote] = Field(default_factory=dict)
    """In usage mode: the code of the usage add-on of each product, `pro/charge/api_calls: api_calls`."""
    grace_hours: Annotated[int, _between(1, LATEST_RENEWAL)] = 6
    """In usage mode: how many hours after midnight in UTC subscriptions renew there, at the earliest."""

    _word = "add_ons"

    @property
    def products(self) -> Mapping[str, str]:
        return self.add_ons

    @property
    def real_money(self) -> bool:
        return self.live

    def mistakes(self) -> Iterator[tuple[str, str, str]]:
        yield from _of_url(self, self.url)
        yield from self.records_mistakes()


KINDS: Mapping[str, type[GatewaySpec]] = {
    "stripe": StripeSpec,
    "files": FilesSpec,
    "chargebee": ChargebeeSpec,
    "recurly": RecurlySpec,
}


def _of_key(spec: GatewaySpec) -> Iterator[tuple[str, str, str]]:
    if spec.real_money and not spec.live:
        yield "key", "is a key for real money", "write live: true beside it, or take the test key"
    if spec.live and not spec.real_money:
        yield "live", "is true and the key is one for tests", "take the live key, or leave live away"


def _of_url(spec: GatewaySpec, url: str) -> Iterator[tuple[str, str, str]]:
    if spec.real_money and url:
        yield "url", "would send a key for real money elsewhere", "leave url away, or take a test key"


def gateways(name: str, text: str) -> dict[str, GatewaySpec]:
    """The gateways written in a file, by name, in its order.

    Raises:
        SpecError: with every mistake; no secret is repeated in it.
    """
    document = read(name, text)
    findings = Findings([document])
    top = Place(0, ())
    found: dict[str, GatewaySpec] = {}
    written = document.value if isinstance(document.value, dict) else {}
    named = written.get("gateways")
    if set(written) != {"gateways"} or not isinstance(named, dict) or not named:
        findings.add(top, "the file names no gateway", "write gateways: {NAME: {kind: stripe, key: ...}}")
        named = {}
    for gateway, raw in named.items():
        spec = _gateway(gateway, raw, top.at("gateways", gateway), findings)
        if spec is not None:
            found[gateway] = spec
    _one_for_each(found, top.at("gateways"), findings)
    mistakes = findings.in_order()
    if mistakes:
        raise SpecError(mistakes)
    return found


def collection(specs: Mapping[str, GatewaySpec]) -> Collection:
    """Who takes whom: whoever names the customer, else the default one, else the first of the file."""
    ordinary = next((name for name, spec in specs.items() if spec.default), next(iter(specs), ""))
    return Collection(ordinary, {customer: name for name, spec in specs.items() for customer in spec.customers})


def _gateway(name: Any, raw: Any, place: Place, findings: Findings) -> GatewaySpec | None:
    try:
        key(name)
    except ValueError:
        findings.add(place, "is no name for a gateway", "use letters, digits, - _ and .")
        return None
    kind = raw.get("kind") if isinstance(raw, dict) else None
    model = KINDS.get(kind) if isinstance(kind, str) else None
    if model is None:
        findings.add(place, "has no kind that is known", or_one_of("", KINDS))
        return None
    spec = findings.checked(model, raw, place)
    if spec is None:
        return None
    for entry, what, hint in spec.mistakes():
        findings.add(place.at(entry), what, hint)
    return spec


def _one_for_each(specs: Mapping[str, GatewaySpec], place: Place, findings: Findings) -> None:
    """At most one takes everybody else, and each customer is named once."""
    ordinary = [name for name, spec in specs.items() if spec.default]
    for name in ordinary[1:]:
        findings.add(place.at(name, "default"), f'"{ordinary[0]}" is the default already', "leave one of them away")
    taken: dict[str, str] = {}
    for name, spec in specs.items():
        for i, customer in enumerate(spec.customers):
            before = taken.setdefault(customer, name)
            if before != name or customer in spec.customers[:i]:
                findings.add(place.at(name, "customers", i), f'"{customer}" is taken by "{before}" already')
