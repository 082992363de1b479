"""Amazon API Gateway's usage plans, through boto3: requests per API key and day (GetUsage).

Decides whose a key is. A day is UTC's. CloudWatch has no dimension for keys or plans, so there is no other way to ask.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import Any

from .cloud import UNITS, Cell, CloudRefused, CloudUnavailable, Figure, consumer_named
from .vocabulary import UNKNOWN

MOST_DAYS = 90  # that GetUsage answers at once
TRIES = 8
THROTTLED = frozenset({"TooManyRequestsException", "ThrottlingException", "Throttling", "RequestLimitExceeded"})


class AwsUsage:
    """The usage plans of one account and region; all of them, or those with the ids `plans`. `consumer` is what of a
    key names its consumer: name, customer, id or tag:NAME. Credentials are boto3's own (environment, files, role)."""

    name = "aws"
    unit = UNITS["day"]

    def __init__(
        self,
        region: str | None,
        plans: Sequence[str] = (),
        *,
        consumer: str = "name",
        url: str | None = None,
        tries: int = TRIES,
    ) -> None:
        import boto3  # an extra: imported where it is used
        import botocore.exceptions
        from botocore.config import Config

        if consumer not in ("name", "customer", "id") and not (
            consumer.startswith("tag:") and len(consumer) > len("tag:")
        ):
            raise ValueError(f"--consumer {consumer}: of a key there are name, customer, id and tag:NAME")
        self._errors = botocore.exceptions
        self.plans, self.consumer = tuple(sorted(set(plans))), consumer
        with self._translated():
            self._client: Any = boto3.Session(region_name=region).client(
                "apigateway",
                endpoint_url=url,
                config=Config(
                    retries={"mode": "standard", "total_max_attempts": tries}, connect_timeout=10, read_timeout=60
                ),
            )
        self.region = str(self._client.meta.region_name)

    def settings(self) -> Mapping[str, str]:
        return {
            "cloud": f"aws {self.region}",
            "scope": ", ".join(self.plans) or "all usage plans",
            "consumer": self.consumer,
        }

    def figures(self, since: datetime, until: datetime) -> Iterable[Figure]:
        with self._translated():
            owner = self._owners()
            plans = self._plans()
            found: list[Figure] = []
            at = since.date()
            while at < until.date():
                last = min(at + timedelta(days=MOST_DAYS), until.date()) - timedelta(days=1)
                for plan, product in plans.items():
                    found += self._usage(plan, product, owner, at, last)
                at = last + timedelta(days=1)
            return found

    def _plans(self) -> dict[str, str]:
        known = {str(plan["id"]): str(plan.get("name") or plan["id"]) for plan in self._pages("get_usage_plans")}
        if missing := [plan for plan in self.plans if plan not in known]:
            raise CloudRefused(
                f"no usage plan {', '.join(missing)} in {self.region}; "
                f"there are {', '.join(f'{one} ({name})' for one, name in known.items()) or 'none'}"
            )
        return {plan: name for plan, name in known.items() if not self.plans or plan in self.plans}

    def _usage(self, plan: str, product: str, owner: Callable[[str], str], first: date, last: date) -> Iterator[Figure]:
        pages = self._client.get_paginator("get_usage").paginate(
            usagePlanId=plan, startDate=first.isoformat(), endDate=last.isoformat()
        )
        for page in pages:
            stated = date.fromisoformat(page.get("startDate", first.isoformat())[:10])
            begin = datetime.combine(stated, datetime.min.time(), UTC)
            for key, days in page.get("items", {}).items():
                for number, day in enumerate(days):
                    if not day:
                        continue
                    start = int((begin + number * self.unit).timestamp())
                    cell = Cell(f"{self.region}/{plan}", _digest(key), start)
                    yield Figure(cell, owner(key), consumer_named(product), int(day[0]))

    def _owners(self) -> Callable[[str], str]:
        """Whose a key is. AWS's reference says that usage is listed by keys' values, its examples show their ids: the
        values are asked for only when an id is nobody's, and once."""
        by_id = {str(key["id"]): self._owner(key) for key in self._pages("get_api_keys", includeValues=False)}

        @cache
        def by_value() -> dict[str, str]:
            keys = self._pages("get_api_keys", includeValues=True)
            return {str(key["value"]): self._owner(key) for key in keys if key.get("value")}

        return lambda key: by_id[key] if key in by_id else by_value().get(key, UNKNOWN)

    def _owner(self, key: Mapping[str, Any]) -> str:
        if self.consumer.startswith("tag:"):
            value = key.get("tags", {}).get(self.consumer.removeprefix("tag:"))
        elif self.consumer == "customer":
            value = key.get("customerId")
        else:
            value = key.get(self.consumer) or key["id"]
        return consumer_named(value) if value else UNKNOWN

    def _pages(self, operation: str, **arguments: Any) -> Iterator[Mapping[str, Any]]:
        for page in self._client.get_paginator(operation).paginate(**arguments):
            yield from page.get("items", ())

    @contextmanager
    def _translated(self) -> Iterator[None]:
        errors = self._errors
        try:
            yield
        except (errors.NoCredentialsError, errors.PartialCredentialsError, errors.NoRegionError) as error:
            raise CloudRefused(
                f"AWS: {error}; give --region, and AWS_ACCESS_KEY_ID with its secret, AWS_PROFILE or a role"
            ) from None
        except errors.ClientError as error:
            told, status = error.response.get("Error", {}), error.response.get("ResponseMetadata", {})
            code, text = told.get("Code", "error"), told.get("Message", "")
            where = f"AWS {error.operation_name} answered {code}: {text}"
            if code in THROTTLED or int(status.get("HTTPStatusCode", 0)) in (429, 500, 502, 503, 504):
                raise CloudUnavailable(where) from None
            raise CloudRefused(f"{where}; it takes apigateway:GET on /usageplans, their /usage and /apikeys") from None
        except (errors.HTTPClientError, errors.ConnectionError) as error:
            raise CloudUnavailable(f"AWS cannot be reached: {error}") from None
        except (errors.BotoCoreError, KeyError, IndexError, TypeError, ValueError) as error:
            raise CloudRefused(f"AWS: {type(error).__name__}: {error}") from None


def _digest(key: str) -> str:
    # It may be a credential, and the state file outlives it.
    return hashlib.sha256(key.encode()).hexdigest()[:32]
