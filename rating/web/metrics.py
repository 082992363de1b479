"""The engine's /metrics: usage and money to date for rules and boards, and how the engine itself is doing.

Floats for eyes and alerts; invoices never read them. Names and labels are `core.vocabulary`'s.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from rating.core import vocabulary as names
from rating.core.deliveries import Attempt, Delivery, Outcome
from rating.core.invoices import Invoice
from rating.core.notices import Kind, Notification
from rating.core.wallets import WalletGlance
from rating.jobs.accrue import Accrued, AccruedPlan
from rating.ports import HeldEntry
from rating.web.gatewaymetrics import GatewayMetrics
from rating.web.planmetrics import PipelineCollector, TierCollector
from rating.web.querymetrics import QueryMetrics


class EngineMetrics:
    """One registry, fed by the scheduler's steps."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.accruals = AccrualCollector()
        self.registry.register(self.accruals)
        self.wallets = WalletCollector()
        self.registry.register(self.wallets)
        self._closed = _counter(self.registry, names.WINDOWS_CLOSED, "Windows closed.", ["meter", "completeness"])
        self._held = Gauge(names.WINDOWS_HELD, "Windows held and unresolved.", ["meter"], registry=self.registry)
        self._lag = Gauge(
            names.COLLECT_LAG, "How long the oldest due window has been waiting.", ["meter"], registry=self.registry
        )
        self._success = Gauge(
            names.JOB_LAST_SUCCESS, "When the job last finished well.", ["job"], registry=self.registry
        )
        self._errors = _counter(self.registry, names.JOB_ERRORS, "Times the job stopped with an error.", ["job"])
        self._seconds = Histogram(
            names.JOB_SECONDS,
            "How long one run of the job takes.",
            ["job"],
            registry=self.registry,
            buckets=(0.01, 0.1, 0.5, 1, 5, 15, 60, 300, 1800),
        )
        self._issued = _counter(self.registry, names.INVOICES_ISSUED, "Invoices issued.", ["plan"])
        self._invoiced = _counter(self.registry, names.INVOICED_AMOUNT, "Amount invoiced.", ["plan", "currency"])

        self._told = _counter(self.registry, names.NOTIFICATIONS, "Notifications recorded.", ["kind"])
        self._attempts = _counter(
            self.registry, names.DELIVERIES, "Attempts to deliver a notification.", ["channel", "outcome"]
        )
        self.gateways = GatewayMetrics(self.registry)
        self.queries = QueryMetrics(self.registry)
        self.pipeline = PipelineCollector()
        self.registry.register(self.pipeline)
        self.tiers = TierCollector()
        self.registry.register(self.tiers)
        self._dead = Gauge(
            names.DEAD_LETTERS, "Deliveries that wait for a person.", ["channel"], registry=self.registry
        )

    def expect(self, meters: Iterable[str], jobs: Iterable[str]) -> None:
        """Show every series from zero, so that the first event is an increase and silence is visible."""
        for meter in meters:
            self._held.labels(meter)
            self._lag.labels(meter)
            for completeness in ("complete", "degraded"):
                self._closed.labels(meter, completeness)
        for job in jobs:
            self._errors.labels(job)

    def expect_channels(self, channels: Iterable[str]) -> None:
        for kind in Kind:
            self._told.labels(kind.value)
        for channel in channels:
            self._dead.labels(channel)
            for outcome in (Outcome.DELIVERED, Outcome.FAILED, Outcome.REFUSED, Outcome.WITHHELD):
                self._attempts.labels(channel, outcome.value)

    def notified(self, notifications: Iterable[Notification]) -> None:
        for one in notifications:
            self._told.labels(one.kind.value).inc()

    def attempted(self, attempt: Attempt) -> None:
        self._attempts.labels(attempt.channel, attempt.outcome.value).inc()

    def dead(self, channels: Iterable[str], letters: Iterable[Delivery]) -> None:
        count = dict.fromkeys(channels, 0)
        for one in letters:
            count[one.planned.channel] = count.get(one.planned.channel, 0) + 1
        for channel, number in count.items():
            self._dead.labels(channel).set(number)

    def window_closed(self, meter: str, completeness: str) -> None:
        self._closed.labels(meter, completeness).inc()

    def held(self, meters: Iterable[str], entries: Iterable[HeldEntry]) -> None:
        count = dict.fromkeys(meters, 0)
        for entry in entries:
            count[entry.held.meter] = count.get(entry.held.meter, 0) + 1
        for meter, windows in count.items():
            self._held.labels(meter).set(windows)

    def lag(self, meter: str, seconds: float) -> None:
        self._lag.labels(meter).set(seconds)

    def job_done(self, job: str, at: datetime, seconds: float) -> None:
        self._success.labels(job).set(at.timestamp())
        self._seconds.labels(job).observe(seconds)

    def job_failed(self, job: str) -> None:
        self._errors.labels(job).inc()

    def issued(self, invoices: Iterable[Invoice]) -> None:
        for invoice in invoices:
            for _, part in invoice.draft.parts:
                self._issued.labels(part.plan).inc()
                amount = float(part.total.exact)
                if amount > 0:
                    self._invoiced.labels(part.plan, part.currency.code).inc(amount)


def _counter(registry: CollectorRegistry, name: str, what: str, labels: list[str]) -> Counter:
    return Counter(name.removesuffix("_total"), what, labels, registry=registry)


