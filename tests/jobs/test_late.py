"""Late usage: an invoice stays as it was issued, and a later one settles the difference, to the cent."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from rating.adapters.memory_book import MemoryBook
from rating.adapters.store import open_book
from rating.core.adjustments import Discount, DiscountKind
from rating.core.invoices import Draft, Invoice, LineItem, LineKind
from rating.core.meters import Meter
from rating.core.periods import Cadence, Period
from rating.core.plans import Plan
from rating.core.prices.graduated import Graduated
from rating.core.prices.package import Package
from rating.core.prices.per_unit import PerUnit
from rating.core.prices.volume import Volume
from rating.core.ratecards import RateCard
from rating.core.settlements import Settlement
from rating.core.subscriptions import Subscription
from rating.core.taxes import Tax
from rating.core.tiers import Tier, Tiers
from rating.core.windows import Adjustment, Closing, Completeness, Usage
from rating.jobs.audit import audit
from rating.jobs.bill import bill
from rating.jobs.explain import explain
from rating.ports import Book
from tests.stories import ACME, CALLS, DAY, OCTOBER, PRO, USD, close_days, contracts

HOUR = timedelta(hours=1)
NOVEMBER = OCTOBER.end + HOUR
DECEMBER = datetime(2026, 12, 1, 1, tzinfo=UTC)
JANUARY = datetime(2027, 1, 1, 1, tzinfo=UTC)


def late(book: Book, calls: int, *, day: int = 3, revision: int = 1, at: datetime = NOVEMBER + DAY) -> None:
    """ACME's calls of one October day turn out to be this many more."""
    window = Period(OCTOBER.start + day * DAY, OCTOBER.start + (day + 1) * DAY)
    rows = (Usage("acme", ("/search",), calls),)
    book.adjust(Adjustment("api_calls", window, revision, rows, "late samples", "rating"), at=at)


def lines(invoice: Invoice | Draft) -> list[tuple[str, str, str]]:
    paper = invoice.draft if isinstance(invoice, Invoice) else invoice
    return [(line.kind.value, line.title, str(line.amount)) for line in paper.lines]


def test_late_usage_of_october_stands_on_the_invoice_of_november() -> None:
    book = MemoryBook()
    close_days(book, {"acme": 10}, days=range(61))
    [october] = bill(book, contracts(ACME), now=NOVEMBER).issued
    assert str(october.total) == "52.10 USD"
    late(book, 100)
    [november] = bill(book, contracts(ACME), now=DECEMBER).issued
    # 310 calls were 210 beyond the allowance: 200 at 0.015 and 10 at 0.0101 made 3.101. 410 make 4.111.
    assert lines(november) == [
        ("fee", "Pro fee", "49.00 USD"),
        ("usage", "API calls", "3.00 USD"),
        ("adjustment", "Late usage of October 2026: API calls, INV-000001 line 2", "1.01 USD"),
    ]
    line = november.draft.lines[2]
    assert (line.card, line.quantity, line.exact, line.settles) == ("api_calls", 100, Fraction("1.01"), "INV-000001/2")
    assert line.period == OCTOBER
    assert sum(portion.amount for portion in line.portions) == line.exact
    assert line.portions[-1].what == "billed so far for INV-000001 line 2"
    assert [explained.agrees for explained in (*explain(book, october), *explain(book, november))] == [True] * 5


def test_it_is_settled_once_and_two_corrections_add_up() -> None:
    book = MemoryBook()
    close_days(book, {"acme": 10}, days=range(92))
    bill(book, contracts(ACME), now=NOVEMBER)
    late(book, 100)
    bill(book, contracts(ACME), now=DECEMBER)
    late(book, -40, revision=2, at=DECEMBER + DAY)
    late(book, -20, day=4, at=DECEMBER + DAY)
    [december] = bill(book, contracts(ACME), now=JANUARY).issued
    assert [(line.quantity, str(line.amount)) for line in december.draft.lines if line.settles] == [(-60, "-0.60 USD")]
    paid = [line for one in book.invoices() for line in one.draft.lines if line.meter and line.period == OCTOBER]
    # 350 calls: 3.00 + 50 at 0.0101 is 3.505, rounded once.
    assert sum(line.quantity for line in paid) == 350
    assert sum(line.amount.minor for line in paid) == 351
    assert sum(line.exact for line in paid) == Fraction("3.505")


def test_late_usage_before_the_invoice_is_simply_usage() -> None:
    book = MemoryBook()
    close_days(book, {"acme": 10}, days=range(61))
    late(book, 100, at=NOVEMBER - 2 * HOUR)
    [october, november] = bill(book, contracts(ACME), now=DECEMBER).issued
    assert [line.quantity for line in october.draft.lines] == [0, 410]
    assert [line.kind for line in november.draft.lines] == [LineKind.FEE, LineKind.USAGE]


def test_what_is_covered_by_the_allowance_is_settled_for_nothing() -> None:
    """The quantity is put right all the same: the paper must agree with the windows."""
    book = MemoryBook()
    close_days(book, {"acme": 1}, days=range(61))
    bill(book, contracts(ACME), now=NOVEMBER)
    late(book, 5)
    [november] = bill(book, contracts(ACME), now=DECEMBER).issued
    assert [(line.quantity, str(line.amount)) for line in november.draft.lines if line.settles] == [(5, "0.00 USD")]


