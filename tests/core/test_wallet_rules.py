"""Rules about wallets: a grant that is as it must be breaks none; each change breaks the rule that is about it."""

from __future__ import annotations

from typing import Any

import pytest

from rating.core.checks import MoveRecord, Record
from rating.core.checks.wallets import (
    check_wallets,
    grants_move_step_by_step,
    moves_keep_their_sign,
    nothing_expired_is_burned,
    wallets_fold_to_their_balance,
    wallets_pay_invoices,
)

INVOICES = [
    Record(1, "INV-000001", "k1", "c42", "acme", 0, 1, "USD", 600, 5, "", "", ""),
    Record(2, "INV-000002", "k2", "c77", "beta", 0, 1, "USD", 600, 5, "", "", ""),
]


def move(step: int, before: int, change: int, kind: str, **changed: Any) -> MoveRecord:
    previous = step - 1 if step else None
    invoice = "INV-000001" if kind in ("burned", "returned") else ""
    whole = MoveRecord(
        "acme", "pay", "USD", 1000, 90, step, previous, before, change, before + change, kind, invoice, "", 5 + step
    )
    return whole._replace(**changed)


MOVES = [
    move(0, 0, 1000, "granted"),
    move(1, 1000, -600, "burned"),
    move(2, 400, 200, "returned", cause="CN-000001"),
    move(3, 600, -600, "withdrawn", cause="paid out"),
]


def changed(step: int, **fields: Any) -> list[MoveRecord]:
    return [one._replace(**fields) if one.step == step else one for one in MOVES]


def test_a_wallet_as_it_must_be_breaks_no_rule() -> None:
    assert list(check_wallets(MOVES, INVOICES)) == []
    assert list(check_wallets([], [])) == []


@pytest.mark.parametrize(
    ("moves", "rules"),
    [
        (MOVES[1:], {"steps", "fold"}),
        ([MOVES[0], *MOVES[2:]], {"steps", "fold", "invoice"}),
        (changed(1, change=-500), {"steps", "fold"}),
        (changed(1, after=500), {"steps"}),
        (changed(3, after=-1, change=-601), {"steps"}),
        (changed(0, minor=900), {"steps"}),
        ([move(0, 0, 900, "granted", minor=1000)], {"steps"}),
        (changed(3, kind="granted"), {"steps", "sign"}),
        (changed(3, kind="lost"), {"sign"}),
        (changed(1, at=90_000), {"expired"}),
        (changed(1, invoice="INV-000002"), {"invoice"}),
        (changed(1, invoice="INV-000009"), {"invoice"}),
        ([MOVES[0], move(1, 1000, -601, "burned")], {"invoice"}),
        ([MOVES[0], move(1, 1000, -100, "burned"), move(2, 900, 100, "returned")], set()),
    ],
    ids=[
        "the granting is missing", "a step is missing", "a change changed", "an end changed", "below zero",
        "a smaller grant", "granted less than it says", "granted again", "no kind we know", "paid after it expired",
        "paid another customer's invoice", "paid an invoice that is not there", "paid more than the total",
        "given back",
    ],
)  # fmt: skip
def test_a_change_is_seen_by_its_rules(moves: list[MoveRecord], rules: set[str]) -> None:
    found = {
        "steps": list(grants_move_step_by_step(moves)),
        "fold": list(wallets_fold_to_their_balance(moves)),
        "sign": list(moves_keep_their_sign(moves)),
        "expired": list(nothing_expired_is_burned(moves)),
        "invoice": list(wallets_pay_invoices(moves, INVOICES)),
    }
    assert {name for name, findings in found.items() if findings} == rules
