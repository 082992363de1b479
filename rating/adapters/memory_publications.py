"""The Publications of `ports` in plain dicts, for the book in memory."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from datetime import datetime

from rating.core.entries import recorded
from rating.core.publications import (
    HeardSignal,
    Progress,
    Progressed,
    RemoteName,
    Signal,
    State,
    final,
    keepable_progress,
    same_name,
    same_signal,
    signal_subject,
    state,
)


class MemoryPublications:
    """Safe to share between threads; gone with the process."""

    _turn: threading.RLock

    def __init__(self) -> None:
        super().__init__()
        self._progress: dict[tuple[str, str], list[Progressed]] = {}
        self._names: dict[tuple[str, str, str], RemoteName] = {}
        self._signals: dict[tuple[str, str], HeardSignal] = {}

    def progress(self, entries: Sequence[Progress], names: Sequence[RemoteName] = (), *, at: datetime) -> int:
        with self._turn:
            kept = {
                (one.gateway, one.subject): list(self._progress.get((one.gateway, one.subject), ())) for one in entries
            }
            called = dict(self._names)
            new = 0
            for one in entries:
                before = kept[one.gateway, one.subject]
                if keepable_progress(one, before):
                    before.append(Progressed(one, recorded(at)))
                    new += 1
            for name in names:
                key = (name.gateway, name.subject, name.part)
                if key in called:
                    same_name(name, called[key].name)
                    continue
                called[key] = name
                new += 1
            # All or nothing: what was refused above has changed nothing.
            self._progress.update(kept)
            self._names = called
            return new

    def progressed(self, gateway: str, subject: str | None = None) -> tuple[Progressed, ...]:
        with self._turn:
            found = [
                entries
                for key, entries in sorted(self._progress.items())
                if key[0] == gateway and subject in (None, key[1])
            ]
        return tuple(one for entries in found for one in entries)

    def unfinished(self, gateway: str) -> tuple[Progressed, ...]:
        with self._turn:
            found = [entries for key, entries in sorted(self._progress.items()) if key[0] == gateway]
        return tuple(one for entries in found if not final(entries) for one in entries)

    def parked(self, gateway: str) -> tuple[Progressed, ...]:
        with self._turn:
            found = [entries for key, entries in sorted(self._progress.items()) if key[0] == gateway]
        return tuple(entries[-1] for entries in found if state(entries) is State.PARKED)

    def finished(self, gateway: str, kind: str) -> frozenset[str]:
        with self._turn:
            return frozenset(
                subject
                for (at, subject), entries in self._progress.items()
                if at == gateway and subject.startswith(f"{kind}/") and final(entries)
            )

    def remote_names(self, gateway: str, subject: str | None = None) -> tuple[RemoteName, ...]:
        with self._turn:
            return tuple(
                name for key, name in sorted(self._names.items()) if key[0] == gateway and subject in (None, key[1])
            )

    def remotely(self, gateway: str, name: str) -> RemoteName | None:
        with self._turn:
            return next((one for one in self._names.values() if (one.gateway, one.name) == (gateway, name)), None)

    def signal(self, signal: Signal, *, at: datetime) -> bool:
        key = (signal.gateway, signal.id)
        with self._turn:
            if key in self._signals:
                same_signal(signal, self._signals[key].signal)
                return False
            told = Signal(signal.gateway, signal.id, signal.kind, recorded(signal.occurred_at), signal.content)
            self._signals[key] = HeardSignal(told, recorded(at))
            return True

    def signals(self, gateway: str, *, waiting: bool = False) -> tuple[HeardSignal, ...]:
        with self._turn:
            found = [one for key, one in self._signals.items() if key[0] == gateway]
            if waiting:
                found = [
                    one for one in found if not final(self._progress.get((gateway, signal_subject(one.signal.id)), ()))
                ]
        return tuple(sorted(found, key=lambda one: (one.signal.occurred_at, one.signal.id)))