def test_nobody_else_is_touched_and_a_repeated_run_is_nothing() -> None:
    book, globex = MemoryBook(), Subscription("globex", "pro", OCTOBER.start)
    both = contracts(ACME, globex)
    close_days(book, {"acme": 10, "globex": 10}, days=range(61))
    bill(book, both, now=NOVEMBER)
    late(book, 100)
    dry = bill(book, both, now=DECEMBER, dry_run=True)
    issued = bill(book, both, now=DECEMBER).issued
    assert [one.draft for one in issued] == list(dry.drafts)
    assert [len(one.draft.lines) for one in issued] == [3, 2]
    assert bill(book, both, now=DECEMBER).issued == ()


def test_months_billed_in_one_run_settle_it_on_the_first() -> None:
    book = MemoryBook()
    close_days(book, {"acme": 10}, days=range(92))
    bill(book, contracts(ACME), now=NOVEMBER)
    late(book, 100)
    [november, december] = bill(book, contracts(ACME), now=JANUARY).issued
    assert [len(one.draft.lines) for one in (november, december)] == [3, 2]


def test_october_is_settled_under_octobers_prices_until_the_day_it_was_billed_for() -> None:
    """Dearer from November, and cancelled in December for the middle of October: neither changes what October costs."""
    [card] = PRO.cards
    dearer = replace(PRO, cards=(replace(card, price=Graduated(Tiers((Tier(None, unit_price=Fraction(1)),)))),))
    book = MemoryBook()
    close_days(book, {"acme": 10}, days=range(61))
    before = contracts(ACME)
    bill(book, before, now=NOVEMBER)
    late(book, 100)
    later = replace(before.current, plans={"pro": dearer}, digest="dearer", text="dearer")
    both = replace(before, versions=(*before.versions, (OCTOBER.end, later)))
    [november] = bill(book, both, now=DECEMBER).issued
    assert [str(line.amount) for line in november.draft.lines] == ["49.00 USD", "200.00 USD", "1.01 USD"]


def test_the_new_invoices_discount_and_tax_apply_and_its_cap_and_minimum_do_not() -> None:
    plan = replace(
        PRO,
        settlement=Settlement(
            discounts=(Discount(DiscountKind.PERCENTAGE, Fraction(10)),),
            maximum=Fraction(45),
            minimum=Fraction(45),
            taxes=(Tax("VAT", Fraction(20)),),
        ),
    )
    book = MemoryBook()
    close_days(book, {"acme": 10}, days=range(61))
    bill(book, contracts(ACME, plan=plan), now=NOVEMBER)
    late(book, -100)
    [november] = bill(book, contracts(ACME, plan=plan), now=DECEMBER).issued
    # 52.00 of November less 10 % is 46.80, capped at 45; October's 1.45 less 10 % stays a credit of 1.305.
    amounts = [(line.kind.value, str(line.amount)) for line in november.draft.lines]
    assert amounts[:3] == [("fee", "49.00 USD"), ("usage", "3.00 USD"), ("adjustment", "-1.45 USD")]
    assert amounts[3:] == [("discount", "-5.06 USD"), ("cap", "-1.80 USD"), ("tax", "8.74 USD")]
    assert str(november.total) == "52.43 USD"


def test_an_allowance_that_was_carried_over_too_generously_is_settled_too() -> None:
    """Fifty late calls of October were allowance that November had been given."""
    card = RateCard("calls", "Calls", CALLS, PerUnit(Fraction(1)), Fraction(100), rollover=2)
    plan = replace(PRO, fee=Fraction(0), cards=(card,))
    book = MemoryBook()
    for first, after, calls in ((0, 31, 40), (31, 61, 130), (61, 92, 150)):
        close_days(book, {"acme": calls}, days=range(first, first + 1))
        close_days(book, {}, days=range(first + 1, after))
    bill(book, contracts(ACME, plan=plan), now=DECEMBER)
    late(book, 50, day=0, at=DECEMBER + DAY)
    [december] = bill(book, contracts(ACME, plan=plan), now=JANUARY).issued
    assert [(line.quantity, line.amount.digits) for line in december.draft.lines] == [
        (150, "50.00"),
        (50, "0.00"),
        (0, "20.00"),
    ], "November had 60 of October's allowance and should have had 10, December nothing of November's"
    assert sum(invoice.total.minor for invoice in book.invoices()) == 7000


def test_the_audit_knows_which_usage_an_invoice_could_know(tmp_path) -> None:
    with open_book(f"sqlite:///{tmp_path}/book.db") as book:
        close_days(book, {"acme": 10, "globex": 1}, days=range(92))
        for now, calls in ((NOVEMBER, 100), (DECEMBER, -30), (JANUARY, 7)):
            bill(book, contracts(ACME), now=now)
            late(book, calls, revision=len(book.adjustments(OCTOBER)) + 1, at=now - DAY)
            assert list(audit(book)) == []
        assert [len(one.draft.lines) for one in book.invoices()] == [2, 3, 3]


