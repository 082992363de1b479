"""Joins the parts: reads the catalogue's files and opens the adapters that the settings name.

The only place that names concrete adapters. Everything above it receives ports.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from rating.adapters import notifiers
from rating.adapters.archive import FolderArchive
from rating.adapters.handoff import FileGateway
from rating.adapters.named_sources import NamedEstimates, NamedSources
from rating.adapters.prometheus import Asked, PrometheusEstimates, PrometheusSource, unheard
from rating.adapters.report import PlotlyPage
from rating.adapters.store import compact as compact_store
from rating.adapters.store import migrate as migrate_store
from rating.adapters.store import open_book as open_store
from rating.adapters.taxes import AnsweredTaxes, AskedTaxes, RuledTaxes
from rating.core.catalogue import Catalogue
from rating.core.notices import INBOX
from rating.errors import Finding, SpecError
from rating.jobs.publish import Served
from rating.ports import (
    Archive,
    Boards,
    Book,
    CounterSource,
    Documents,
    Estimates,
    InvoiceGateway,
    Notifier,
    OfferGateway,
    Reconcilable,
    ReportPage,
    SignalDoor,
    SignalReader,
    StoredBook,
    Tables,
    TaxService,
    UsageGateway,
)
from rating.settings import Settings
from rating.specs.channels import (
    ChannelSpec,
    ChatSpec,
    HubSpotSpec,
    MailSpec,
    SalesforceSpec,
    WebhookSpec,
    channels,
)
from rating.specs.compile import compile_catalogue
from rating.specs.gateways import ChargebeeSpec, FilesSpec, GatewaySpec, RecurlySpec, StripeSpec, gateways
from rating.specs.sources import SourceSpec, compile_sources, known_dialect, known_way, server_url

if TYPE_CHECKING:
    from rating.adapters.stripe.client import StripeAccount


def load_catalogue(settings: Settings) -> Catalogue:
    """Compile the catalogue: one YAML file, or every *.yaml and *.yml of a folder in order of name.

    Raises:
        SpecError: it cannot be read, or has mistakes; with all of them.
    """
    return compile_catalogue(read_sources(settings.catalog))


def read_sources(path: Path) -> list[tuple[str, str]]:
    """Pairs of file name and text."""
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.suffix in (".yaml", ".yml"))
        if not files:
            raise SpecError((Finding(str(path), "the folder holds no .yaml file", "add one, or set RATING_CATALOG"),))
    else:
        files = [path]
    return [(str(file), _read(file)) for file in files]


def _read(file: Path, missing: str = "set RATING_CATALOG or --catalog to your catalogue") -> str:
    try:
        return file.read_text(encoding="utf-8")
    except FileNotFoundError:
        finding = Finding(str(file), "no such file", missing)
    except UnicodeDecodeError as error:
        finding = Finding(str(file), f"is not UTF-8 at byte {error.start}", "save it as UTF-8")
    except OSError as error:
        finding = Finding(str(file), f"cannot be read: {error.strerror}", "check its permissions")
    raise SpecError((finding,))


@contextmanager
def open_book(settings: Settings) -> Iterator[Book]:
    """The book of the settings, closed at the end."""
    with open_store(settings.database_url) as book:
        yield book


@contextmanager
def open_stored_book(settings: Settings) -> Iterator[StoredBook]:
    """The same book, for those who read its entries as they are stored."""
    with open_store(settings.database_url) as book:
        yield book


def migrate_book(settings: Settings) -> tuple[str | None, str]:
    """Bring the book's schema up to date. Returns its revisions before and after."""
    return migrate_store(settings.database_url)


def compact_book(settings: Settings) -> tuple[int, int]:
    """Give back the space of what was removed. Returns the bytes that the book took before and takes now."""
    return compact_store(settings.database_url)


def open_archive(folder: Path) -> Archive:
    """The folder with windows whose rows the book has given up."""
    return FolderArchive(folder)


def open_source(settings: Settings, asked: Asked = unheard) -> CounterSource:
    """Where counters are read: the servers of RATING_PROMETHEUS_URL, and those of the file of sources by name.

    `asked` hears how each question ended.

    Raises:
        SpecError: a URL or dialect is none, or the file of sources has mistakes.
    """
    named = _named(settings, asked)
    return NamedSources(_unnamed(settings, asked), named) if named else _unnamed(settings, asked)


