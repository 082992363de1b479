"""Stripe's rules for amounts in minor units, which are not those of ISO 4217."""

from __future__ import annotations

from tests.stripe_peer.refusals import wrong

ZERO_DECIMAL = frozenset("bif clp djf gnf jpy kmf krw mga pyg rwf vnd vuv xaf xof xpf".split())
"""A minor unit is a whole one: nothing to check beyond whole numbers."""
THREE_DECIMAL = frozenset("bhd jod kwd omr tnd".split())
"""Sent in thousandths whose last digit must be 0."""
HUNDREDS = frozenset({"isk", "ugx"})
"""Without decimals in life, sent times 100."""
TWO_DECIMAL = frozenset(
    """usd aed afn all amd ang aoa ars aud awg azn bam bbd bdt bgn bmd bnd bob brl bsd bwp byn bzd cad cdf chf cny cop
    crc cve czk dkk dop dzd egp etb eur fjd fkp gbp gel gip gmd gtq gyd hkd hnl htg huf idr ils inr jmd kes kgs khr kyd
    kzt lak lbp lkr lrd lsl mad mdl mkd mmk mnt mop mur mvr mwk mxn myr mzn nad ngn nio nok npr nzd pab pen pgk php pkr
    pln qar ron rsd rub sar sbd scr sek sgd shp sle sos srd std szl thb tjs top try ttd twd tzs uah uyu uzs wst xcd yer
    zar zmw""".split()
)
KNOWN = ZERO_DECIMAL | THREE_DECIMAL | HUNDREDS | TWO_DECIMAL
LARGEST = 99_999_999
"""Of a charge, in minor units; eight digits, but twelve of them in IDR."""
LARGEST_IDR = 999_999_999_999
SMALLEST = {"usd": 50, "eur": 50, "gbp": 30, "jpy": 50, "chf": 50, "sek": 300, "nok": 300, "dkk": 250, "pln": 200}
"""The minimum of a charge. An invoice below it is not collected but owed on the next one."""


def currency(name: str, param: str = "currency") -> str:
    """The currency in lower case.

    Raises:
        Refusal: Stripe does not know it.
    """
    lower = name.lower()
    if lower not in KNOWN:
        raise wrong(f"Invalid currency: {name}. Stripe currently supports: {', '.join(sorted(KNOWN))}", param)
    return lower


def amount(value: int, of: str, param: str = "amount") -> int:
    """The amount, where it can be said in that currency.

    Raises:
        Refusal: it cannot.
    """
    if of in THREE_DECIMAL and value % 10:
        raise wrong(
            f"Invalid amount {value}: amounts in {of} are in thousandths and must be divisible by 10",
            param,
            "parameter_invalid_integer",
        )
    if of in HUNDREDS and value % 100:
        raise wrong(
            f"Invalid amount {value}: {of} has no decimals but is sent times 100, amounts must be divisible by 100",
            param,
            "parameter_invalid_integer",
        )
    return value


def granule(of: str) -> int:
    """The step between two amounts in that currency, in minor units: what a computed line is rounded to."""
    return 10 if of in THREE_DECIMAL else 100 if of in HUNDREDS else 1


def smallest(of: str) -> int:
    return SMALLEST.get(of, 0)


def largest(of: str) -> int:
    return LARGEST_IDR if of == "idr" else LARGEST
