"""The demonstration's story, told in order: history, live traffic, invoices, proof, an alert. Starts nothing itself.

Every figure on the screen is real: what `rating` prints is printed by the command, the alert is what Alertmanager
delivered. A step that does not come to its end raises, and everything started is ended.
"""

from __future__ import annotations

import signal
import time
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

from rich.table import Table

from rating.bootstrap import open_book
from rating.core import vocabulary as names
from rating.core.invoices import Invoice
from rating.core.schedule import due_windows
from rating.settings import Settings
from rating_demo.comparison import Compared, compare
from rating_demo.finding import TOOLS
from rating_demo.history import ALMOST_OUT, GAP, RUNNING_OUT, History
from rating_demo.outgrown import OUTGROWN, foresee, once_each, outgrow, read_mail
from rating_demo.screen import Screen
from rating_demo.stage import Stage
from rating_demo.telling import DemoFailed, short, show, wait

FOLDER = TOOLS.parent / ".demo"


class _Ended(BaseException):
    """SIGINT or SIGTERM, as an exception, so that everything started is ended on the way out."""


class _Signals:
    """Turns both signals into `_Ended`, at once, or at the next `check` when the exception was lost on its way.

    It can be: what a handler raises while Python forks a child is printed and dropped. SIGINT is taken explicitly,
    because whom a shell starts in the background inherits it as ignored.
    """

    def __init__(self) -> None:
        self._asked = False
        self._before = {number: signal.signal(number, self._end) for number in (signal.SIGINT, signal.SIGTERM)}

    def _end(self, number: int, frame: FrameType | None) -> None:
        self._asked = True
        raise _Ended

    def check(self) -> None:
        if self._asked:
            raise _Ended

    def restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)


def run(*, once: bool, install: bool, folder: Path | None = None, screen: Screen | None = None) -> bool:
    """Tell the whole story; with `once` return at its end, otherwise stay until Ctrl-C. False: ended before its end.

    Raises:
        PartMissing, PartFailed, DemoFailed: it could not be told.
    """
    screen = screen or Screen()
    stage = Stage(folder or FOLDER)
    told = False
    signals = _Signals()
    screen.checkpoint = signals.check
    try:
        with stage.opened():
            begun = time.monotonic()
            _tell(stage, screen, install)
            told = True
            _addresses(stage, screen, time.monotonic() - begun)
            if not once:
                _stay(stage, screen)
    except _Ended:
        screen.say("stopped" if told else "stopped before the end of the story")
    finally:
        signals.restore()
    screen.say(f"Everything started has ended. Logs and book stay in {short(stage.folder)} until the next time.")
    return told


def _tell(stage: Stage, screen: Screen, install: bool) -> None:
    history = History(datetime.now(UTC).replace(second=0, microsecond=0))

    with screen.step("Find Prometheus, promtool, Alertmanager and amtool"):
        stage.find_parts(install)

    with screen.step("Make two months of history, its truth known, and turn it into Prometheus blocks"):
        stage.write_catalogue(history)
        samples = stage.write_history(history)
        screen.say(f"{samples:,} samples from {history.last_month.start:%Y-%m-%d} to now: restarts, a Prometheus")
        screen.say("that was down, a target out of reach, and for a week two replicas that saw everything twice")

    with screen.step("Start the API with our middleware, its callers, Alertmanager and Prometheus with our rules"):
        stage.start_servers()
        stage.start_callers()

    with screen.step("Start the engine; it closes every usage window since then, oldest first"):
        stage.start_engine()
        _catch_up(stage, screen, history)

    with screen.step("Last month is whole, so its invoices are issued"):
        invoices = _invoices(stage, history)
        richest = max(invoices, key=lambda invoice: len(invoice.draft.lines))
        metered = next(number for number, line in enumerate(richest.draft.lines, 1) if line.meter)
        with screen.picture("invoices", "Last month's invoices"):
            show(stage, screen, "invoices", "list")
            show(stage, screen, "invoices", "show", richest.number)
        with screen.picture("explain", "One line, down to its windows"):
            show(stage, screen, "explain", f"{richest.number}/{metered}")
        screen.say("--windows lists every window, --queries what Prometheus was asked for them.")

    with screen.step("The day with the gap, measured again, says what the book says"):
        show(stage, screen, "verify", "--period", f"{history.last_month.start + GAP:%Y-%m-%d}")

    with screen.step("Exact usage beside what increase() would have billed"):
        rows = compare(stage.prometheus.url, stage.catalogue, invoices, history)
        with screen.picture("exact", "Exact usage beside increase()"):
            _compare(screen, stage, rows)

    first = stage.catalogue.meters[OUTGROWN]
    if history.now < history.this_month.start + first.window + first.settling:
        screen.say("This month is younger than one window: no usage of it is closed yet, and alerts wait for that.")
        return
    with screen.step(f"This month is open: {ALMOST_OUT} crosses 80 % and all of its allowance, in real calls"):
        with screen.picture("told", "Outgrown while one looks"):
            outgrow(stage, screen, history)
        with screen.picture("mail", "The mail that arrived"):
            read_mail(stage, screen)
    with screen.step(f"{RUNNING_OUT} is told before it happens"):
        foresee(stage, screen, history)
    with screen.step("Everything was told once, and what was told is in the book"):
        once_each(stage, screen)
        show(stage, screen, "notify", "list", "--customer", ALMOST_OUT)
        show(stage, screen, "accrue", "--consumer", ALMOST_OUT)
        screen.say("The engine is exact through the last closed window; what was told adds what was counted since.")