def open_estimates(settings: Settings) -> Estimates:
    """Where the obvious queries are asked: the same servers, by the same credentials."""
    named = {name: PrometheusEstimates(source) for name, source in _named(settings).items()}
    unnamed = PrometheusEstimates(_unnamed(settings))
    return NamedEstimates(unnamed, named) if named else unnamed


def _unnamed(settings: Settings, asked: Asked = unheard) -> PrometheusSource:
    findings = []
    checks: list[tuple[str, str, Callable[[object], str]]] = [
        *(("RATING_PROMETHEUS_URL", one, server_url) for one in settings.prometheus_urls),
        ("RATING_PROMETHEUS_DIALECT", settings.prometheus_dialect, known_dialect),
        ("RATING_PROMETHEUS_READ", settings.prometheus_read, known_way),
    ]
    for name, value, check in checks:
        try:
            check(value)
        except ValueError as error:
            what, _, hint = str(error).partition("; ")
            findings.append(Finding(name, what, hint))
    if not settings.prometheus_urls:
        findings.append(Finding("RATING_PROMETHEUS_URL", "names no server", "write it like http://prometheus:9090"))
    if findings:
        raise SpecError(tuple(findings))
    return PrometheusSource(
        settings.prometheus_urls,
        timeout=settings.prometheus_timeout,
        bearer_token=settings.prometheus_bearer_token,
        username=settings.prometheus_username,
        password=settings.prometheus_password,
        tenant=settings.prometheus_tenant,
        ca_file=settings.prometheus_ca_file,
        client_cert=settings.prometheus_client_cert,
        client_key=settings.prometheus_client_key,
        dialect=settings.prometheus_dialect,
        read=settings.prometheus_read,
        queries_at_once=settings.prometheus_queries,
        asked=asked,
    )


def open_documents(settings: Settings) -> Documents:
    """Where documents become paper."""
    from rating.adapters.documents import PrintedDocuments

    return PrintedDocuments(Path(settings.brands) if settings.brands else None)


def _named(settings: Settings, asked: Asked = unheard) -> dict[str, PrometheusSource]:
    if not settings.sources:
        return {}
    file = Path(settings.sources)
    specs = compile_sources(str(file), _read(file, "set RATING_SOURCES to the file of sources"))
    return {name: _source(spec, file, settings, asked) for name, spec in specs.items()}


def _source(spec: SourceSpec, file: Path, settings: Settings, asked: Asked) -> PrometheusSource:
    def beside(name: str | None) -> str:
        # A path is meant from where the file lies, wherever the command is run.
        return str(file.parent / name) if name else ""

    def secret(name: str | None) -> str:
        return _read(file.parent / name, f"it is named in {file}").strip() if name else ""

    return PrometheusSource(
        spec.urls,
        timeout=spec.timeout.total_seconds(),
        bearer_token=secret(spec.bearer_token_file),
        username=spec.username or "",
        password=secret(spec.password_file),
        tenant=spec.tenant or "",
        ca_file=beside(spec.ca_file),
        client_cert=beside(spec.client_cert),
        client_key=beside(spec.client_key),
        dialect=spec.dialect,
        read=spec.read or settings.prometheus_read,
        queries_at_once=settings.prometheus_queries,
        asked=asked,
    )


def open_notifiers(settings: Settings) -> dict[str, Notifier]:
    """Every channel by its name: the customer's inbox, and those of RATING_CHANNELS.

    Raises:
        SpecError: the file cannot be read, or has mistakes.
    """
    found: dict[str, Notifier] = {INBOX: notifiers.InboxNotifier()}
    if not settings.channels:
        return found
    for name, spec in channels(
        settings.channels, _read(Path(settings.channels), "set RATING_CHANNELS to the file of channels")
    ).items():
        found[name] = _notifier(name, spec)
    return found


