"""`rating-exporters cloud`: a process that asks a cloud for its figures and serves the totals until it is stopped."""

from __future__ import annotations

import argparse
import logging
import sqlite3
import sys
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from . import cloud_apigee, cloud_azure
from .cloud import (
    Cloud,
    CloudCounter,
    CloudRefused,
    CloudUnavailable,
    decided,
    guard_for,
    labels_by,
    shrank,
    stretches,
    within,
)
from .cloud_http import token_from
from .cloudstate import COMMAND, MOST_REREAD, CloudState, cells_of, read_readings
from .guard import DEFAULT_BOUNDS
from .preview import Preview, add_output, added, output_of
from .serving import Page, process_registry, told_to_stop
from .totals import Series, opened
from .vocabulary import CLOUD, CLOUD_REQUESTS, CONSUMER, PRODUCT

TRY_AGAIN = 60.0  # seconds
LEAST_INTERVAL = 10.0  # seconds

DESCRIPTION = """\
Count what a cloud's gateway counted, per consumer and product, into
cloud_requests_total{consumer_id,cloud,product} and serve it on a /metrics page.
A figure that grew adds the difference; one that shrank subtracts nothing and is counted and logged."""

EPILOGS = {
    "aws": """\
credentials: boto3's own, e.g. AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, a role. They need
apigateway:GET on /usageplans, /usageplans/*/usage and /apikeys.

example:
  rating-exporters cloud aws --region eu-west-1 --consumer customer --state aws.sqlite --since 2026-11-01 --check""",
    "azure": """\
credentials: --token-file, or AZURE_ACCESS_TOKEN, or AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET (or
AZURE_CLIENT_SECRET_FILE) of an application with the role API Management Service Reader.

example:
  rating-exporters cloud azure --state azure.sqlite --check --service \\
      /subscriptions/ID/resourceGroups/GROUP/providers/Microsoft.ApiManagement/service/NAME""",
    "apigee": """\
credentials: --token-file (read again each time: let cron write `gcloud auth print-access-token` to it), or
APIGEE_ACCESS_TOKEN, of an account with the role Apigee Analytics Viewer.

example:
  rating-exporters cloud apigee --organization acme --environment prod --token-file token --state apigee.sqlite""",
}


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.description, parser.formatter_class = DESCRIPTION, argparse.RawDescriptionHelpFormatter
    clouds = parser.add_subparsers(dest="which", required=True, metavar="aws|azure|apigee")
    aws = _of(clouds, "aws", "Amazon API Gateway: GetUsage of usage plans, per API key and day")
    aws.add_argument("--region", metavar="NAME", help="e.g. eu-west-1 (else AWS's own settings)")
    aws.add_argument("--usage-plan", action="append", default=[], metavar="ID", help="only this one; repeat (all)")
    aws.add_argument(
        "--consumer", default="name", metavar="name|customer|id|tag:NAME", help="what of an API key names its consumer"
    )
    aws.add_argument("--url", metavar="ADDRESS", help="another endpoint of the service")
    azure = _of(clouds, "azure", "Azure API Management: the report by subscription")
    azure.add_argument("--service", required=True, metavar="ID", help="resource id of the API Management service")
    azure.add_argument("--consumer", default="subscription", choices=("subscription", "name", "user"))
    azure.add_argument("--count", default="success", choices=tuple(cloud_azure.COUNTS), help="which calls (success)")
    azure.add_argument("--api-version", default=cloud_azure.VERSION, metavar="DATE")
    azure.add_argument("--login-url", default=cloud_azure.LOGIN, metavar="ADDRESS")
    apigee = _of(clouds, "apigee", "Apigee: analytics per developer app and API product")
    apigee.add_argument("--organization", required=True, metavar="NAME")
    apigee.add_argument("--environment", required=True, action="append", metavar="NAME", help="repeat for several")
    apigee.add_argument("--consumer", default="app", choices=tuple(cloud_apigee.DIMENSIONS))
    for one, url in ((azure, cloud_azure.URL), (apigee, cloud_apigee.URL)):
        one.add_argument("--url", default=url, metavar="ADDRESS", help=f"({url})")
        one.add_argument("--token-file", type=Path, metavar="FILE", help="a bearer token, read again at each request")
        one.add_argument("--unit", default="day", choices=("day", "hour"), help="how fine figures are asked for")


