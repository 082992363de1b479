"""The demonstration's invoices, to the cent, from the history's truth and the catalogue's text.

Nothing of the engine's pricing is used on the other side: prices are read from the YAML as they stand there and applied
with fractions, one step at a time.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import yaml

from rating.adapters.memory_book import MemoryBook
from rating.adapters.stripe.client import StripeAccount
from rating.adapters.stripe.gateway import StripeInvoices
from rating.bootstrap import load_catalogue, open_estimates, open_source
from rating.cli.audit import summary
from rating.core.catalogue import Catalogue
from rating.core.collection import Collection
from rating.core.invoices import Invoice
from rating.core.windows import Completeness
from rating.jobs import bill, collect, contracts
from rating.jobs.estimate import estimate
from rating.jobs.publish import Served, publish
from rating.ports import Estimate
from rating.settings import Settings
from rating_demo import blocks, catalogue
from rating_demo.comparison import compare
from rating_demo.history import MEASURED, History
from rating_demo.parts import Prometheus
from tests.stripe_peer.peer import StripePeer

# The shortest month keeps the test short; six hours into the next one everything has settled.
NOW = datetime(2026, 3, 1, 6, 20, tzinfo=UTC)
ENDED = datetime(2026, 3, 1, 0, 30, tzinfo=UTC)


@dataclass(frozen=True)
class Billed:
    history: History
    catalogue: Catalogue
    text: dict[str, Any]
    """The catalogue as YAML alone reads it."""
    collected: collect.Collected
    invoices: dict[str, Invoice]
    prometheus: str
    book: MemoryBook


@pytest.fixture(scope="module")
def month(tmp_path_factory: pytest.TempPathFactory, prometheus_binary: Path, promtool: Path):
    folder = tmp_path_factory.mktemp("demo")
    history = History(NOW)
    sources = catalogue.dated(folder / "catalogue", history.last_month.start.date())
    blocks.create(history.series(), folder / "blocks", promtool)
    with Prometheus(folder / "prometheus", blocks=folder / "blocks", retention="100y") as prometheus:
        compiled = load_catalogue(Settings(catalog=sources))
        book = MemoryBook()
        collected = collect.collect(
            book,
            open_source(Settings(prometheus_url=prometheus.url)),
            tuple(compiled.meters.values()),
            since=history.last_month.start,
            now=ENDED,
        )
        contracts.keep(book, compiled, now=ENDED)
        billed = bill.bill(book, contracts.gather(book, compiled, now=ENDED), now=ENDED)
        assert not billed.postponed, billed.postponed[0].reasons
        text: dict[str, Any] = {}
        for file in sorted(sources.glob("*.yaml")):
            text |= yaml.safe_load(file.read_text())
        by_consumer = {invoice.draft.consumer: invoice for invoice in billed.issued}
        yield Billed(history, compiled, text, collected, by_consumer, prometheus.url, book)


def plainly(charge: Mapping[str, Any], units: Fraction) -> Fraction:
    """What the charge says, read aloud: the allowance first, then the price of what is left."""
    left = max(units - charge.get("included", 0), Fraction(0))
    if "unit_price" in charge:
        return left * Fraction(charge["unit_price"])
    if "package" in charge:
        return math.ceil(left / charge["package"]["size"]) * Fraction(charge["package"]["price"])
    steps = charge.get("graduated") or charge["volume"]
    if "volume" in charge:
        step = next(step for step in steps if "up_to" not in step or left <= step["up_to"])
        return left * Fraction(step["unit_price"])
    amount, below = Fraction(0), Fraction(0)
    for step in steps:
        top = min(left, Fraction(step.get("up_to", left)))
        amount += max(top - below, Fraction(0)) * Fraction(step["unit_price"])
        below = max(below, top)
    return amount


def cents(amount: Fraction) -> int:
    """Half away from zero."""
    return math.floor(amount * 100 + Fraction(1, 2))


@pytest.mark.slow
def test_every_line_of_every_invoice_is_the_truth_times_the_price(month: Billed) -> None:
    metered = 0
    for subscription in month.text["subscriptions"]:
        consumer, plan = subscription["consumer"], month.text["plans"][subscription["plan"]]
        expected = [Fraction(plan["fee"])] if "fee" in plan else []
        for charge in plan["charges"]:
            truth = month.history.usage(charge["meter"], month.history.last_month).get(consumer, 0)
            expected.append(plainly(charge, Fraction(truth, 10 ** MEASURED[charge["meter"]].digits)))
            metered += 1
        draft = month.invoices[consumer].draft
        assert [line.amount.minor for line in draft.lines] == [cents(amount) for amount in expected], consumer
        assert draft.total.minor == sum(cents(amount) for amount in expected), consumer
    assert metered == 15
    assert len(month.invoices) == 6


@pytest.mark.slow
def test_the_month_is_collected_by_stripe_to_the_cent(month: Billed, stripe_peer: StripePeer) -> None:
    """Published, and published again when Stripe has forgotten the keys: each invoice stands there once."""
    account = StripeAccount("main", stripe_peer.key, url=stripe_peer.url, requests_per_second=10_000)
    served = [Served(StripeInvoices(account, collection="charge_automatically"))]
    done = publish(month.book, served, Collection("main"), now=ENDED)
    assert [one.outcome.value for one in done.entries] == ["done"] * 6, done.entries
    stripe_peer.advance(30 * 3600)
    publish(month.book, served, Collection("main"), now=NOW + timedelta(days=3))
    there = {one["number"]: one for one in stripe_peer.state()["invoices"]}
    assert len(stripe_peer.state()["invoices"]) == 6
    for invoice in month.invoices.values():
        ours = [line.amount.minor for line in invoice.draft.lines]
        assert [line["amount"] for line in there[invoice.number]["lines"]] == ours
        assert there[invoice.number]["total"] == sum(ours)
        assert there[invoice.number]["status"] in ("open", "paid")


@pytest.mark.slow
def test_the_audit_of_the_month_shows_increase_wrong_and_the_engine_right(month: Billed) -> None:
    audit = estimate(
        month.book,
        open_estimates(Settings(prometheus_url=month.prometheus)),
        tuple(month.catalogue.meters.values()),
        month.catalogue.subscriptions,
        lambda plan, instant: (month.catalogue.plans[plan], month.catalogue.digest),
        span=month.history.last_month,
    )
    truth = {meter: month.history.usage(meter, month.history.last_month) for meter in MEASURED}
    assert len(audit.rows) == 15
    for row in audit.rows:
        assert row.exact == truth[row.meter.name][row.consumer], (row.consumer, row.meter.name)
        # A week of every sample twice: a quarter too much, and visibly so on each bill it moves.
        error = row.error(Estimate.INCREASES)
        assert error is not None
        assert error > Fraction(1, 10), (row.consumer, row.meter.name)
    [(over, under)] = audit.sums(Estimate.INCREASES).values()
    assert over.minor > 1000
    assert under.minor == 0
    said = [line for line in summary(audit) if line.startswith("hourly increase(): wrong for 15 of 15; bills")]
    assert len(said) == 1


@pytest.mark.slow
def test_numbers_follow_the_keys_without_a_gap(month: Billed) -> None:
    numbers = [invoice.number for invoice in month.invoices.values()]
    assert numbers == [f"INV-{number:06}" for number in range(1, 7)]


@pytest.mark.slow
def test_never_more_than_was_counted_and_hardly_less(month: Billed) -> None:
    """What no scrape saw before a restart is lost, and nothing else."""
    for meter in MEASURED:
        counted = month.history.counted(meter, month.history.last_month)
        proven = month.history.usage(meter, month.history.last_month)
        assert all(proven[consumer] <= counted[consumer] for consumer in proven)
        assert sum(proven.values()) * 1000 > sum(counted.values()) * 999


@pytest.mark.slow
def test_the_faults_of_the_month_are_in_the_evidence(month: Billed) -> None:
    """10:12 to 10:29 on the tenth nobody scraped; in the third week's outage the other replica did."""
    windows = {(closing.meter, closing.window.start): closing for closing in month.collected.closed}
    first = month.history.last_month.start
    blind = windows["api_calls", first + timedelta(days=9, hours=10)]
    assert blind.completeness is Completeness.DEGRADED
    assert blind.consumers == 6
    covered = windows["api_calls", first + timedelta(days=17, hours=4)]
    assert covered.consumers == 6
    assert month.collected.held == ()
    assert month.collected.stopped == ()


@pytest.mark.slow
def test_the_obvious_query_bills_the_replicas_week_twice_and_the_careful_one_is_wrong_too(month: Billed) -> None:
    """A week of 28 days, seen twice: about a quarter too much. Without it the gaps and restarts remain."""
    rows = compare(month.prometheus, month.catalogue, list(month.invoices.values()), month.history)
    assert len(rows) == 15
    assert all(row.billed == row.proven for row in rows)
    assert all(row.obvious != row.billed for row in rows)
    calls = [row for row in rows if row.meter == "api_calls"]
    assert 1.15 < sum(row.obvious for row in calls) / sum(row.billed for row in calls) < 1.35
    assert all(row.careful != row.billed for row in calls)
    assert all(0.9 < row.careful / row.billed < 1.1 for row in rows)
    assert sum(row.invoice_careful != row.invoice for row in calls) >= 4
