"""The route template of a request, from what the router left in the ASGI scope; never the raw path.

Knows Starlette, FastAPI (included routers and mounts too) and Litestar. A framework that leaves nothing behind gets
`<unmatched>`, and the middleware's `endpoint=` rule is the way out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from .consumers import Scope
from .vocabulary import METHODS, MOUNTED, UNMATCHED


def template(scope: Scope, app: Any, root_before: str) -> str:
    """The template that took the request. `app` has the outer `routes`; `root_before` is `root_path` on arrival."""
    litestar = scope.get("path_template")
    if isinstance(litestar, str) and litestar:
        return litestar
    prefix = _mounts(app, scope.get("root_path", "")[len(root_before) :])
    route = scope.get("route") or _by_endpoint(app, scope.get("endpoint"))
    if route is None:
        return UNMATCHED
    if _is_mount(route):
        return prefix or str(getattr(route, "path", "") or "/")
    return prefix + _path(scope, route)


def _path(scope: Scope, route: Any) -> str:
    # FastAPI keeps the prefix of an included router apart from the route itself.
    context = (scope.get("fastapi") or {}).get("effective_route_context")
    if context is not None and getattr(context, "original_route", None) is route:
        path = getattr(context, "path", None) or getattr(getattr(context, "starlette_route", None), "path", None)
        if isinstance(path, str):
            return path
    path = getattr(route, "path", None)
    return path if isinstance(path, str) else UNMATCHED


def _is_mount(route: Any) -> bool:
    return hasattr(route, "path_regex") and hasattr(route, "routes") and hasattr(route, "app")


def _mounts(app: Any, walked: str) -> str:
    """The template of the mounts that consumed `walked`, a piece of raw path: /t/acme under Mount("/t/{tenant}")."""
    found = ""
    while walked:
        for route in getattr(app, "routes", ()):
            match = _is_mount(route) and route.path_regex.match(walked + "/")
            if match:
                rest = "/" + match.groupdict().get("path", "")
                found += route.path
                app, walked = route, rest.rstrip("/")
                break
        else:
            return found + "/" + MOUNTED
    return found


def _by_endpoint(app: Any, endpoint: Any) -> Any:
    """Older Starlette leaves only the endpoint function; a function that serves two routes cannot be told apart."""
    if endpoint is None:
        return None
    found = [route for route in _walk(getattr(app, "routes", ())) if getattr(route, "endpoint", None) is endpoint]
    return found[0] if len(found) == 1 else None


def _walk(routes: Iterable[Any]) -> Iterator[Any]:
    for route in routes:
        yield route
        if _is_mount(route):
            yield from _walk(route.routes)


def endpoints_of(app: Any) -> list[str]:
    """ "METHOD /template" for every plain route of a Starlette or FastAPI application, for `UsageMetrics.prime`.

    FastAPI's own pages (/docs, /openapi.json ...) are left out, and so is HEAD where GET exists.
    """
    return sorted(set(_endpoints(getattr(app, "routes", ()), "")))


def _endpoints(routes: Iterable[Any], prefix: str) -> Iterator[str]:
    for route in routes:
        if _is_mount(route):
            yield from _endpoints(route.routes, prefix + route.path)
        elif hasattr(route, "effective_route_contexts"):  # FastAPI's included router
            for context in route.effective_route_contexts():
                yield from _endpoints([getattr(context, "starlette_route", None) or context], prefix)
        elif getattr(route, "include_in_schema", True):
            yield from _methods(route, prefix)


def _methods(route: Any, prefix: str) -> Iterator[str]:
    methods = set(getattr(route, "methods", None) or ())  # a WebSocket route has none
    if "GET" in methods:
        methods.discard("HEAD")
    for method in methods & METHODS:
        yield f"{method} {prefix}{route.path}"
