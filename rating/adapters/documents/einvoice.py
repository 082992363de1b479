"""A document as an e-invoice by EN 16931, in the Factur-X / ZUGFeRD spelling, and as the attachment of a PDF.

Decides how our lines become EN 16931's. Each stands as counted where quantity times price is its amount; otherwise
(tiers, an adjustment) it is one unit of its amount with the arithmetic in its description, because EN 16931 knows one
price a line. What cannot be said at all is refused with the reason; nothing is bent to fit.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

from rating.adapters.documents.printing import Attached
from rating.core.documents import Document, Kind, Party, Row, TaxRow
from rating.core.money import Money, decimal_text, round_amount
from rating.core.taxation import Treatment
from rating.errors import EdgeUnavailable

SCHEMA = "FACTUR-X_EN16931"
_GUIDELINE = "urn:cen.eu:en16931:2017"
_ONE = "C62"
_CATEGORIES = {Treatment.REVERSE_CHARGE: "AE", Treatment.EXEMPT: "E", Treatment.OUTSIDE: "O"}
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
# UN/ECE Recommendation 20.
_UNITS = {"second": "SEC", "minute": "MIN", "hour": "HUR", "day": "DAY", "byte": "AD", "gigabyte": "E34", "%": "P1"}


class Unsayable(Exception):
    """EN 16931 has no place for it, or wants to know more than the document says."""


def einvoice(document: Document) -> bytes:
    """The XML, valid by its schema.

    Raises:
        Unsayable: see there.
        EdgeUnavailable: drafthorse is not installed.
    """
    _sayable(document)
    try:
        from drafthorse.models.document import Document as Paper
        from drafthorse.models.note import IncludedNote
    except ImportError as error:
        raise EdgeUnavailable(f"{error.name} is not installed; pip install 'rating-engine[documents]'") from error
    from lxml import etree

    credit = document.kind is Kind.CREDIT_NOTE
    # A credit note says what is given back as positive amounts.
    sign = -1 if credit and document.total.minor < 0 else 1
    tax = _tax(document)
    paper: Any = Paper()
    paper.context.guideline_parameter.id = _GUIDELINE
    paper.header.id = document.number
    paper.header.type_code = "381" if credit else "380"
    paper.header.issue_date_time = _noon(document.issued)
    for text in (*document.notes, f"SHA-256 {document.content_hash}" if document.content_hash else ""):
        if text:
            note = IncludedNote()
            note.content = _printable(text)
            paper.header.notes.add(note)
    # Outside the scope of VAT nobody's number for it may stand there (BR-O-02 and following).
    numbered = tax[0] != "O"
    _party(paper.trade.agreement.seller, document.seller, numbered)
    _party(paper.trade.agreement.buyer, document.customer, numbered)
    if document.purchase_order:
        paper.trade.agreement.buyer_order.issuer_assigned_id = document.purchase_order
    settlement = paper.trade.settlement
    settlement.currency_code = document.currency.code
    settlement.payment_reference = document.number
    settlement.period.start, settlement.period.end = _noon(document.first), _noon(document.last)
    _terms(settlement, document)
    if document.corrects:
        settlement.invoice_referenced_document.issuer_assigned_id = document.corrects
    for row in document.rows:
        paper.trade.items.add(_line(row, tax, sign))
    for row in document.agreed:
        settlement.allowance_charge.add(_agreed(row, tax, sign))
    settlement.trade_tax.add(_tax_total(document, tax, sign))
    _sums(settlement.monetary_summation, document, sign)
    try:
        return bytes(paper.serialize(schema=SCHEMA))
    except etree.XMLSyntaxError as error:
        raise Unsayable(f"it does not fit the schema of EN 16931 ({error})") from error


def attached(document: Document) -> Attached:
    """The e-invoice as Factur-X puts it into a PDF/A-3."""
    return Attached("factur-x.xml", einvoice(document), "Factur-X invoice", _XMP.encode())


def _sayable(document: Document) -> None:
    for who, party in (("seller", document.seller), ("customer", document.customer)):
        for what in ("name", "country"):
            if not getattr(party, what):
                raise Unsayable(f"the {who}'s {what} is not known; write it in the catalogue")
    if document.kind is Kind.STATEMENT:
        raise Unsayable("a partner's statement is not an invoice to anybody")
    if document.currency.exponent > 2:
        raise Unsayable(
            f"EN 16931 has two decimals and {document.currency} has {document.currency.exponent}; "
            "send the PDF or the JSON, which say all of them"
        )
    if any(tax.contained for tax in document.taxes):
        raise Unsayable("its prices contain the tax, and lines of EN 16931 are net; declare prices without it")
    rated = [tax for tax in document.taxes if tax.title]
    if len(rated) > 1:
        named = ", ".join(f"{tax.title} {_percent(tax)} %" for tax in rated)
        raise Unsayable(f"it has several tax rates ({named}) and does not say which line has which")


def _tax(document: Document) -> tuple[str, Fraction, str]:
    """Category, rate and reason: S standard, AE reverse charge, E exempt, Z zero rated, O outside the scope of VAT."""
    if not document.taxes:
        if document.seller.tax_ids:
            raise Unsayable("no tax stands on it and no reason why; declare the rate, or 0 % with the reason")
        return "O", Fraction(0), "Not subject to VAT"
    treated = [tax for tax in document.taxes if tax.treatment]
    if treated:
        return _treated(document, treated[0])
    tax = document.taxes[0]
    if tax.percent is None:
        raise Unsayable(f"the rate of {tax.title} is not known")
    if tax.percent:
        if not document.seller.tax_ids:
            raise Unsayable("it has VAT and the seller's tax id is not known; write it in the catalogue")
        expected = round_amount(document.net.exact * tax.percent / 100, document.currency)
        if expected != tax.amount:
            raise Unsayable(f"{_percent(tax)} % of {document.net} is {expected}, and {tax.amount} stands on it")
        return "S", tax.percent, ""
    return "E" if tax.note else "Z", Fraction(0), tax.note


def _treated(document: Document, tax: TaxRow) -> tuple[str, Fraction, str]:
    if tax.treatment == Treatment.REVERSE_CHARGE and not document.customer.tax_ids:
        raise Unsayable("reverse charge needs the customer's tax id; write it in the catalogue")
    return _CATEGORIES[Treatment(tax.treatment)], Fraction(0), tax.note


def _percent(tax: TaxRow) -> str:
    return "?" if tax.percent is None else decimal_text(tax.percent)


def _line(row: Row, tax: tuple[str, Fraction, str], sign: int) -> Any:
    from drafthorse.models.tradelines import LineItem

    line: Any = LineItem()
    line.document.line_id = str(row.position)
    line.product.name = _printable(row.title)
    quantity, price, unit, described = _priced(row, sign)
    if described:
        line.product.description = _printable(described)
    line.agreement.net.amount = price
    line.delivery.billed_quantity = (quantity, unit)
    line.settlement.trade_tax.type_code = "VAT"
    line.settlement.trade_tax.category_code = tax[0]
    if tax[0] != "O":
        line.settlement.trade_tax.rate_applicable_percent = Decimal(decimal_text(tax[1]))
    line.settlement.period.start, line.settlement.period.end = _noon(row.first), _noon(row.last)
    line.settlement.monetary_summation.total_amount = _cents(row.amount, sign)
    return line


def _priced(row: Row, sign: int) -> tuple[Decimal, Decimal, str, str]:
    """Quantity, price of one (never negative), unit, and what else there is to say."""
    counted = "" if row.quantity is None else f"{decimal_text(row.quantity)} {row.unit}"
    if row.included:
        counted += f", {decimal_text(row.included)} included"
    priced = [step for step in row.steps if step.amount]
    if len(priced) == 1 and priced[0].unit_price is not None and priced[0].unit_price > 0:
        step, price = priced[0], priced[0].unit_price
        ends = all(Fraction(decimal_text(number)) == number for number in (price, step.quantity))
        if ends and round_amount(step.quantity * price, row.amount.currency) == row.amount:
            unit = _UNITS.get(row.unit, _ONE)
            said = counted if row.included or unit == _ONE else ""
            return Decimal(decimal_text(step.quantity)) * sign, Decimal(decimal_text(price)), unit, said
    steps = "; ".join(
        f"{step.what}: {decimal_text(step.quantity)}"
        + (f" x {decimal_text(step.unit_price, 12)}" if step.unit_price is not None else "")
        + f" = {decimal_text(step.amount, 12)}"
        for step in row.steps
    )
    whole = sign if row.amount.minor >= 0 else -sign
    price = abs(row.amount.exact)
    return (
        Decimal(whole),
        Decimal(decimal_text(price)),
        _ONE,
        "; ".join(part for part in (counted, steps, row.names) if part),
    )


def _agreed(row: Row, tax: tuple[str, Fraction, str], sign: int) -> Any:
    from drafthorse.models.accounting import CategoryTradeTax, TradeAllowanceCharge

    amount = _cents(row.amount, sign)
    said: Any = TradeAllowanceCharge()
    said.indicator = amount > 0
    said.actual_amount = abs(amount)
    said.reason = _printable(row.title)
    rate: Any = CategoryTradeTax()
    rate.type_code, rate.category_code = "VAT", tax[0]
    if tax[0] != "O":
        rate.rate_applicable_percent = Decimal(decimal_text(tax[1]))
    said.trade_tax.add(rate)
    return said


def _tax_total(document: Document, tax: tuple[str, Fraction, str], sign: int) -> Any:
    from drafthorse.models.accounting import ApplicableTradeTax

    said: Any = ApplicableTradeTax()
    said.calculated_amount = _cents(document.total - document.net, sign)
    said.type_code = "VAT"
    if tax[2]:
        said.exemption_reason = _printable(tax[2])
    said.basis_amount = _cents(document.net, sign)
    said.category_code = tax[0]
    if tax[0] != "O":
        said.rate_applicable_percent = Decimal(decimal_text(tax[1]))
    return said


def _sums(sums: Any, document: Document, sign: int) -> None:
    amounts = [_cents(row.amount, sign) for row in document.agreed]
    code = document.currency.code
    sums.line_total = _cents(document.charges, sign)
    sums.charge_total = sum((one for one in amounts if one > 0), Decimal(0))
    sums.allowance_total = -sum((one for one in amounts if one < 0), Decimal(0))
    sums.tax_basis_total = (_cents(document.net, sign), None)
    sums.tax_total = (_cents(document.total - document.net, sign), code)
    sums.grand_total = (_cents(document.total, sign), None)
    if document.paid is not None:
        sums.prepaid_total = _cents(document.paid, sign)
    sums.due_amount = _cents(document.to_pay, sign)


def _terms(settlement: Any, document: Document) -> None:
    from drafthorse.models.payment import PaymentTerms

    terms: Any = PaymentTerms()
    # One of the two must be there where something is owed (BR-CO-25).
    terms.description = _printable(document.terms or "Due as agreed")
    if document.due is not None:
        terms.due = _noon(document.due)
    settlement.terms.add(terms)


def _party(place: Any, party: Party, numbered: bool) -> None:
    place.name = _printable(party.name)
    for name, text in zip(("line_one", "line_two", "line_three"), party.address, strict=False):
        setattr(place.address, name, _printable(text))
    place.address.country_id = party.country
    if party.email:
        place.electronic_address.uri_ID = ("EM", party.email)
    from drafthorse.models.party import TaxRegistration

    for number in party.tax_ids[:1] if numbered else ():
        registration: Any = TaxRegistration()
        registration.id = ("VA", number)
        place.tax_registrations.add(registration)


def _cents(money: Money, sign: int) -> Decimal:
    return Decimal(money.digits) * sign


def _noon(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, 12, tzinfo=UTC)


def _printable(text: str) -> str:
    """XML 1.0 has no place for control characters and halves of pairs."""
    return _NOT_XML.sub("", text)


_XMP = (
    """<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:pdfaExtension="http://www.aiim.org/pdfa/ns/extension/"
 xmlns:pdfaSchema="http://www.aiim.org/pdfa/ns/schema#" xmlns:pdfaProperty="http://www.aiim.org/pdfa/ns/property#">
