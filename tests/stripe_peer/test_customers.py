"""Customers: found by id, list, cursor and search; and the pages that every list has."""

from __future__ import annotations

import pytest
import stripe

from tests.stripe_peer.peer import StripePeer


@pytest.fixture
def client(stripe_peer: StripePeer) -> stripe.StripeClient:
    return stripe_peer.client()


def test_a_customer_is_made_changed_and_deleted(client: stripe.StripeClient) -> None:
    made = client.v1.customers.create({"name": "Acme", "metadata": {"id": "acme", "plan": "pro"}})
    changed = client.v1.customers.update(made.id, {"email": "a@acme.example", "metadata": {"plan": "", "city": "Ulm"}})
    assert (changed.name, changed.email) == ("Acme", "a@acme.example")
    assert changed.metadata.to_dict() == {"id": "acme", "city": "Ulm"}  # type: ignore[union-attr]
    assert client.v1.customers.update(made.id, {"metadata": ""}).metadata.to_dict() == {}  # type: ignore[union-attr]
    assert client.v1.customers.delete(made.id).deleted
    assert client.v1.customers.retrieve(made.id).deleted
    for gone in (
        lambda: client.v1.customers.update(made.id, {"name": "x"}),
        lambda: client.v1.customers.delete(made.id),
    ):
        with pytest.raises(stripe.InvalidRequestError) as missing:
            gone()
        assert missing.value.code == "resource_missing"


def test_pages_run_from_the_newest_by_cursor(client: stripe.StripeClient) -> None:
    made = [client.v1.customers.create({"name": str(number)}).id for number in range(7)]
    first = client.v1.customers.list({"limit": 3})
    assert ([one.id for one in first.data], first.has_more) == (made[:3:-1], True)
    second = client.v1.customers.list({"limit": 3, "starting_after": first.data[-1].id})
    assert [one.id for one in second.data] == [made[3], made[2], made[1]]
    back = client.v1.customers.list({"limit": 2, "ending_before": second.data[-1].id})
    assert ([one.id for one in back.data], back.has_more) == ([made[3], made[2]], True)
    assert [one.id for one in client.v1.customers.list({"limit": 2}).auto_paging_iter()] == made[::-1]
    for limit in (0, 101):
        with pytest.raises(stripe.InvalidRequestError, match="between 1 and 100"):
            client.v1.customers.list({"limit": limit})
    with pytest.raises(stripe.InvalidRequestError, match="cus_none"):
        client.v1.customers.list({"starting_after": "cus_none"})


def test_lists_are_narrowed_by_email_and_time(stripe_peer: StripePeer, client: stripe.StripeClient) -> None:
    start = stripe_peer.now()
    for number in range(4):
        client.v1.customers.create({"email": f"{number % 2}@acme.example"})
        stripe_peer.advance(10)
    assert len(client.v1.customers.list({"email": "1@acme.example"}).data) == 2
    spans = {"gte": 3, "gt": 2, "lt": 1, "lte": 2}
    assert {how: len(client.v1.customers.list({"created": {how: start + 10}}).data) for how in spans} == spans  # type: ignore[misc]


def test_search_finds_by_metadata_a_minute_late(stripe_peer: StripePeer, client: stripe.StripeClient) -> None:
    for name in ("a'b", "c"):
        client.v1.customers.create({"name": name, "metadata": {"id": name, "by": "us"}})
    assert client.v1.customers.search({"query": "metadata['by']:'us'"}).data == []
    stripe_peer.advance(59)
    assert client.v1.customers.search({"query": "metadata['by']:'us'"}).data == []
    stripe_peer.advance(1)
    found = {
        "metadata['by']:'us'": 2,
        "metadata['id']:'a\\'b'": 1,
        "metadata['id']:'none'": 0,
        "metadata['by']:'us' AND metadata['id']:'c'": 1,
        "metadata['id']:'c' OR name:'none'": 1,
        "-metadata['id']:'c'": 1,
        "metadata['id']:null": 0,
    }
    assert {query: len(client.v1.customers.search({"query": query}).data) for query in found} == found
    with pytest.raises(stripe.InvalidRequestError, match="parse"):
        client.v1.customers.search({"query": "metadata[id]=c"})


def test_texts_have_stripes_lengths(client: stripe.StripeClient) -> None:
    for name, longest in (("name", 256), ("phone", 20), ("description", 5_000)):
        client.v1.customers.create({name: "x" * longest})  # type: ignore[misc]
        with pytest.raises(stripe.InvalidRequestError, match=f"at most {longest} characters") as refused:
            client.v1.customers.create({name: "x" * (longest + 1)})  # type: ignore[misc]
        assert refused.value.param == name


def test_what_is_asked_to_be_expanded_is(client: stripe.StripeClient) -> None:
    customer = client.v1.customers.create({"name": "Acme", "email": "a@acme.example"})
    invoice = client.v1.invoices.create({"customer": customer.id})
    assert client.v1.invoices.retrieve(invoice.id, {"expand": ["customer"]}).customer.name == "Acme"  # type: ignore[union-attr]
    listed = client.v1.invoices.list({"expand": ["data.customer"]}).data[0]
    assert listed.customer.name == "Acme"  # type: ignore[union-attr]
    with pytest.raises(stripe.InvalidRequestError, match="cannot be expanded"):
        client.v1.invoices.retrieve(invoice.id, {"expand": ["nothing"]})
