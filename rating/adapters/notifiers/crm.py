"""Two CRMs' own shapes: a deal in HubSpot, a record in Salesforce. Both are found again by the notification's id, so a
second delivery changes the record it made and makes no other.

Written from their documentation (HubSpot: batch upsert of deals by a unique property; Salesforce: upsert by an
external id); neither service took part in any test. Their administrator makes the property and the external id once.
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any
from urllib.parse import quote

import msgspec

from rating.adapters.notifiers.posting import Poster
from rating.core.deliveries import Delivery
from rating.core.money import Money
from rating.specs.wording import worded

_EXACT = msgspec.json.Encoder(decimal_format="number")


class HubSpotNotifier:
    """Keeps the promises of `ports.Notifier`: one deal per notification."""

    to_customer = False

    def __init__(
        self,
        channel: str,
        token: str,
        *,
        url: str = "https://api.hubapi.com",
        version: str = "2026-03",
        id_property: str = "rating_notification_id",
        pipeline: str = "default",
        stage: str = "appointmentscheduled",
    ) -> None:
        self._id_property, self._pipeline, self._stage = id_property, pipeline, stage
        self._path = f"/crm/objects/{version}/deals/batch/upsert"
        self._headers = {"Authorization": f"Bearer {token}"}
        self._poster = Poster(channel, url, (token,))

    def preview(self, delivery: Delivery) -> str:
        return json.dumps(self._document(delivery), indent=1, ensure_ascii=False)

    def deliver(self, delivery: Delivery, *, unsubscribe: str = "") -> str:
        body = json.dumps(self._document(delivery), ensure_ascii=False).encode()
        return self._poster.post(body, self._headers | {"Idempotency-Key": delivery.key}, path=self._path)

    def _document(self, delivery: Delivery) -> dict[str, Any]:
        title, description, closes, amount = _deal(delivery)
        properties = {
            "dealname": title,
            "description": description,
            "pipeline": self._pipeline,
            "dealstage": self._stage,
            "closedate": closes,
            **amount,
        }
        name = delivery.told.notification.id
        return {"inputs": [{"idProperty": self._id_property, "id": name, "properties": properties}]}


class SalesforceNotifier:
    """Keeps the promises of `ports.Notifier`: one record per notification, an Opportunity unless another is named."""

    to_customer = False

    def __init__(
        self,
        channel: str,
        url: str,
        token: str,
        *,
        version: str = "v60.0",
        record: str = "Opportunity",
        id_field: str = "Rating_Notification__c",
        stage: str = "Prospecting",
    ) -> None:
        self._record, self._id_field, self._stage = record, id_field, stage
        self._path = f"/services/data/{version}/sobjects/{record}/{id_field}"
        self._headers = {"Authorization": f"Bearer {token}"}
        self._poster = Poster(channel, url, (token,))

    def preview(self, delivery: Delivery) -> str:
        return msgspec.json.format(_EXACT.encode(self._document(delivery)).decode(), indent=1)

    def deliver(self, delivery: Delivery, *, unsubscribe: str = "") -> str:
        body = _EXACT.encode(self._document(delivery))
        # The id stands in the path: Salesforce refuses it in the body as well.
        path = f"{self._path}/{quote(delivery.told.notification.id, safe='')}"
        return self._poster.post(body, self._headers, path=path, method="PATCH")

    def _document(self, delivery: Delivery) -> dict[str, Any]:
        title, description, closes, amount = _deal(delivery)
        opportunity = {
            "Name": title[:120],
            "StageName": self._stage,
            "CloseDate": closes[:10],
            "Description": description,
        }
        # A number in JSON, written digit by digit: an amount never goes through a float.
        return opportunity | ({"Amount": Decimal(amount["amount"])} if amount else {})


def _deal(delivery: Delivery) -> tuple[str, str, str, dict[str, str]]:
    """Title, description, when it closes (the period's end) and, where there is one, the amount it is worth."""
    one, at = delivery.told.notification, delivery.told.at
    words = worded(one, "en", at=at, to_customer=False)
    closes = one.ends or (one.period.end if one.period else at)
    worth: Money | None = one.more_at_pace or one.more
    amount = {} if worth is None or worth.minor <= 0 else {"amount": worth.digits}
    title = f"{one.customer}: {words.subject}" if one.customer else words.subject
    return title, "\n".join(words.lines), closes.isoformat().replace("+00:00", "Z"), amount
