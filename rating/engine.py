"""The engine at work: the steps of one tick, in order, and what the metrics see of them.

collect, correct, accrue, bill, settle, publish, reconcile, wallets, notify: an invoice may need the window that was
closed a second ago, what a gateway told is in the book before more is carried there, a wallet is low once an invoice
has drawn on it, and what is told comes from all of them. Each step reads the catalogue as it is on disk now; one that
does not compile leaves the last good one in force and is reported.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

from rating.bootstrap import (
    Listening,
    gateway_specs,
    load_catalogue,
    open_gateways,
    open_listening,
    open_notifiers,
    open_source,
    open_taxes,
    open_usage_gateways,
    read_sources,
)
from rating.core.catalogue import Catalogue
from rating.core.conversions import Approach
from rating.core.deliveries import Outcome, State, state
from rating.core.notices import Routing
from rating.core.periods import Period
from rating.core.publications import Outcome as Carried
from rating.core.schedule import retry_at, second_look_span, second_looks
from rating.core.settling import Verdict
from rating.errors import EdgeError, EdgeRefused, EdgeUnavailable, UsageError
from rating.jobs import (
    accrue,
    bill,
    collect,
    contracts,
    correct,
    deliver,
    notify,
    offer,
    pipeline,
    publish,
    reconcile,
    report_usage,
    settle,
)
from rating.jobs.accrue import Accrued
from rating.jobs.contracts import Contracts
from rating.ports import Book, SignalDoor
from rating.scheduler import Scheduler
from rating.settings import Settings
from rating.specs.gateways import collection
from rating.web import unsubscribe
from rating.web.doors import tokens_of
from rating.web.metrics import EngineMetrics

log = logging.getLogger("rating.engine")

JOBS = ("catalogue", "collect", "correct", "accrue", "bill", "settle", "publish", "reconcile", "wallets", "notify")

_BETWEEN_LOOKS = timedelta(minutes=1)
"""What is to be carried is worked out from all invoices, which is not done every tick."""


class Engine:
    """Holds what lasts from tick to tick: the catalogue, the source, the metrics."""

    def __init__(self, settings: Settings, book: Book, metrics: EngineMetrics) -> None:
        """Raises SpecError when the catalogue does not compile: an engine never starts on a broken one."""
        self._settings = settings
        self._book = book
        self._metrics = metrics
        self._sources = read_sources(settings.catalog)
        self._catalogue = load_catalogue(settings)
        asked = metrics.queries.asked
        self._source = open_source(settings, asked)
        self._readers = [open_source(settings, asked) for _ in range(settings.collect_workers - 1)]
        """For what piled up while the engine was away."""
        self._taxes = open_taxes(settings)
        self._said: dict[str, set[str]] = {}
        """By job, what its last run had to say."""
        self._tried: dict[tuple[str, datetime], datetime] = {}
        """When each held window was last read."""
        self._looked: dict[str, set[datetime]] = {}
        """By meter, the windows read once more; after a restart the last ones are read again, which is nothing."""
        self._notifiers = open_notifiers(settings)
        gateways = gateway_specs(settings)
        self._gateways, self._collection = open_gateways(gateways), collection(gateways)
        self._usage_gateways = open_usage_gateways(gateways)
        self._listening = open_listening(gateways)
        self._carried_at: datetime | None = None
        """When it was last looked what is to be carried; None when there is something new."""
        self._unsubscribe = unsubscribe.link(settings.public_url, tokens_of(settings))
        self._accrued: Accrued | None = None
        self._pipeline: tuple[Approach, ...] = ()
        self._piped_at: datetime | None = None
        """When it was last looked who is on a plan we told of."""
        self._clock: Callable[[], datetime] | None = None
        """When things happened, where a tick's own instant is too coarse."""
        self._count_dead = True
        """Until they were counted once; then whenever something was attempted."""
        metrics.expect(self._catalogue.meters, JOBS)
        metrics.expect_channels(self._notifiers)
        metrics.gateways.expect([one.reading.name for one in self._listening])

    @property
    def doors(self) -> tuple[SignalDoor, ...]:
        """Where gateways tell us what happens there."""
        return tuple(one.door for one in self._listening)

    @property
    def routing(self) -> Routing:
        """Who is told what, as the catalogue in force says."""
        return self._catalogue.notifications

    @property
    def pipeline(self) -> tuple[Approach, ...]:
        """Whom we told of a next plan, as the last look found it."""
        return self._pipeline

    def scheduler(self, clock: Callable[[], datetime]) -> Scheduler:
        self._clock = clock
        steps = [(job, getattr(self, job)) for job in JOBS]
        every = timedelta(seconds=self._settings.tick_seconds)
        return Scheduler(self._book, steps, self._metrics, every=every, clock=clock)

    def catalogue(self, now: datetime, stopping: Callable[[], bool]) -> None:
        """Take over an edited catalogue and keep it in the book."""
        sources = read_sources(self._settings.catalog)
        catalogue = self._catalogue if sources == self._sources else load_catalogue(self._settings)
        # Kept first: what the book refuses does not come into force.
        if contracts.keep(self._book, catalogue, now=now):
            log.info("catalogue %s kept in the book", catalogue.digest[:12])
        if sources != self._sources:
            self._catalogue, self._sources = catalogue, sources
            self._metrics.expect(catalogue.meters, JOBS)
            log.info("catalogue %s taken over", catalogue.digest[:12])

    def collect(self, now: datetime, stopping: Callable[[], bool]) -> None:
        """Close every window that is due, oldest first.

        Raises:
            UsageError: a meter's source could not be read; what was closed stays.
        """
        gathered = contracts.gather(self._book, self._catalogue, now=now)
        resting = self._resting(now)
        try:
            collected = collect.collect(
                self._book,
                self._source,
                tuple(self._catalogue.meters.values()),
                since=since(gathered, now),
                begins=contracts.metered_from(gathered),
                now=now,
                resting=resting,
                readers=self._readers,
                look_ahead=True,
                stopping=stopping,
                closed=lambda closing: self._metrics.window_closed(closing.meter, closing.completeness.value),
                # Catching up may take hours: how far behind it is shows all the while.
                progress=lambda done, total, begun: self._metrics.lag(
                    begun.meter.name, (now - begun.window.end - begun.meter.settling).total_seconds()
                ),
            )
            self._tried |= {(held.meter, held.window.start): now for held in collected.held}
            self._say("collect", map(str, collected.redefined))
            if collected.stopped:
                raise UsageError("; ".join(f"{stop.due.meter.name}: {stop.reason}" for stop in collected.stopped))
        finally:
            self._show_windows(gathered, now)

    def correct(self, now: datetime, stopping: Callable[[], bool]) -> None:
        """Read the last windows once more, an hour after they settled: late samples become adjustments.

        Raises:
            UsageError: a meter's source could not be read.
        """
        doubts = []
        for meter in self._catalogue.meters.values():
            closed = self._book.closed(meter.name, second_look_span(meter, now))
            looked = self._looked.get(meter.name, set())
            due = second_looks(meter, closed, looked, now)
            if not due or stopping():
                continue
            span = Period(due[0].start, due[-1].end)
            try:
                corrected = correct.correct(self._book, self._source, (meter,), span, now=now, stopping=stopping)
            except (EdgeUnavailable, EdgeRefused) as error:
                raise UsageError(f"{meter.name}: {error}") from error
            if not stopping():
                self._looked[meter.name] = (looked & closed.keys()) | {window.start for window in due}
            for one in corrected.adjustments:
                log.warning("window %s %s corrected in %d rows: late samples", meter.name, one.window, len(one.rows))
            doubts += [f"window {name} {window} is not corrected: {why}" for name, window, why in corrected.unjudged]
        if doubts:
            self._say("correct", doubts)

    def accrue(self, now: datetime, stopping: Callable[[], bool]) -> None:
        """Show usage and money to date."""
        gathered = contracts.gather(self._book, self._catalogue, now=now)
        self._say("accrue", map(str, gathered.findings))
        accrued = accrue.accrue(self._book, gathered, now=now)
        accrue.show(self._book, accrued)
        self._metrics.accruals.show(accrued)
        self._metrics.tiers.show(gathered.current.plans.values())
        self._accrued = accrued

    def notify(self, now: datetime, stopping: Callable[[], bool]) -> None:
        """Tell what is news, and take what was told one step further on its ways."""
        if self._accrued is not None and self._accrued.at == now:
            gathered = contracts.gather(self._book, self._catalogue, now=now)
            news = notify.notify(
                self._book, gathered, self._accrued, self._source, self._notifiers, now=now, clock=self._clock
            )
            self._metrics.notified(news.notifications)
            self._look_at_pipeline(gathered, now, anew=bool(news.notifications))
            for one in news.notifications:
                log.info("told %s: %s %s %s", one.id, one.kind, one.consumer or one.alert, one.mark)
            named = {channel for channels in self.routing.routes.values() for channel in channels}
            self._say(
                "notify",
                (
                    *(f"news about {one.consumer} wait: {one.why}" for one in news.waiting),
                    *(
                        f"the catalogue routes to channel {channel}, which RATING_CHANNELS does not name"
                        for channel in sorted(named - self._notifiers.keys())
                    ),
                ),
            )
        delivered = deliver.deliver(
            self._book,
            self._notifiers,
            self.routing,
            now=now,
            clock=self._clock,
            unsubscribe=self._unsubscribe,
            stopping=stopping,
            entered=self._metrics.attempted,
        )
        for attempt in delivered.attempts:
            if attempt.outcome in (Outcome.FAILED, Outcome.REFUSED):
                log.warning("%s by %s %s: %s", attempt.notification, attempt.channel, attempt.outcome, attempt.said)
        if delivered.attempts or self._count_dead:
            dead = [one for one in self._book.deliveries() if state(one.attempts) is State.DEAD]
            self._metrics.dead(self._notifiers, dead)
            self._count_dead = False

    def _look_at_pipeline(self, gathered: Contracts, now: datetime, *, anew: bool) -> None:
        """At once when somebody was told, else within a minute: it is worked out from a quarter's notifications."""
        if anew or self._piped_at is None or now - self._piped_at >= _BETWEEN_LOOKS:
            self._pipeline, self._piped_at = pipeline.pipeline(self._book, gathered, now=now), now
            self._metrics.pipeline.show(self._pipeline, gathered.current.plans)

    def bill(self, now: datetime, stopping: Callable[[], bool]) -> None:
        """Issue the invoices that are due and whole."""
        gathered = contracts.gather(self._book, self._catalogue, now=now)
        billed = bill.bill(self._book, gathered, now=now, taxes=self._taxes)
        self._metrics.issued(billed.issued)
        for invoice in billed.issued:
            self._carried_at = None
            log.info("issued %s to %s: %s", invoice.number, invoice.draft.customer, invoice.total)
        # One held window keeps thousands of invoices waiting: that is one sentence.
        waiting = Counter((str(item.due.period), "; ".join(item.reasons)) for item in billed.postponed)
        self._say("bill", (f"{count} invoices of {period} wait: {why}" for (period, why), count in waiting.items()))

    def publish(self, now: datetime, stopping: Callable[[], bool]) -> None:
        """Carry what was issued to the gateways, at once what is new and the rest within a minute."""
        recently = self._carried_at is not None and now - self._carried_at < _BETWEEN_LOOKS
        if recently or not (self._gateways or self._usage_gateways):
            return
        self._report_usage(now, stopping)
        published = publish.publish(
            self._book, self._gateways, self._collection, now=now, clock=self._clock, stopping=stopping
        )
        self._carried_at = now
        for entry in published.entries:
            level = logging.INFO if entry.outcome is Carried.DONE else logging.WARNING
            log.log(level, "%s at %s %s: %s", entry.subject, entry.gateway, entry.outcome, entry.said)
        parked = f"{published.parked} papers are parked; `rating publish --parked` lists them"
        self._say("publish", [parked] if published.parked else [])

    def _report_usage(self, now: datetime, stopping: Callable[[], bool]) -> None:
        """Tell the gateways that rate what was used."""
        if not self._usage_gateways:
            return
        gathered = contracts.gather(self._book, self._catalogue, now=now)
        for gateway in self._usage_gateways:
            told = report_usage.report(
                self._book,
                gathered,
                gateway,
                takes=lambda customer, name=gateway.name: self._collection.gateway_of(customer) == name,  # type: ignore[misc]
                now=now,
                clock=self._clock,
                stopping=stopping,
            )
            if told.events or told.subscribed:
                counts = len(told.subscribed), len(told.events), gateway.name
                log.info("%d subscriptions and %d numbers of usage carried to %s", *counts)
            for one in told.parked:
                log.warning("%s at %s parked: %s", one.subject, one.gateway, one.said)
            self._say(f"usage {gateway.name}", [*map(str, told.offered.findings), *told.waiting])

    def settle(self, now: datetime, stopping: Callable[[], bool]) -> None:
        """Enter what gateways told, and show what waits."""
        if not self._listening:
            return
        gathered = contracts.gather(self._book, self._catalogue, now=now)
        theirs = [name for name, one in self._notifiers.items() if one.to_customer]
        settled = settle.settle(
            self._book,
            gathered,
            [one.reader for one in self._listening],
            now=now,
            clock=self._clock,
            reach=(theirs, ("inbox",)),
            stopping=stopping,
            wanted=offer.offering(gathered, self._usage_gateways, self._collection, now=now),
            settled=lambda one: self._metrics.gateways.settled(one.signal.gateway, one.verdict),
        )
        self._metrics.notified(settled.told)
        for one in settled.settlements:
            level = logging.WARNING if one.verdict is Verdict.PARKED else logging.INFO
            log.log(level, "%s told %s, %s: %s", one.signal.gateway, one.signal.id, one.signal.kind, one.said)
        for listened in self._listening:
            name = listened.reading.name
            parked = [one.progress.subject.startswith("signal/") for one in self._book.parked(name)]
            waiting = len(self._book.signals(name, waiting=True))
            self._metrics.gateways.waiting(name, waiting, signals=sum(parked), papers=len(parked) - sum(parked))
        self._say("settle", settled.away)

    def reconcile(self, now: datetime, stopping: Callable[[], bool]) -> None:
        """Once a day, compare gateways with the book; what was lost on its way to us is asked for first.

        Raises:
            EdgeRefused: some could not be read; they are tried again after a pause.
        """
        away = []
        for one in self._listening:
            if stopping():
                return
            try:
                self._compare(one, now)
            except EdgeError as error:
                away.append(str(error))
        if away:
            # Not EdgeUnavailable: that would be the book.
            raise EdgeRefused("; ".join(away))

    def _compare(self, one: Listening, now: datetime) -> None:
        name = one.reading.name
        gathered = contracts.gather(self._book, self._catalogue, now=now)
        compared = reconcile.look(
            self._book,
            gathered,
            one.reading,
            one.reader,
            self._collection,
            now=now,
            since=one.since,
            usage=one.usage,
            clock=self._clock,
        )
        if compared is not None:
            if compared.taken_up:
                log.warning("%s: %d events had not reached us; they are settled now", name, compared.taken_up)
            self._say(f"reconcile {name}", (f"{name} differs: {each.finding}" for each in compared.differs))
        last = reconcile.last_look(self._book, name)
        if last is not None:
            self._metrics.gateways.compared(name, *last)

    def wallets(self, now: datetime, stopping: Callable[[], bool]) -> None:
        """Show balances, and keep each fall below a threshold: an invoice may have paid with the last of it."""
        self._metrics.wallets.show(self._book.glance(now))
        for low in self._book.notice_lows(now):
            log.warning("wallet of %s is low: %s, at %s or less", low.customer, low.balance, low.threshold)

    def _resting(self, now: datetime) -> set[tuple[str, datetime]]:
        """Held windows that are not read again yet."""
        held = {(entry.held.meter, entry.held.window.start): entry.at for entry in self._book.held()}
        self._tried = {window: self._tried.get(window, at) for window, at in held.items()}
        return {window for window, tried in self._tried.items() if now < retry_at(held[window], tried)}

    def _show_windows(self, gathered: Contracts, now: datetime) -> None:
        meters: Catalogue = self._catalogue
        self._metrics.held(meters.meters, self._book.held())
        for meter in meters.meters.values():
            waiting = collect.lag(
                self._book, meter, since=since(gathered, now), now=now, begins=contracts.metered_from(gathered)
            )
            self._metrics.lag(meter.name, waiting.total_seconds())

    def _say(self, job: str, sentences: Iterable[str]) -> None:
        """Log what the job's last run did not say already: a lasting condition is told once, not every tick."""
        told, now = self._said.get(job, set()), list(dict.fromkeys(sentences))
        for sentence in now:
            if sentence not in told:
                log.warning("%s", sentence)
        self._said[job] = set(now)


def since(gathered: Contracts, now: datetime) -> datetime:
    """When metering begins: the first subscription's start, or this month's where there is none."""
    starts = [subscription.start for subscription in gathered.subscriptions]
    return min(starts, default=now.replace(day=1, hour=0, minute=0, second=0, microsecond=0))
