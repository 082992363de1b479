"""The route template of a Django request. Django leaves none in scope or environ, so the path is resolved once more."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def django_endpoint(request: Mapping[str, Any]) -> str | None:
    """For `endpoint=` of both middlewares: the route Django's URLconf has for the path of a scope or environ.

    Reads ROOT_URLCONF: an application that sets `request.urlconf` gives its own function.
    """
    from django.urls import Resolver404, resolve  # whoever has no Django never calls this

    path = (
        request["PATH_INFO"].encode("latin-1").decode("utf-8", "replace") if "PATH_INFO" in request else request["path"]
    )
    root = request.get("root_path") or ""
    if root and path.startswith(root):
        path = path[len(root) :]
    try:
        return "/" + str(resolve(path).route)
    except Resolver404:
        return None