# Invoices and adjustments sum to what complete data would have been billed ------------------------------------------

QUARTER = timedelta(hours=6)
START = datetime(2026, 10, 1, tzinfo=UTC)
DAYS = 4
METERS = tuple(
    Meter(name=name, metric=f"{name}_total", consumer="c", window=QUARTER)
    for name in ("calls", "tokens", "files", "spare")
)
EDGES = (Tier(Fraction(40), unit_price=Fraction("0.013")), Tier(Fraction(90), unit_price=Fraction("0.0077")))
TIERS = Tiers((*EDGES, Tier(None, unit_price=Fraction("0.0031"), flat=Fraction("0.5"))))
PRICES = (Graduated(TIERS), Volume(TIERS), Package(Fraction(7), Fraction("0.33")), Graduated(TIERS))
EVERY = Plan(
    key="pro",
    title="Every price",
    currency=USD,
    cadence=Cadence.DAY,
    fee=Fraction(1),
    cards=tuple(
        RateCard(meter.name, meter.name, meter, price, Fraction(30), rollover=2 if meter.name == "spare" else 0)
        for meter, price in zip(METERS, PRICES, strict=True)
    ),
)
WHO = tuple(Subscription(name, "pro", START, anchor=date(2026, 10, 1)) for name in ("a", "b"))

quantities = st.lists(st.integers(0, 60), min_size=DAYS * 4, max_size=DAYS * 4)
corrections = st.lists(
    st.tuples(
        st.integers(0, len(METERS) - 1),
        st.integers(0, DAYS * 4 - 1),
        st.sampled_from(["a", "b"]),
        st.integers(-15, 60).filter(bool),
        st.integers(0, DAYS - 1),
    ),
    max_size=12,
)


def settled(usage: dict[tuple[str, int], dict[str, int]], late: list[tuple[int, int, str, int, int]]) -> MemoryBook:
    """Four days of windows, billed each midnight; a correction comes before the bill of its day, at the soonest."""
    book = MemoryBook()
    revisions: dict[tuple[int, int], int] = defaultdict(int)
    for (meter, number), rows in usage.items():
        window = Period(START + number * QUARTER, START + (number + 1) * QUARTER)
        counted = tuple(Usage(consumer, (), count) for consumer, count in sorted(rows.items()) if count)
        book.close(Closing(meter, window, Completeness.COMPLETE, counted), meter_digest="m", at=window.end)
    for day in range(DAYS):
        now = START + (day + 1) * DAY
        for index, number, consumer, difference, when in late:
            if max(when, number // 4) == day:
                revisions[index, number] += 1
                window = Period(START + number * QUARTER, START + (number + 1) * QUARTER)
                rows = (Usage(consumer, (), difference),)
                entry = Adjustment(METERS[index].name, window, revisions[index, number], rows, "late", "test")
                book.adjust(entry, at=now)
        now += HOUR
        assert bill(book, contracts(*WHO, plan=EVERY), now=now).postponed == ()
        assert bill(book, contracts(*WHO, plan=EVERY), now=now + HOUR).issued == ()
    return book


def charged(book: Book) -> dict[tuple[str, str, Period], tuple[Fraction, int]]:
    """By consumer, card and the period it is about: quantity and minor units over all invoices."""
    sums: dict[tuple[str, str, Period], tuple[Fraction, int]] = {}
    for invoice in book.invoices():
        for line in invoice.draft.lines:
            if line.meter:
                key = (invoice.draft.consumer, line.card, line.period)
                quantity, minor = sums.get(key, (Fraction(0), 0))
                sums[key] = (quantity + line.quantity, minor + line.amount.minor)
    return sums


@settings(max_examples=40, deadline=None)
@given(counted=st.lists(quantities, min_size=len(METERS), max_size=len(METERS)), late=corrections)
def test_invoices_and_adjustments_sum_to_what_complete_data_would_have_been_billed(counted, late) -> None:
    """Graduated, volume, package and carried-over allowances; more and less, before and after issue, in any pieces."""
    usage = {
        (meter.name, number): {"a": count + 200, "b": count % 7 + 200}
        for meter, row in zip(METERS, counted, strict=True)
        for number, count in enumerate(row)
    }
    if counted[0][0] % 2:
        # Near the edges of the tiers and the allowance, not beyond all of them.
        usage = {key: {name: count - 190 for name, count in rows.items()} for key, rows in usage.items()}
        late = [(*one[:3], max(one[3], 1), one[4]) for one in late]
    complete = {key: dict(rows) for key, rows in usage.items()}
    for index, number, consumer, difference, _ in late:
        complete[METERS[index].name, number][consumer] += difference
    book = settled(usage, late)
    assert charged(book) == charged(settled(complete, []))
    for invoice in book.invoices():
        assert all(explained.agrees for explained in explain(book, invoice))
        for line in invoice.draft.lines:
            _sums_up(line)


def _sums_up(line: LineItem) -> None:
    if line.portions:
        assert sum(portion.amount for portion in line.portions) == line.exact
    if line.settles:
        assert abs(line.exact * 100 - line.amount.minor) <= 1
