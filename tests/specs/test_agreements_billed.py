"""From the words of a catalogue to the lines of invoices: what authors agree with customers and partners, billed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from rating.adapters.memory_book import MemoryBook
from rating.core.catalogue import Catalogue
from rating.core.invoices import LineKind
from rating.core.money import Money
from rating.core.partners import PartnerStatement, partner_statements
from rating.core.periods import EPOCH
from rating.jobs.bill import bill
from rating.jobs.contracts import adopt, gather
from rating.jobs.statements import statements
from rating.specs.compile import compile_catalogue
from tests.stories import USD, close_days

SHARED = (Path(__file__).parent / "golden" / "shared.yaml").read_text()
NEW_YEAR = datetime(2027, 1, 1, 1, tzinfo=UTC)
MONTHS = {10: range(31), 11: range(31, 61), 12: range(61, 92)}

Used = Mapping[tuple[int, str], Mapping[str, int]]
"""By month and meter: each consumer's usage, all of it on the month's last day."""
Papers = list[tuple[str, list[tuple[str, str]]]]


def billed(catalogue: Catalogue, used: Used) -> tuple[MemoryBook, Papers]:
    """Every invoice until the new year, as its consumer and its (title, amount) lines."""
    book = MemoryBook()
    for meter in catalogue.meters.values():
        for month, days in MONTHS.items():
            close_days(book, {}, days=days[:-1], meter=meter)
            close_days(book, used.get((month, meter.name), {}), days=days[-1:], meter=meter)
    result = bill(book, gather(book, catalogue, now=NEW_YEAR), now=NEW_YEAR)
    assert result.postponed == ()
    return book, [
        (invoice.draft.consumer, [(line.title, line.amount.digits) for line in invoice.draft.lines])
        for invoice in result.issued
    ]


def owed_to_partners(book: MemoryBook, catalogue: Catalogue) -> tuple[PartnerStatement, ...]:
    owed, findings = statements(book, gather(book, catalogue, now=NEW_YEAR))
    assert findings == ()
    return owed


CATALOGUE = compile_catalogue([("shared.yaml", SHARED)])
USED: Used = {
    (10, "calls"): {"acme": 60},
    (10, "lookups"): {"acme": 80, "berlin": 100},
    (10, "searches"): {"berlin": 25},
    (11, "calls"): {"acme": 200},
    (11, "lookups"): {"acme": 20},
}


def test_fees_rollover_a_pool_and_a_usage_discount_over_three_months() -> None:
    _, papers = billed(CATALOGUE, USED)
    fees = [("Base fee", "20.00"), ("archive", "5.00"), ("Support", "10.00")]
    assert [lines for consumer, lines in papers if consumer == "acme"] == [
        [("Setup", "99.00"), ("Support", "10.00")],
        # Lookups: 80, less the pool's 50, less 10 given away.
        [*fees, ("calls", "0.00"), ("lookups", "1.40")],
        # Calls: 200, less 100, less 40 left of October, less the pool's 50; nothing of it is left for lookups.
        [*fees, ("calls", "1.00"), ("lookups", "0.70")],
        [*fees, ("calls", "0.00"), ("lookups", "0.00")],
    ]


def test_a_bundle_in_yen_is_one_invoice_of_all_its_plans() -> None:
    _, papers = billed(CATALOGUE, USED)
    opening, october, *_ = [lines for consumer, lines in papers if consumer == "berlin"]
    assert opening == [("Setup", "14999"), ("Support", "1515")]
    assert october == [
        ("Suite fee", "15150"),
        ("Base fee", "3030"),
        ("archive", "758"),
        ("search fee", "1061"),
        ("Support", "1515"),
        ("calls", "0"),
        ("lookups", "424"),
        # 25 searches are 3 begun tens, 2 given away: 1.00 at 151.5.
        ("searches", "152"),
    ]


def test_a_partner_is_owed_a_share_of_each_line_and_no_invoice_says_so() -> None:
    book, papers = billed(CATALOGUE, USED)
    assert "Maps" not in str(papers)
    owed = owed_to_partners(book, CATALOGUE)
    assert [(one.partner, f"{one.month:%Y-%m}", str(one.total)) for one in owed] == [
        ("Maps Ltd", "2026-10", "85 JPY"),
        ("Maps Ltd", "2026-10", "0.28 USD"),
        ("Maps Ltd", "2026-11", "0 JPY"),
        ("Maps Ltd", "2026-11", "0.14 USD"),
        ("Maps Ltd", "2026-12", "0 JPY"),
        ("Maps Ltd", "2026-12", "0.00 USD"),
    ]
    [line] = owed[0].lines
    assert (str(line.base), line.percent, line.exact, str(line.amount)) == ("424 JPY", 20, Fraction("84.8"), "85 JPY")
    invoice = book.invoice(line.invoice)
    assert invoice is not None
    stands = invoice.draft.lines[line.position - 1]
    assert (stands.card, stands.usage_digest) == ("lookups", line.usage_digest)


def test_a_share_begins_with_a_version_of_its_charge_and_is_the_consumers_own() -> None:
    text = SHARED.replace(
        "    pools:",
        '      - {meter: lookups, from: 2026-11-16, unit_price: "0.07", share: {partner: New Maps, percent: "12.5%"}}\n'
        "    pools:",
    ).replace(
        "plan: base, start: 2026-10-01",
        "plan: base, start: 2026-10-01, overrides: [{meter: lookups, unit_price: 1}]",
    )
    catalogue = compile_catalogue([("c.yaml", text)])
    book, _ = billed(catalogue, {(month, "lookups"): {"acme": 500, "berlin": 500} for month in MONTHS})
    owed = {(one.partner, one.month.month): str(one.total) for one in owed_to_partners(book, catalogue)}
    # berlin: (500 - 50 - 10) * 0.07 * 151.5 is 4666; in December (500 - 50) * 0.07 * 151.5 is 4772.
    # In November the pool goes to whoever comes first: all usage is in the second half, 450 * 0.07 * 151.5.
    assert owed == {
        ("Maps Ltd", 10): "933 JPY",
        ("Maps Ltd", 11): "0 JPY",
        ("New Maps", 11): "597 JPY",
        ("New Maps", 12): "597 JPY",
    }


def test_late_usage_is_shared_as_the_line_it_settles() -> None:
    book, _ = billed(CATALOGUE, USED)
    [late] = owed_to_partners(book, CATALOGUE)[1].lines
    invoices = list(book.invoices())
    settled = next(one for one in invoices if one.number == late.invoice).draft.lines[late.position - 1]
    credit = Money(-70, USD)
    adjusted = replace(
        settled, kind=LineKind.ADJUSTMENT, amount=credit, exact=credit.exact, settles=f"{late.invoice}/{late.position}"
    )
    november = next(one for one in invoices if one.draft.consumer == "acme" and one.draft.period.start.month == 11)
    said = replace(november, draft=replace(november.draft, lines=(*november.draft.lines, adjusted)))
    contract = {one.key: (one, CATALOGUE.plans[one.plan]) for one in CATALOGUE.subscriptions}
    owed, _ = partner_statements(
        [said if one is november else one for one in invoices], lambda paper: contract[paper.subscription]
    )
    # November's 0.14, less a fifth of the 0.70 that October was too high.
    assert [str(one.total) for one in owed if one.month.month == 11] == ["0 JPY", "0.00 USD"]
    assert [str(line.amount) for line in owed[3].lines] == ["0.14 USD", "-0.14 USD"]


def test_what_is_adopted_later_does_not_change_what_was_owed() -> None:
    book, _ = billed(CATALOGUE, USED)
    book.keep_catalogue(CATALOGUE.digest, CATALOGUE.text, in_force_from=EPOCH, at=NEW_YEAR)
    later = compile_catalogue([("c.yaml", SHARED.replace("percent: 20%", "percent: 50%"))])
    adopt(book, later, since=EPOCH, now=NEW_YEAR)
    assert owed_to_partners(book, later) == owed_to_partners(book, CATALOGUE)


def test_an_invoice_of_a_contract_nobody_knows_is_said() -> None:
    book, _ = billed(CATALOGUE, USED)
    later = compile_catalogue([("c.yaml", SHARED.replace("percent: 20%", "percent: 50%"))])
    owed, findings = statements(book, gather(book, later, now=NEW_YEAR))
    assert owed == ()
    assert len(findings) == len(book.invoices()) == 8
    assert str(findings[0]) == (
        "invoice INV-000001: nobody knows subscription acme/base/2026-10-01 under catalogue "
        f"{CATALOGUE.digest[:12]} any more; adopt that catalogue again, so that shares of it are known"
    )


def test_a_pool_for_part_of_a_period_is_that_part_of_it() -> None:
    text = """\