def _notifier(name: str, spec: ChannelSpec) -> Notifier:
    match spec:
        case MailSpec():
            return notifiers.MailNotifier(
                name,
                spec.server,
                spec.sender,
                security=spec.security,
                username=spec.username,
                password=spec.password,
                to=spec.to or "",
                ca_file=spec.ca_file,
            )
        case ChatSpec():
            return notifiers.ChatNotifier(name, spec.url, spec.style)
        case WebhookSpec():
            return notifiers.WebhookNotifier(name, spec.url, spec.secret)
        case HubSpotSpec():
            return notifiers.HubSpotNotifier(
                name,
                spec.token,
                url=spec.url,
                version=spec.version,
                id_property=spec.id_property,
                pipeline=spec.pipeline,
                stage=spec.stage,
            )
        case SalesforceSpec():
            return notifiers.SalesforceNotifier(
                name,
                spec.url,
                spec.token,
                version=spec.version,
                record=spec.record,
                id_field=spec.id_field,
                stage=spec.stage,
            )


def open_taxes(settings: Settings) -> TaxService:
    """Who decides how invoices are taxed.

    Raises:
        EdgeRefused: the setting is no address.
    """
    if not settings.tax_url:
        return RuledTaxes()
    if settings.tax_url.startswith("file://"):
        return AnsweredTaxes(Path(unquote(urlsplit(settings.tax_url).path)))
    return AskedTaxes(settings.tax_url, settings.tax_token)


def gateway_specs(settings: Settings) -> dict[str, GatewaySpec]:
    """Every gateway by its name, as RATING_GATEWAYS describes them; none without that setting.

    Raises:
        SpecError: the file cannot be read, or has mistakes.
    """
    if not settings.gateways:
        return {}
    file = Path(settings.gateways)
    found = gateways(settings.gateways, _read(file, "set RATING_GATEWAYS to the file of gateways"))
    for name, spec in found.items():
        if isinstance(spec, FilesSpec):
            found[name] = spec.model_copy(update={"folder": str(file.parent / spec.folder)})
    return found


def open_gateways(specs: Mapping[str, GatewaySpec]) -> tuple[Served, ...]:
    """The gateways that collect what we rated; nobody is asked anything yet.

    Raises:
        SpecError: the library of one is not installed.
    """
    found = []
    for name, spec in specs.items():
        match spec:
            case StripeSpec(mode="invoices"):
                account = open_stripe(name, spec)
                from rating.adapters.stripe.gateway import StripeInvoices  # the extra `stripe` is there

                stripe = StripeInvoices(
                    account, collection=spec.collection, days_until_due=spec.days_until_due, documents=spec.documents
                )
                found.append(Served(stripe, spec.workers, spec.since))
            case FilesSpec():
                found.append(Served(FileGateway(name, Path(spec.folder)), since=spec.since))
            case ChargebeeSpec(mode="invoices"):
                found.append(Served(_open_chargebee(name, spec), since=spec.since))
            case RecurlySpec(mode="invoices"):
                found.append(Served(_open_recurly(name, spec), since=spec.since))
    return tuple(found)


def _open_chargebee(name: str, spec: ChargebeeSpec) -> InvoiceGateway:
    try:
        from rating.adapters.chargebee import ChargebeeGateway
        from rating.adapters.chargebee.site import Site
    except ImportError as error:
        raise _missing(name, "chargebee") from error
    return ChargebeeGateway(name, Site(spec.site, spec.key, url=spec.url))


def _open_recurly(name: str, spec: RecurlySpec) -> InvoiceGateway:
    try:
        from rating.adapters.recurly import RecurlyGateway
        from rating.adapters.recurly.account import Account
    except ImportError as error:
        raise _missing(name, "recurly") from error
    return RecurlyGateway(name, Account(spec.key, region=spec.region, url=spec.url))


def _missing(name: str, extra: str) -> SpecError:
    hint = f"pip install 'rating-engine[{extra}]'"
    return SpecError((Finding(name, f"the {extra} library is not installed", hint),))


def open_usage_gateways(specs: Mapping[str, GatewaySpec]) -> tuple[UsageGateway, ...]:
    """The gateways that rate what they are told; nobody is asked anything yet. Raises as `open_gateways` does."""
    found: list[UsageGateway] = [*open_offer_gateways(specs)]
    for name, spec in specs.items():
        match spec:
            case ChargebeeSpec(mode="usage"):
                found.append(_chargebee_usage(name, spec))
            case RecurlySpec(mode="usage"):
                found.append(_recurly_usage(name, spec))
    return tuple(found)


