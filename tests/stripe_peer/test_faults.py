"""Faults on purpose, and what idempotency keys remember of them."""

from __future__ import annotations

import threading

import pytest
import stripe

from tests.stripe_peer.peer import StripePeer

KEY = {"idempotency_key": "customer:acme"}


def names(peer: StripePeer) -> list[str]:
    return [customer["name"] for customer in peer.state()["customers"]]


def test_the_same_key_gives_the_same_answer_once_the_work_is_done(stripe_peer: StripePeer) -> None:
    client = stripe_peer.client()
    first = client.v1.customers.create({"name": "Acme"}, KEY)
    again = client.v1.customers.create({"name": "Acme"}, KEY)
    assert first.id == again.id
    assert names(stripe_peer) == ["Acme"]
    assert again.last_response.headers["Idempotent-Replayed"] == "true"
    assert [one["replayed"] for one in stripe_peer.requests()] == [False, True]


def test_a_key_belongs_to_its_parameters_and_its_endpoint(stripe_peer: StripePeer) -> None:
    client = stripe_peer.client()
    client.v1.customers.create({"name": "Acme"}, KEY)
    with pytest.raises(stripe.IdempotencyError, match="same parameters"):
        client.v1.customers.create({"name": "Other"}, KEY)
    with pytest.raises(stripe.IdempotencyError, match="same endpoint"):
        client.v1.products.create({"name": "Acme"}, KEY)


def test_a_key_is_forgotten_after_a_day(stripe_peer: StripePeer) -> None:
    client = stripe_peer.client()
    client.v1.customers.create({"name": "Acme"}, KEY)
    stripe_peer.advance(86_399)
    client.v1.customers.create({"name": "Acme"}, KEY)
    stripe_peer.advance(1)
    client.v1.customers.create({"name": "Acme"}, KEY)
    assert names(stripe_peer) == ["Acme", "Acme"]


def test_refused_parameters_leave_the_key_free_and_refused_work_does_not(stripe_peer: StripePeer) -> None:
    client = stripe_peer.client()
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.customers.create({"nam": "Acme"}, KEY)  # type: ignore[typeddict-unknown-key]
    client.v1.customers.create({"name": "Acme"}, KEY)
    for _ in range(2):
        with pytest.raises(stripe.InvalidRequestError, match="No such customer"):
            client.v1.invoices.create({"customer": "cus_none"}, {"idempotency_key": "invoice"})
    assert [one["replayed"] for one in stripe_peer.requests()] == [False, False, False, True]


def test_the_same_key_at_once_is_a_conflict(stripe_peer: StripePeer) -> None:
    stripe_peer.fail(kind="held", path="/v1/customers")
    first = threading.Thread(target=lambda: stripe_peer.client().v1.customers.create({"name": "Acme"}, KEY))
    first.start()
    while not stripe_peer.requests():
        pass
    with pytest.raises(stripe.APIError) as conflict:
        stripe_peer.client().v1.customers.create({"name": "Acme"}, KEY)
    stripe_peer.clear_faults()
    first.join()
    assert conflict.value.http_status == 409
    assert conflict.value.json_body["error"]["code"] == "idempotency_key_in_use"
    assert names(stripe_peer) == ["Acme"]


AFTER = {
    "a 500 after the work is answered again": ({"status": 500}, [500, 500, 500], 1),
    "a 500 whose true answer is kept": ({"status": 500, "stored": "answer"}, [500, 200], 1),
    "a 500 whose key is lost does the work twice": ({"status": 500, "stored": "nothing"}, [500, 200], 2),
    "a connection cut after the work": ({"kind": "cut"}, ["cut", 200], 1),
}


@pytest.mark.parametrize("what", AFTER)
def test_after_the_work(what: str, stripe_peer: StripePeer) -> None:
    script, statuses, made = AFTER[what]
    stripe_peer.fail(path="/v1/customers", when="after", **script)
    client = stripe_peer.client(max_network_retries=2)
    if statuses[-1] == 200:
        client.v1.customers.create({"name": "Acme"}, KEY)
    else:
        with pytest.raises(stripe.APIError):
            client.v1.customers.create({"name": "Acme"}, KEY)
    assert [one["status"] for one in stripe_peer.requests()] == statuses
    assert len(names(stripe_peer)) == made


