"""Wallets as a fold: what a wallet holds at an instant, which grant pays, and where money goes back to."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rating.core.funding import burned_by, collected, granting, same_grant
from rating.core.money import Currency, Money
from rating.core.wallets import Grant, GrantAccount, GrantKind, MoveKind, Threshold, Wallet
from rating.errors import BookError, Contradiction, MixedCurrencies

USD, JPY = Currency("USD"), Currency("JPY")
START = datetime(2026, 10, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def usd(cents: int) -> Money:
    return Money(cents, USD)


def grant(reference: str, cents: int, priority: int = 0, expires: int | None = None) -> Grant:
    """Expires so many days after the start."""
    end = None if expires is None else START + expires * DAY
    return Grant("acme", reference, usd(cents), GrantKind.GRANT, priority, end)


def wallet(*grants: Grant) -> Wallet:
    """Granted an hour apart, in this order."""
    accounts = [GrantAccount(one, (granting(one, START + hour * DAY / 24),)) for hour, one in enumerate(grants)]
    return Wallet("acme", USD, tuple(accounts))


def drawn(held: Wallet, cents: int, day: int = 1) -> list[tuple[str, int]]:
    return [(move.reference, -move.change) for move in held.burned(usd(cents), "INV-000001", START + day * DAY)]


@pytest.mark.parametrize(
    ("story", "grants", "paid"),
    [
        ("one grant pays what is owed", [grant("a", 2000)], [("a", 1500)]),
        ("and no more than it holds", [grant("a", 900)], [("a", 900)]),
        ("a lower priority pays first", [grant("a", 1000, 2), grant("b", 1000, 1)], [("a", 500), ("b", 1000)]),
        ("whatever expires earlier", [grant("a", 1000, 2, 9), grant("b", 1000, 1)], [("a", 500), ("b", 1000)]),
        ("then what expires first", [grant("a", 1000), grant("b", 1000, expires=9)], [("a", 500), ("b", 1000)]),
        ("then what was granted first", [grant("a", 1000), grant("b", 1000)], [("a", 1000), ("b", 500)]),
        ("what expired pays nothing", [grant("a", 1000, expires=1), grant("b", 1000)], [("b", 1000)]),
        ("what expires a moment later does", [grant("a", 1000, expires=2)], [("a", 1000)]),
        ("an empty wallet pays nothing", [], []),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_invoice_of_fifteen_dollars_is_paid(story: str, grants: list[Grant], paid: list[tuple[str, int]]) -> None:
    assert drawn(wallet(*grants), 1500) == paid


def test_nothing_is_drawn_for_a_credit() -> None:
    assert drawn(wallet(grant("a", 1000)), -500) == []
    assert burned_by([wallet(grant("a", 1000))], [("acme", "INV-1", usd(-500))], START + DAY) == ()


def test_money_of_another_currency_pays_nothing() -> None:
    with pytest.raises(MixedCurrencies):
        wallet(grant("a", 1000)).burned(Money(500, JPY), "INV-1", START + DAY)
    owed = [("acme", "INV-1", Money(500, JPY)), ("other", "INV-2", usd(500)), ("acme", "INV-3", usd(700))]
    moves = burned_by([wallet(grant("a", 1000))], owed, START + DAY)
    assert [(move.invoice, move.change) for move in moves] == [("INV-3", -700)]


def test_expiry_is_no_entry_and_leaves_the_past_as_it_was() -> None:
    held = wallet(grant("a", 1000, expires=3), grant("b", 250))
    noon = START + DAY / 2
    assert held.balance(noon) == usd(1250)
    assert held.balance(START + 3 * DAY - timedelta(milliseconds=1)) == usd(1250)
    assert held.balance(START + 3 * DAY) == usd(250)
    assert held.balance(noon) == usd(1250)
    assert held.balance(START) == usd(1000), "the second grant came an hour later"
    assert held.balance(START - DAY) == usd(0)


def test_what_is_given_back_fills_the_last_to_pay_first() -> None:
    held = wallet(grant("free", 1000, expires=9), grant("paid", 1000))
    held = held.with_moves(held.burned(usd(1500), "INV-000001", START + DAY))
    assert held.paid("INV-000001") == usd(1500)
    back = held.returned("INV-000001", usd(700), "CN-000001", START + 2 * DAY)
    assert [(move.reference, move.change, move.kind) for move in back] == [
        ("paid", 500, MoveKind.RETURNED),
        ("free", 200, MoveKind.RETURNED),
    ]
    after = held.with_moves(back)
    assert after.paid("INV-000001") == usd(800)
    assert after.balance(START + 2 * DAY) == usd(1200)
    with pytest.raises(ValueError, match=r"paid 8\.00 USD of INV-000001 and cannot have back 9\.00 USD"):
        after.returned("INV-000001", usd(900), "CN-000002", START + 2 * DAY)
    # The free grant has expired by then: what comes back to it is worth nothing.
    whole = after.with_moves(after.returned("INV-000001", usd(800), "CN-000003", START + 10 * DAY))
    assert [account.left for account in whole.accounts] == [1000, 1000]
    assert whole.balance(START + 10 * DAY) == usd(1000)


def test_a_grant_is_worth_something_from_its_beginning() -> None:
    with pytest.raises(ValueError, match="more than zero"):
        grant("a", 0)
    with pytest.raises(ValueError, match="a reference that names it"):
        grant("", 100)
    with pytest.raises(BookError, match="would expire 2026-10-02T00:00:00"):
        granting(grant("a", 100, expires=1), START + DAY)


def test_no_step_leaves_less_than_nothing_or_more_than_was_granted() -> None:
    [account] = wallet(grant("a", 1000)).accounts
    for change in (-1001, 1):
        with pytest.raises(ValueError, match=r"holds 10\.00 USD of 10\.00 USD and cannot change by"):
            account.moved(change, MoveKind.BURNED, START)


def test_one_reference_is_one_payment() -> None:
    same_grant(replace(grant("a", 100), note="again"), grant("a", 100))
    with pytest.raises(Contradiction, match=r"kept as a grant of 1\.00 USD, priority 0 and is now a grant of 2\.00"):
        same_grant(grant("a", 200), grant("a", 100))


def test_each_fall_below_the_threshold_is_said_once() -> None:
    """10.00 that expires on the 9th, threshold 5.00; three invoices, a top-up in between."""
    held = replace(
        wallet(grant("a", 1000, expires=8)), thresholds=(Threshold("acme", usd(500), START + timedelta(hours=1)),)
    )
    for day, cents in ((1, 300), (2, 300), (3, 100)):
        held = held.with_moves(held.burned(usd(cents), f"INV-{day}", START + day * DAY))
    assert [(low.at, low.balance) for low in held.lows(START + 4 * DAY)] == [(START + 2 * DAY, usd(400))]
    more = GrantAccount(grant("b", 1000), (granting(grant("b", 1000), START + 5 * DAY),))
    held = replace(held, accounts=(*held.accounts, more))
    held = held.with_moves(held.burned(usd(600), "INV-5", START + 6 * DAY))
    # 3.00 of the first and 3.00 of the second are gone; 7.00 is left until a higher threshold says that it is low.
    held = replace(held, thresholds=(*held.thresholds, Threshold("acme", usd(800), START + 7 * DAY)))
    assert [(low.at, low.balance, low.threshold) for low in held.lows(START + 30 * DAY)] == [
        (START + 2 * DAY, usd(400), usd(500)),
        (START + 7 * DAY, usd(700), usd(800)),
    ]


def test_a_balance_at_the_threshold_is_low() -> None:
    held = replace(wallet(grant("a", 1000)), thresholds=(Threshold("acme", usd(400), START),))
    held = held.with_moves(held.burned(usd(599), "INV-1", START + DAY))
    assert list(held.lows(START + DAY)) == []
    held = held.with_moves(held.burned(usd(1), "INV-2", START + 2 * DAY))
    assert [low.balance for low in held.lows(START + 2 * DAY)] == [usd(400)]


def test_expiry_alone_may_cross_the_threshold() -> None:
    held = replace(wallet(grant("a", 1000, expires=8)), thresholds=(Threshold("acme", usd(500), START),))
    assert list(held.lows(START + 8 * DAY - timedelta(seconds=1))) == []
    [low] = held.lows(START + 8 * DAY)
    assert (low.at, low.balance) == (START + 8 * DAY, usd(0))


GRANTS = st.lists(
    st.tuples(st.integers(1, 900), st.integers(0, 2), st.one_of(st.none(), st.integers(1, 6))), max_size=5
)
EVENTS = st.lists(
    st.tuples(st.sampled_from(["burn", "back", "take"]), st.integers(0, 700), st.integers(0, 4)), max_size=12
)


@settings(max_examples=60)
@given(GRANTS, EVENTS)
def test_the_fold_of_the_entries_is_the_balance(grants, events) -> None:
    """Against the slow, obvious computation: a dictionary of cents, changed as one would by hand."""
    held = wallet(*(grant(f"g{n}", *one) for n, one in enumerate(grants)))
    cents = {account.grant.reference: account.grant.amount.minor for account in held.accounts}
    past: list[tuple[datetime, Money]] = []
    for day, (kind, amount, which) in enumerate(events, start=1):
        now = START + day * DAY
        moves = ()
        if kind == "burn":
            usable = [one for one in held.accounts if one.grant.expires is None or one.grant.expires > now]
            before = sum(cents[one.grant.reference] for one in usable)
            moves = held.burned(usd(amount), f"INV-{day}", now)
            assert -sum(move.change for move in moves) == min(amount, before)
            assert {move.reference for move in moves} <= {one.grant.reference for one in usable}
        elif kind == "back" and day > 1:
            invoice = f"INV-{which % day}"
            part = min(amount, held.paid(invoice).minor)
            moves = held.returned(invoice, usd(part), f"CN-{day}", now)
            assert sum(move.change for move in moves) == part
        elif kind == "take" and held.accounts:
            account = held.accounts[which % len(held.accounts)]
            moves = (account.moved(-account.left, MoveKind.WITHDRAWN, now),) if account.left else ()
        for move in moves:
            assert cents[move.reference] == move.before
            cents[move.reference] += move.change
        held = held.with_moves(moves)
        worth = sum(
            cents[one.grant.reference] for one in held.accounts if one.grant.expires is None or one.grant.expires > now
        )
        assert all(left >= 0 for left in cents.values())
        assert held.balance(now) == usd(worth)
        past.append((now, held.balance(now)))
        assert [held.balance(at) for at, _ in past] == [balance for _, balance in past], "the past has changed"


@settings(max_examples=60)
@given(GRANTS, st.permutations([("INV-1", 130), ("INV-2", 977), ("INV-3", 5), ("INV-4", 400)]))
def test_the_order_of_invoices_does_not_change_what_they_burn_together(grants, owed) -> None:
    held = wallet(*(grant(f"g{n}", *one) for n, one in enumerate(grants)))
    now = START + DAY
    before = held.balance(now)
    moves = burned_by([held], [("acme", number, usd(cents)) for number, cents in owed], now)
    assert -sum(move.change for move in moves) == min(before.minor, 130 + 977 + 5 + 400)
    assert _steps_follow(moves)


def _steps_follow(moves: Iterable) -> bool:
    last: dict[str, tuple[int, int]] = {}
    for move in moves:
        if move.reference in last and last[move.reference] != (move.step - 1, move.before):
            return False
        last[move.reference] = move.step, move.after
    return True


def test_wallets_are_by_customer_and_currency() -> None:
    yen = Grant("acme", "y", Money(500, JPY))
    other = Grant("beta", "z", usd(5))
    accounts = [GrantAccount(one, (granting(one, START),)) for one in (other, yen, grant("a", 1))]
    found = collected(accounts, [Threshold("gamma", usd(1), START)])
    assert [(one.customer, one.currency.code, len(one.accounts)) for one in found] == [
        ("acme", "JPY", 1),
        ("acme", "USD", 1),
        ("beta", "USD", 1),
        ("gamma", "USD", 0),
    ]
