"""PromQL as trees: selectors, functions, aggregations, binary operations, and the one place that writes them as text.

Knows the grammar, not the metrics. A label value from outside is data: it enters a tree as a string and leaves it
quoted, never as query text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields, replace
from datetime import timedelta
from typing import Any

_RE2 = re.compile(r"([\\.+*?()|\[\]{}^$])")
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*\Z")
_METRIC = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*\Z")
_UNITS = (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1))
_SETS = ("and", "or", "unless")
_COMPARISONS = ("==", "!=", ">", "<", ">=", "<=")
_WIDTH = 96


def quote(text: str) -> str:
    """A PromQL string literal. Go's escapes, which PromQL follows, contain JSON's."""
    return json.dumps(text, ensure_ascii=False)


def literally(text: str) -> str:
    """An RE2 pattern that matches this text and nothing else."""
    return _RE2.sub(r"\\\1", text)


def duration(span: timedelta) -> str:
    """`90s`, `65m`, `6h`: the largest unit that divides the span."""
    milliseconds = span // timedelta(milliseconds=1)
    if milliseconds <= 0:
        raise ValueError(f"a PromQL duration must be positive, not {span}")
    unit, size = next((unit, size) for unit, size in _UNITS if milliseconds % size == 0)
    return f"{milliseconds // size}{unit}"


class Expr:
    """A node. Python's operators build bigger ones; comparisons and set operations are methods."""

    __slots__ = ()

    def __add__(self, other: Expr | float) -> Binary:
        return Binary("+", self, tree(other))

    def __sub__(self, other: Expr | float) -> Binary:
        return Binary("-", self, tree(other))

    def __mul__(self, other: Expr | float) -> Binary:
        return Binary("*", self, tree(other))

    def __truediv__(self, other: Expr | float) -> Binary:
        return Binary("/", self, tree(other))

    def compared(self, operator: str, other: Expr | float, **matching: Any) -> Binary:
        return Binary(operator, self, tree(other), **matching)

    def both(self, other: Expr, on: tuple[str, ...] | None = None) -> Binary:
        """Keeps what also has a match in `other`."""
        return Binary("and", self, other, on=on)

    def either(self, other: Expr, on: tuple[str, ...] | None = None) -> Binary:
        return Binary("or", self, other, on=on)

    def unless(self, other: Expr, on: tuple[str, ...] | None = None) -> Binary:
        return Binary("unless", self, other, on=on)

    def __str__(self) -> str:
        return render(self)


@dataclass(frozen=True, slots=True)
class Number(Expr):
    value: float
    threshold: bool = False
    """The number at which an alert turns: what a mutation of the rule would change."""


@dataclass(frozen=True, slots=True)
class Text(Expr):
    value: str


@dataclass(frozen=True, slots=True)
class Match:
    label: str
    operator: str
    value: str

    def __post_init__(self) -> None:
        if not _LABEL.match(self.label) or self.operator not in ("=", "!=", "=~", "!~"):
            raise ValueError(f"{self.label!r} {self.operator!r} is not a label matcher")


@dataclass(frozen=True, slots=True)
class Selector(Expr):
    """A metric, or with `span` its samples over the last while. Offset and `@ end()` apply to either."""

    metric: str
    matches: tuple[Match, ...] = ()
    span: timedelta | None = None
    offset: timedelta | None = None
    at_end: bool = False
    """Evaluated when the whole query is, even inside a subquery."""

    def __post_init__(self) -> None:
        if not _METRIC.match(self.metric):
            raise ValueError(f"{self.metric!r} is not a metric name")

    def over(self, span: timedelta) -> Selector:
        return replace(self, span=span)

    def before(self, offset: timedelta) -> Selector:
        return replace(self, offset=offset)


@dataclass(frozen=True, slots=True)
class Subquery(Expr):
    """`expr` evaluated at every multiple of `step` since the epoch within the last `span`."""

    expr: Expr
    span: timedelta
    step: timedelta
    offset: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Call(Expr):
    function: str
    arguments: tuple[Expr, ...] = ()


@dataclass(frozen=True, slots=True)
class Aggregate(Expr):
    operator: str
    expr: Expr
    by: tuple[str, ...] | None = None
    without: tuple[str, ...] | None = None
    parameter: Expr | None = None


@dataclass(frozen=True, slots=True)
class Binary(Expr):
    operator: str
    left: Expr
    right: Expr
    on: tuple[str, ...] | None = None
    group_left: tuple[str, ...] | None = None
    """Many on the left to one on the right; the labels named here are copied from the right."""
    bool: bool = False


def tree(value: Expr | float) -> Expr:
    return value if isinstance(value, Expr) else Number(value)


def metric(name: str, *matches: Match, **equal: str) -> Selector:
    return Selector(name, (*matches, *(Match(label, "=", value) for label, value in equal.items())))