def _addresses(stage: Stage, screen: Screen, seconds: float) -> None:
    screen.console.print(f"[bold]The whole story took {seconds:.0f} s.[/] To look around:")
    for what, url in (
        ("Prometheus, its rules and alerts", f"{stage.prometheus.url}/alerts"),
        ("Alertmanager", f"{stage.alertmanager.url}/#/alerts"),
        ("the API and what it counts", f"{stage.api_url}/metrics"),
        ("the engine's metrics and health", f"{stage.engine_url}/healthz"),
        ("what mails link to", f"{stage.engine_url}/unsubscribe"),
    ):
        screen.console.print(f"   {what:34} {url}", soft_wrap=True)
    screen.console.print()


def _catch_up(stage: Stage, screen: Screen, history: History) -> None:
    since = history.last_month.start
    total = len(due_windows(stage.catalogue.meters.values(), {}, since, history.now))
    with screen.bar("windows closed", total) as done:

        def closed() -> bool:
            screen.checkpoint()
            now = int(stage.total(names.WINDOWS_CLOSED))
            done(min(now, total))
            return now >= total

        wait(stage, "the engine closes all windows", closed, 900)
    degraded = int(stage.total(names.WINDOWS_CLOSED, completeness="degraded"))
    screen.say(f"{total - degraded:,} complete, {degraded} degraded (gaps and restarts, billed as seen and said so)")


def _invoices(stage: Stage, history: History) -> tuple[Invoice, ...]:
    expected = len(stage.catalogue.subscriptions)
    # In a month's first minutes the last one's windows still wait for late samples.
    settled = history.last_month.end + max(meter.settling for meter in stage.catalogue.meters.values())
    patience = max((settled - history.now).total_seconds(), 0) + 120
    wait(stage, f"{expected} invoices are issued", lambda: stage.total(names.INVOICES_ISSUED) >= expected, patience)
    with open_book(Settings(database_url=stage.book_url)) as book:
        return book.invoices()


def _compare(screen: Screen, stage: Stage, rows: list[Compared]) -> None:
    title = "Last month as billed, and as an hourly sum by (consumer_id) (increase(...[1h])) has it"
    table = Table(title=title, title_justify="left")
    table.add_column("consumer")
    table.add_column("meter")
    for column in ("truly counted", "billed", "increase()", "error", "dedup.", "invoice", "increase()", "dedup."):
        table.add_column(column, justify="right")
    before = ""
    for row in rows:
        digits = stage.catalogue.meters[row.meter].digits
        table.add_row(
            row.consumer if row.consumer != before else "",
            row.meter,
            *(_grouped(value, digits) for value in (row.counted, row.billed, row.obvious)),
            *(f"{(value / row.billed - 1) * 100:+.2f} %" for value in (row.obvious, row.careful) if row.billed),
            *(
                money.digits if row.consumer != before else ""
                for money in (row.invoice, row.invoice_obvious, row.invoice_careful)
            ),
        )
        before = row.consumer
    screen.table(table)
    screen.say(
        "increase() bills the second replica's week twice. With the replicas deduplicated (dedup.) it still guesses"
    )
    screen.say(
        "at the edges of every window and around restarts and gaps: too much here, too little there, and unsaid."
    )
    wrong = [row for row in rows if row.billed != row.proven]
    if wrong:
        row = wrong[0]
        raise DemoFailed(
            f"{len(wrong)} lines differ from the truth, first {row.consumer}, {row.meter}: billed {row.billed}, "
            f"the samples prove {row.proven}; look at the book in {short(stage.folder)}"
        )
    screen.say(f"All {len(rows)} billed quantities equal what the samples prove, to the unit.")


def _grouped(value: int, digits: int) -> str:
    whole, rest = divmod(value, 10**digits)
    return f"{whole:,}.{rest:0{digits}}" if digits else f"{whole:,}"


def _stay(stage: Stage, screen: Screen) -> None:
    """Until Ctrl-C; new alerts and notifications are shown as they arrive."""
    screen.say("[bold]It all keeps running. Ctrl-C ends it.[/]")
    shown, told = len(stage.inbox.received), len(stage.crm.posted)
    while True:
        screen.checkpoint()
        time.sleep(1)
        received, posted = stage.inbox.received, stage.crm.posted
        for one in received[shown:]:
            screen.say(f"{one.at:%H:%M:%S} {one.receiver}: {one.status} {one.annotations.get('summary', one.labels)}")
        for post in posted[told:]:
            screen.say(f"{post.at:%H:%M:%S} CRM: {post.document['customer']}: {post.document['summary']}")
        shown, told = len(received), len(posted)
        for process in (stage.engine, stage.prometheus.process, stage.alertmanager.process):
            if not process.running:
                raise DemoFailed(str(process.failure("ended by itself")))
