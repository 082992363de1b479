"""An alert as somebody outside raised it: a hint where to look. What is true is never taken from it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from rating.core.canonical import canonical, digest


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert that began or ended. Label values are data from outside: they are compared and shown, never run."""

    name: str
    labels: tuple[tuple[str, str], ...]
    """Sorted by name, without the alert's own."""
    started: datetime
    resolved: bool = False

    @property
    def key(self) -> str:
        """Names this beginning or this end of this alert; repeated deliveries of it are the same entry."""
        return digest(canonical([self.name, self.labels, self.started, self.resolved]))

    def label(self, name: str) -> str:
        """Its value, empty when there is none."""
        return dict(self.labels).get(name, "")


@dataclass(frozen=True, slots=True)
class Heard:
    """An alert in the book, and when it was first heard."""

    alert: Alert
    at: datetime
