"""`rating-exporters logs`: a process that counts one access log and serves its metrics page until it is stopped."""

from __future__ import annotations

import argparse
import sqlite3
import sys
from collections import Counter
from pathlib import Path

from prometheus_client import CollectorRegistry

from .guard import DEFAULT_BOUNDS, Guard
from .loglines import Entry, LineRule, routes
from .logpresets import NAMES, pattern, rule_for
from .logs import FAMILIES, AccessLog
from .logstate import LogState
from .preview import Preview, add_output, added, output_of
from .serving import Page, process_registry, told_to_stop
from .totals import Series
from .vocabulary import CONSUMER, LOG_LINES, LOG_TRUNCATIONS, REQUESTS, RESPONSE_BYTES

SHOWN = 5  # lines that do not fit, of which a check shows the text
SHOWN_BYTES = 200  # of each


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("--log", type=Path, required=True, metavar="FILE", help="FILE.1, FILE-DATE.gz ... belong to it")
    parser.add_argument("--state", type=Path, required=True, metavar="FILE", help="SQLite file of positions and totals")
    parser.add_argument("--format", default="combined", help=f"{', '.join(NAMES)}, or an nginx log_format")
    parser.add_argument(
        "--pattern", metavar="REGEX", help="lines by groups called method, path, status, consumer, sent"
    )
    parser.add_argument("--consumer", metavar="NAME", help="variable or JSON key that names the consumer")
    parser.add_argument("--route", action="append", default=[], metavar="/TEMPLATE", help="e.g. /things/{id}; repeat")
    parser.add_argument("--copytruncate", action="store_true", help="rotation copies and truncates instead of renaming")
    parser.add_argument("--max-consumers", type=int, default=DEFAULT_BOUNDS[CONSUMER], metavar="N")
    parser.add_argument("--interval", type=float, default=1.0, metavar="SECONDS")
    parser.add_argument("--listen", default="127.0.0.1:9119", metavar="HOST:PORT")
    parser.add_argument("--check", "--dry-run", action="store_true",
                        help="say what all that is not counted yet would add, and change nothing")  # fmt: skip
    add_output(parser)


def run(options: argparse.Namespace) -> int:
    """Count and serve until SIGTERM or SIGINT. 1 when a check finds trouble, 2 when it cannot start."""
    try:
        output = output_of(options, options.check)
        line = pattern(options.pattern) if options.pattern else rule_for(options.format, options.consumer)
        if options.check:
            return _check(options, line, output)
        registry = process_registry()
        log = _log(options, LogState(options.state), line, registry)
        page = Page(options.listen, registry)
    except (OSError, OverflowError, ValueError, sqlite3.Error) as error:
        print(f"rating-exporters: {error}", file=sys.stderr)
        return 2
    return _serve(options, log, page)


def _log(options: argparse.Namespace, state: LogState, line: LineRule, registry: CollectorRegistry | None) -> AccessLog:
    guard = Guard({**DEFAULT_BOUNDS, CONSUMER: options.max_consumers}, registry=registry)
    return AccessLog(
        options.log, state, line, routes(options.route),
        registry=registry, guard=guard, copytruncate=options.copytruncate,
    )  # fmt: skip


def _check(options: argparse.Namespace, line: LineRule, output: str) -> int:
    """Read what is not counted yet, say what it would add, and leave everything as it was."""
    if not options.log.exists():
        raise FileNotFoundError(f"{options.log}: there is no such log; is this its name (--log)?")
    unfit: list[tuple[str, str]] = []

    def tried(raw: bytes) -> Entry | None:
        found = line(raw)
        if found is None and len(unfit) < SHOWN:
            text = raw[:SHOWN_BYTES].decode("utf-8", "backslashreplace")
            unfit.append((f"a line of {len(raw)} bytes", f"it does not fit the format: {text!r}"))
        return found

    state = LogState(options.state, looking=True)
    try:
        before = state.totals()
        read = _log(options, state, tried, None).poll()
        counts: Counter[Series] = Counter(
            {series: total - before.get(series, (0, 0.0))[0] for series, (total, _) in state.totals().items()}
        )
    finally:
        state.close()
    malformed, truncated = counts[LOG_LINES, ("malformed",)], counts[LOG_TRUNCATIONS, ()]
    unfit = unfit[:malformed]  # a compressed file that is not whole yet was looked into and not counted
    warnings = []
    if malformed > len(unfit):
        warnings.append(f"{malformed} lines do not fit the format; the first {len(unfit)} are shown")
    if truncated:
        warnings.append(f"text was gone from {truncated} files; lines that were not read by then are lost")
    labels = {metric: FAMILIES[metric][0] for metric in (REQUESTS, RESPONSE_BYTES)}
    Preview(read, f"lines of {options.log}", added(counts, labels), unfit, warnings).show(output)
    return 1 if malformed or truncated else 0


def _serve(options: argparse.Namespace, log: AccessLog, page: Page) -> int:
    stop = told_to_stop()
    page.start()
    print(f"counting {options.log}, serving {page.address}", flush=True)
    while not stop.is_set():
        try:
            log.poll()
        except (
            OSError,
            OverflowError,
            sqlite3.Error,
        ) as error:
            # A full disk: nothing was committed, so nothing is lost by waiting.
            print(f"rating-exporters: {error}; tried again in {options.interval} s", file=sys.stderr, flush=True)
        stop.wait(options.interval)
    log.poll()
    page.stop()
    log.state.close()
    return 0