def _chargebee_usage(name: str, spec: ChargebeeSpec) -> UsageGateway:
    try:
        from rating.adapters.chargebee import ChargebeeUsage
        from rating.adapters.chargebee.site import Site
    except ImportError as error:
        raise _missing(name, "chargebee") from error
    site = Site(spec.site, spec.key, url=spec.url)
    return ChargebeeUsage(name, site, spec.items, spec.subscriptions, grace=timedelta(hours=spec.grace_hours))


def _recurly_usage(name: str, spec: RecurlySpec) -> UsageGateway:
    try:
        from rating.adapters.recurly import RecurlyUsage
        from rating.adapters.recurly.account import Account
    except ImportError as error:
        raise _missing(name, "recurly") from error
    account = Account(spec.key, region=spec.region, url=spec.url)
    return RecurlyUsage(name, account, spec.add_ons, spec.subscriptions, grace=timedelta(hours=spec.grace_hours))


def open_offer_gateways(specs: Mapping[str, GatewaySpec]) -> tuple[OfferGateway, ...]:
    """Those of them whose prices are made from the catalogue. Raises as `open_gateways` does."""
    found: list[OfferGateway] = []
    for name, spec in specs.items():
        if not isinstance(spec, StripeSpec) or spec.mode != "metered":
            continue
        account = open_stripe(name, spec)
        from rating.adapters.stripe.customers import StripeCustomers  # the extra `stripe` is there
        from rating.adapters.stripe.meters import EVENTS_PER_SECOND, StripeMeters
        from rating.adapters.stripe.usage_gateway import StripeUsage

        # In a sandbox events count among all calls; with a live key they have a limit of their own.
        pace = EVENTS_PER_SECOND if spec.real_money or spec.url else spec.requests_per_second
        events = open_stripe(name, spec.model_copy(update={"requests_per_second": pace}))
        gateway = StripeUsage(
            account,
            StripeMeters(events, workers=spec.workers),
            StripeCustomers(account),
            collection=spec.collection,
            days_until_due=spec.days_until_due,
            grace=timedelta(hours=spec.grace_hours),
        )
        found.append(gateway)
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Listening:
    """One gateway as it is listened to."""

    door: SignalDoor
    reader: SignalReader
    reading: Reconcilable
    usage: UsageGateway | None = None
    """It rates by itself what it is told of."""
    since: date | None = None


def open_listening(specs: Mapping[str, GatewaySpec]) -> tuple[Listening, ...]:
    """The gateways that tell us what happens there; nobody is asked anything yet. Raises as `open_gateways` does."""
    found = []
    usage = {one.name: one for one in open_usage_gateways(specs)}
    for name, spec in specs.items():
        if not isinstance(spec, StripeSpec):
            continue
        account = open_stripe(name, spec)
        from rating.adapters.stripe.reading import StripeReading  # the extra `stripe` is there
        from rating.adapters.stripe.signals import StripeDoor, StripeSignals

        door = StripeDoor(account, spec.proofs, live=spec.real_money)
        reader, reading = StripeSignals(account), StripeReading(account)
        found.append(Listening(door, reader, reading, usage.get(name), spec.since))
    return tuple(found)


def open_stripe(name: str, spec: StripeSpec) -> StripeAccount:
    """The account of one gateway; nobody is asked anything yet.

    Raises:
        SpecError: the extra `stripe` is not installed.
    """
    try:
        from rating.adapters.stripe.client import StripeAccount
    except ImportError as error:
        raise _missing(name, "stripe") from error
    return StripeAccount(name, spec.key, url=spec.url, requests_per_second=spec.requests_per_second)


def open_tables(format: str) -> Tables:
    """What writes tables down as `csv` or `parquet`."""
    from rating.adapters.tables import CsvTables, ParquetTables

    return ParquetTables() if format == "parquet" else CsvTables()


def open_boards(settings: Settings) -> Boards:
    """Where boards are shown.

    Raises:
        SpecError: no Grafana is named.
        EdgeUnavailable: the extra `grafana` is not installed.
    """
    from rating.adapters.grafana import GrafanaBoards  # the extra `grafana` may be missing

    if not settings.grafana_url:
        finding = Finding("--url", "no Grafana is named", "give --url or set RATING_GRAFANA_URL")
        raise SpecError((finding,))
    return GrafanaBoards(settings.grafana_url, settings.grafana_token)


def report_page() -> ReportPage:
    """What draws reports."""
    return PlotlyPage()
