"""The server as a test holds it: started in a thread, or reached as a process, with its controls as methods."""

from __future__ import annotations

import asyncio
import threading
from types import TracebackType
from typing import Any, Self

import httpx
import stripe

from tests.stripe_peer.accounts import USUAL

Told = dict[str, Any]


class Controls:
    """What a test may do to a running server at `url`. Each is one request to `/_peer/...`."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.key = USUAL
        self._http = httpx.Client(base_url=f"{url}/_peer/", timeout=600, trust_env=False)

    def _ask(self, method: str, path: str, told: Any = None) -> Any:
        answer = self._http.request(method, path, json=told)
        if answer.is_error:
            raise ValueError(f"{method} /_peer/{path}: {answer.json()['error']['message']}")
        return answer.json()

    def client(self, key: str | None = None, **options: Any) -> stripe.StripeClient:
        """The SDK's own client, pointed here; without retries unless `max_network_retries` says so."""
        return stripe.StripeClient(
            key or self.key, base_addresses={"api": self.url, "meter_events": self.url}, **options
        )

    def now(self) -> int:
        return int(self._ask("GET", "clock")["now"])

    def advance(self, by: int) -> int:
        """Move the clock on by so many seconds, through all that falls due. Returns the new time."""
        return int(self._ask("POST", "clock", {"by": by})["now"])

    def advance_to(self, second: int) -> int:
        return int(self._ask("POST", "clock", {"to": second})["now"])

    def settings(self, **values: Any) -> Told:
        """See `world.Settings`."""
        return dict(self._ask("POST", "settings", values))

    def keys(self, **scopes: dict[str, str] | None) -> None:
        """Make keys known: `keys(rk_test_x={"invoices": "write"})`; None may do everything."""
        self._ask("POST", "keys", scopes)

    def fail(self, **script: Any) -> None:
        """Script a fault; see `faults.Fault` for its words."""
        self._ask("POST", "faults", script)

    def faults(self) -> list[Told]:
        return list(self._ask("GET", "faults"))

    def clear_faults(self) -> None:
        self._ask("DELETE", "faults")

    def requests(self) -> list[Told]:
        """The log: method, path, query, idempotency_key, status, replayed, fault, in order."""
        return list(self._ask("GET", "requests"))

    def forget_requests(self) -> None:
        """Empty the log; the next request is number 1."""
        self._ask("DELETE", "requests")

    def state(self) -> Told:
        """Every object, by kind; invoices and credit notes with all their lines."""
        return dict(self._ask("GET", "state"))

    def webhook(self, url: str, *events: str) -> str:
        """Send snapshot events there. Returns the secret they are signed with."""
        sent = {"url": url, "enabled_events": list(events) or ["*"]}
        return str(self.client().v1.webhook_endpoints.create(sent).secret)  # type: ignore[arg-type]

    def thin_webhook(self, url: str, *events: str) -> str:
        """Send thin events there, as `webhook`."""
        destination = self.client().v2.core.event_destinations.create(
            {
                "name": "peer",
                "type": "webhook_endpoint",
                "event_payload": "thin",
                "enabled_events": list(events) or ["*"],
                "webhook_endpoint": {"url": url},
                "include": ["webhook_endpoint.signing_secret"],
            }
        )
        assert destination.webhook_endpoint is not None
        return str(destination.webhook_endpoint.signing_secret)

    def webhooks(self) -> Told:
        """What is held, waiting, and was sent: event, type, attempt, status."""
        return dict(self._ask("GET", "webhooks"))

    def hold_webhooks(self) -> None:
        """Keep all back from now on, until `release_webhooks`."""
        self._ask("POST", "webhooks", {"held": True})

    def release_webhooks(self, order: str = "kept", *, seed: int = 0, copies: int = 1) -> int:
        """Let go: `kept`, `reversed` or `shuffled`, each `copies` times; waits until all were sent once."""
        count = self._ask("POST", "webhooks/release", {"order": order, "seed": seed, "copies": copies})["count"]
        self.settle()
        return int(count)

    def fail_webhooks(self, **script: Any) -> None:
        """Script what happens on the way; see `deliveries.WayFault`."""
        self._ask("POST", "webhooks/faults", script)

    def send_again(self, event: str | None = None) -> int:
        """Send that event again; without one, all that were not accepted, without waiting for their turn."""
        return int(self._ask("POST", "webhooks/again", {"event": event})["count"])

    def settle(self) -> None:
        """Wait until no webhook is due or under way."""
        self._ask("POST", "webhooks/settle")

    def give_card(self, customer: str, card: str = "pm_card_visa") -> str:
        """A default payment method for that customer; see `payments.CARDS`."""
        return str(self._ask("POST", "card", {"customer": customer, "card": card}))

    def pay(self, invoice: str, card: str = "pm_card_visa") -> Told:
        """The customer pays on the invoice's page. Raises: ValueError, when the card is declined."""
        return dict(self._ask("POST", "pay", {"invoice": invoice, "card": card}))

    def refund(self, invoice: str, amount: int | None = None) -> Told:
        """Give back what was paid for an invoice, as one does in Stripe's dashboard."""
        return dict(self._ask("POST", "refund", {"invoice": invoice, "amount": amount}))

    def dispute(self, invoice: str, reason: str = "fraudulent") -> Told:
        return dict(self._ask("POST", "dispute", {"invoice": invoice, "reason": reason}))

    def close_dispute(self, dispute: str, status: str) -> Told:
        """`won` or `lost`."""
        return dict(self._ask("POST", "dispute/close", {"dispute": dispute, "status": status}))

    def defects(self) -> list[str]:
        """Requests that this server failed to answer by its own fault."""
        return list(self._ask("GET", "defects"))

    def close(self) -> None:
        self._http.close()


class StripePeer(Controls):
    """A server in a thread of this process, on a free loopback port.

    Args:
        now: where its clock starts, in Unix seconds; the machine's time when not given.
        standing: the clock moves only when it is told to.
        settings: see `world.Settings`.
    """

    def __init__(self, now: int | None = None, *, standing: bool = False, port: int = 0, **settings: Any) -> None:
        self._begin = (now, standing, settings)
        self._port = port
        self._ready = threading.Event()
        self._failed: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="stripe-peer", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait()
        if self._failed is not None:
            raise RuntimeError("tests/stripe_peer did not start") from self._failed
        super().__init__(f"http://127.0.0.1:{self._port}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        assert self._loop is not None
        assert self._stop is not None
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:  # noqa: BLE001 - told to the thread that waits for the start
            self._failed = error
            self._ready.set()

    async def _serve(self) -> None:
        from tests.stripe_peer import nouns
        from tests.stripe_peer.server import Server
        from tests.stripe_peer.service import Service
        from tests.stripe_peer.world import Clock, Settings, World

        assert nouns
        now, standing, settings = self._begin
        world = World(Clock(now, standing=standing), Settings(**settings))
        server = Server(Service(world))
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        self._port = await server.start("127.0.0.1", self._port)
        self._ready.set()
        await self._stop.wait()
        await server.stop()
