"""One Protocol per edge. Each docstring is a promise that every adapter keeps and one suite of tests checks."""

from rating.ports.archives import Archive
from rating.ports.book import (
    Accrual,
    AdjustmentEntry,
    Book,
    ClosingHead,
    HeldEntry,
    KeptCatalogue,
    StoredBook,
    UsageRow,
)
from rating.ports.notices import Notices, Notifier
from rating.ports.publishing import InvoiceGateway, Publications, Trail, Unreported, UsageGateway
from rating.ports.services import TaxService
from rating.ports.showing import (
    Boards,
    Documents,
    Kind,
    Mark,
    Rendered,
    ReportPage,
    ShownBoard,
    ShownPanel,
    Table,
    Tables,
)
from rating.ports.signalling import Reconcilable, SignalDoor, SignalReader
from rating.ports.sources import (
    CounterSource,
    Diagnosis,
    Estimate,
    Estimated,
    Estimates,
    Examinable,
    Foreseeing,
    Verdict,
)

__all__ = [
    "Accrual",
    "AdjustmentEntry",
    "Archive",
    "Boards",
    "Book",
    "ClosingHead",
    "CounterSource",
    "Diagnosis",
    "Documents",
    "Estimate",
    "Estimated",
    "Estimates",
    "Examinable",
    "Foreseeing",
    "HeldEntry",
    "InvoiceGateway",
    "KeptCatalogue",
    "Kind",
    "Mark",
    "Notices",
    "Notifier",
    "Publications",
    "Reconcilable",
    "Rendered",
    "ReportPage",
    "ShownBoard",
    "ShownPanel",
    "SignalDoor",
    "SignalReader",
    "StoredBook",
    "Table",
    "Tables",
    "TaxService",
    "Trail",
    "Unreported",
    "UsageGateway",
    "UsageRow",
    "Verdict",
]