class AccrualCollector(Collector):
    """Renders the accruals last shown to it; nothing before the first."""

    def __init__(self) -> None:
        self._accrued: Accrued | None = None

    def show(self, accrued: Accrued) -> None:
        self._accrued = accrued

    def collect(self) -> Iterator[Metric]:
        accrued = self._accrued
        if accrued is None:
            return
        who = ["consumer", "customer", "plan"]
        usage = GaugeMetricFamily(names.USAGE_UNITS, "Usage to date in the open period.", labels=[*who, "meter"])
        allowance = GaugeMetricFamily(names.ALLOWANCE_UNITS, "Allowance of the open period.", labels=[*who, "meter"])
        amount = GaugeMetricFamily(
            names.ACCRUED_AMOUNT, "Accrued in the open period, fee included.", labels=[*who, "currency"]
        )
        start = GaugeMetricFamily(names.PERIOD_START, "When the open period began.", labels=who)
        end = GaugeMetricFamily(names.PERIOD_END, "When the open period ends.", labels=who)
        info = GaugeMetricFamily(names.SUBSCRIPTION_INFO, "1 per open subscription.", labels=[*who, "upsell_plan"])
        limit = GaugeMetricFamily(names.LIMIT_UNITS, "The most that may be used in a period.", labels=[*who, "meter"])
        upgrade = GaugeMetricFamily(
            names.UPGRADE_AMOUNT,
            "What the open period would cost more on the next plan at the usage to date.",
            labels=[*who, "upsell_plan", "currency"],
        )
        forecast = GaugeMetricFamily(
            names.FORECAST_AMOUNT, "What the open period will come to at its pace.", labels=[*who, "currency"]
        )
        # One consumer may hold two subscriptions of one plan over time, never at once: label sets are unique, except
        # where two cards price one meter; their usage is the same and their allowances add up.
        for group in accrued.plans:
            bounds = group.period.start.timestamp(), group.period.end.timestamp()
            upsell = group.plan.upsell.plan if group.plan.upsell else ""
            used, allowed, owed = _columns(group)
            limits, difference, ahead = _limits(group), group.upgrade, group.forecast
            for index, subscription in enumerate(group.subscriptions):
                labels = [subscription.consumer, subscription.payer, group.plan.key]
                for meter, values in used.items():
                    usage.add_metric([*labels, meter], values[index])
                for meter, allowance_units in allowed.items():
                    if allowance_units:
                        allowance.add_metric([*labels, meter], allowance_units)
                amount.add_metric([*labels, group.currency.code], owed[index])
                start.add_metric(labels, bounds[0])
                end.add_metric(labels, bounds[1])
                info.add_metric([*labels, upsell], 1.0)
                for meter, units in limits.items():
                    limit.add_metric([*labels, meter], units)
                if difference is not None:
                    more = difference.units[index] / difference.denominator
                    upgrade.add_metric([*labels, upsell, group.currency.code], float(more))
                if ahead is not None:
                    forecast.add_metric([*labels, group.currency.code], ahead.units[index] / ahead.denominator)
        yield from (usage, allowance, amount, start, end, info, limit, upgrade, forecast)
        trial = GaugeMetricFamily(names.TRIAL_END, "When the trial ends.", labels=who)
        for subscription in accrued.trials:
            assert subscription.trial_end is not None
            trial.add_metric(
                [subscription.consumer, subscription.payer, subscription.plan], subscription.trial_end.timestamp()
            )
        yield trial
        through = GaugeMetricFamily(names.ACCRUED_THROUGH, "End of the last closed window.", labels=["meter"])
        for meter, instant in accrued.through.items():
            through.add_metric([meter], instant.timestamp())
        unbilled = GaugeMetricFamily(
            names.UNBILLED_USAGE, "Usage this month of consumers nobody subscribed.", labels=["meter"]
        )
        for meter, consumers in accrued.unbilled.items():
            unbilled.add_metric([meter], float(sum(consumers.values())))
        yield from (through, unbilled)


def _limits(group: AccruedPlan) -> dict[str, float]:
    """The narrowest limit of each meter that has one."""
    found: dict[str, float] = {}
    for entry in group.cards:
        if entry.card.limit is not None:
            meter, units = entry.card.meter.name, float(entry.card.limit)
            found[meter] = min(units, found.get(meter, units))
    return found


class WalletCollector(Collector):
    """Renders the wallets last shown to it, so that one which is gone is gone here."""

    def __init__(self) -> None:
        self._wallets: tuple[WalletGlance, ...] = ()

    def show(self, wallets: tuple[WalletGlance, ...]) -> None:
        self._wallets = wallets

    def collect(self) -> Iterator[Metric]:
        labels = ["customer", "currency"]
        balance = GaugeMetricFamily(names.WALLET_BALANCE, "Prepaid money left.", labels=labels)
        low = GaugeMetricFamily(names.WALLET_LOW, "From what balance down a wallet is low.", labels=labels)
        for wallet in self._wallets:
            own = [wallet.customer, wallet.balance.currency.code]
            balance.add_metric(own, float(wallet.balance.exact))
            if wallet.threshold is not None and wallet.threshold.minor:
                low.add_metric(own, float(wallet.threshold.exact))
        yield from (balance, low)


def _columns(group: AccruedPlan) -> tuple[dict[str, list[float]], dict[str, float], list[float]]:
    """Usage per meter, allowance per meter and the whole amount, as floats, one per subscription."""
    used: dict[str, list[float]] = {}
    allowed: dict[str, float] = {}
    owed = [float(group.fee)] * len(group.subscriptions)
    for entry in group.cards:
        meter = entry.card.meter.name
        used[meter] = [unit / entry.rated.quantity.denominator for unit in entry.rated.quantity.units.tolist()]
        # An allowance in converted units is shown in the meter's, as the usage beside it is.
        factor = entry.card.conversion.factor if entry.card.conversion else 1
        allowed[meter] = allowed.get(meter, 0.0) + float(entry.card.included / factor)
        denominator = entry.rated.amount.denominator
        for index, unit in enumerate(entry.rated.amount.units.tolist()):
            owed[index] += unit / denominator
    return used, allowed, owed
