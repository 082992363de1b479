"""Every endpoint of the API, read out of the SDK itself: method, path and the type of its parameters.

Reading is all that happens here: `stripe/**/*_service.py` is parsed, not imported.
"""

from __future__ import annotations

import ast
import functools
import importlib.util
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One call of the API."""

    method: str
    path: str
    """With its ids in braces: `/v1/invoices/{invoice}/finalize`."""
    module: str | None
    """Where the type of the parameters stands; none for a call without any."""
    params: str | None


@functools.cache
def endpoints() -> dict[tuple[str, str], Endpoint]:
    """All of them, by method and path."""
    spec = importlib.util.find_spec("stripe")
    assert spec is not None
    assert spec.origin is not None
    found: dict[tuple[str, str], Endpoint] = {}
    for file in sorted(Path(spec.origin).parent.rglob("*_service.py")):
        for endpoint in _of(ast.parse(file.read_text())):
            found[(endpoint.method, endpoint.path)] = endpoint
    return found


def _of(tree: ast.Module) -> Iterator[Endpoint]:
    homes = {
        alias.name: node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("stripe.params")
        for alias in node.names
    }
    functions = (node for kind in tree.body if isinstance(kind, ast.ClassDef) for node in kind.body)
    for function in functions:
        if not isinstance(function, ast.FunctionDef):
            continue
        for call in ast.walk(function):
            if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute)):
                continue
            if call.func.attr != "_request" or len(call.args) < 2:
                continue
            method, path = _text(call.args[0]), _text(call.args[1])
            name = _params(function)
            yield Endpoint(method, path, homes.get(name) if name else None, name if name in homes else None)


def _text(node: ast.expr) -> str:
    """A literal, or the literal that `.format(...)` is called on."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        node = node.func.value
    assert isinstance(node, ast.Constant)
    return str(node.value)


def _params(function: ast.FunctionDef) -> str | None:
    for argument in (*function.args.args, *function.args.kwonlyargs):
        if argument.arg == "params" and argument.annotation is not None:
            return next(iter(re.findall(r"\w+Params\b", ast.unparse(argument.annotation))), None)
    return None


@functools.cache
def _tree() -> dict[str, dict]:  # type: ignore[type-arg]
    """Paths cut at their slashes, for finding one in as many steps as it has parts."""
    root: dict = {}  # type: ignore[type-arg]
    for (method, path), endpoint in endpoints().items():
        node = root.setdefault(method, {})
        for part in path.strip("/").split("/"):
            node = node.setdefault("{}" if part.startswith("{") else part, {})
        node[""] = endpoint
    return root


def found(method: str, path: str) -> tuple[Endpoint, tuple[str, ...]] | None:
    """The endpoint that a request is for, and the ids in its path; none where Stripe has none."""
    node = _tree().get(method.lower(), {})
    ids: list[str] = []
    for part in path.strip("/").split("/"):
        if part in node:
            node = node[part]
        elif "{}" in node:
            node = node["{}"]
            ids.append(part)
        else:
            return None
    endpoint = node.get("")
    return (endpoint, tuple(ids)) if endpoint else None
