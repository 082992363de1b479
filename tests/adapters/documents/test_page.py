"""The page: a golden invoice to read, brands that change it, and nothing a customer writes that could."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from rating.adapters.documents import PrintedDocuments
from rating.core.cells import inert
from rating.core.documents import Form, Kind, Party, TaxRow
from rating.core.money import Currency, Money
from rating.errors import SpecError

from .papers import invoice

GOLDEN = Path(__file__).with_name("golden")
PAGES = PrintedDocuments()


def page(**changed: object) -> str:
    return PAGES.render(invoice(**changed), Form.HTML).content.decode()  # type: ignore[arg-type]


@pytest.mark.parametrize("form", [Form.HTML, Form.JSON, Form.CSV])
def test_the_invoice_reads_as_it_is_kept_here(form: Form) -> None:
    """Rewritten by `UPDATE_GOLDEN=1 pytest tests/adapters/documents`; read the difference before accepting it."""
    file = GOLDEN / f"invoice.{form.value}"
    found = PAGES.render(invoice(), form).content
    if os.environ.get("UPDATE_GOLDEN"):
        file.write_bytes(found)
    assert found.decode() == file.read_text()


def test_names_have_the_direction_of_their_first_letter() -> None:
    assert '<p dir="rtl" class="who">חברת הדוגמה</p>' in page(customer=Party("חברת הדוגמה"))
    assert '<p dir="ltr" class="who">Acme חברת</p>' in page(customer=Party("Acme חברת"))
    assert '<html lang="ar" dir="rtl">' in page(locale="ar")


def test_what_a_customer_writes_stays_text() -> None:
    evil = '</style><script>alert(1)</script><img src=x onerror="alert(1)">'
    said = page(customer=Party(evil), plan=evil, terms=evil, notes=(evil,), purchase_order=evil, number=evil)
    assert "<script" not in said
    assert "<img" not in said
    assert said.count("</style>") == 1


@pytest.mark.parametrize(
    ("locale", "said"),
    {
        "de": (
            "Rechnung",
            "Seite",
            "59,73",
            "0,00031",
            "139.294",
            "1. November 2026",
            "Gesamtbetrag",
            "206,32\u00a0EUR",
        ),
        "fr": ("Facture", "59,73", "139\u202f294", "1 novembre 2026", "Total TTC", "206,32\u00a0EUR"),
        "ar": ("فاتورة", "59.73", "139,294", "1 نوفمبر 2026", "206.32", "EUR"),
        "en_US": ("Invoice", "59.73", "139,294", "November 1, 2026", "EUR\u00a0206.32"),
        "en_IN": ("Invoice", "1,39,294", "1 November 2026"),
        "de_CH": ("Rechnung", "139’294", "59.73"),
        "sw": ("Invoice", "139,294"),  # no captions of ours: English words, Swahili figures
    }.items(),
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_words_and_figures_are_the_locales(locale: str, said: tuple[str, ...]) -> None:
    written = page(locale=locale)
    for text in said:
        assert text in written, text


@pytest.mark.parametrize(
    ("code", "total"),
    {"JPY": "JPY\u00a0207", "KWD": "KWD\u00a0206.314", "USD": "USD\u00a0206.32", "CLF": "206.3142"}.items(),
)
def test_amounts_have_their_currencys_decimals(code: str, total: str) -> None:
    assert total in page(code=code)


def test_every_language_has_every_caption() -> None:
    import yaml

    from rating.adapters.documents.wording import CAPTIONS

    english = yaml.safe_load((CAPTIONS / "en.yaml").read_text())
    for file in CAPTIONS.glob("*.yaml"):
        words = yaml.safe_load(file.read_text())
        assert words.keys() == english.keys(), file.name
        for key, text in english.items():
            assert sorted(part.split("}")[0] for part in text.split("{")[1:]) == sorted(
                part.split("}")[0] for part in words[key].split("{")[1:]
            ), f"{file.name}: {key}"


def test_a_note_says_why_there_is_no_tax() -> None:
    net = Money(17353, Currency("EUR"))
    note = "Reverse charge: the customer owes the tax"
    tax = TaxRow("", None, net, Money(0, Currency("EUR")), note, treatment="reverse_charge")
    assert "Reverse charge: the customer owes the tax" in page(taxes=(tax,))


def test_a_credit_note_names_what_it_corrects_and_why() -> None:
    said = page(kind=Kind.CREDIT_NOTE, corrects="INV-000007", reason="counted twice")
    assert "Credit note" in said
    assert "INV-000007" in said
    assert "counted twice" in said


def test_a_brand_changes_colours_logo_words_and_template(tmp_path: Path) -> None:
    brand = tmp_path / "acme"
    (brand / "captions").mkdir(parents=True)
    (brand / "colours.yaml").write_text('accent: "#aa0011"\n')
    (brand / "logo.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg"/>')
    (brand / "captions" / "en.yaml").write_text("invoice: Tax invoice\n")
    (brand / "invoice.html").write_text('{% extends "paper.html" %}{% block payment %}Ask us.{% endblock %}')
    said = PrintedDocuments(tmp_path).render(invoice(brand="acme"), Form.HTML).content.decode()
    for text in ("#aa0011", "data:image/svg+xml;base64,", "Tax invoice", "Ask us."):
        assert text in said
    assert "IBAN" not in said


@pytest.mark.parametrize(
    ("files", "sentence"),
    {
        "no such brand": ({}, "there is no brand 'acme'"),
        "a colour that is none": ({"acme/colours.yaml": "accent: red"}, "colours.yaml: 'accent' is not one of ink, "),
        "captions that are a list": ({"acme/captions/en.yaml": "- a"}, "is not a list of captions"),
        "a template with a mistake": ({"acme/invoice.html": "{% if %}"}, "invoice.html:1"),
        "a template that names nothing": ({"acme/invoice.html": "{{ documnt.number }}"}, "'documnt' is undefined"),
    }.values(),
    ids=["no such brand", "colour", "captions", "mistake", "undefined"],
)
def test_what_is_wrong_with_a_brand_is_said(tmp_path: Path, files: dict[str, str], sentence: str) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    with pytest.raises(SpecError) as refusal:
        PrintedDocuments(tmp_path).render(invoice(brand="acme"), Form.HTML)
    assert sentence in str(refusal.value)


def test_json_says_every_figure_as_text() -> None:
    said = json.loads(PAGES.render(invoice("KWD"), Form.JSON).content)
    assert said["total"] == "206.314"
    assert said["lines"][1]["exact"] == "59.72625"
    json.loads(json.dumps(said), parse_float=lambda text: pytest.fail(f"{text} is a float"))


@pytest.mark.parametrize(
    ("cell", "kept"),
    {
        "=cmd()": "'=cmd()",
        "+49 30 1": "'+49 30 1",
        "@sum": "'@sum",
        "-": "'-",
        "\t=1": "'\t=1",
        "\r=1": "'\r=1",
        "  =1+1": "'  =1+1",
        "\uff1d1": "'\uff1d1",
        "-12.30": "-12.30",
        "-1,234.5": "-1,234.5",
        "plain": "plain",
    }.items(),
)
def test_a_cell_is_never_a_formula_and_a_number_stays_one(cell: str, kept: str) -> None:
    assert inert(cell) == kept