version: 1
currency: USD
meters: {calls: {metric: calls_total, consumer: c, dimensions: [e], window: 1d}}
plans:
  pro:
    charges: [{meter: calls, usage_discount: 31, unit_price: "1"}]
    pools: [{key: all, included: 310, charges: [calls]}]
subscriptions: [{consumer: acme, plan: pro, start: 2026-10-22, end: 2026-11-01}]
"""
    _, papers = billed(compile_catalogue([("c.yaml", text)]), {(10, "calls"): {"acme": 120}})
    assert papers == [("acme", [("calls", "10.00")])], "10 of 31 days: 100 of the pool and 10 given away"


def test_two_versions_in_one_month_give_their_units_away_once() -> None:
    text = """\
version: 1
currency: USD
meters: {calls: {metric: calls_total, consumer: c, window: 1d}}
plans:
  pro:
    charges:
      - {meter: calls, usage_discount: 30, unit_price: "1"}
      - {meter: calls, from: 2026-11-16, usage_discount: 30, unit_price: "2"}
subscriptions: [{consumer: acme, plan: pro, start: 2026-11-01}]
"""
    _, papers = billed(compile_catalogue([("c.yaml", text)]), {(11, "calls"): {"acme": 20}})
    assert papers[0] == ("acme", [("calls", "0.00"), ("calls", "10.00")]), "15 of 30 given away in each half"


def cents(exact: Fraction) -> Fraction:
    """Half away from zero; nothing here is negative."""
    return Fraction(int(exact * 100 + Fraction(1, 2)), 100)


def whole(exact: Fraction) -> int:
    return int(exact + Fraction(1, 2))


charge = st.fixed_dictionaries(
    {
        "included": st.integers(0, 12),
        "rollover": st.sampled_from([0, 1, 1, 2]),
        "usage_discount": st.integers(0, 4),
        "unit_price": st.integers(0, 999).map(lambda mills: f"0.{mills:03}"),
    }
)
# Often little: what is left over must live to see the month in which it expires.
usage = st.just(0) | st.integers(0, 12) | st.integers(0, 40)
fee = st.tuples(st.integers(0, 9999), st.sampled_from(["arrears", "advance", "once"]))


@st.composite
def catalogues(draw: st.DrawFn) -> dict[str, Any]:
    """A plan of up to three charges, a pool over some of them and some fees; part of it may come by a bundle."""
    charges = [
        {"meter": f"m{i}"} | {word: value for word, value in entry.items() if word != "rollover" or entry["included"]}
        for i, entry in enumerate(draw(st.lists(charge, min_size=1, max_size=3)))
    ]
    pooled = draw(st.lists(st.sampled_from([entry["meter"] for entry in charges]), unique=True))
    pool = {"key": "pool", "included": draw(st.integers(1, 20)), "charges": pooled}
    pool["shared_by"] = draw(st.sampled_from(["subscription", "customer"]))
    fees = [
        {"key": f"f{i}", "amount": f"{amount // 100}.{amount % 100:02}", "due": due}
        for i, (amount, due) in enumerate(draw(st.lists(fee, max_size=3)))
    ]
    own = draw(st.integers(0, len(charges)))
    plan: dict[str, Any] = {"fees": fees, "charges": charges[:own], "pools": [pool] if pooled else []}
    start = f"2026-10-{draw(st.sampled_from([1, 11, 22])):02}"
    return {
        "version": 1,
        "currency": "USD",
        "meters": {
            entry["meter"]: {"metric": f"{entry['meter']}_total", "consumer": "c", "dimensions": ["e"], "window": "1d"}
            for entry in charges
        },
        "plans": {"pro": plan | {"bundle": ["rest"]}, "rest": {"charges": charges[own:]}},
        "subscriptions": [{"consumer": name, "customer": "both", "plan": "pro", "start": start} for name in ("a", "b")],
    }


def slowly(written: dict[str, Any], used: Used) -> dict[tuple[str, int], list[Fraction]]:
    """Rounded line amounts of each consumer's invoice of each month (0: the opening), one unit at a time."""
    plan = written["plans"]["pro"]
    charges = plan["charges"] + written["plans"]["rest"]["charges"]
    begun = int(written["subscriptions"][0]["start"][-2:])
    papers: dict[tuple[str, int], list[Fraction]] = {}
    kept: dict[tuple[str, str], list[int]] = {}
    for month in MONTHS:
        share = Fraction(32 - begun, 31) if month == 10 else Fraction(1)
        shared_pool: dict[str, int] = {}
        for name in ("a", "b"):
            if month == 10:
                papers[name, 0] = [
                    cents(Fraction(fee["amount"]) * (share if fee["due"] == "advance" else 1))
                    for fee in plan["fees"]
                    if fee["due"] != "arrears"
                ]
            lines = [cents(Fraction(fee["amount"]) * share) for fee in plan["fees"] if fee["due"] == "arrears"]
            lines += [cents(Fraction(fee["amount"])) for fee in plan["fees"] if fee["due"] == "advance"]
            pools = {pool["key"]: whole(pool["included"] * share) for pool in plan["pools"]}
            for pool in plan["pools"]:
                if pool["shared_by"] == "customer":
                    pools[pool["key"]] = shared_pool.setdefault(pool["key"], pool["included"])
            for entry in charges:
                meter = entry["meter"]
                granted = whole(entry["included"] * share)
                # Every included unit by the month in which it is worth something for the last time.
                units = sorted([*kept.get((name, meter), []), *[month + entry.get("rollover", 0)] * granted])
                paid = 0
                given = whole(entry["usage_discount"] * share)
                for _ in range(used.get((month, meter), {}).get(name, 0)):
                    pool = next((one for one in plan["pools"] if meter in one["charges"] and pools[one["key"]]), None)
                    if units:
                        units.pop(0)
                    elif pool is not None:
                        pools[pool["key"]] -= 1
                    elif given:
                        given -= 1
                    else:
                        paid += 1
                kept[name, meter] = [last for last in units if last > month]
                lines.append(cents(paid * Fraction(entry["unit_price"])))
            for pool in plan["pools"]:
                shared_pool[pool["key"]] = pools[pool["key"]]
            papers[name, month] = lines
    return papers


