"""The file of gateways: who takes whom, real money only where it is said, secrets repeated nowhere."""

from __future__ import annotations

import pytest

from rating.errors import SpecError
from rating.specs.gateways import ChargebeeSpec, RecurlySpec, collection, gateways

STRIPE = "kind: stripe, key: sk_test_51HfooBARbazQUX"
KEY = "sk_test_51HfooBARbazQUX"
LIVE = "rk_live_51HfooBARbazQUX"


def test_a_gateway_in_two_lines() -> None:
    found = gateways("gateways.yaml", f"gateways:\n  main: {{kind: stripe, key: {KEY}}}\n")
    assert (found["main"].mode, found["main"].collection, found["main"].live) == ("invoices", "send_invoice", False)
    assert found["main"].key == KEY
    assert KEY not in repr(found)
    assert collection(found).gateway_of("anybody") == "main"
    assert collection({}).gateway_of("anybody") == ""


def test_customers_go_to_who_names_them_and_the_rest_to_the_default() -> None:
    found = gateways(
        "gateways.yaml",
        f"""
        gateways:
          eu: {{kind: stripe, key: {KEY}, customers: [acme]}}
          us: {{kind: stripe, key: {KEY}, default: true, webhook_secret: whsec_abc}}
        """,
    )
    who = collection(found)
    assert [who.gateway_of(customer) for customer in ("acme", "globex")] == ["eu", "us"]
    assert "whsec_abc" not in repr(found)


def test_a_live_key_needs_a_word() -> None:
    found = gateways("g.yaml", f"gateways:\n  main: {{kind: stripe, key: {LIVE}, live: true}}\n")
    assert found["main"].real_money


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("", "the file names no gateway; write gateways:"),
        ("main: {kind: stripe}", "the file names no gateway"),
        ("gateways: {main: {kind: stripes}}", "has no kind that is known; known are chargebee"),
        ("gateways: {main: {kind: stripe}}", 'key "key" is missing'),
        (f"gateways: {{main: {{kind: stripe, key: {LIVE}}}}}", "is a key for real money; write live: true beside it"),
        (f"gateways: {{main: {{kind: stripe, key: {KEY}, live: true}}}}", "is true and the key is one for tests"),
        (
            f"gateways: {{main: {{kind: stripe, key: {LIVE}, live: true, url: 'https://x.example'}}}}",
            "would send a key for real money elsewhere",
        ),
        (
            f"gateways: {{main: {{kind: stripe, key: {KEY}, url: 'http://x.example'}}}}",
            "would carry the key in the clear",
        ),
        ("gateways: {main: {kind: stripe, key: pk_test_123456}}", "is not a secret key of Stripe's"),
        ("gateways: {main: {kind: stripe, key: 515151}}", "is not a secret key of Stripe's"),
        (
            f"gateways: {{main: {{kind: stripe, key: {KEY}, webhook_secret: hunter2}}}}",
            "is not the secret of a webhook",
        ),
        (f"gateways: {{main: {{kind: stripe, key: {KEY}, workers: 99}}}}", "is not a whole number from 1 to 16"),
        (
            f"gateways: {{main: {{kind: stripe, key: {KEY}, documents: 'https://x.example'}}}}",
            "is no link to a document",
        ),
        (
            f"gateways: {{a: {{{STRIPE}, default: true}}, b: {{{STRIPE}, default: true}}}}",
            '"a" is the default already',
        ),
        (
            f"gateways: {{a: {{{STRIPE}, customers: [c]}}, b: {{{STRIPE}, customers: [c]}}}}",
            '"c" is taken by "a" already',
        ),
    ],
    ids=lambda text: text[:40],
)
def test_a_mistake_is_said_and_no_secret_is(written: str, said: str) -> None:
    with pytest.raises(SpecError) as raised:
        gateways("gateways.yaml", written)
    assert said in str(raised.value)
    assert not [secret for secret in (KEY, LIVE, "515151", "hunter2", "pk_test_123456") if secret in str(raised.value)]


