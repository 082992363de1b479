"""Azure API Management's report by subscription, through Azure Resource Manager: one question per day or hour.

Decides whose a row is. The report has no times in it, so a cell's boundaries are the question's.
"""

from __future__ import annotations

import os
import re
import time
import urllib.parse
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from .cloud import UNITS, Cell, CloudRefused, Figure, consumer_named
from .cloud_http import JsonApi, Token, token_from

URL = "https://management.azure.com"
LOGIN = "https://login.microsoftonline.com"
VERSION = "2022-08-01"
SERVICE = re.compile(
    r"/subscriptions/[^/]+/resourceGroups/[^/]+/providers/Microsoft\.ApiManagement/service/([^/]+)", re.IGNORECASE
)
COUNTS = {"success": "callCountSuccess", "total": "callCountTotal"}


class AzureReports:
    """One API Management service, by its resource id. `consumer` is what of a row names its consumer: subscription (the
    id's last part), name (the subscription's) or user. `count` is success or total."""

    name = "azure"

    def __init__(
        self,
        service: str,
        token: Token,
        *,
        consumer: str = "subscription",
        count: str = "success",
        unit: str = "day",
        url: str = URL,
        version: str = VERSION,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.service = "/" + service.strip("/")
        matched = SERVICE.fullmatch(self.service)
        if matched is None:
            raise ValueError(
                f"--service {service}: it reads /subscriptions/ID/resourceGroups/GROUP/providers/"
                "Microsoft.ApiManagement/service/NAME, as `az apim show --query id` prints it"
            )
        self.scope = matched[1]
        self.consumer, self.count, self.unit, self.unit_name = consumer, count, UNITS[unit], unit
        self.version = version
        self._api = JsonApi(url, token, sleep=sleep)

    def settings(self) -> Mapping[str, str]:
        return {
            "cloud": "azure",
            "scope": self.service.lower(),
            "consumer": self.consumer,
            "count": self.count,
            "unit": self.unit_name,
        }

    def figures(self, since: datetime, until: datetime) -> Iterable[Figure]:
        at = since
        while at < until:
            for row in self._rows(at, at + self.unit):
                yield self._figure(row, at)
            at += self.unit

    def _rows(self, start: datetime, end: datetime) -> Iterator[Mapping[str, Any]]:
        # `le` is the only upper bound there is, and takes the boundary in: the next cell's first second is not ours.
        last = end - timedelta(seconds=1)
        stated = f"timestamp ge datetime'{start:%Y-%m-%dT%H:%M:%S}' and timestamp le datetime'{last:%Y-%m-%dT%H:%M:%S}'"
        path = urllib.parse.quote(f"{self.service}/reports/bySubscription")
        page = self._api.get(path, {"api-version": self.version, "$filter": stated})
        seen = set()
        while True:
            try:
                yield from page["value"]
                following = page.get("nextLink")
            except (KeyError, TypeError, AttributeError):
                raise CloudRefused(f"{self.scope}: the report by subscription has no `value`: {_short(page)}") from None
            if not following:
                return
            if following in seen:
                raise CloudRefused(f"{self.scope}: the report's pages go round in a circle; nothing was counted")
            seen.add(following)
            page = self._api.follow(following)

    def _figure(self, row: Any, at: datetime) -> Figure:
        try:
            amount = row[COUNTS[self.count]]
            if not isinstance(amount, int) or isinstance(amount, bool):
                raise TypeError(f"{COUNTS[self.count]} is {amount!r}")
            subscription, product = str(row.get("subscriptionId") or ""), str(row.get("productId") or "")
        except (KeyError, TypeError, AttributeError) as error:
            raise CloudRefused(f"{self.scope}: a row of the report cannot be counted: {error}: {_short(row)}") from None
        user = _last(str(row.get("userId") or ""))
        who = {"subscription": _last(subscription), "name": row.get("name"), "user": user}
        return Figure(
            Cell(self.scope, f"{subscription} {product}", int(at.timestamp())),
            consumer_named(who[self.consumer]),
            consumer_named(_last(product)),
            amount,
        )


def azure_token(file: Path | None, login: str = LOGIN, sleep: Callable[[float], None] = time.sleep) -> Token:
    """A bearer token: from a file, from AZURE_ACCESS_TOKEN, or for the application whose AZURE_TENANT_ID,
    AZURE_CLIENT_ID and AZURE_CLIENT_SECRET (or AZURE_CLIENT_SECRET_FILE) are set."""
    tenant, client = os.environ.get("AZURE_TENANT_ID"), os.environ.get("AZURE_CLIENT_ID")
    kept = os.environ.get("AZURE_CLIENT_SECRET_FILE")
    if file is None and tenant and client:
        secret = token_from(Path(kept) if kept else None, "AZURE_CLIENT_SECRET", " for the application AZURE_CLIENT_ID")
        return _application(JsonApi(login, sleep=sleep), tenant, client, secret)
    return token_from(file, "AZURE_ACCESS_TOKEN", " (or AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET)")


def _application(api: JsonApi, tenant: str, client: str, secret: Token) -> Token:
    held, until = "", 0.0

    def token() -> str:
        nonlocal held, until
        if time.monotonic() >= until:
            told = api.post(
                f"/{urllib.parse.quote(tenant, safe='')}/oauth2/v2.0/token",
                {
                    "grant_type": "client_credentials",
                    "client_id": client,
                    "client_secret": secret(),
                    "scope": f"{URL}/.default",
                },
            )
            try:
                held, until = str(told["access_token"]), time.monotonic() + float(told["expires_in"]) - 60
            except (KeyError, TypeError, ValueError):
                raise CloudRefused(f"{api.base} answered no access_token") from None
        return held

    return token


def _last(path: str) -> str:
    return path.rstrip("/").rpartition("/")[2] if path.strip("/") not in ("subscriptions", "products", "users") else ""


def _short(value: object) -> str:
    return repr(value)[:200]
