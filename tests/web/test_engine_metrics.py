"""The engine's doors: literal exposition of usage and money to date, and health that says what is wrong."""

from __future__ import annotations

import json
import socket
import urllib.error
import urllib.request
from dataclasses import replace
from fractions import Fraction

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from rating.adapters.memory_book import MemoryBook
from rating.core import vocabulary
from rating.core.catalogue import Catalogue
from rating.core.money import Currency, Money
from rating.core.periods import EPOCH, Period
from rating.core.wallets import Grant
from rating.core.windows import Held
from rating.errors import EdgeUnavailable
from rating.jobs.accrue import accrue
from rating.jobs.bill import bill
from rating.jobs.contracts import Contracts
from rating.web.app import application, serving
from rating.web.metrics import EngineMetrics
from tests.stories import ACME, CALLS, DAY, OCTOBER, PRO, USD, close_days, contracts

MID_OCTOBER = OCTOBER.start + 15 * DAY


def exposed(metrics: EngineMetrics) -> dict[str, float]:
    """Every sample as `name{labels}`, engine internals of Python left out."""
    text = generate_latest(metrics.registry).decode()
    return {
        f"{sample.name}{{{','.join(f'{key}={value}' for key, value in sorted(sample.labels.items()))}}}": sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name.startswith("rating_")
    }


def test_usage_and_money_to_date_stand_under_the_names_the_rules_read() -> None:
    book, metrics = MemoryBook(), EngineMetrics()
    close_days(book, {"acme": 10, "stranger": 2}, days=range(15))
    customer = replace(ACME, customer="Acme Corp")
    metrics.accruals.show(accrue(book, contracts(customer), now=MID_OCTOBER))
    who = "consumer=acme,customer=Acme Corp"
    assert {name: value for name, value in exposed(metrics).items() if "acme" in name or "meter=api" in name} == {
        f"rating_usage_units{{{who},meter=api_calls,plan=pro}}": 150,
        f"rating_allowance_units{{{who},meter=api_calls,plan=pro}}": 100,
        "rating_accrued_amount{consumer=acme,currency=USD,customer=Acme Corp,plan=pro}": 49.75,
        # 310 calls after 31 days: 100 free, 200 at 0.015, 10 at 0.0101.
        "rating_forecast_amount{consumer=acme,currency=USD,customer=Acme Corp,plan=pro}": 52.101,
        f"rating_period_start_timestamp_seconds{{{who},plan=pro}}": OCTOBER.start.timestamp(),
        f"rating_period_end_timestamp_seconds{{{who},plan=pro}}": OCTOBER.end.timestamp(),
        f"rating_subscription_info{{{who},plan=pro,upsell_plan=scale}}": 1,
        "rating_accrued_through_timestamp_seconds{meter=api_calls}": MID_OCTOBER.timestamp(),
        "rating_unbilled_usage_units{meter=api_calls}": 30,
    }


def test_limits_trials_and_what_the_next_plan_would_cost() -> None:
    book, metrics = MemoryBook(), EngineMetrics()
    close_days(book, {"acme": 10}, days=range(15))
    card = replace(PRO.cards[0], limit=Fraction(5000))
    after = replace(PRO, key="scale", fee=Fraction(60), upsell=None)
    catalogue = Catalogue(USD, {CALLS.name: CALLS}, {"pro": replace(PRO, cards=(card,)), "scale": after})
    trying = replace(ACME, consumer="new", trial_end=MID_OCTOBER + DAY)
    subscribed = Contracts(((EPOCH, catalogue),), (ACME, trying))
    metrics.accruals.show(accrue(book, subscribed, now=MID_OCTOBER))
    found = exposed(metrics)
    who = "consumer=acme,{}customer=acme,{}plan=pro"
    assert found[f"rating_limit_units{{{who.format('', 'meter=api_calls,')}}}"] == 5000
    assert found[f"rating_upgrade_amount{{{who.format('currency=USD,', '')},upsell_plan=scale}}"] == 11
    trial = "rating_trial_end_timestamp_seconds{consumer=new,customer=new,plan=pro}"
    assert found[trial] == (MID_OCTOBER + DAY).timestamp()


