"""Publish: carry what was issued to whoever collects it, once, and enter how far each paper has come.

What is to be carried follows from the book; only progress is kept. `BEGUN` stands in the book before the first call, so
that a gateway which is asked again knows that its own earlier call may have come through.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import date, datetime

from rating.core.collection import Collection
from rating.core.details import last_told
from rating.core.dispatches import Chain, Papers, chains
from rating.core.publications import (
    Dispatch,
    InvoiceDispatch,
    Outcome,
    Progress,
    Progressed,
    State,
    begun_at,
    by_subject,
    customer_subject,
    due_at,
    following,
    revivals,
)
from rating.errors import BookError, EdgeDisagrees, EdgeError, EdgeRefused, EdgeUnavailable
from rating.jobs.trails import KeptTrail
from rating.ports import Book, InvoiceGateway

CLAIM = "publish"


@dataclass(frozen=True, slots=True)
class Served:
    """One gateway and how it is served."""

    gateway: InvoiceGateway
    workers: int = 1
    """Customers at once."""
    since: date | None = None
    """Invoices issued earlier stay with us."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """What is to be carried to one gateway."""

    served: Served
    chains: tuple[Chain, ...]
    """Of what is not done: the links that are left."""
    progressed: Mapping[str, Sequence[Progressed]]
    """Entries about what was begun and is not at its end."""
    parked: frozenset[str]
    """Subjects that wait for a person."""

    @property
    def name(self) -> str:
        return self.served.gateway.name

    @property
    def dispatches(self) -> tuple[Dispatch, ...]:
        """All that is left, parked or not."""
        return tuple(link for chain in self.chains for link in chain.links)

    def state(self, dispatch: Dispatch) -> State:
        return State.PARKED if dispatch.subject in self.parked else State.WAITING


@dataclass(frozen=True, slots=True)
class Published:
    """What one round came to."""

    entries: tuple[Progress, ...]
    """The last entry about each subject that was attempted."""
    parked: int
    later: int
    """Dispatches that wait for a later time, or for the one before them."""
    said: tuple[str, ...] = ()
    """What gateways handed on at the end of the round."""


def waiting(book: Book, served: Sequence[Served], who: Collection, *, only: str = "") -> tuple[Waiting, ...]:
    """Gather: what is left for each gateway; `only` limits it to one invoice."""
    papers = Papers(book.invoices(), book.entries(), book.credit_notes(), book.wallets())
    if only:
        papers = replace(papers, invoices=[one for one in papers.invoices if one.number == only])
    found = []
    for one in served:
        name = one.gateway.name
        progressed = by_subject(book.unfinished(name))
        done = book.finished(name, "invoice") | book.finished(name, "credit_note") | book.finished(name, "step")
        parked = frozenset(entry.progress.subject for entry in book.parked(name))
        begun = {*progressed, *done}
        left = []
        for chain in chains(papers, name, who, since=one.since, begun=begun):
            # A link that is parked is not done: it and what follows on it are left.
            links = tuple(link for link in chain.links if link.subject not in done or link.subject in parked)
            if links:
                left.append(Chain(chain.customer, links))
        found.append(Waiting(one, tuple(left), progressed, parked))
    return tuple(found)


def redescribed(book: Book, gateway: str, dispatch: Dispatch) -> bool:
    """Is the gateway told new details of the customer before the paper?"""
    buyer, issued = dispatch.invoice.draft.buyer, dispatch.invoice.issued_at
    if buyer is None or not isinstance(dispatch, InvoiceDispatch):
        return False
    names = {one.part: one.name for one in book.remote_names(gateway, customer_subject(dispatch.customer))}
    last = last_told(names.get)
    return last is not None and last.stale(buyer, issued)


def publish(
    book: Book,
    served: Sequence[Served],
    who: Collection,
    *,
    now: datetime,
    clock: Callable[[], datetime] | None = None,
    stopping: Callable[[], bool] = lambda: False,
    only: str = "",
    entered: Callable[[Progress, int], None] = lambda progress, of: None,
) -> Published:
    """Attempt what is due at `now`, each once; does nothing while somebody else does it.

    The order of one customer's papers is kept, several customers are served at once. A gateway that is away is left
    alone for the rest of the round. Entries are recorded as of `clock`, or `now` without one; `entered` is told each
    outcome and how many dispatches there were.
    """
    with book.claim(CLAIM) as free:
        if not free:
            return Published((), 0, 0)
        rounds = [
            _Round(book, one, now=now, clock=clock or (lambda: now), stopping=stopping, entered=entered)
            for one in waiting(book, served, who, only=only)
        ]
        for one in rounds:
            one.run()
    attempted = tuple(entry for one in rounds for entry in one.entries)
    said = tuple(one.said for one in rounds if one.said)
    return Published(attempted, sum(one.parked for one in rounds), sum(one.later for one in rounds), said)


def retry(book: Book, gateways: Sequence[str], subject: str | None, *, now: datetime) -> tuple[Progress, ...]:
    """A person asks to try parked subjects again: one, or all.

    Raises:
        BookError: nothing of that name is parked.
    """
    parked = [entry for name in gateways for entry in book.parked(name) if subject in (None, entry.progress.subject)]
    if not parked:
        about = subject or "anything"
        raise BookError(f"{about} is not parked at {', '.join(gateways)}; `rating publish --parked` lists what is")
    revived = tuple(
        following(
            one.progress.gateway,
            one.progress.subject,
            book.progressed(one.progress.gateway, one.progress.subject),
            Outcome.REVIVED,
            "a person asked",
        )
        for one in parked
    )
    book.progress(revived, at=now)
    return revived


class _Round:
    """One gateway's round: customers in parallel, each one's chains in order."""

    def __init__(
        self,
        book: Book,
        waiting: Waiting,
        *,
        now: datetime,
        clock: Callable[[], datetime],
        stopping: Callable[[], bool],
        entered: Callable[[Progress, int], None],
    ) -> None:
        self._book, self._waiting, self._gateway = book, waiting, waiting.served.gateway
        self._now, self._clock, self._stopping, self._entered = now, clock, stopping, entered
        self._turn = threading.Lock()
        """Of the book, of `entries` and of who is told: one thread at a time."""
        self._away = threading.Event()
        self._total = len(waiting.dispatches)
        self._done = 0
        self.entries: list[Progress] = []
        self.said = ""

    @property
    def parked(self) -> int:
        return len(self._book.parked(self._gateway.name))

    @property
    def later(self) -> int:
        return self._total - self._done

    def run(self) -> None:
        customers: dict[str, list[Chain]] = {}
        for chain in self._waiting.chains:
            customers.setdefault(chain.customer, []).append(chain)
        with ThreadPoolExecutor(self._waiting.served.workers, thread_name_prefix="publish") as pool:
            for future in [pool.submit(self._serve, of) for of in customers.values()]:
                future.result()
        try:
            self.said = self._gateway.finish(now=self._now)
        except EdgeError as error:
            self.said = f"{error}; it is with the next round"

    def _serve(self, chains: Sequence[Chain]) -> None:
        for chain in chains:
            for link in chain.links:
                if self._stopping() or self._away.is_set():
                    return
                if not self._due(link) or not self._carried(link):
                    # What follows on a paper that is not there waits with it; other invoices do not.
                    break

    def _due(self, link: Dispatch) -> bool:
        if self._waiting.state(link) is State.PARKED:
            return False
        at = due_at(self._waiting.progressed.get(link.subject, ()))
        return at is None or at <= self._now

    def _carried(self, link: Dispatch) -> bool:
        name, subject = self._gateway.name, link.subject
        with self._turn:
            entries = list(self._book.progressed(name, subject))
            begun = begun_at(entries)
            if begun is None:
                entries.append(self._enter(following(name, subject, entries, Outcome.BEGUN)))
            trail = KeptTrail(
                self._book, name, subject, self._clock, begun_at=begun, revived=revivals(entries), turn=self._turn
            )
        try:
            said = self._gateway.publish(link, trail, now=self._now)
            outcome, asked = Outcome.DONE, 0
        except EdgeUnavailable as error:
            self._away.set()
            outcome, said = Outcome.FAILED, str(error)
            asked = 0 if error.retry_after is None else int(error.retry_after.total_seconds())
        except (EdgeRefused, EdgeDisagrees) as error:
            outcome, said, asked = Outcome.REFUSED, str(error), 0
        with self._turn:
            entry = replace(following(name, subject, entries, outcome, said), retry_after=asked)
            self._enter(entry)
            self._done += outcome is Outcome.DONE
            self.entries.append(entry)
            self._entered(entry, self._total)
        return outcome is Outcome.DONE

    def _enter(self, progress: Progress) -> Progressed:
        at = self._clock()
        self._book.progress([progress], at=at)
        return Progressed(progress, at)
