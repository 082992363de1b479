"""Apigee's analytics per developer app and API product: sums of message_count per day or hour.

Decides whose a row is. Days and hours are UTC's. Cloud Monitoring has no dimension for apps, and its counts show spikes
that never were, so analytics are what is asked.
"""

from __future__ import annotations

import time
import urllib.parse
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from .cloud import UNITS, Cell, CloudRefused, Figure, consumer_named
from .cloud_http import JsonApi, Token
from .vocabulary import UNKNOWN

URL = "https://apigee.googleapis.com"
PAGE = 14_400  # the most that an answer lists
METRIC = "sum(message_count)"
DIMENSIONS = {"app": "developer_app", "developer": "developer_email"}
AT_ONCE = {"day": timedelta(days=90), "hour": timedelta(days=7)}  # a long stretch of hours is slow to answer


class ApigeeAnalytics:
    """Environments of one organization. `consumer` is app or developer: two developers may call their apps alike."""

    name = "apigee"

    def __init__(
        self,
        organization: str,
        environments: Sequence[str],
        token: Token,
        *,
        consumer: str = "app",
        unit: str = "day",
        url: str = URL,
        page: int = PAGE,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.organization, self.environments = organization, tuple(sorted(set(environments)))
        self.consumer, self.unit, self.unit_name, self.page = consumer, UNITS[unit], unit, page
        self._api = JsonApi(url, token, sleep=sleep)

    def settings(self) -> Mapping[str, str]:
        return {
            "cloud": f"apigee {self.organization}",
            "scope": ", ".join(self.environments),
            "consumer": self.consumer,
            "unit": self.unit_name,
        }

    def figures(self, since: datetime, until: datetime) -> Iterable[Figure]:
        for environment in self.environments:
            at = since
            while at < until:
                end = min(at + AT_ONCE[self.unit_name], until)
                for figure in self._asked(environment, at, end):
                    # A bucket may begin at the boundary itself: it belongs to the next question.
                    if at.timestamp() <= figure.cell.start < end.timestamp():
                        yield figure
                at = end

    def _asked(self, environment: str, since: datetime, until: datetime) -> Iterator[Figure]:
        organization, place = (urllib.parse.quote(part, safe="") for part in (self.organization, environment))
        path = f"/v1/organizations/{organization}/environments/{place}/stats/{DIMENSIONS[self.consumer]},api_product"
        query = {
            "select": METRIC,
            "timeRange": f"{since:%m/%d/%Y %H:%M}~{until:%m/%d/%Y %H:%M}",
            "timeUnit": self.unit_name,
            "limit": str(self.page),
        }
        offset = 0
        while True:
            answer = self._api.get(path, {**query, "offset": str(offset)})
            scope = f"{self.organization}/{environment}"
            try:
                if answer.get("metaData", {}).get("errors"):
                    raise CloudRefused(f"{scope}: analytics answered with errors: {answer['metaData']['errors']}")
                rows = [row for one in answer.get("environments", ()) for row in one.get("dimensions", ())]
                found = [figure for row in rows for figure in self._figures(scope, row)]
            except (AttributeError, KeyError, TypeError, ValueError, InvalidOperation) as error:
                raise CloudRefused(
                    f"{scope}: analytics answered what cannot be counted: {type(error).__name__}: {error}"
                ) from None
            yield from found
            # Whether `limit` is of apps or of their days is not said: a page that is full by either has another.
            if max(len(rows), len(found)) < self.page:
                return
            offset += self.page

    def _figures(self, scope: str, row: Mapping[str, Any]) -> Iterator[Figure]:
        names = row.get("individualNames") or row["name"].split(",")
        # A comma in a name, and nothing that says which: counted, but for nobody we could bill.
        who, product = names if len(names) == 2 else (UNKNOWN, UNKNOWN)
        consumer = UNKNOWN if who == UNKNOWN else consumer_named(who)
        for metric in row["metrics"]:
            if metric["name"] != METRIC:
                continue
            for value in metric["values"]:
                start = int(value["timestamp"]) // 1000
                key = "\n".join(names)
                yield Figure(Cell(scope, key, start), consumer, consumer_named(product), _whole(value["value"]))


def _whole(text: object) -> int:
    number = Decimal(str(text))
    if number != number.to_integral_value():
        raise ValueError(f"{text} requests")
    return int(number)
