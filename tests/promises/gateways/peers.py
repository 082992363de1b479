"""The other sides that gateways speak to, each able to die under a gateway and to say what it holds."""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

import pytest
import stripe

from rating.adapters.handoff import FileGateway
from rating.adapters.stripe.client import StripeAccount
from rating.adapters.stripe.gateway import StripeInvoices
from rating.core.publications import Dispatch
from rating.ports import InvoiceGateway, Trail
from tests.stripe_peer.peer import StripePeer

from .papers import NOW


class Died(BaseException):
    """The process ended here."""


class Turns:
    """Counts effects of several kinds, and ends the process at the n-th of them, before or after it."""

    def __init__(self, call: int, *, after: bool) -> None:
        self.call, self.after, self.made = call, after, 0

    def deadly(self, effect: Callable[..., Any]) -> Callable[..., Any]:
        def one(*arguments: Any, **named: Any) -> Any:
            place, self.made = self.made, self.made + 1
            if place == self.call and not self.after:
                raise Died
            found = effect(*arguments, **named)
            if place == self.call:
                raise Died
            return found

        return one


class Peer(Protocol):
    def empty(self) -> None:
        """Begin anew: nothing stands there."""

    def gateway(self) -> InvoiceGateway:
        """A gateway as a new process opens it."""

    def dying(self, call: int, *, after: bool) -> Any:
        """While it is open, the process ends at the n-th effect on the other side (from 0), before or after it."""

    def forget_keys(self) -> None:
        """The other side remembers no keys of earlier calls."""

    def held(self) -> Counter[tuple[str, str, int]]:
        """Kind, number and total in minor units of everything that stands there, as often as it does."""


class FilePeer:
    """A folder; its effects are the file system's own."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.folder, self.patch = folder / "handed", patch

    def empty(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def gateway(self) -> FileGateway:
        return FileGateway("files", self.folder)

    @contextmanager
    def dying(self, call: int, *, after: bool) -> Iterator[None]:
        turns = Turns(call, after=after)
        with self.patch.context() as patch:
            for where, name in ((os, "fsync"), (Path, "rename"), (Path, "mkdir"), (Path, "unlink")):
                patch.setattr(where, name, turns.deadly(getattr(where, name)))
            yield

    def forget_keys(self) -> None:
        return

    def batches(self) -> list[dict[str, Any]]:
        found = sorted((self.folder / "batches").glob("*.manifest.json"))
        return [json.loads(one.read_bytes()) for one in found]

    def held(self) -> Counter[tuple[str, str, int]]:
        """What is in the batches: a reader looks nowhere else."""
        found: Counter[tuple[str, str, int]] = Counter()
        for batch in self.batches():
            for line in (self.folder / "batches" / f"{batch['batch']:06d}.jsonl").read_text().splitlines():
                said = json.loads(line)
                found[said["kind"], said["number"], said["total_minor"] or 0] += 1
        return found


class StripeSide:
    """The local Stripe; its effects are requests. Its clock follows the papers', so that it forgets keys."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.patch = patch
        self.open = ExitStack()
        self.empty()

    def empty(self) -> None:
        self.open.close()
        self.stripe = self.open.enter_context(StripePeer(now=int(NOW.timestamp()), standing=True))

    def gateway(self) -> InvoiceGateway:
        account = StripeAccount("stripe", self.stripe.key, url=self.stripe.url, requests_per_second=10_000)
        return InStep(account, self.stripe)

    @contextmanager
    def dying(self, call: int, *, after: bool) -> Iterator[None]:
        request = Turns(call, after=after).deadly(stripe.RequestsClient.request)
        with self.patch.context() as patch:
            patch.setattr(stripe.RequestsClient, "request", lambda *asked, **named: request(*asked, **named))
            yield

    def forget_keys(self) -> None:
        """Its clock does that."""

    def held(self) -> Counter[tuple[str, str, int]]:
        found: Counter[tuple[str, str, int]] = Counter()
        state = self.stripe.state()
        for one in state["invoices"]:
            number = one["metadata"]["rating_invoice"]
            found["invoice", number, one["total"]] += 1
            if one["status"] == "void":
                found["void", number, 0] += 1
            if one["amount_paid_off_stripe"]:
                found["pay", number, one["amount_paid_off_stripe"]] += 1
        for one in state["credit_notes"]:
            found["credit_note", one["metadata"]["rating_credit_note"], -one["total"]] += 1
        return found


class InStep(StripeInvoices):
    """Moves the clock of the other side to when a paper is carried."""

    def __init__(self, account: StripeAccount, peer: StripePeer) -> None:
        super().__init__(account)
        self._peer = peer

    def publish(self, dispatch: Dispatch, trail: Trail, *, now: datetime) -> str:
        self._peer.advance_to(max(self._peer.now(), int(now.timestamp())))
        return super().publish(dispatch, trail, now=now)
