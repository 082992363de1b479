"""Draws the README's pictures of documents: `python -m tests.adapters.documents.pictures compose/pictures`."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from rating.adapters.documents import PrintedDocuments
from rating.core.documents import Document, Form, Party
from rating_demo.finding import locate
from tests.adapters.documents.papers import invoice, long


def draw(document: Document, file: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        pdf = Path(folder) / "document.pdf"
        pdf.write_bytes(PrintedDocuments().render(document, Form.PDF).content)
        page = ["-r", "56", "-png", "-singlefile", "-f", "1", "-l", "1", str(pdf), str(file.with_suffix(""))]
        subprocess.run([str(locate("pdftoppm", install=True)), *page], check=True)


if __name__ == "__main__":
    out = Path(sys.argv[1])
    draw(long(), out / "invoice.png")
    draw(invoice("KWD", locale="ar", customer=Party("شركة النخيل للتجارة", country="KW")), out / "invoice-ar.png")
