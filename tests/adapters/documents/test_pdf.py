"""PDFs: every script of names as text, fonts inside, pages that repeat their heads, the same bytes each time."""

from __future__ import annotations

import io
import re
import subprocess
import sys
import unicodedata
from dataclasses import replace
from pathlib import Path

import pytest
from pypdf import PdfReader

from rating.adapters.documents import PrintedDocuments, glyphs
from rating.core.documents import Form, Party
from rating.errors import EdgeUnavailable

from .papers import invoice, long

NAMES = {
    "Latin with marks": "Łódź Ærø Größenwahn",
    "Greek": "Παράδειγμα ΑΕ",
    "Cyrillic": "Пример ООО",
    "Arabic": "شركة النخيل للتجارة",
    "Hebrew": "חברת הדוגמה",
    "Chinese": "示例有限公司",
    "Japanese": "株式会社サンプル",
    "Korean": "예시 주식회사",
    "Devanagari": "उदाहरण कंपनी",
    "Thai": "บริษัทตัวอย่าง",
}


def read(content: bytes) -> PdfReader:
    return PdfReader(io.BytesIO(content))


def text_of(content: bytes) -> str:
    return "\n".join(page.extract_text() for page in read(content).pages)


def letters(text: str) -> str:
    """Without spaces and marks, in compatibility form, sorted: a PDF may keep shaped letters, in the order drawn."""
    plain = unicodedata.normalize("NFKD", text)
    return "".join(sorted(letter for letter in plain if unicodedata.category(letter) in ("Lo", "Lu", "Ll")))


@pytest.fixture(scope="module")
def named(documents: PrintedDocuments) -> bytes:
    """One document with all the names on it."""
    rendered = documents.render(invoice(notes=tuple(NAMES.values())), Form.PDF)
    assert rendered.warnings == ()
    return rendered.content


@pytest.mark.parametrize("script", NAMES)
def test_a_name_in_any_script_stands_there_as_text(named: bytes, script: str) -> None:
    lines = text_of(named).splitlines()
    assert any(letters(line) == letters(NAMES[script]) for line in lines), lines


def test_every_font_is_inside(named: bytes) -> None:
    fonts = {
        name: font.get_object() for page in read(named).pages for name, font in page["/Resources"]["/Font"].items()
    }
    assert len(fonts) > 6
    for font in fonts.values():
        descriptor = font["/DescendantFonts"][0].get_object()["/FontDescriptor"].get_object()
        assert any(f"/FontFile{kind}" in descriptor for kind in ("", "2", "3")), font["/BaseFont"]


def test_the_same_document_is_the_same_bytes_in_another_process_and_year(
    documents: PrintedDocuments, tmp_path: Path
) -> None:
    here = documents.render(invoice(), Form.PDF).content
    script = tmp_path / "again.py"
    script.write_text(
        "import sys, time, datetime\n"
        "from tests.adapters.documents.papers import invoice\n"
        "from rating.adapters.documents import PrintedDocuments\n"
        "from rating.core.documents import Form\n"
        "sys.stdout.buffer.write(PrintedDocuments().render(invoice(), Form.PDF).content)\n"
    )
    elsewhere = subprocess.run(
        [sys.executable, str(script)],
        capture_output=True,
        cwd=Path(__file__).resolve().parents[3],
        env={"PYTHONPATH": ".", "PYTHONHASHSEED": "7", "TZ": "Pacific/Auckland", "PATH": "/usr/bin:/bin"},
        check=True,
    )
    assert elsewhere.stdout == here
    assert documents.render(invoice(number="INV-000043"), Form.PDF).content != here


def test_forty_lines_stand_on_two_pages_with_heads_repeated_and_pages_counted(documents: PrintedDocuments) -> None:
    pages = [page.extract_text() for page in read(documents.render(long(), Form.PDF).content).pages]
    assert len(pages) == 2
    for number, page in enumerate(pages, 1):
        assert f"Page {number} of 2" in page
    with_lines = [page for page in pages if "region" in page]
    assert all("Unit price" in page for page in with_lines)
    assert "INV-000042" in pages[1]
    for place in range(1, 41):
        assert sum(bool(re.search(rf"region {place}\b", page)) for page in pages) == 1


def test_a_line_and_its_tiers_are_never_cut(documents: PrintedDocuments) -> None:
    document = invoice()
    tiers = tuple(replace(document.rows[1], position=place, title=f"Searches {place}") for place in range(1, 25))
    for page in read(documents.render(invoice(rows=tiers), Form.PDF).content).pages:
        text = page.extract_text()
        assert len(re.findall(r"Searches \d+\b(?!,)", text)) == text.count("Tier 1, up to") == text.count("Tier 2")


def test_a_pdf_is_archival_and_carries_its_invoice(documents: PrintedDocuments) -> None:
    reader = read(documents.render(invoice(), Form.PDF).content)
    assert list(reader.attachments) == ["factur-x.xml"]
    assert reader.attachments["factur-x.xml"] == [documents.render(invoice(), Form.XML).content]
    said = reader.trailer["/Root"]["/Metadata"].get_data().decode()
    assert 'pdfaid:part="3"' in said
    assert "<fx:ConformanceLevel>EN 16931</fx:ConformanceLevel>" in said
    assert reader.metadata is not None
    assert reader.metadata["/CreationDate"].startswith("D:20261101")


def test_a_name_that_no_font_draws_is_said_by_name(
    documents: PrintedDocuments, monkeypatch: pytest.MonkeyPatch
) -> None:
    unassigned = "\U000e0fff"
    (warning,) = documents.render(invoice(customer=Party(f"Acme {unassigned}")), Form.PDF).warnings
    assert "INV-000042: the customer's name" in warning
    assert "U+E0FFF" in warning
    assert "fonts-noto-core" in warning
    monkeypatch.setattr(glyphs.shutil, "which", lambda name: None)
    glyphs.ranges.cache_clear()
    with pytest.raises(EdgeUnavailable, match="fc-list was not found"):
        documents.render(invoice(customer=Party("Größenwahn")), Form.PDF)
    glyphs.ranges.cache_clear()


def test_nothing_is_fetched_from_anywhere(documents: PrintedDocuments, tmp_path: Path) -> None:
    secret = tmp_path / "secret.png"
    secret.write_bytes(b"")
    brand = tmp_path / "acme"
    brand.mkdir()
    (brand / "brand.css").write_text(f'.seller {{ background: url("{secret.as_uri()}") }}')
    rendered = PrintedDocuments(tmp_path).render(invoice(brand="acme"), Form.PDF)
    assert any("disallowed protocol" in warning for warning in rendered.warnings)