def _of(clouds: Any, name: str, text: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = clouds.add_parser(
        name, help=text, description=f"{text}.\n\n{DESCRIPTION}", epilog=EPILOGS[name],
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--state", type=Path, required=True, metavar="FILE", help="SQLite file of figures and totals")
    parser.add_argument("--since", metavar="DATE", help="a new state begins here, UTC (today)")
    parser.add_argument(
        "--reread", type=int, default=3, metavar="DAYS", help="ask again for so many days: their figures may grow (3)"
    )
    parser.add_argument("--interval", type=float, default=900, metavar="SECONDS", help="between two readings (900)")
    parser.add_argument("--once", action="store_true", help="read once, say what was added, and end")
    parser.add_argument(
        "--check", "--dry-run", action="store_true", help="say what would be counted, and change nothing"
    )
    add_output(parser)
    parser.add_argument("--max-consumers", type=int, default=DEFAULT_BOUNDS[CONSUMER], metavar="N")
    parser.add_argument("--listen", default="127.0.0.1:9121", metavar="HOST:PORT")
    return parser


def run(options: argparse.Namespace, now: datetime | None = None) -> int:
    """Count and serve until SIGTERM or SIGINT. 1 when a check finds trouble, 2 when it cannot start."""
    logging.basicConfig(format="rating-exporters: %(message)s", stream=sys.stderr)
    try:
        output = output_of(options, options.check)
        reread, begin = _times(options, now or datetime.now(UTC))
        cloud = cloud_of(options)
        if options.check:
            return _check(options, cloud, begin, reread, now or datetime.now(UTC), output)
        return _serve(options, cloud, begin, reread, now)
    except ModuleNotFoundError as error:
        text = f"{error}; install it with: pip install 'rating-exporters[aws]'"
    except (CloudRefused, CloudUnavailable, OSError, OverflowError, ValueError, sqlite3.Error) as error:
        text = str(error)
    print(f"rating-exporters: {text}", file=sys.stderr)
    return 2


def cloud_of(options: argparse.Namespace) -> Cloud:
    """The adapter that the options ask for. ValueError or CloudRefused when it cannot be made."""
    if options.which == "aws":
        from .cloud_aws import AwsUsage

        return AwsUsage(options.region, options.usage_plan, consumer=options.consumer, url=options.url)
    if options.which == "azure":
        return cloud_azure.AzureReports(
            options.service, cloud_azure.azure_token(options.token_file, options.login_url), consumer=options.consumer,
            count=options.count, unit=options.unit, url=options.url, version=options.api_version,
        )  # fmt: skip
    return cloud_apigee.ApigeeAnalytics(
        options.organization, options.environment,
        token_from(options.token_file, "APIGEE_ACCESS_TOKEN", ", e.g. of `gcloud auth print-access-token`"),
        consumer=options.consumer, unit=options.unit, url=options.url,
    )  # fmt: skip


def _times(options: argparse.Namespace, now: datetime) -> tuple[timedelta, datetime]:
    reread = timedelta(days=options.reread)
    if not timedelta(0) <= reread <= MOST_REREAD:
        raise ValueError(f"--reread {options.reread}: 0 to {MOST_REREAD.days} days; older figures are not remembered")
    if options.interval < LEAST_INTERVAL:
        raise ValueError(f"--interval {options.interval:g}: at least {LEAST_INTERVAL:g} seconds")
    begin = datetime.combine(now.date(), datetime.min.time(), UTC)
    if options.since is not None:
        try:
            begin = datetime.combine(datetime.fromisoformat(options.since).date(), datetime.min.time(), UTC)
        except ValueError:
            raise ValueError(f"--since {options.since}: it reads YEAR-MONTH-DAY, such as 2026-11-01") from None
        if begin > now:
            raise ValueError(f"--since {options.since} is not here yet; now it is {now:%Y-%m-%d} (UTC)")
    return reread, begin


def _check(
    options: argparse.Namespace, cloud: Cloud, begin: datetime, reread: timedelta, now: datetime, output: str
) -> int:
    """Ask, say what it would add, and leave everything as it was."""
    labels = labels_by(cloud, guard_for(None, options.max_consumers))
    reached = None
    if (database := opened(options.state, COMMAND, cloud.settings())) is not None:
        readings = read_readings(database)
        begin, reached = readings["begin"], readings.get("reached")
    adds: Counter[Series] = Counter()
    shrunk: list[str] = []
    read = 0
    asked = stretches(begin, reached, now, reread, cloud.unit)
    if not asked:
        raise ValueError(
            f"{options.state} was read until {reached:%Y-%m-%dT%H:%MZ}, and now it is {now:%Y-%m-%dT%H:%MZ}"
        )
    for since, until in asked:
        figures = within(cloud.figures(since, until), since, until)
        read += len(figures)
        decision = decided(cells_of(database, since, until) if database else {}, figures, labels)
        adds.update(decision.adds)
        shrunk += [shrank(cloud, decision, *one) for one in decision.shrunk]
    if database is not None:
        database.close()
    what = f"figures of {cloud.name} since {asked[0][0]:%Y-%m-%d} (UTC)"
    Preview(read, what, added(adds, {CLOUD_REQUESTS: (CONSUMER, CLOUD, PRODUCT)}), warnings=shrunk).show(output)
    return 1 if shrunk else 0


def _serve(
    options: argparse.Namespace, cloud: Cloud, begin: datetime, reread: timedelta, fixed: datetime | None
) -> int:
    registry = process_registry()
    state = CloudState(options.state, cloud.settings(), begin)
    try:
        if options.since is not None and state.begin != begin:
            print(f"{options.state} began at {state.begin:%Y-%m-%d}; --since is for a new state file", flush=True)
        counter = CloudCounter(
            cloud, state, reread=reread, registry=registry, guard=guard_for(registry, options.max_consumers)
        )

        def told(until: datetime, added: int) -> None:
            print(f"read until {until:%Y-%m-%dT%H:%MZ}: {added} requests added", flush=True)

        if options.once:
            counter.step(fixed or datetime.now(UTC), told)
            return 0
        page = Page(options.listen, registry)
        page.start()
        stop = told_to_stop()
        print(f"counting {cloud.name}, serving {page.address}", flush=True)
        try:
            pause = 0.0
            while not stop.wait(pause):
                pause = options.interval
                try:
                    counter.step(fixed or datetime.now(UTC), told)
                except (CloudRefused, CloudUnavailable, OSError, OverflowError, sqlite3.Error) as error:
                    # The cloud is away, or the disk is full: what was not committed is asked for again.
                    pause = min(TRY_AGAIN, options.interval)
                    print(f"rating-exporters: {error}; tried again in {pause:g} s", file=sys.stderr, flush=True)
        finally:
            page.stop()
        return 0
    finally:
        state.close()
