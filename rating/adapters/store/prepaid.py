"""Wallets in the tables: granting, drawing on grants step by step, and reading them back. Runs inside a caller's
transaction; that no step ends below zero or begins at a stale one is the constraints' promise, not this file's.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, and_, func, select

from rating.adapters.store.bulk import among, batched, insert_new, insert_rows
from rating.adapters.store.engine import in_turn
from rating.adapters.store.tables import wallet_grants, wallet_lows, wallet_moves, wallet_thresholds
from rating.core.checks import MoveRecord
from rating.core.entries import keepable, recorded, whole_seconds
from rating.core.funding import collected, granting, same_grant, withdrawable
from rating.core.money import Currency, Money
from rating.core.periods import from_milliseconds, from_seconds, milliseconds
from rating.core.wallets import (
    Grant,
    GrantAccount,
    GrantKind,
    LowBalance,
    Move,
    MoveKind,
    Threshold,
    Wallet,
    WalletGlance,
    moved_after,
)

_MOVES = ("grant", "step", "previous", "before", "change", "after", "kind", "invoice", "cause", "at")


def fund(connection: Connection, grant: Grant, at: datetime) -> bool:
    in_turn(connection)
    wallet = _wallet(connection, grant.customer, grant.amount.currency)
    one = wallet_grants.c
    kept = connection.execute(
        select(wallet_grants).where(one.customer == grant.customer, one.reference == grant.reference)
    ).one_or_none()
    if kept is not None:
        same_grant(grant, _grant(kept))
        return False
    move = granting(grant, moved_after(recorded(at), wallet.moved_at))
    entry = {
        "customer": grant.customer,
        "reference": grant.reference,
        "currency": grant.amount.currency.code,
        "kind": grant.kind.value,
        "minor": grant.amount.minor,
        "priority": grant.priority,
        "expires": None if grant.expires is None else whole_seconds(grant.expires, f"grant {grant.reference}"),
        "note": grant.note,
        "author": grant.author,
    }
    number = insert_new(connection, wallet_grants, entry, one.id)
    assert number is not None
    connection.execute(wallet_moves.insert().values(dict(zip(_MOVES, _row(number, move), strict=True))))
    return True


def withdraw(connection: Connection, customer: str, reference: str, why: str, at: datetime) -> Move | None:
    in_turn(connection)
    wallets = select_wallets(connection, [customer])
    wallet, account = withdrawable(wallets, customer, reference)
    if not account.left:
        return None
    instant = moved_after(recorded(at), wallet.moved_at)
    move = account.moved(-account.left, MoveKind.WITHDRAWN, instant, cause=why)
    insert_moves(connection, [move])
    return move


def warn_below(connection: Connection, customer: str, amount: Money, at: datetime) -> bool:
    in_turn(connection)
    keepable(amount.minor, f"threshold of {customer}")
    kept = _wallet(connection, customer, amount.currency).thresholds
    if (kept[-1].amount if kept else Money(0, amount.currency)) == amount:
        return False
    instant = moved_after(recorded(at), kept[-1].at if kept else None)
    entry = {
        "customer": customer,
        "currency": amount.currency.code,
        "minor": amount.minor,
        "at": milliseconds(instant),
    }
    return insert_new(connection, wallet_thresholds, entry, wallet_thresholds.c.id) is not None


def insert_moves(connection: Connection, moves: Sequence[Move]) -> None:
    """Keep moves of grants that are there."""
    names = {(move.customer, move.reference) for move in moves}
    numbers: dict[tuple[str, str], int] = {}
    for some in batched(sorted({customer for customer, _ in names}), 500):
        found = connection.execute(
            select(wallet_grants.c.customer, wallet_grants.c.reference, wallet_grants.c.id).where(
                wallet_grants.c.customer.in_(some)
            )
        )
        numbers |= {(customer, reference): number for customer, reference, number in found}
    rows = (_row(numbers[move.customer, move.reference], move) for move in moves)
    insert_rows(connection, wallet_moves, _MOVES, rows)


def select_wallets(connection: Connection, customers: Collection[str] | None = None) -> tuple[Wallet, ...]:
    """Wallets by customer and currency: those of these customers, or all."""
    if customers is None:
        return _wallets(connection, None)
    found: list[Wallet] = []
    for some in batched(sorted(customers), 10_000):
        found += _wallets(connection, some)
    return tuple(found)


def glance(connection: Connection, at: datetime) -> tuple[WalletGlance, ...]:
    """From each grant's last step alone."""
    grants, moves, thresholds = wallet_grants.c, wallet_moves.c, wallet_thresholds.c
    last = select(moves.grant, func.max(moves.step).label("step")).group_by(moves.grant).subquery()
    held = connection.execute(
        select(grants.customer, grants.currency, grants.expires, moves.after)
        .join_from(wallet_moves, last, and_(last.c.grant == moves.grant, last.c.step == moves.step))
        .join(wallet_grants, grants.id == moves.grant)
    )
    balances: dict[tuple[str, str], int] = {}
    for customer, currency, expires, left in held:
        worth = expires is None or from_seconds(expires) > at
        balances[customer, currency] = balances.get((customer, currency), 0) + (left if worth else 0)
    said = select(thresholds.customer, thresholds.currency, thresholds.minor).order_by(thresholds.at)
    below = {(customer, currency): minor for customer, currency, minor in connection.execute(said)}
    return tuple(
        WalletGlance(
            customer,
            Money(balances.get((customer, currency), 0), Currency(currency)),
            Money(below[customer, currency], Currency(currency)) if (customer, currency) in below else None,
        )
        for customer, currency in sorted(balances.keys() | below.keys())
    )


