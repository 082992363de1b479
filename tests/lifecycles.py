"""Runs a lifecycle told as files: a catalogue, usage and a timeline, on any book, and prints what finance would read.

The clock is the timeline's. Each event is done by the jobs that the commands use. What is refused is printed, too.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import yaml

from rating.core.catalogue import Catalogue
from rating.core.creditnotes import CreditNote
from rating.core.invoices import Draft, Invoice, LineItem, LineKind
from rating.core.items import Item
from rating.core.lifecycle import Account
from rating.core.meters import Meter
from rating.core.money import Currency, Money, decimal_text, exact, round_amount
from rating.core.periods import Period, align, stamp
from rating.core.subscriptions import CALENDAR, Subscription
from rating.core.wallets import Grant, GrantKind
from rating.core.windows import Adjustment, Closing, Completeness, Usage
from rating.errors import RatingError
from rating.jobs.bill import bill
from rating.jobs.contracts import Contracts, adopt, gather, keep
from rating.jobs.follow import Clerk
from rating.jobs.lives import accounts
from rating.jobs.preview import preview
from rating.jobs.reissue import reissue
from rating.jobs.statements import state
from rating.jobs.subscribing import period_end, window_end
from rating.ports import Book
from rating.specs.compile import compile_catalogue


def run(folder: Path, book: Book) -> str:
    """The story's papers and remarks as text."""
    return "\n".join(Story(folder, book).told()) + "\n"