def test_every_series_is_there_from_zero_so_that_silence_can_be_seen() -> None:
    metrics = EngineMetrics()
    metrics.expect(["api_calls"], ["collect"])
    found = exposed(metrics)
    assert found["rating_windows_held{meter=api_calls}"] == 0
    assert found["rating_windows_closed_total{completeness=degraded,meter=api_calls}"] == 0
    assert found["rating_job_errors_total{job=collect}"] == 0


def test_what_happens_is_counted() -> None:
    book, metrics = MemoryBook(), EngineMetrics()
    close_days(book, {"acme": 10})
    metrics.issued(bill(book, contracts(ACME), now=OCTOBER.end).issued)
    metrics.window_closed("api_calls", "complete")
    book.hold(Held("api_calls", Period(OCTOBER.end, OCTOBER.end + DAY), "no answer"), at=OCTOBER.end)
    metrics.held(["api_calls"], book.held())
    metrics.lag("api_calls", 90.0)
    metrics.job_failed("collect")
    metrics.job_done("bill", OCTOBER.end, 0.2)
    found = exposed(metrics)
    assert found["rating_invoices_issued_total{plan=pro}"] == 1
    assert found["rating_invoiced_amount_total{currency=USD,plan=pro}"] == pytest.approx(52.10)
    assert found["rating_windows_closed_total{completeness=complete,meter=api_calls}"] == 1
    assert found["rating_windows_held{meter=api_calls}"] == 1
    assert found["rating_collect_lag_seconds{meter=api_calls}"] == 90
    assert found["rating_job_errors_total{job=collect}"] == 1
    assert found["rating_job_last_success_timestamp_seconds{job=bill}"] == OCTOBER.end.timestamp()


def test_no_name_is_made_up_beside_the_vocabulary() -> None:
    metrics = EngineMetrics()
    metrics.expect(["api_calls"], ["collect"])
    metrics.accruals.show(accrue(MemoryBook(), contracts(ACME), now=MID_OCTOBER))
    known = {value for value in vars(vocabulary).values() if isinstance(value, str)}
    text = generate_latest(metrics.registry).decode()
    names = {family.name for family in text_string_to_metric_families(text) if family.name.startswith("rating_")}
    strange = {name for name in names if name not in known and f"{name}_total" not in known}
    assert not {name for name in strange if not name.endswith("_created")}


def test_health_is_503_with_the_sentence_of_what_is_wrong() -> None:
    state = (True, {"leading": True})
    app = application(EngineMetrics().registry, lambda: state)
    with serving(app, "127.0.0.1:0") as url:
        assert json.load(urllib.request.urlopen(f"{url}/healthz")) == {"leading": True}
        assert b"process_start_time_seconds" in urllib.request.urlopen(f"{url}/metrics").read()
        state = (False, {"errors": {"collect": "Prometheus is down"}})
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"{url}/healthz")
        assert refused.value.code == 503
        assert json.load(refused.value) == {"errors": {"collect": "Prometheus is down"}}


def test_an_address_that_is_taken_is_said_so() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        app = application(EngineMetrics().registry, lambda: (True, {}))
        with pytest.raises(EdgeUnavailable, match=f"cannot listen on {address}"), serving(app, address):
            pass


def test_wallets_stand_under_their_names() -> None:
    book, metrics = MemoryBook(), EngineMetrics()
    book.fund(Grant("Acme Corp", "pay-1", Money(12345, USD)), at=MID_OCTOBER)
    book.fund(Grant("Acme Corp", "pay-2", Money(500, Currency("JPY"))), at=MID_OCTOBER)
    book.warn_below("Acme Corp", Money(2000, USD), at=MID_OCTOBER)
    metrics.wallets.show(book.glance(MID_OCTOBER + DAY))
    assert {name: value for name, value in exposed(metrics).items() if "wallet" in name} == {
        "rating_wallet_balance{currency=USD,customer=Acme Corp}": 123.45,
        "rating_wallet_balance{currency=JPY,customer=Acme Corp}": 500,
        "rating_wallet_low_threshold{currency=USD,customer=Acme Corp}": 20,
    }
