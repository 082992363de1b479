"""The counters of a language model behind an API: tokens by model, direction and cache, and inferences.

Decides labels and that only a completed 2xx answer is an inference. Tokens are counted whenever the provider stated
them, for they were used. A successful answer that states none, or broke off before it did, is counted as unmetered and
never guessed.
"""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import REGISTRY, CollectorRegistry

from .counters import CounterFactory, Counts, plain_counter
from .estimate import TokenEstimate
from .guard import Guard, named
from .tokens import Tokens
from .vocabulary import CONSUMER, ESTIMATED, INFERENCES, MODEL, TOKENS, UNKNOWN, UNMETERED


class InferenceMetrics:
    """`llm_tokens_total{consumer_id,model,direction,cached}`, `llm_inferences_total{consumer_id,model}` and
    `llm_unmetered_responses_total{consumer_id}`.

    `direction` is input or output; `cached` is no, read or write. Give `guard` the one of `UsageMetrics`, so that one
    consumer has one place. `endpoints` are the route templates behind which a model answers: only there is an answer
    without usage unmetered. Without the list, any JSON answer or event stream that states usage is counted. `estimate`
    counts the texts of an unmetered one into `llm_estimated_tokens_total{consumer_id,model,direction}`: apart.
    """

    def __init__(
        self,
        registry: CollectorRegistry | None = REGISTRY,
        *,
        guard: Guard,
        endpoints: Iterable[str] | None = None,
        counter: CounterFactory = plain_counter,
        estimate: TokenEstimate | None = None,
    ) -> None:
        self.endpoints = None if endpoints is None else frozenset(endpoints)
        self.guard = guard
        self.estimate = estimate if estimate is not None and estimate.encoding is not None else None
        self._estimated: Counts | None = None
        if self.estimate is not None:
            text = "Tokens of answers that stated none, counted by us: an estimate."
            self._estimated = counter(ESTIMATED, text, (CONSUMER, MODEL, "direction"), registry, scale=1)
        labels = (CONSUMER, MODEL, "direction", "cached")
        self._tokens = counter(TOKENS, "Tokens, as the provider stated them.", labels, registry, scale=1)
        text = "Completed answers that stated their usage."
        self._inferences = counter(INFERENCES, text, (CONSUMER, MODEL), registry, scale=1)
        text = "Successful answers of a model that stated no usage, or none that could be read."
        self._unmetered = counter(UNMETERED, text, (CONSUMER,), registry, scale=1)

    def expects(self, endpoint: str) -> bool:
        """Whether an answer behind this template must state its usage."""
        return self.endpoints is not None and endpoint in self.endpoints

    def record_estimate(self, consumer: str, found: tuple[str, int, int] | None) -> None:
        """Count what an unmetered answer is estimated at: model, input, output."""
        if found is None or self._estimated is None:
            return
        consumer = self.guard.admit(TOKENS, CONSUMER, consumer)
        model = self.guard.admit(TOKENS, MODEL, named(found[0], UNKNOWN))
        for direction, amount in zip(("input", "output"), found[1:], strict=True):
            if amount:
                self._estimated.labels(consumer, model, direction).inc(amount)

    def record(self, consumer: str, tokens: Tokens | None, *, completed: bool = True, expected: bool = True) -> None:
        """Count what one answer stated. `completed`: 2xx, delivered to its end; `expected`: it should state some."""
        if tokens is None and not expected:
            return
        consumer = self.guard.admit(TOKENS, CONSUMER, consumer)
        if tokens is None:
            self._unmetered.labels(consumer).inc()
            return
        model = self.guard.admit(TOKENS, MODEL, named(tokens.model, UNKNOWN))
        for direction, cached, amount in (
            ("input", "no", tokens.input),
            ("input", "read", tokens.cache_read),
            ("input", "write", tokens.cache_write),
            ("output", "no", tokens.output),
        ):
            if amount:
                self._tokens.labels(consumer, model, direction, cached).inc(amount)
        if completed:
            self._inferences.labels(consumer, model).inc()
