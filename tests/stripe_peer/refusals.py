"""What the server refuses, in the shape of Stripe's errors: a status and an error object."""

from __future__ import annotations

from typing import Any


class Refusal(Exception):
    """An answer that is an error. `stored` says whether an idempotency key remembers it.

    Stripe remembers what an endpoint answered once it began to execute, 500s included; it does not remember refusals
    of parameters, keys, limits and locks, which come before.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        kind: str = "invalid_request_error",
        code: str | None = None,
        param: str | None = None,
        headers: dict[str, str] | None = None,
        stored: bool = True,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers or {}
        self.stored = stored
        error: dict[str, Any] = {"message": message, "type": kind}
        if code is not None:
            error["code"] = code
            error["doc_url"] = f"https://stripe.com/docs/error-codes/{code.replace('_', '-')}"
        if param is not None:
            error["param"] = param
        self.body = {"error": error}


def wrong(message: str, param: str | None = None, code: str | None = None) -> Refusal:
    """A request whose parameters break a rule, found while it was carried out."""
    return Refusal(400, message, code=code, param=param)


def invalid(message: str, param: str, code: str | None = None) -> Refusal:
    """A parameter of the wrong name or type: refused before anything is carried out."""
    return Refusal(400, message, code=code, param=param, stored=False)


def missing(what: str, name: str, param: str = "id") -> Refusal:
    return Refusal(404, f"No such {what}: '{name}'", code="resource_missing", param=param)


def unserved(what: str) -> Refusal:
    """Something the real API does and this server does not: said loudly, so that no test passes on it."""
    return Refusal(501, f"tests/stripe_peer does not serve {what}", kind="api_error", stored=False)
