"""Which responses are for the bill: rules from status, header or anything else to true or false.

A rule decides a label, never whether to count: what is not billed is counted as billable="false" and can be argued
about later. Without any rule, the `status` label alone says it and the meter's `where` picks the 2xx.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from .consumers import Request


@dataclass(frozen=True, slots=True)
class Response:
    """What was answered: the status (499 or 500 where it broke off) and the headers, names in lower case."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)


BillableRule: TypeAlias = Callable[[Request, Response], bool]


def by_status(*classes: str) -> BillableRule:
    """Billable are these statuses: whole classes ("2xx") or single ones ("404")."""
    wanted = frozenset(classes)
    for one in wanted:
        if len(one) != 3 or not one[0].isdigit() or not (one[1:] == "xx" or one.isdigit()):
            raise ValueError(f'status {one!r} is neither a class like "2xx" nor a code like "404"')
    return lambda _, response: str(response.status) in wanted or f"{response.status // 100}xx" in wanted


def by_header(name: str, *, default: bool = True, also: BillableRule | None = None) -> BillableRule:
    """The application says it in a response header: "false", "0" or "no" is not billed; absent means `default`.

    `also` must agree as well: `by_header("x-billable", also=by_status("2xx"))` never bills a failure.
    """
    key = name.lower()

    def rule(request: Request, response: Response) -> bool:
        said = response.headers.get(key)
        verdict = default if said is None else said.strip().lower() not in ("false", "0", "no")
        return verdict and (also is None or also(request, response))

    return rule
