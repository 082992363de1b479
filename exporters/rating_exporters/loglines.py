"""One line of an access log to one `Entry`: nginx formats (as its `log_format` writes them) and JSON.

Decides what a line says. A line that does not fit is None: counted by the caller as malformed, never guessed at.
Lines are found field by field from left to right, with no backtracking: no client can write a line that takes long.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias

from .vocabulary import UNMATCHED

COMBINED = (
    '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent"'
)
BYTES = ("body_bytes_sent", "bytes_sent")
PATHS = ("uri", "request_uri", "path")


@dataclass(frozen=True, slots=True)
class Entry:
    """One answered request. `consumer` is None where the log has "-" or nothing; `path` is without its query;
    `template` is the route where the log itself names it."""

    consumer: str | None
    method: str
    path: str
    status: int
    sent: int
    template: str | None = None


LineRule: TypeAlias = Callable[[bytes], "Entry | None"]


def nginx(log_format: str = COMBINED, consumer: str = "remote_user") -> LineRule:
    """Reads lines written by an nginx `log_format`; `consumer` is the variable that names him, without the $.

    ValueError when two variables touch (nobody could tell them apart) or the format lacks what counting needs.
    """
    pieces = re.split(r"\$(?:\{(\w+)\}|(\w+))", log_format)
    literals = [literal.encode() for literal in pieces[::3]]
    names = [braced or plain for braced, plain in zip(pieces[1::3], pieces[2::3], strict=True)]
    for name, after in zip(names[:-1], literals[1:-1], strict=True):
        if not after:
            raise ValueError(f"log format: nothing stands between ${name} and the next variable")
    _check(names, consumer)

    def rule(line: bytes) -> Entry | None:
        if not line.startswith(literals[0]):
            return None
        position, fields = len(literals[0]), {}
        for index, name in enumerate(names):
            after = literals[index + 1]
            end = line.find(after, position) if after else len(line)
            if end < 0:
                return None
            fields[name] = unescaped(line[position:end])
            position = end + len(after)
        return entry(fields, consumer)

    return rule


def json_lines(consumer: str = "remote_user") -> LineRule:
    """Reads one JSON object per line, its keys called like nginx's variables (`log_format ... escape=json`)."""

    def rule(line: bytes) -> Entry | None:
        fields = json_object(line)
        return (
            None
            if fields is None
            else entry({name: str(value) for name, value in fields.items() if isinstance(value, str | int)}, consumer)
        )

    return rule


def json_object(line: bytes) -> dict[str, Any] | None:
    """The one JSON object that a line is, or None."""
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return fields if isinstance(fields, dict) else None


def _check(names: Iterable[str], consumer: str) -> None:
    known = set(names)
    if consumer not in known:
        raise ValueError(f"log format: it has no ${consumer} to name the consumer; it has {', '.join(sorted(known))}")
    if "status" not in known or not ({"request"} & known or ("request_method" in known and known & set(PATHS))):
        raise ValueError("log format: counting needs $status, and $request or $request_method with $uri")


def entry(fields: Mapping[str, str], consumer: str) -> Entry | None:
    """The entry in named fields, or None when method, path or status are missing or impossible."""
    request = fields.get("request", "").split(" ")
    method = fields.get("request_method") or fields.get("method") or request[0]
    path = next((fields[name] for name in PATHS if fields.get(name)), request[1] if len(request) > 1 else "")
    status, sent = fields.get("status", ""), next((fields[name] for name in BYTES if fields.get(name)), "0")
    if not (method and path.startswith("/") and status.isascii() and status.isdigit() and len(status) == 3):
        return None
    if not (sent == "-" or (sent.isascii() and sent.isdigit() and len(sent) < 16)):
        return None
    who = fields.get(consumer, "")
    return Entry(
        None if who in ("", "-") else who, method, path.partition("?")[0], int(status), 0 if sent == "-" else int(sent)
    )


def unescaped(raw: bytes) -> str:
    r"""nginx writes quotes, backslashes and everything outside ASCII as \xHH."""
    if b"\\x" in raw:
        raw = re.sub(rb"\\x([0-9A-Fa-f]{2})", lambda match: bytes([int(match[1], 16)]), raw)
    return raw.decode("utf-8", "replace")


def routes(templates: Iterable[str]) -> Callable[[str], str]:
    """A path to the first template that takes it, else `<unmatched>`: a log knows only raw paths, and those are never
    labels. `{name}` is one segment, `{name:path}` the rest."""
    compiled = []
    for template in templates:
        if not template.startswith("/"):
            raise ValueError(f"route {template!r} does not start with /")
        parts = re.split(r"\{\w+(:path)?\}", template)
        pattern = re.escape(parts[0])
        for kind, literal in zip(parts[1::2], parts[2::2], strict=True):
            pattern += (".+" if kind else "[^/]+") + re.escape(literal)
        compiled.append((template, re.compile(pattern)))

    @lru_cache(10_000)
    def find(path: str) -> str:
        return next((template for template, pattern in compiled if pattern.fullmatch(path)), UNMATCHED)

    return find
