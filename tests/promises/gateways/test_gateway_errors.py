"""Errors of the libraries that gateways use: each becomes one of ours, and none tells a secret."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta

import chargebee
import pytest
import recurly
from chargebee import api_error

from rating.adapters.chargebee.site import KNOWN, Site
from rating.adapters.recurly.account import Account
from rating.errors import EdgeRefused, EdgeUnavailable

from .chargebee_site import KEY, ChargebeeSite
from .other_peers import ChargebeePeer, RecurlyPeer
from .papers import NOW, BookTrail, month
from .recurly_site import KEY as RECURLY_KEY
from .recurly_site import RecurlySite
from .services import Refusal


@pytest.fixture(params=["chargebee", "recurly"])
def service(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[ChargebeePeer | RecurlyPeer]:
    if request.param == "chargebee":
        with closing(ChargebeeSite()) as site:
            yield ChargebeePeer(site, monkeypatch)
        return
    with closing(RecurlySite()) as other:
        yield RecurlyPeer(other, monkeypatch)


def test_every_error_of_chargebee_is_known() -> None:
    found = {one for _, one in inspect.getmembers(api_error, inspect.isclass) if issubclass(one, Exception)}
    assert found == set(KNOWN)
    site = Site("acme-test", KEY)
    for kind in found:
        for status, ours in (
            (400, EdgeRefused),
            (429, EdgeUnavailable),
            (503, EdgeUnavailable),
            (401, EdgeUnavailable),
        ):
            error = kind(status, {"message": f"no {KEY}", "api_error_code": "x"}, {"retry-after": "7"})
            said = site.translated(error, "import invoice INV-1")
            assert type(said) is ours
            assert KEY not in str(said)
            assert str(said).startswith("import invoice INV-1: Chargebee site acme-test answered")
            if isinstance(said, EdgeUnavailable):
                assert said.retry_after == timedelta(seconds=7)


def test_every_error_of_recurly_becomes_one_of_ours() -> None:
    found = {one for _, one in inspect.getmembers(recurly.errors, inspect.isclass)}
    found |= {recurly.ApiError, recurly.NetworkError, recurly.RecurlyError}
    assert len(found) > 25
    waits = {
        "ServerError", "InternalServerError", "ServiceNotAvailableError", "TaxServiceError", "BadGatewayError",
        "ServiceUnavailableError", "TimeoutError", "UnauthorizedError", "ForbiddenError", "InvalidApiKeyError",
        "InvalidPermissionsError", "SimultaneousRequestError", "TooManyRequestsError", "RateLimitedError",
        "NetworkError",
        # without a class of their own: an answer without a body
        "ApiError", "RecurlyError", "ClientError", "ResponseError", "RedirectionError", "NotModifiedError",
    }  # fmt: skip
    account = Account(RECURLY_KEY)
    for kind in found:
        error = kind(f"no {RECURLY_KEY}", None) if issubclass(kind, recurly.ApiError) else kind(f"no {RECURLY_KEY}")
        said = account.translated(error, "purchase")
        assert isinstance(said, EdgeUnavailable if kind.__name__ in waits else EdgeRefused), kind
        assert RECURLY_KEY not in str(said)


@pytest.mark.parametrize(
    ("status", "ours"), [(429, EdgeUnavailable), (500, EdgeUnavailable), (503, EdgeUnavailable), (422, EdgeRefused)]
)
def test_what_a_service_answers_decides_what_the_engine_does(
    service: ChargebeePeer | RecurlyPeer, status: int, ours: type[Exception]
) -> None:
    kinds = {429: "too_many_requests", 500: "internal_server_error", 503: "service_unavailable", 422: "validation"}
    body = {"message": "no", "api_error_code": "x", "error": {"type": kinds[status], "message": "no"}}
    service.site.fault = Refusal(status, body, {"X-Request-Id": "r1"})
    told, gateway = month(), service.gateway()
    one = told.dispatches[0]
    with pytest.raises(ours) as said:
        gateway.publish(one, BookTrail(told.book, gateway.name, one.subject, NOW), now=NOW)
    assert one.invoice.number in str(said.value) or one.customer in str(said.value)
    service.site.fault = None
    gateway.publish(one, BookTrail(told.book, gateway.name, one.subject, NOW), now=NOW)
    assert service.held().total() == 1


def test_a_service_that_is_not_there_is_tried_again(service: ChargebeePeer | RecurlyPeer) -> None:
    told, gateway = month(), service.gateway()
    one = told.dispatches[0]
    service.site.close()
    with pytest.raises(EdgeUnavailable, match="cannot be reached"):
        gateway.publish(one, BookTrail(told.book, gateway.name, one.subject, NOW), now=NOW)


def test_the_libraries_still_read_errors_as_we_do() -> None:
    """Their names, which our tables use."""
    assert issubclass(chargebee.InvalidRequestError, chargebee.APIError)
    assert issubclass(recurly.errors.SimultaneousRequestError, recurly.errors.UnprocessableEntityError)
