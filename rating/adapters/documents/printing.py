"""HTML to PDF by WeasyPrint: PDF/A-3 with its fonts inside, the same bytes each time, nothing fetched from anywhere."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from rating.errors import EdgeUnavailable


@dataclass(frozen=True, slots=True)
class Attached:
    """A file inside the PDF."""

    name: str
    content: bytes
    description: str
    xmp: bytes = b""
    """What the PDF's metadata says about it."""


def pdf(page: str, issued: date, identifier: str, attached: Sequence[Attached] = ()) -> tuple[bytes, tuple[str, ...]]:
    """The PDF, and what WeasyPrint had to say against the page.

    Raises:
        EdgeUnavailable: WeasyPrint or the libraries it draws with are not installed.
    """
    weasyprint = _weasyprint()
    said = _Said()
    logger = logging.getLogger("weasyprint")
    logger.addHandler(said)
    noon = datetime(issued.year, issued.month, issued.day, 12, tzinfo=UTC)
    attachments = [
        weasyprint.Attachment(
            string=one.content.decode("utf-8"),
            name=one.name,
            description=one.description,
            created=noon,
            modified=noon,
            relationship="Alternative",
        )
        for one in attached
    ]
    # Everything is inside the page: a template that names an address gets nothing.
    fetcher = weasyprint.urls.URLFetcher(allowed_protocols=("data",), allow_redirects=False)
    try:
        rendered = weasyprint.HTML(string=page, url_fetcher=fetcher).render(
            pdf_variant="pdf/a-3b", pdf_identifier=identifier.encode(), attachments=attachments, optimize_images=False
        )
        rendered.metadata.xmp_metadata.extend(one.xmp for one in attached if one.xmp)
        content = rendered.write_pdf(
            pdf_variant="pdf/a-3b", pdf_identifier=identifier.encode(), attachments=attachments
        )
    finally:
        logger.removeHandler(said)
    return content, tuple(dict.fromkeys(said.sentences))


class _Said(logging.Handler):
    """What WeasyPrint logs while it works, as sentences."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.sentences: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.sentences.append(record.getMessage())


def _weasyprint() -> Any:
    try:
        import weasyprint
    except ImportError as error:
        raise EdgeUnavailable(
            f"{error.name} is not installed, so no PDF can be made; pip install 'rating-engine[documents]'"
        ) from error
    except OSError as error:
        raise EdgeUnavailable(
            f"a library WeasyPrint draws with is missing ({error}); install Pango "
            "(Debian and Ubuntu: libpango-1.0-0 libpangoft2-1.0-0 libharfbuzz-subset0; macOS: brew install pango)"
        ) from error
    return weasyprint
