"""Joins the parts: reads the catalogue's files and opens the adapters that the settings name.

The only place that names concrete adapters. Everything above it receives ports.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rating.adapters.prometheus import PrometheusEstimates, PrometheusSource
from rating.adapters.store import migrate as migrate_store
from rating.adapters.store import open_book as open_store
from rating.core.catalogue import Catalogue
from rating.errors import Finding, SpecError
from rating.ports import Boards, Book, CounterSource, Documents, Estimates, StoredBook
from rating.settings import Settings
from rating.specs.compile import compile_catalogue


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


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except FileNotFoundError:
        finding = Finding(str(file), "no such file", "set RATING_CATALOG or --catalog to your catalogue")
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


def open_source(settings: Settings) -> CounterSource:
    """Where counters are read."""
    return _prometheus(settings)


def open_estimates(settings: Settings) -> Estimates:
    """Where the obvious queries are asked: the same servers, by the same credentials."""
    return PrometheusEstimates(_prometheus(settings))


def _prometheus(settings: Settings) -> PrometheusSource:
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
    )


def open_documents(settings: Settings) -> Documents:
    """Where documents become paper."""
    from rating.adapters.documents import PrintedDocuments

    return PrintedDocuments(Path(settings.brands) if settings.brands else None)


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
