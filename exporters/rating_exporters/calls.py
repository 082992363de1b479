"""Counting what is neither ASGI nor WSGI: a block of code or a function, as one call.

A call that raises is counted as 500 and raises on. Leaves labels and figures to `usage`.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from time import perf_counter
from types import TracebackType
from typing import Any, ParamSpec, TypeVar, cast

from .guard import named
from .usage import UsageMetrics
from .vocabulary import ANONYMOUS, SERVER_BROKE, UNKNOWN

P = ParamSpec("P")
R = TypeVar("R")


class Call:
    """One call in progress. Set `status`, `received`, `sent`, `consumer` or `billable` inside the block as they become
    known; `billable` left at None means 2xx."""

    def __init__(self, metrics: UsageMetrics, consumer: str | None, endpoint: str, method: str = "CALL") -> None:
        self.metrics = metrics
        self.consumer = consumer
        self.endpoint = endpoint
        self.method = method
        self.status = 200
        self.received = 0
        self.sent = 0
        self.billable: bool | None = None

    def __enter__(self) -> Call:
        self.began = perf_counter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None and self.status < 400:
            self.status = SERVER_BROKE
        billable = 200 <= self.status < 300 if self.billable is None else self.billable
        self.metrics.record(
            named(self.consumer, ANONYMOUS), self.endpoint, self.method, self.status,
            seconds=perf_counter() - self.began, received=self.received, sent=self.sent, billable=billable,
        )  # fmt: skip


def counted(
    metrics: UsageMetrics, consumer: Callable[..., str | None], endpoint: str | None = None, method: str = "CALL"
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """`@counted(metrics, consumer=lambda job: job.tenant)` counts each call of a function or coroutine function.

    `consumer` is given the function's own arguments; `endpoint` defaults to the function's qualified name.
    Generators are refused with TypeError: their call is over before their work begins; use `Call` inside.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise TypeError(f"{function.__qualname__} is a generator: use `with Call(...)` inside it")
        name = endpoint or function.__qualname__

        def call(*args: Any, **kwargs: Any) -> Call:
            try:
                who = consumer(*args, **kwargs)
            except Exception:  # noqa: BLE001 - a rule is foreign code, and the call must go on
                metrics.fault("consumer")
                return _Unknown(metrics, None, name, method)
            return Call(metrics, who, name, method)

        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def wrapped_async(*args: P.args, **kwargs: P.kwargs) -> Any:
                with call(*args, **kwargs):
                    return await function(*args, **kwargs)

            return cast("Callable[P, R]", wrapped_async)

        @functools.wraps(function)
        def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
            with call(*args, **kwargs):
                return function(*args, **kwargs)

        return wrapped

    return decorate


class _Unknown(Call):
    """A call whose consumer rule raised."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.consumer = UNKNOWN
        super().__exit__(kind, error, trace)
