"""The customer's list in the engine itself: being in the book is being delivered."""

from __future__ import annotations

from rating.core.deliveries import Delivery
from rating.specs.wording import worded


class InboxNotifier:
    """Keeps the promises of `ports.Notifier`; needs nobody, so it never fails."""

    to_customer = False
    """It disturbs nobody: neither quiet hours nor preferences hold for it."""

    def preview(self, delivery: Delivery) -> str:
        told = delivery.told
        words = worded(told.notification, delivery.planned.language, at=told.at, to_customer=True)
        return "\n".join((words.subject, "", *words.lines))

    def deliver(self, delivery: Delivery, *, unsubscribe: str = "") -> str:
        return "in the customer's inbox"