def notice(connection: Connection, until: datetime) -> tuple[LowBalance, ...]:
    """Keep each fall below a threshold that is not kept yet, and return those."""
    watched = set(connection.scalars(select(wallet_thresholds.c.customer).distinct()))
    new = []
    for wallet in select_wallets(connection, watched):
        for low in wallet.lows(until):
            entry = {
                "customer": low.customer,
                "currency": wallet.currency.code,
                "at": milliseconds(low.at),
                "balance": low.balance.minor,
                "threshold": low.threshold.minor,
            }
            if insert_new(connection, wallet_lows, entry, wallet_lows.c.id) is not None:
                new.append(low)
    return tuple(new)


def lows(connection: Connection) -> tuple[LowBalance, ...]:
    one = wallet_lows.c
    return tuple(
        LowBalance(
            row.customer,
            from_milliseconds(row.at),
            Money(row.balance, Currency(row.currency)),
            Money(row.threshold, Currency(row.currency)),
        )
        for row in connection.execute(select(wallet_lows).order_by(one.at, one.customer, one.currency))
    )


def records(connection: Connection) -> Iterator[MoveRecord]:
    """Every move exactly as it is stored, beside its grant."""
    grants, moves = wallet_grants.c, wallet_moves.c
    statement = (
        select(
            grants.customer, grants.reference, grants.currency, grants.minor, grants.expires,
            moves.step, moves.previous, moves.before, moves.change, moves.after, moves.kind, moves.invoice,
            moves.cause, moves.at,
        )
        .join_from(wallet_moves, wallet_grants, grants.id == moves.grant)
        .order_by(grants.id, moves.step)
    )  # fmt: skip
    yield from (MoveRecord._make(row) for row in connection.execute(statement))


def _wallet(connection: Connection, customer: str, currency: Currency) -> Wallet:
    return next(
        (wallet for wallet in select_wallets(connection, [customer]) if wallet.currency == currency),
        Wallet(customer, currency),
    )


def select_accounts(connection: Connection, numbers: Sequence[int]) -> list[GrantAccount]:
    """These grants with their moves, in order of number."""
    rows = {row.id: row for row in connection.execute(select(wallet_grants).where(wallet_grants.c.id.in_(numbers)))}
    steps: dict[int, list[Move]] = {number: [] for number in rows}
    moves = select(wallet_moves).where(wallet_moves.c.grant.in_(numbers)).order_by(wallet_moves.c.step)
    for row in connection.execute(moves):
        steps[row.grant].append(_move(rows[row.grant], row))
    return [GrantAccount(_grant(rows[number]), tuple(steps[number])) for number in sorted(rows)]


def _wallets(connection: Connection, customers: Sequence[str] | None) -> tuple[Wallet, ...]:
    grants, moves, thresholds = select(wallet_grants), select(wallet_moves), select(wallet_thresholds)
    if customers is not None:
        grants = grants.where(among(connection, wallet_grants.c.customer, customers))
        moves = moves.join(
            wallet_grants,
            and_(wallet_grants.c.id == wallet_moves.c.grant, among(connection, wallet_grants.c.customer, customers)),
        )
        thresholds = thresholds.where(among(connection, wallet_thresholds.c.customer, customers))
    rows = {row.id: row for row in connection.execute(grants.order_by(wallet_grants.c.id))}
    steps: dict[int, list[Move]] = {number: [] for number in rows}
    if rows:
        for row in connection.execute(moves.order_by(wallet_moves.c.grant, wallet_moves.c.step)):
            steps[row.grant].append(_move(rows[row.grant], row))
    accounts = [GrantAccount(_grant(row), tuple(steps[number])) for number, row in rows.items()]
    said = [
        Threshold(row.customer, Money(row.minor, Currency(row.currency)), from_milliseconds(row.at))
        for row in connection.execute(thresholds.order_by(wallet_thresholds.c.at))
    ]
    return collected(accounts, said)


def _row(grant: int, move: Move) -> tuple[Any, ...]:
    keepable(move.after, f"grant {move.reference} of {move.customer}: what is left")
    previous = move.step - 1 if move.step else None
    kind, at = move.kind.value, milliseconds(move.at)
    return grant, move.step, previous, move.before, move.change, move.after, kind, move.invoice, move.cause, at


def _grant(row: Row[Any]) -> Grant:
    return Grant(
        row.customer,
        row.reference,
        Money(row.minor, Currency(row.currency)),
        GrantKind(row.kind),
        row.priority,
        None if row.expires is None else from_seconds(row.expires),
        row.note,
        row.author,
    )


def _move(grant: Row[Any], row: Row[Any]) -> Move:
    return Move(
        grant.customer,
        grant.reference,
        row.step,
        row.before,
        row.change,
        MoveKind(row.kind),
        from_milliseconds(row.at),
        row.invoice,
        row.cause,
    )