def one_of(label: str, values: Iterable[str]) -> Match:
    """The label has one of these values, whatever characters they hold."""
    values = sorted(set(values))
    if len(values) == 1:
        return Match(label, "=", values[0])
    return Match(label, "=~", "|".join(literally(value) for value in values))


def call(function: str, *arguments: Expr | float) -> Call:
    return Call(function, tuple(tree(argument) for argument in arguments))


def by(operator: str, labels: tuple[str, ...], expr: Expr) -> Aggregate:
    return Aggregate(operator, expr, by=labels)


def renamed(expr: Expr, old: str, new: str) -> Expr:
    """Copies label `old` to `new`."""
    return call("label_replace", expr, Text(new), Text("$1"), Text(old), Text("(?s)(.*)"))


def rewritten(expr: Expr, change: Callable[[Expr], Expr]) -> Expr:
    """The tree with `change` applied to every node, leaves first."""
    values: dict[str, Any] = {}
    for item in fields(expr):  # type: ignore[arg-type]
        value = getattr(expr, item.name)
        if isinstance(value, Expr):
            values[item.name] = rewritten(value, change)
        elif isinstance(value, tuple) and any(isinstance(part, Expr) for part in value):
            values[item.name] = tuple(rewritten(part, change) for part in value)
    return change(replace(expr, **values) if values else expr)  # type: ignore[type-var]


def render(expr: Expr, indent: int = 0) -> str:
    """The query as text: on one line where it fits, else one operand a line."""
    flat = _write(expr, None)
    if len(flat) + 2 * indent <= _WIDTH:
        return flat
    return _write(expr, indent)


def _write(expr: Expr, indent: int | None) -> str:
    match expr:
        case Number(value):
            return f"{int(value)}" if float(value).is_integer() and abs(value) < 2**53 else repr(value)
        case Text(value):
            return quote(value)
        case Selector():
            return _selector(expr)
        case Subquery(inner, span, step, offset):
            earlier = "" if offset is None else f" offset {duration(offset)}"
            return f"{_enclosed(inner, indent)}[{duration(span)}:{duration(step)}]{earlier}"
        case Call(function, arguments):
            return f"{function}{_arguments(arguments, indent)}"
        case Aggregate(operator, inner, grouping, without, parameter):
            arguments = (inner,) if parameter is None else (parameter, inner)
            clause = "" if grouping is None else f" by ({', '.join(grouping)}) "
            if without is not None:
                clause = f" without ({', '.join(without)}) "
            return f"{operator}{clause}{_arguments(arguments, indent)}"
        case Binary():
            return _binary(expr, indent)
    raise TypeError(f"{type(expr).__name__} is not a PromQL node")


def _selector(selector: Selector) -> str:
    matches = ", ".join(f"{match.label}{match.operator}{quote(match.value)}" for match in selector.matches)
    text = selector.metric + (f"{{{matches}}}" if matches else "")
    if selector.span is not None:
        text += f"[{duration(selector.span)}]"
    if selector.at_end:
        text += " @ end()"
    if selector.offset is not None:
        text += f" offset {duration(selector.offset)}"
    return text


def _binary(expr: Binary, indent: int | None) -> str:
    operator = expr.operator
    if expr.bool:
        operator += " bool"
    if expr.on is not None:
        operator += f" on ({', '.join(expr.on)})"
    if expr.group_left is not None:
        operator += f" group_left ({', '.join(expr.group_left)})"
    left, right = _operand(expr.left, expr, indent), _operand(expr.right, expr, indent, right=True)
    between = " " if indent is None else "\n" + "  " * indent
    return f"{left}{between}{operator} {right}"


def _operand(expr: Expr, parent: Binary, indent: int | None, right: bool = False) -> str:
    """Every nested operation is put in parentheses, but for chains that read the same without."""
    chained = (
        isinstance(expr, Binary)
        and not right
        and expr.operator == parent.operator
        and expr.operator in ("or", "+", "*")
    )
    if isinstance(expr, Binary) and not chained:
        return _enclosed(expr, indent)
    return _write(expr, None) if indent is None else _broken(expr, indent)


def _enclosed(expr: Expr, indent: int | None) -> str:
    return _arguments((expr,), indent)


def _arguments(arguments: tuple[Expr, ...], indent: int | None) -> str:
    flat = f"({', '.join(_write(argument, None) for argument in arguments)})"
    if indent is None or len(flat) + 2 * indent <= _WIDTH:
        return flat
    inside = "  " * (indent + 1)
    lines = f",\n{inside}".join(render(argument, indent + 1) for argument in arguments)
    return f"(\n{inside}{lines}\n{'  ' * indent})"


def _broken(expr: Expr, indent: int) -> str:
    return render(expr, indent)
