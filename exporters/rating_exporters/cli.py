"""`rating-exporters`: the commands of this package.

Reads arguments, prints, and chooses the exit status: 0 nothing wrong, 1 something would go wrong, 2 could not look.
"""

from __future__ import annotations

import argparse
import gzip
import json
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from . import cloud_command, events_command, logs_command
from .handover import ASIDE, exported, hand_over, taken_over, whole
from .lint import lint
from .records import DamagedStore, decoded
from .slots import SUFFIX, SlotReader


def main(arguments: list[str] | None = None) -> int:
    """Entry point of the console script."""
    parser = argparse.ArgumentParser(prog="rating-exporters", description="Usage counters beside your traffic.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    linter = commands.add_parser("lint", help="scrape a /metrics page and say what would go wrong in billing")
    linter.add_argument("url", metavar="URL", help="http(s) address of the page, or - for standard input")
    linter.add_argument("--timeout", type=float, default=10.0, metavar="SECONDS")
    state = commands.add_parser("state", help="durable counters: check a directory, or hand its totals to another host")
    _state_options(state.add_subparsers(dest="verb", required=True, metavar="check|export|import"))
    logs_command.add_options(
        commands.add_parser("logs", help="count an access log and serve the totals on a /metrics page")
    )
    events_command.add_options(
        commands.add_parser("events", help="count the messages of a broker and serve the totals")
    )
    cloud_command.add_options(commands.add_parser("cloud", help="count what a cloud's gateway counted per consumer"))
    chosen = parser.parse_args(arguments)
    if chosen.command == "lint":
        return _lint(chosen.url, chosen.timeout)
    if chosen.command == "state":
        return _state(chosen.directory) if chosen.verb == "check" else _move(chosen)
    if chosen.command == "events":
        return events_command.run(chosen)
    if chosen.command == "cloud":
        return cloud_command.run(chosen)
    return logs_command.run(chosen)


def _state_options(verbs: Any) -> None:
    check = verbs.add_parser("check", help="check the files and show their totals")
    check.add_argument("directory", type=Path, metavar="DIRECTORY")
    export = verbs.add_parser("export", help="write the totals to a file and move the counter files aside")
    take = verbs.add_parser("import", help="begin an empty directory with the totals of such a file")
    for verb in (export, take):
        verb.add_argument("directory", type=Path, metavar="DIRECTORY")
        verb.add_argument("file", type=Path, metavar="FILE")
        verb.add_argument("--dry-run", action="store_true", help="look and say, change nothing")


def _move(chosen: argparse.Namespace) -> int:
    """`state export` and `state import`."""
    directory, file = chosen.directory, chosen.file
    try:
        if chosen.verb == "export":
            if chosen.dry_run:
                series = len(json.loads(exported(directory))["totals"])
                print(f"would write {series} series to {file} and move the files of {directory} aside")
            else:
                print(f"wrote {hand_over(directory, file)} series to {file}; the files are in {directory / ASIDE}")
        elif chosen.dry_run:
            print(f"would begin {directory} with {whole(directory, file.read_text())} series")
        else:
            print(f"{directory} begins with {taken_over(directory, file.read_text())} series")
    except (OSError, ValueError, DamagedStore) as error:
        print(f"rating-exporters: {error}", file=sys.stderr)
        return 2
    return 0


def _lint(url: str, timeout: float) -> int:
    try:
        page = sys.stdin.read() if url == "-" else fetched(url, timeout)
        found = lint(page)
    except (OSError, ValueError) as error:
        print(f"rating-exporters: cannot read {url}: {error}", file=sys.stderr)
        return 2
    for advice in found:
        print(advice)
    print(f"{sum(a.severity == 'error' for a in found)} errors, {sum(a.severity == 'warning' for a in found)} warnings")
    return 1 if any(advice.severity == "error" for advice in found) else 0


def fetched(url: str, timeout: float) -> str:
    """The text of a metrics page. OSError or ValueError when it cannot be had."""
    if not url.startswith(("http://", "https://")):
        raise ValueError("an address starts with http:// or https://")
    headers = {"Accept": "text/plain;version=0.0.4", "Accept-Encoding": "gzip"}
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=timeout) as answer:
        body: bytes = answer.read()
        if answer.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
    return body.decode()


def _state(directory: Path) -> int:
    paths = sorted(directory.glob("slot-*" + SUFFIX))
    if not paths:
        print(f"rating-exporters: {directory} holds no counter files (slot-*{SUFFIX})", file=sys.stderr)
        return 2
    totals: dict[tuple[str, int], tuple[int, int]] = {}
    status = 0
    for path in paths:
        try:
            cells = list(SlotReader(path).fresh(thorough=True))
        except DamagedStore as error:
            print(f"error: {error}")
            status = 1
            continue
        for key, words, index in cells:
            series, units = totals.get((key.metric, key.scale), (0, 0))
            totals[key.metric, key.scale] = series + 1, units + decoded(words[index])
        print(f"{path.name}: {len(cells)} series, good")
    for (metric, scale), (series, units) in sorted(totals.items()):
        shown = str(units) if scale == 1 else f"{units / scale:.3f}"
        print(f"{metric}_total: {shown} over {series} series in all slots")
    return status
