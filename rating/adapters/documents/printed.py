"""The Documents of `ports`: one document in the form asked for, with what a person should know about it."""

from __future__ import annotations

from pathlib import Path

from rating.adapters.documents import plain
from rating.adapters.documents.einvoice import Unsayable, attached, einvoice
from rating.core.documents import Document, Form, Kind
from rating.errors import EdgeRefused, EdgeUnavailable
from rating.ports import Rendered


class PrintedDocuments:
    """`brands` is a folder with a folder for each brand."""

    def __init__(self, brands: Path | None = None) -> None:
        self._brands = brands

    def render(self, document: Document, form: Form) -> Rendered:
        match form:
            case Form.JSON:
                return Rendered(plain.as_json(document))
            case Form.CSV:
                return Rendered(plain.as_csv(document))
            case Form.XML:
                try:
                    return Rendered(einvoice(document))
                except Unsayable as error:
                    raise EdgeRefused(f"{document.number} cannot be an e-invoice: {error}") from error
            case Form.HTML:
                return Rendered(self._page(document).encode())
            case Form.PDF:
                return self._pdf(document)

    def _page(self, document: Document) -> str:
        try:
            from rating.adapters.documents.page import html
        except ImportError as error:
            raise EdgeUnavailable(f"{error.name} is not installed; pip install 'rating-engine[documents]'") from error
        return html(document, self._brands)

    def _pdf(self, document: Document) -> Rendered:
        from rating.adapters.documents.glyphs import missing
        from rating.adapters.documents.printing import pdf

        inside, notes = [], []
        if document.kind is not Kind.STATEMENT:
            try:
                inside.append(attached(document))
            except Unsayable as error:
                notes.append(f"{document.number} carries no e-invoice: {error}")
        content, said = pdf(self._page(document), document.issued, document.content_hash or document.number, inside)
        warnings = (*missing(document.texts), *said)
        return Rendered(content, tuple(f"{document.number}: {one}" for one in warnings), tuple(notes))
