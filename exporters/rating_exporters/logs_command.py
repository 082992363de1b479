"""`rating-exporters logs`: a process that counts one access log and serves its metrics page until it is stopped."""

from __future__ import annotations

import argparse
import sqlite3
import sys
from pathlib import Path

from .guard import DEFAULT_BOUNDS, Guard
from .loglines import routes
from .logpresets import NAMES, pattern, rule_for
from .logs import AccessLog
from .logstate import LogState
from .serving import Page, process_registry, told_to_stop
from .vocabulary import CONSUMER


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


def serve(options: argparse.Namespace) -> int:
    """Count and serve until SIGTERM or SIGINT. 2 when it cannot start."""
    registry = process_registry()
    try:
        line = pattern(options.pattern) if options.pattern else rule_for(options.format, options.consumer)
        guard = Guard({**DEFAULT_BOUNDS, CONSUMER: options.max_consumers}, registry=registry)
        log = AccessLog(
            options.log, LogState(options.state), line, routes(options.route),
            registry=registry, guard=guard, copytruncate=options.copytruncate,
        )  # fmt: skip
        page = Page(options.listen, registry)
    except (OSError, ValueError, sqlite3.Error) as error:
        print(f"rating-exporters: {error}", file=sys.stderr)
        return 2
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