def test_every_kind_in_a_line() -> None:
    found = gateways(
        "gateways.yaml",
        f"""
        gateways:
          main: {{kind: stripe, key: {KEY}}}
          books: {{kind: files, folder: handed, customers: [acme]}}
          cb: {{kind: chargebee, site: acme-test, key: test_AbCdEf0123456789, since: 2026-11-01}}
          rec: {{kind: recurly, key: 0123456789abcdef0123, region: eu, live: true}}
        """,
    )
    assert [spec.real_money for spec in found.values()] == [False, False, False, True]
    assert collection(found).gateway_of("acme") == "books"
    assert "test_AbC" not in repr(found)
    assert "0123456789abcdef" not in repr(found)


CHARGEBEE = "kind: chargebee, site: x, key: test_0123456789"
RECURLY = "kind: recurly, key: 0123456789abcdef0123, live: false"
ADD_ONS = "mode: usage, add_ons: {p/charge/calls: calls}"


def test_usage_is_told_under_their_names() -> None:
    found = gateways(
        "g.yaml",
        f"""
        gateways:
          cb: {{{CHARGEBEE}, mode: usage, items: {{"p/charge/calls/eu, gold": calls-USD-Monthly, p/fee: fee-USD}}}}
          rec: {{{RECURLY}, {ADD_ONS}, subscriptions: {{acme/p/2026-10-01: e28zov4fw0v2}}, grace_hours: 3}}
        """,
    )
    told = [spec for spec in found.values() if isinstance(spec, ChargebeeSpec | RecurlySpec)]
    assert [(spec.mode, dict(spec.products), spec.grace_hours) for spec in told] == [
        ("usage", {"p/charge/calls/eu, gold": "calls-USD-Monthly", "p/fee": "fee-USD"}, 24),
        ("usage", {"p/charge/calls": "calls"}, 3),
    ]


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("{kind: files}", 'key "folder" is missing'),
        ("{kind: files, folder: x, live: true}", "is true, and files move no money"),
        ("{kind: chargebee, site: x, key: live_0123456789}", "is a key for real money; write live: true beside it"),
        ("{kind: chargebee, site: x, key: sk_test_1}", "is not a key of Chargebee's"),
        ("{kind: recurly, key: 0123456789abcdef0123}", 'key "live" is missing'),
        (
            "{kind: chargebee, site: x, key: live_0123456789, live: true, url: 'https://x.example'}",
            "would send a key for real money elsewhere",
        ),
        (
            "{kind: recurly, key: 0123456789abcdef0123, live: true, url: 'https://x.example'}",
            "would send a key for real money elsewhere",
        ),
        ("{kind: recurly, key: 01-23, live: false}", "is not a private key of Recurly's"),
        (
            f"{{{CHARGEBEE}, mode: usage}}",
            "is usage, and no items are named; write items: {pro/charge/api_calls: THEIR",
        ),
        (f"{{{RECURLY}, mode: usage, add_ons: {{}}}}", "is usage, and no add_ons are named"),
        (f"{{{CHARGEBEE}, mode: metered}}", "mode"),
        (f"{{{CHARGEBEE}, items: {{p/fee: x}}}}", "is read with mode: usage only"),
        (f"{{{RECURLY}, grace_hours: 3}}", "is read with mode: usage only; write mode: usage, or leave it away"),
        (f"{{{RECURLY}, {ADD_ONS}, grace_hours: 12}}", "is not a whole number from 1 to 11"),
        (f"{{{RECURLY}, {ADD_ONS}, since: 2026-11-01}}", "usage is told from the billing period under way on"),
        (f"{{{RECURLY}, mode: usage, add_ons: {{calls: x}}}}", "is no product of ours; write PLAN/charge/CHARGE"),
        (f"{{{RECURLY}, mode: usage, add_ons: {{p/fee: a b}}}}", "is no name of theirs"),
        (f"{{{RECURLY}, {ADD_ONS}, subscriptions: {{s: a/b}}}}", "is no name of theirs"),
        (f"{{{RECURLY}, {ADD_ONS}, items: {{p/fee: x}}}}", "items"),
    ],
)
def test_mistakes_about_other_collectors(written: str, said: str) -> None:
    with pytest.raises(SpecError) as raised:
        gateways("g.yaml", f"gateways: {{one: {written}}}")
    assert said in str(raised.value)
    assert "sk_test_1" not in str(raised.value)
