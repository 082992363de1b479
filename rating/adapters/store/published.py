"""Publications in the tables: how far subjects have come at a gateway, their names there, and what it told us."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, exists, select

from rating.adapters.store.bulk import among, batched, insert_new, insert_rows
from rating.adapters.store.engine import Database, in_turn
from rating.adapters.store.tables import publications, remote_names, signals
from rating.core.periods import from_milliseconds, milliseconds
from rating.core.publications import (
    HeardSignal,
    Outcome,
    Progress,
    Progressed,
    RemoteName,
    Signal,
    final,
    keepable_progress,
    same_name,
    same_signal,
    signal_subject,
)

_SUBJECTS_AT_ONCE = 5_000
_ENTRIES = tuple(column.name for column in publications.columns if column.name != "id")


class StorePublications:
    """The Publications of `ports` over a database; the rest of the book is `book`'s."""

    _database: Database

    def progress(self, entries: Sequence[Progress], names: Sequence[RemoteName] = (), *, at: datetime) -> int:
        with self._database.writing() as connection:
            in_turn(connection)
            return _keep_entries(connection, entries, at) + sum(_keep_name(connection, name, at) for name in names)

    def progressed(self, gateway: str, subject: str | None = None) -> tuple[Progressed, ...]:
        statement = _entries(gateway)
        if subject is not None:
            statement = statement.where(publications.c.subject == subject)
        with self._database.reading() as connection:
            return tuple(map(_progressed, connection.execute(statement)))

    def unfinished(self, gateway: str) -> tuple[Progressed, ...]:
        done = publications.alias("done")
        over = exists().where(done.c.gateway == gateway, done.c.subject == publications.c.subject, *_last(done, 1))
        with self._database.reading() as connection:
            return tuple(map(_progressed, connection.execute(_entries(gateway).where(~over))))

    def parked(self, gateway: str) -> tuple[Progressed, ...]:
        statement = _entries(gateway).where(*_last(publications, 1), publications.c.outcome != Outcome.DONE.value)
        with self._database.reading() as connection:
            return tuple(map(_progressed, connection.execute(statement)))

    def finished(self, gateway: str, kind: str) -> frozenset[str]:
        statement = select(publications.c.subject).where(
            publications.c.gateway == gateway,
            publications.c.subject >= f"{kind}/",
            publications.c.subject < f"{kind}0",  # the character after the slash
            *_last(publications, 1),
        )
        with self._database.reading() as connection:
            return frozenset(connection.scalars(statement))

    def remote_names(self, gateway: str, subject: str | None = None) -> tuple[RemoteName, ...]:
        statement = select(remote_names).where(remote_names.c.gateway == gateway)
        if subject is not None:
            statement = statement.where(remote_names.c.subject == subject)
        with self._database.reading() as connection:
            rows = connection.execute(statement.order_by(remote_names.c.subject, remote_names.c.part))
            return tuple(map(_name, rows))

    def remotely(self, gateway: str, name: str) -> RemoteName | None:
        statement = select(remote_names).where(remote_names.c.gateway == gateway, remote_names.c.name == name)
        with self._database.reading() as connection:
            row = connection.execute(statement.order_by(remote_names.c.id).limit(1)).one_or_none()
        return None if row is None else _name(row)

    def signal(self, signal: Signal, *, at: datetime) -> bool:
        entry = {
            "gateway": signal.gateway,
            "name": signal.id,
            "kind": signal.kind,
            "occurred_at": milliseconds(signal.occurred_at),
            "content": signal.content,
            "at": milliseconds(at),
        }
        with self._database.writing() as connection:
            if insert_new(connection, signals, entry, signals.c.id) is not None:
                return True
            kept = connection.execute(
                select(signals).where(signals.c.gateway == signal.gateway, signals.c.name == signal.id)
            ).one()
            same_signal(signal, _heard(kept).signal)
            return False

    def signals(self, gateway: str, *, waiting: bool = False) -> tuple[HeardSignal, ...]:
        statement = select(signals).where(signals.c.gateway == gateway)
        if waiting:
            over = exists().where(
                publications.c.gateway == gateway,
                publications.c.subject == signal_subject("") + signals.c.name,
                *_last(publications, 1),
            )
            statement = statement.where(~over)
        with self._database.reading() as connection:
            return tuple(map(_heard, connection.execute(statement.order_by(signals.c.occurred_at, signals.c.name))))


def _entries(gateway: str) -> Select[Any]:
    return (
        select(publications)
        .where(publications.c.gateway == gateway)
        .order_by(publications.c.subject, publications.c.number)
    )


def _last(of: Any, is_final: int) -> tuple[Any, Any]:
    """Conditions: the entry is the last about its subject, and final or not."""
    later = publications.alias("later")
    after = exists().where(
        later.c.gateway == of.c.gateway, later.c.subject == of.c.subject, later.c.number > of.c.number
    )
    return of.c.final == is_final, ~after


def _keep_entries(connection: Connection, entries: Sequence[Progress], at: datetime) -> int:
    kept: dict[tuple[str, str], list[Progressed]] = {}
    for gateway in {one.gateway for one in entries}:
        subjects = sorted({one.subject for one in entries if one.gateway == gateway})
        for some in batched(subjects, _SUBJECTS_AT_ONCE):
            statement = _entries(gateway).where(among(connection, publications.c.subject, some))
            for known in map(_progressed, connection.execute(statement)):
                kept.setdefault((gateway, known.progress.subject), []).append(known)
    new = []
    for one in entries:
        before = kept.setdefault((one.gateway, one.subject), [])
        if keepable_progress(one, before):
            before.append(Progressed(one, at))
            new.append(_row(before, at))
    insert_rows(connection, publications, _ENTRIES, new)
    return len(new)


def _row(entries: Sequence[Progressed], at: datetime) -> tuple[Any, ...]:
    """The last of these as it is stored."""
    one = entries[-1].progress
    last = int(final(entries))
    said = (one.said, one.retry_after, milliseconds(at))
    return (one.gateway, one.subject, one.number, one.outcome.value, last, *said)


def _keep_name(connection: Connection, name: RemoteName, at: datetime) -> bool:
    entry = {
        "gateway": name.gateway,
        "subject": name.subject,
        "part": name.part,
        "name": name.name,
        "at": milliseconds(at),
    }
    if insert_new(connection, remote_names, entry, remote_names.c.id) is not None:
        return True
    kept = connection.scalar(
        select(remote_names.c.name).where(
            remote_names.c.gateway == name.gateway,
            remote_names.c.subject == name.subject,
            remote_names.c.part == name.part,
        )
    )
    same_name(name, str(kept))
    return False


def _progressed(row: Row[Any]) -> Progressed:
    progress = Progress(row.gateway, row.subject, row.number, Outcome(row.outcome), row.said, row.retry_after)
    return Progressed(progress, from_milliseconds(row.at))


def _name(row: Row[Any]) -> RemoteName:
    return RemoteName(row.gateway, row.subject, row.part, row.name)


def _heard(row: Row[Any]) -> HeardSignal:
    signal = Signal(row.gateway, row.name, row.kind, from_milliseconds(row.occurred_at), row.content)
    return HeardSignal(signal, from_milliseconds(row.at))
