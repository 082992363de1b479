"""Rules about wallets: each grant's steps follow each other, and what was burned paid an invoice that is there."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from rating.core.checks.records import Record
from rating.core.money import Currency, Money
from rating.core.wallets import MoveKind
from rating.errors import Finding


class MoveRecord(NamedTuple):
    """A row of `wallet_moves` as stored, beside its grant's."""

    customer: str
    reference: str
    currency: str
    minor: int
    expires: int | None
    """In whole seconds; `at` is in milliseconds."""
    step: int
    previous: int | None
    before: int
    change: int
    after: int
    kind: str
    invoice: str
    cause: str
    at: int


def grants_move_step_by_step(moves: Sequence[MoveRecord]) -> Iterator[Finding]:
    """A grant begins with its whole amount; each step goes on from the one before, and none leaves less than nothing
    or more than was granted.
    """
    for (customer, reference), steps in _by_grant(moves).items():
        expected, had = 0, 0
        for one in steps:
            where = f"grant {reference} of {customer}, step {one.step}"
            previous = None if expected == 0 else expected - 1
            if (one.step, one.previous, one.before) != (expected, previous, had):
                yield Finding(
                    where,
                    f"begins with {_money(one, one.before)} but must be step {expected} and begin with "
                    f"{_money(one, had)}",
                    "a step was removed, added or changed past the program; compare with a backup",
                )
            if one.after != one.before + one.change or not 0 <= one.after <= one.minor:
                yield Finding(
                    where,
                    f"goes from {_money(one, one.before)} by {_money(one, one.change)} to {_money(one, one.after)} "
                    f"of {_money(one, one.minor)}",
                    "it was changed past the program; compare with a backup",
                )
            if (one.kind == MoveKind.GRANTED) != (expected == 0) or (expected == 0 and one.change != one.minor):
                yield Finding(
                    where,
                    f"is {one.kind} of {_money(one, one.change)}, and {_money(one, one.minor)} were granted",
                    "a grant begins with its whole amount, once; compare with a backup",
                )
            expected, had = one.step + 1, one.after


def wallets_fold_to_their_balance(moves: Sequence[MoveRecord]) -> Iterator[Finding]:
    """What was put in less what was taken out is what the last steps say is left."""
    for (customer, reference), steps in _by_grant(moves).items():
        summed, left = sum(one.change for one in steps), steps[-1].after
        if summed != left:
            yield Finding(
                f"grant {reference} of {customer}",
                f"its moves sum to {_money(steps[-1], summed)} but {_money(steps[-1], left)} is left",
                "a step was removed, added or changed past the program; compare with a backup",
            )


def moves_keep_their_sign(moves: Sequence[MoveRecord]) -> Iterator[Finding]:
    """Burning and withdrawing take out, granting and returning put in."""
    puts_in = {MoveKind.GRANTED: True, MoveKind.RETURNED: True, MoveKind.BURNED: False, MoveKind.WITHDRAWN: False}
    for one in moves:
        if one.kind not in puts_in or one.change == 0 or (one.change > 0) != puts_in[MoveKind(one.kind)]:
            yield Finding(
                f"grant {one.reference} of {one.customer}, step {one.step}",
                f"is {one.kind!r} and changes it by {_money(one, one.change)}",
                "it was changed past the program; compare with a backup",
            )


def nothing_expired_is_burned(moves: Sequence[MoveRecord]) -> Iterator[Finding]:
    """A grant pays before it expires."""
    for one in moves:
        if one.kind == MoveKind.BURNED and one.expires is not None and one.at >= one.expires * 1000:
            yield Finding(
                f"grant {one.reference} of {one.customer}, step {one.step}",
                f"paid {one.invoice} at {one.at} ms since 1970, but expired at {one.expires * 1000}",
                "compare with a backup",
            )


def wallets_pay_invoices(moves: Sequence[MoveRecord], records: Sequence[Record]) -> Iterator[Finding]:
    """What is burned pays an issued invoice of the same customer and currency, and never more than its total."""
    invoices = {one.number: one for one in records}
    paid: dict[str, int] = defaultdict(int)
    for one in moves:
        if one.kind not in (MoveKind.BURNED, MoveKind.RETURNED):
            continue
        invoice = invoices.get(one.invoice)
        if invoice is None or (invoice.customer, invoice.currency) != (one.customer, one.currency):
            said = "is not in the book" if invoice is None else f"is {invoice.customer}'s, in {invoice.currency}"
            yield Finding(
                f"grant {one.reference} of {one.customer}, step {one.step}",
                f"is {one.kind} in {one.currency} for invoice {one.invoice!r}, which {said}",
                "compare with a backup",
            )
            continue
        paid[one.invoice] -= one.change
    for number, minor in paid.items():
        total = invoices[number].total_minor
        if not 0 <= minor <= max(total, 0):
            currency = Currency(invoices[number].currency)
            yield Finding(
                f"invoice {number}",
                f"wallets paid {Money(minor, currency)} of its {Money(total, currency)}",
                "a move was added or removed past the program; compare with a backup",
            )


def check_wallets(moves: Sequence[MoveRecord], records: Sequence[Record]) -> Iterator[Finding]:
    for rule in (
        grants_move_step_by_step,
        wallets_fold_to_their_balance,
        moves_keep_their_sign,
        nothing_expired_is_burned,
    ):
        yield from rule(moves)
    yield from wallets_pay_invoices(moves, records)


def _by_grant(moves: Sequence[MoveRecord]) -> dict[tuple[str, str], list[MoveRecord]]:
    found: dict[tuple[str, str], list[MoveRecord]] = {}
    for one in moves:
        found.setdefault((one.customer, one.reference), []).append(one)
    for steps in found.values():
        steps.sort(key=lambda one: one.step)
    return found


def _money(one: MoveRecord, minor: int) -> str:
    try:
        return str(Money(minor, Currency(one.currency)))
    except ValueError:
        return f"{minor} {one.currency}"