class Story:
    def __init__(self, folder: Path, book: Book) -> None:
        self._book = book
        self._catalogue = self._compiled(folder, "catalogue.yaml")
        self._folder = folder
        self._now = datetime(2000, 1, 1, tzinfo=UTC)
        self._said: list[str] = []
        self._shown: set[str] = set()
        timeline = yaml.load((folder / "events.yaml").read_text(), Loader=yaml.BaseLoader)
        self._usage: list[Mapping[str, str]] = timeline.get("usage", [])
        self._events: list[Mapping[str, str]] = timeline["events"]

    def told(self) -> Iterator[str]:
        for event in self._events:
            self._now = _instant(event["at"], self._catalogue.zone)
            keep(self._book, self._catalogue, now=self._now)
            self._close_windows()
            self._said = []
            action = getattr(self, "_do_" + event["do"].replace("-", "_"))
            try:
                action(event)
            except RatingError as error:
                self._said.append(f"refused: {error}")
            about = " ".join(f"{key}={value}" for key, value in event.items() if key not in ("at", "do"))
            yield f"{event['at']}  {event['do']} {about}".rstrip()
            yield from (f"    {line}" for line in self._said)
            yield from self._new_papers()
        yield "At the end"
        yield from (f"    {line}" for line in self._accounts())

    # usage ------------------------------------------------------------------------------------------------------------

    def _close_windows(self) -> None:
        """Every window of every meter that has ended, with what the story counts in it."""
        begins = min((one.start for one in self._contracts.subscriptions), default=self._now)
        for meter in self._catalogue.meters.values():
            first = self._book.closed_through(meter.name) or align(begins, meter.window)
            if self._now - first < meter.window:
                continue
            counted = self._counted(meter, first)
            start = first
            while start + meter.window <= self._now:
                window = Period(start, start + meter.window)
                rows = tuple(
                    Usage(consumer, ("",) * len(meter.dimensions), quantity)
                    for consumer, quantity in sorted(counted[start].items())
                    if quantity
                )
                self._book.close(
                    Closing(meter.name, window, Completeness.COMPLETE, rows), meter_digest="s", at=self._now
                )
                start = window.end

    def _counted(self, meter: Meter, since: datetime) -> dict[datetime, dict[str, int]]:
        found: dict[datetime, dict[str, int]] = defaultdict(lambda: defaultdict(int))
        for one in self._usage:
            if one.get("meter", meter.name) != meter.name:
                continue
            quantity = int(exact(one["calls"]) * 10**meter.digits)
            for instant in self._instants(one):
                start = align(instant, meter.window)
                if start >= since:
                    found[start][one["consumer"]] += quantity
        return found

    def _instants(self, one: Mapping[str, str]) -> Iterator[datetime]:
        """At local noon of each day it is counted on, or at the instant that is written."""
        zone = ZoneInfo(one["zone"]) if "zone" in one else self._catalogue.zone
        if "at" in one:
            yield _instant(one["at"], zone)
            return
        first = date.fromisoformat(one["from"])
        last = date.fromisoformat(one.get("to", one["from"]))
        for day in range((last - first).days + 1):
            yield datetime.combine(first + timedelta(days=day), time(12), zone).astimezone(UTC)

    # events -----------------------------------------------------------------------------------------------------------

    def _do_bill(self, event: Mapping[str, str]) -> None:
        billed = bill(self._book, self._contracts, now=self._now, dry_run=event.get("dry_run") == "yes")
        self._said += [f"waits: {one.due.key}: {'; '.join(one.reasons)}" for one in billed.postponed]
        if event.get("dry_run") == "yes":
            for draft in billed.drafts:
                self._said += _paper_lines("draft", draft, None)
        elif not billed.issued and not billed.credited:
            self._said.append("no invoice is due")

    def _do_preview(self, event: Mapping[str, str]) -> None:
        for draft in preview(self._book, self._contracts, now=self._now):
            self._said += _paper_lines("so far", draft, None)

    def _do_send(self, event: Mapping[str, str]) -> None:
        self._clerk(event).send(self._invoice(event), how="email")

    def _do_pay(self, event: Mapping[str, str]) -> None:
        invoice = self._invoice(event)
        amount = self._money(event, invoice) if "amount" in event else None
        followed = self._clerk(event).pay(
            invoice,
            amount,
            source=event.get("source", "bank"),
            reference=event.get("reference", ""),
            overpaid=event.get("overpaid") == "yes",
        )
        if not followed.new:
            self._said.append("was kept before")

    def _do_refund(self, event: Mapping[str, str]) -> None:
        invoice = self._invoice(event)
        self._clerk(event).refund(invoice, self._money(event, invoice), reference=event.get("reference", ""))

    def _do_write_off(self, event: Mapping[str, str]) -> None:
        self._clerk(event).write_off(self._invoice(event), reason=event["reason"])

    def _do_void(self, event: Mapping[str, str]) -> None:
        clerk = self._clerk(event)
        clerk.void(self._invoice(event), reason=event["reason"], credit_note=event.get("credit_note") == "yes")

    def _do_reissue(self, event: Mapping[str, str]) -> None:
        reissue(self._book, self._contracts, self._invoice(event), now=self._now)

    def _do_credit(self, event: Mapping[str, str]) -> None:
        invoice = self._invoice(event)
        self._clerk(event).credit(
            invoice,
            self._money(event, invoice),
            line=int(event["line"]) if "line" in event else None,
            reason=event["reason"],
            reference=event.get("reference", ""),
        )

    def _do_dispute(self, event: Mapping[str, str]) -> None:
        invoice = self._invoice(event)
        amount = self._money(event, invoice) if "amount" in event else None
        self._clerk(event).dispute(invoice, int(event["line"]), reason=event["reason"], amount=amount)

    def _do_accept(self, event: Mapping[str, str]) -> None:
        self._clerk(event).accept(self._invoice(event), int(event["line"]), reason=event["reason"])

    def _do_reject(self, event: Mapping[str, str]) -> None:
        self._clerk(event).reject(self._invoice(event), int(event["line"]), reason=event["reason"])

    def _do_late(self, event: Mapping[str, str]) -> None:
        """Samples of a past day turn up (or were counted twice): so many calls more or less."""
        meter = self._catalogue.meters[event.get("meter", next(iter(self._catalogue.meters)))]
        noon = datetime.combine(date.fromisoformat(event["day"]), time(12), self._catalogue.zone).astimezone(UTC)
        start = align(noon, meter.window)
        window = Period(start, start + meter.window)
        before = self._book.adjustments(window, meter.name)
        quantity = int(exact(event["calls"]) * 10**meter.digits)
        rows = (Usage(event["consumer"], ("",) * len(meter.dimensions), quantity),)
        adjustment = Adjustment(meter.name, window, len(before) + 1, rows, "late samples", "rating")
        self._book.adjust(adjustment, at=self._now)

    def _do_item(self, event: Mapping[str, str]) -> None:
        item = Item(
            event["subscription"],
            event["title"],
            exact(event["amount"]),
            self._now.astimezone(self._catalogue.zone).date(),
            event.get("reference", ""),
        )
        if not self._book.add_item(item, at=self._now):
            self._said.append("was kept before")

    def _do_subscribe(self, event: Mapping[str, str]) -> None:
        start = _instant(event["start"], self._catalogue.zone)
        anchor = date.fromisoformat(event["anchor"]) if "anchor" in event else CALENDAR
        one = Subscription(
            event["consumer"], event["plan"], start, customer=event.get("customer", ""), anchor=anchor,
            zone=self._catalogue.zone,
        )  # fmt: skip
        self._book.subscribe(one, at=self._now)

    def _do_move(self, event: Mapping[str, str]) -> None:
        old = self._subscription(event)
        begins = _instant(event["from"], old.zone)
        self._book.cancel(old.key, end=begins, at=self._now)
        self._book.subscribe(replace(old, plan=event["plan"], start=begins, end=None, pauses=()), at=self._now)

    def _do_cancel(self, event: Mapping[str, str]) -> None:
        one = self._subscription(event)
        match event["when"]:
            case "now":
                end = window_end(one, self._contracts, self._now)
            case "at-period-end":
                end = period_end(one, self._contracts, self._now)
            case day:
                end = _instant(day, one.zone)
        self._book.cancel(one.key, end=end, at=self._now)
        self._said.append(f"ends {stamp(end)} UTC")

    def _do_pause(self, event: Mapping[str, str]) -> None:
        one = self._subscription(event)
        self._book.pause(one.key, start=_instant(event["from"], one.zone), at=self._now)

    def _do_resume(self, event: Mapping[str, str]) -> None:
        one = self._subscription(event)
        self._book.resume(one.key, end=_instant(event["on"], one.zone), at=self._now)

    def _do_topup(self, event: Mapping[str, str], kind: GrantKind = GrantKind.TOPUP) -> None:
        amount = round_amount(exact(event["amount"]), self._currency(event))
        expires = _instant(event["expires"], self._catalogue.zone) if "expires" in event else None
        priority = int(event.get("priority", "0"))
        grant = Grant(event["customer"], event["reference"], amount, kind, priority, expires)
        if not self._book.fund(grant, at=self._now):
            self._said.append("was kept before")

    def _do_grant(self, event: Mapping[str, str]) -> None:
        self._do_topup(event, GrantKind.GRANT)

    def _do_withdraw(self, event: Mapping[str, str]) -> None:
        taken = self._book.withdraw(event["customer"], event["reference"], why=event["why"], at=self._now)
        if taken is None:
            self._said.append("nothing is left of it")
        else:
            self._said.append(f"took out {Money(-taken.change, self._currency(event))}")

    def _do_warn(self, event: Mapping[str, str]) -> None:
        below = round_amount(exact(event["amount"]), self._currency(event))
        self._book.warn_below(event["customer"], below, at=self._now)

    def _do_lows(self, event: Mapping[str, str]) -> None:
        """What the engine notices at its next tick."""
        for low in self._book.notice_lows(self._now):
            at = stamp(low.at.replace(microsecond=0))
            self._said.append(f"wallet of {low.customer} is low since {at}: {low.balance} of {low.threshold}")

    def _do_wallets(self, event: Mapping[str, str]) -> None:
        self._said += self._wallets()

    def _do_state(self, event: Mapping[str, str]) -> None:
        month = date.fromisoformat(event["month"] + "-01")
        stated = state(self._book, self._contracts, month=month, now=self._now)
        for payout in stated.issued:
            self._said.append(f"{payout.number} to {payout.draft.partner}, {payout.draft.month:%Y-%m}")
            for place, line in enumerate(payout.draft.lines, 1):
                title = f"{decimal_text(line.percent)} % of {line.base.digits}: {line.title}, {line.source}"
                self._said.append(f"  {place:2} {title:68}{line.amount.digits:>12}")
            self._said.append(f"  {'':3}{'Total ' + payout.draft.currency.code:68}{payout.total.digits:>12}")
        if not stated.issued:
            self._said.append("everything is stated")

    def _do_catalogue(self, event: Mapping[str, str]) -> None:
        """Another version of the catalogue is in force from now, or from the day that is written."""
        self._catalogue = self._compiled(self._folder, event["file"])
        if "from" in event:
            since = _instant(event["from"], self._catalogue.zone)
            adopt(self._book, self._catalogue, since=since, now=self._now)
        else:
            keep(self._book, self._catalogue, now=self._now)

    def _do_accounts(self, event: Mapping[str, str]) -> None:
        self._said += self._accounts()

    # what is printed --------------------------------------------------------------------------------------------------

    def _new_papers(self) -> Iterator[str]:
        notes = {note.number: note for note in self._book.credit_notes()}
        for invoice in self._book.invoices():
            if invoice.number not in self._shown:
                yield from (f"    {line}" for line in _paper_lines(invoice.number, invoice.draft, invoice))
        for note in notes.values():
            if note.number not in self._shown:
                yield from (f"    {line}" for line in _note_lines(note))
        self._shown = {invoice.number for invoice in self._book.invoices()} | notes.keys()

    def _accounts(self) -> Iterator[str]:
        for invoice, one in accounts(self._book, self._book.invoices(), self._now):
            yield _account_line(invoice, one)
        yield from self._wallets()

    def _wallets(self) -> Iterator[str]:
        for wallet in self._book.wallets():
            yield f"wallet of {wallet.customer}: {wallet.worth(self._now)}"
            if len(wallet.accounts) > 1:
                for account in wallet.accounts:
                    grant = account.grant
                    worth = Money(account.worth(self._now), wallet.currency)
                    yield f"  {grant.reference}: {worth}" + (", expired" if account.expired(self._now) else "")

    # ------------------------------------------------------------------------------------------------------------------

    @property
    def _contracts(self) -> Contracts:
        return gather(self._book, self._catalogue, now=self._now)

    def _clerk(self, event: Mapping[str, str]) -> Clerk:
        return Clerk(self._book, self._now, author=event.get("author", "finance"))

    def _invoice(self, event: Mapping[str, str]) -> Invoice:
        found = self._book.invoice(event["invoice"])
        assert found is not None, f"{self._folder.name}: no invoice {event['invoice']}"
        return found

    def _subscription(self, event: Mapping[str, str]) -> Subscription:
        return next(one for one in self._contracts.subscriptions if one.key == event["subscription"])

    def _currency(self, event: Mapping[str, str]) -> Currency:
        return Currency(event.get("currency", self._catalogue.currency.code))

    def _money(self, event: Mapping[str, str], invoice: Invoice) -> Money:
        return round_amount(exact(event["amount"]), invoice.draft.currency)

    def _compiled(self, folder: Path, name: str) -> Catalogue:
        return compile_catalogue([(name, (folder / name).read_text())])