@settings(max_examples=60, deadline=None)
@given(written=catalogues(), data=st.data())
def test_three_months_of_any_such_catalogue_are_what_a_slow_account_of_single_units_says(
    written: dict[str, Any], data: st.DataObject
) -> None:
    used = {
        (month, meter): {name: data.draw(usage) for name in ("a", "b")}
        for month in MONTHS
        for meter in written["meters"]
    }
    book, _ = billed(compile_catalogue([("c.yaml", yaml.dump(written))]), used)
    papers = {
        (invoice.draft.consumer, 0 if invoice.draft.opening else invoice.draft.period.start.month): [
            line.amount.exact for line in invoice.draft.lines
        ]
        for invoice in book.invoices()
    }
    expected = slowly(written, used)
    assert papers == {key: lines for key, lines in expected.items() if lines or key[1]}


def test_a_charge_and_a_fee_may_have_tax_rates_of_their_own() -> None:
    catalogue = compile_catalogue(
        [
            (
                "taxed.yaml",
                """
version: 1
currency: EUR
meters: {calls: {metric: calls_total, consumer: consumer_id, window: 1d}}
plans:
  pro:
    fee: "100.00"
    fees: [{key: stamp, name: Stamp, amount: "3.00", taxes: []}]
    taxes: [{name: VAT, percent: 19%}]
    charges: [{meter: calls, name: Reading, unit_price: 1, taxes: [{name: VAT, percent: 7%}]}]
subscriptions: [{consumer: acme, plan: pro, start: 2026-10-01, end: 2026-11-01}]
""",
            )
        ]
    )
    _, [(_, lines)] = billed(catalogue, {(10, "calls"): {"acme": 50}})
    assert lines == [
        ("pro fee", "100.00"),
        ("Stamp", "3.00"),
        ("Reading", "50.00"),
        ("VAT 19 %", "19.00"),
        ("VAT 7 %", "3.50"),
    ]
