"""`search`: Stripe's query language as far as metadata and plain fields go, and as late as theirs.

An object is found only after a delay: what was created a second ago is not. Source: the API reference, "Search";
"Data is typically searchable in under 1 minute".
"""

from __future__ import annotations

import re

from tests.stripe_peer.refusals import wrong
from tests.stripe_peer.shelves import Shelf, Thing
from tests.stripe_peer.world import Call, World

_CLAUSE = re.compile(
    r"""\s*(?P<minus>-)?(?:(?P<field>\w+)|metadata\[["'](?P<key>[^"']+)["']\])\s*(?P<how>[:~]|>=|<=|>|<)\s*"""
    r"""(?:(?P<quoted>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|(?P<bare>\w+))\s*"""
)


def search(world: World, shelf: Shelf, call: Call, url: str) -> Thing:
    """One page of what matches all clauses, or any of them where they are joined by OR.

    Raises:
        Refusal: the query cannot be read; both AND and OR.
    """
    clauses, any_of = _read(call.params["query"])
    latest = world.now() - world.settings.search_delay
    limit, start = call.get("limit", 10), int(call.get("page") or 0)
    if not 1 <= limit <= 100:
        raise wrong(f"This value must be between 1 and 100 (inclusive); you sent {limit}", "limit")
    matching = (
        thing
        for thing in reversed(_candidates(shelf, clauses, any_of))
        if thing["created"] <= latest and (any if any_of else all)(_holds(clause, thing) for clause in clauses)
    )
    found = list(matching)
    page = found[start : start + limit]
    more = len(found) > start + limit
    return {
        "object": "search_result",
        "data": page,
        "has_more": more,
        "next_page": str(start + limit) if more else None,
        "url": url,
    }


def _candidates(shelf: Shelf, clauses: list[re.Match[str]], any_of: bool) -> list[Thing]:
    """Few, where one clause that must hold names a piece of metadata."""
    for clause in clauses:
        if clause["key"] and clause["how"] == ":" and clause["quoted"] and not clause["minus"]:
            if any_of and len(clauses) > 1:
                break
            return shelf.labelled(clause["key"], _wanted(clause))
    return list(shelf)


def _wanted(clause: re.Match[str]) -> str:
    quoted = clause["quoted"]
    return re.sub(r"\\(.)", r"\1", quoted[1:-1]) if quoted else clause["bare"]


def _read(query: str) -> tuple[list[re.Match[str]], bool]:
    words = {word.upper() for word in re.findall(r"\b(AND|OR)\b", re.sub(r"([\"']).*?\1", "", query), re.IGNORECASE)}
    if len(words) > 1:
        raise wrong("We don't support mixing AND and OR in one query", "query")
    clauses, position = [], 0
    while True:
        clause = _CLAUSE.match(query, position)
        if clause is None:
            raise wrong(f"We were unable to parse your search query: {query!r}, at {query[position:]!r}", "query")
        clauses.append(clause)
        position = clause.end()
        if position == len(query):
            return clauses, words == {"OR"}
        joined = re.compile(r"(AND|OR)\b|(?=\S)", re.IGNORECASE).match(query, position)
        position = joined.end() if joined else position


def _holds(clause: re.Match[str], thing: Thing) -> bool:
    quoted = clause["quoted"]
    wanted = _wanted(clause)
    have = thing["metadata"].get(clause["key"]) if clause["key"] else thing.get(clause["field"])
    if wanted.lower() == "null" and not quoted:
        holds = have is None
    elif have is None:
        holds = False
    elif clause["how"] == ":":
        holds = str(have).lower() == wanted.lower()
    elif clause["how"] == "~":
        holds = wanted.lower() in str(have).lower()
    else:
        left, right = int(have), int(wanted)
        holds = {">": left > right, "<": left < right, ">=": left >= right, "<=": left <= right}[clause["how"]]
    return holds != bool(clause["minus"])