def _instant(text: str, zone: ZoneInfo) -> datetime:
    if len(text) == 10:
        return datetime.combine(date.fromisoformat(text), time(), zone).astimezone(UTC)
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC)


def _paper_lines(name: str, draft: Draft, invoice: Invoice | None) -> Iterator[str]:
    first, after = draft.days
    head = f"{name} to {(draft.buyer and draft.buyer.name) or draft.customer}"
    if not draft.sections:
        served = "" if draft.consumer == draft.customer else f" for {draft.consumer}"
        head += f"{served}, {draft.plan_title}"
    head += f", {'opening of ' if draft.opening else ''}{first} to {after - timedelta(days=1)}"
    if invoice is not None and invoice.due_on is not None:
        head += f", due {invoice.due_on}"
    if draft.replaces:
        head += f", in place of {draft.replaces}"
    yield head
    for before, part in draft.parts:
        if draft.sections:
            yield f"  {part.consumer}, {part.plan_title}"
        for place, line in enumerate(part.lines, before + 1):
            yield _line(place, line, part)
    yield f"  {'':3}{'Total ' + draft.currency.code:68}{draft.total.digits:>12}"
    if draft.tax is not None:
        yield f"  taxed by {draft.tax.reason}"


def _line(place: int, line: LineItem, draft: Draft) -> str:
    title = line.title
    if line.kind in (LineKind.FEE, LineKind.USAGE) and line.period != draft.period:
        zone = ZoneInfo(draft.zone)
        days = [instant.astimezone(zone) for instant in (line.period.start, line.period.end - timedelta(seconds=1))]
        title += f" [{days[0]:%d %b} to {days[1]:%d %b}]"
    if line.meter:
        title += f": {decimal_text(line.quantity)}"
        if line.included:
            title += f" ({decimal_text(line.included)} included)"
    return f"  {place:2} {title:68}{line.amount.digits:>12}"


def _note_lines(note: CreditNote) -> Iterator[str]:
    yield f"{note.number} to {note.draft.customer} about {note.draft.invoice}: {note.draft.reason}"
    for place, line in enumerate(note.draft.lines, 1):
        yield f"  {place:2} {line.title:68}{line.amount.digits:>12}"
    yield f"  {'':3}{'Given back ' + note.draft.currency.code:68}{note.total.digits:>12}"


def _account_line(invoice: Invoice, one: Account) -> str:
    parts = [f"{invoice.number} {one.state.value.replace('_', ' ')}: total {one.total}"]
    amounts: dict[str, Any] = {
        "paid": one.paid - one.prepaid,
        "paid from wallet": one.prepaid,
        "credited": one.credited,
        "on hold": one.disputed,
        "written off": one.written_off,
    }
    parts += [f"{what} {amount.digits}" for what, amount in amounts.items() if amount.minor]
    parts.append(f"due {one.amount_due.digits}")
    if one.outstanding.minor < 0 and one.state.value != "void":
        parts.append(f"owed to the customer {(-one.outstanding).digits}")
    return ", ".join(parts)