<pdfaExtension:schemas><rdf:Bag><rdf:li rdf:parseType="Resource">
<pdfaSchema:schema>Factur-X PDFA Extension Schema</pdfaSchema:schema>
<pdfaSchema:namespaceURI>urn:factur-x:pdfa:CrossIndustryDocument:invoice:1p0#</pdfaSchema:namespaceURI>
<pdfaSchema:prefix>fx</pdfaSchema:prefix>
<pdfaSchema:property><rdf:Seq>
"""
    + "".join(
        f"""<rdf:li rdf:parseType="Resource"><pdfaProperty:name>{name}</pdfaProperty:name>
<pdfaProperty:valueType>Text</pdfaProperty:valueType><pdfaProperty:category>external</pdfaProperty:category>
<pdfaProperty:description>{what}</pdfaProperty:description></rdf:li>
"""
        for name, what in (
            ("DocumentFileName", "name of the embedded XML invoice file"),
            ("DocumentType", "INVOICE"),
            ("Version", "The actual version of the Factur-X XML schema"),
            ("ConformanceLevel", "The conformance level of the embedded Factur-X data"),
        )
    )
    + """</rdf:Seq></pdfaSchema:property></rdf:li></rdf:Bag></pdfaExtension:schemas>
</rdf:Description>
<rdf:Description rdf:about="" xmlns:fx="urn:factur-x:pdfa:CrossIndustryDocument:invoice:1p0#">
<fx:DocumentType>INVOICE</fx:DocumentType><fx:DocumentFileName>factur-x.xml</fx:DocumentFileName>
<fx:Version>1.0</fx:Version><fx:ConformanceLevel>EN 16931</fx:ConformanceLevel>
</rdf:Description>
</rdf:RDF>"""
)
