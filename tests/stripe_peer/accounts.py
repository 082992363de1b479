"""Whose request it is: keys, and what a restricted key may do."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.stripe_peer.answers import Request
from tests.stripe_peer.refusals import Refusal
from tests.stripe_peer.world import API_VERSION, World

USUAL = "sk_test_peer"
"""The secret key that is there from the start."""
LEVELS = ("none", "read", "write")


@dataclass
class Accounts:
    """The keys that this server knows."""

    keys: dict[str, dict[str, str] | None] = field(default_factory=lambda: {USUAL: None})
    """Each with its scopes, such as `{"invoices": "write", "customers": "read"}`; None may do everything."""

    def admitted(self, world: World, request: Request) -> str:
        """The key of the request.

        Raises:
            Refusal: 401 for none or an unknown one, 403 for a scope it has not, 400 for another version of the API.
        """
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not key:
            raise Refusal(
                401,
                "You did not provide an API key. You need to provide your API key in the Authorization header, using "
                "Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY').",
                stored=False,
            )
        if request.path == "/v2/billing/meter_event_stream":
            _session(world, key)
        elif key not in self.keys:
            raise Refusal(401, f"Invalid API Key provided: {_blurred(key)}", stored=False)
        else:
            self._scope(key, request)
        version = request.headers.get("stripe-version")
        if version != API_VERSION:
            raise Refusal(
                400, f"Invalid Stripe API version: {version}. This server has {API_VERSION} alone.", stored=False
            )
        return key

    def _scope(self, key: str, request: Request) -> None:
        scopes = self.keys[key]
        if scopes is None:
            return
        room, needed = scope(request.path), "read" if request.method == "GET" else "write"
        if LEVELS.index(scopes.get(room, "none")) < LEVELS.index(needed):
            raise Refusal(
                403,
                f"The provided key '{_blurred(key)}' does not have the required permissions for this endpoint. Having "
                f"the 'rak_{room.rstrip('s')}_{needed}' permission would allow this request to continue.",
                code="more_permissions_required",
                stored=False,
            )


def scope(path: str) -> str:
    """The name under which a path is granted: `invoices`, `billing/meters`, `customers/balance_transactions`."""
    parts = path.strip("/").split("/")[1:]
    if parts[0] in ("billing", "core"):
        return "/".join(parts[:2])
    if parts[0] == "customers" and "balance_transactions" in parts:
        return "customers/balance_transactions"
    return parts[0]


def _session(world: World, token: str) -> None:
    ends = world.sessions.get(token)
    if ends is None:
        raise Refusal(401, "Invalid meter event session token provided.", code="invalid_token", stored=False)
    if ends <= world.now():
        raise Refusal(
            400,
            "The temporary session token has expired; create another meter event session.",
            kind="temporary_session_expired",
            code="billing_meter_event_session_expired",
            stored=False,
        )


def _blurred(key: str) -> str:
    return f"{key[:8]}{'*' * max(0, len(key) - 12)}{key[-4:]}"