BEFORE = {
    "a 500 is tried again": ({"status": 500}, [500, 200]),
    "a 409 is tried again": ({"status": 409}, [409, 200]),
    "a 429 that says so is tried again": ({"status": 429, "headers": {"Stripe-Should-Retry": "true"}}, [429, 200]),
    "a connection cut before the work": ({"kind": "cut"}, ["cut", 200]),
    "two failures, after one request that passes": ({"status": 500, "times": 2, "path": "/v1/c*"}, [500, 500, 200]),
}


@pytest.mark.parametrize("what", BEFORE)
def test_before_the_work(what: str, stripe_peer: StripePeer) -> None:
    script, statuses = BEFORE[what]
    stripe_peer.fail(**{"path": "/v1/customers", **script})
    stripe_peer.client(max_network_retries=2).v1.customers.create({"name": "Acme"})
    assert [one["status"] for one in stripe_peer.requests()] == statuses
    assert names(stripe_peer) == ["Acme"]


def test_a_429_alone_is_not_tried_again_and_says_when(stripe_peer: StripePeer) -> None:
    stripe_peer.fail(status=429, headers={"Retry-After": "7"})
    with pytest.raises(stripe.RateLimitError) as limited:
        stripe_peer.client(max_network_retries=2).v1.customers.create({"name": "Acme"})
    assert limited.value.headers is not None
    assert limited.value.headers["Retry-After"] == "7"
    assert len(stripe_peer.requests()) == 1


def test_a_fault_strikes_one_numbered_request(stripe_peer: StripePeer) -> None:
    client = stripe_peer.client()
    stripe_peer.fail(number=2, status=500)
    client.v1.customers.create({"name": "one"})
    with pytest.raises(stripe.APIError):
        client.v1.customers.create({"name": "two"})
    client.v1.customers.create({"name": "three"})
    assert names(stripe_peer) == ["one", "three"]


def test_a_silent_server_is_given_up_and_has_done_the_work(stripe_peer: StripePeer) -> None:
    stripe_peer.fail(kind="silence", when="after")
    client = stripe_peer.client(http_client=stripe.RequestsClient(timeout=0.3))
    with pytest.raises(stripe.APIConnectionError):
        client.v1.customers.create({"name": "Acme"}, KEY)
    assert client.v1.customers.create({"name": "Acme"}, KEY).name == "Acme"
    assert names(stripe_peer) == ["Acme"]


def test_keys_scopes_and_versions_are_looked_at(stripe_peer: StripePeer) -> None:
    stripe_peer.keys(rk_test_reader={"customers": "read"})
    with pytest.raises(stripe.AuthenticationError, match="Invalid API Key"):
        stripe_peer.client("sk_test_somebody").v1.customers.list()
    reader = stripe_peer.client("rk_test_reader")
    assert reader.v1.customers.list().data == []
    for call in (lambda: reader.v1.customers.create(), lambda: reader.v1.invoices.list()):
        with pytest.raises(stripe.PermissionError, match="required permissions"):
            call()
    with pytest.raises(stripe.InvalidRequestError, match="API version"):
        stripe_peer.client(stripe_version="2024-06-20").v1.customers.list()
    assert names(stripe_peer) == []


def test_what_is_unknown_is_404_and_what_is_not_served_says_so(stripe_peer: StripePeer) -> None:
    client = stripe_peer.client()
    with pytest.raises(stripe.InvalidRequestError, match="Unrecognized request URL") as unknown:
        client.raw_request("get", "/v1/nothing")
    assert unknown.value.http_status == 404
    with pytest.raises(stripe.APIError, match="does not serve") as unserved:
        client.v1.coupons.create({"percent_off": 10})
    assert unserved.value.http_status == 501
    with pytest.raises(stripe.APIError, match="does not serve the parameter tax_id_data"):
        client.v1.customers.create({"tax_id_data": [{"type": "eu_vat", "value": "DE123456789"}]})
