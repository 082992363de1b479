"""Every exception class of the stripe library is one of ours, and none of them shows a key."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import stripe
from stripe import _error, oauth_error

from rating.adapters.stripe.errors import KNOWN, at_once, masked, passing, retry_after, translated
from rating.errors import EdgeDisagrees, EdgeError, EdgeRefused, EdgeUnavailable

KEY = "sk_test_51HfooBARbazQUX"


def descendants(of: type[Exception]) -> Iterator[type[Exception]]:
    for one in of.__subclasses__():
        yield one
        yield from descendants(one)


def classes() -> list[type[Exception]]:
    """Whatever the two modules of errors define, and whatever else the library derives from its root."""
    written = [
        one
        for module in (_error, oauth_error)
        for one in vars(module).values()
        if isinstance(one, type) and issubclass(one, Exception)
    ]
    found = {*written, *descendants(stripe.StripeError)} - {stripe.StripeError}
    return sorted((one for one in found if one.__module__.startswith("stripe")), key=lambda one: one.__qualname__)


def raised(kind: type[Any], **more: Any) -> Any:
    """One of that class, whatever its constructor wants."""
    error = kind.__new__(kind)
    _error.StripeError.__init__(error, more.pop("message", "no"), **more)
    error.should_retry = True
    return error


def test_there_are_classes_to_map() -> None:
    assert {_error.CardError, oauth_error.InvalidGrantError, _error.QuotaExceededError} <= set(classes())


@pytest.mark.parametrize("kind", classes(), ids=lambda kind: kind.__qualname__)
def test_every_class_of_the_library_is_mapped(kind: type[Exception]) -> None:
    assert issubclass(kind, KNOWN), f"say in rating/adapters/stripe/errors.py what {kind} means"
    ours = translated(raised(kind, http_status=400), "create invoice INV-000001")
    assert isinstance(ours, EdgeUnavailable | EdgeRefused | EdgeDisagrees)
    assert str(ours).startswith("create invoice INV-000001: Stripe ")


def test_a_class_that_is_new_calls_a_person() -> None:
    class Newer(stripe.StripeError):
        pass

    assert isinstance(translated(raised(Newer), "x"), EdgeDisagrees)
    assert not issubclass(Newer, KNOWN)


@pytest.mark.parametrize(
    ("error", "ours", "again"),
    [
        (raised(stripe.APIError, http_status=500), EdgeUnavailable, True),
        (raised(stripe.APIError, http_status=500, headers={"stripe-should-retry": "false"}), EdgeUnavailable, False),
        (raised(stripe.APIError, http_status=409), EdgeUnavailable, True),
        (raised(stripe.APIError, http_status=424), EdgeUnavailable, False),
        (raised(stripe.APIError, http_status=405), EdgeRefused, False),
        (raised(stripe.APIError, http_status=200), EdgeUnavailable, False),
        (raised(stripe.RateLimitError, http_status=429), EdgeUnavailable, False),
        (
            raised(stripe.RateLimitError, http_status=429, headers={"Stripe-Should-Retry": "true"}),
            EdgeUnavailable,
            True,
        ),
        (raised(stripe.InvalidRequestError, http_status=400), EdgeRefused, False),
        (raised(stripe.InvalidRequestError, http_status=400, code="lock_timeout"), EdgeUnavailable, False),
        (raised(stripe.IdempotencyError, http_status=400), EdgeDisagrees, False),
        (raised(stripe.AuthenticationError, http_status=401), EdgeUnavailable, False),
        (raised(stripe.PermissionError, http_status=403), EdgeUnavailable, False),
        (raised(stripe.CardError, http_status=402), EdgeRefused, False),
        (raised(stripe.APIConnectionError), EdgeUnavailable, True),
    ],
    ids=lambda value: f"{type(value).__name__}-{value.http_status}" if isinstance(value, Exception) else "",
)
def test_what_the_caller_should_do(error: Any, ours: type[EdgeError], again: bool) -> None:
    assert type(translated(error, "x")) is ours
    assert at_once(error) is again
    assert passing(error) is (ours is EdgeUnavailable)


def test_how_long_stripe_asked_us_to_wait_is_passed_on() -> None:
    error = raised(stripe.RateLimitError, http_status=429, headers={"Retry-After": "17"})
    ours = translated(error, "x")
    assert isinstance(ours, EdgeUnavailable)
    assert ours.retry_after == timedelta(seconds=17)
    assert retry_after(raised(stripe.RateLimitError, headers={"retry-after": "Wed, 21 Oct"})) is None


def test_no_key_is_shown_by_an_error() -> None:
    said = f"Invalid API Key provided: {KEY}; rk_live_123456 and whsec_abcdef0 too"
    try:
        raise translated(raised(stripe.AuthenticationError, message=said, http_status=401), "x")
    except EdgeUnavailable as ours:
        shown = "".join(traceback.format_exception(ours)) + repr(ours)
    assert "sk_test_***" in shown
    assert "rk_live_***" in shown
    assert not [secret for secret in (KEY, "123456", "abcdef0") if secret in shown]


def test_names_that_only_look_alike_stay_as_they_are() -> None:
    assert masked("task_test_1234 and in_1Mt, cus_Nff") == "task_test_1234 and in_1Mt, cus_Nff"
