"""Tokens of model answers that stated none, counted with tiktoken: an estimate, and kept apart as one.

Decides what text of a request and an answer is counted. The estimate goes to `llm_estimated_tokens_total`, never to the
provider's own figures. Without a vocabulary (tiktoken downloads it at its first use) there is none, and that is said.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from .tokens import MAX_ANSWER

log = logging.getLogger(__name__)


class Encodes(Protocol):
    """What is used of a tiktoken encoding."""

    def encode_ordinary(self, text: str) -> list[int]: ...


class TokenEstimate:
    """Counts texts by one vocabulary: `TokenEstimate.named("o200k_base")`, or an encoding of your own.

    `encoding` None (nothing could be loaded) counts nothing: such answers stay unmetered, and nothing else.
    """

    def __init__(self, encoding: Encodes | None) -> None:
        self.encoding = encoding

    @classmethod
    def named(cls, name: str = "o200k_base") -> TokenEstimate:
        """tiktoken's own vocabulary of that name. Loads it now, at start, and not under the first request."""
        try:
            import tiktoken  # the extra `tokens`

            return cls(tiktoken.get_encoding(name))
        except Exception as error:  # noqa: BLE001 - no network, no package, no such name: all mean no estimate
            log.warning(
                "no vocabulary %s (%s: %s): answers that state no usage are counted as unmetered, not estimated; "
                "pip install 'rating-exporters[tokens]', and set TIKTOKEN_CACHE_DIR to a folder that holds it",
                name, type(error).__name__, error,
            )  # fmt: skip
            return cls(None)

    def count(self, text: str) -> int:
        """Tokens of a text; 0 without a vocabulary."""
        return len(self.encoding.encode_ordinary(text)) if self.encoding is not None and text else 0

    def of(self, request: bytes, answer: bytes, *, stream: bool) -> tuple[str, int, int] | None:
        """Model, input and output of one exchange, or None where nothing can be said."""
        if self.encoding is None or len(request) > MAX_ANSWER or len(answer) > MAX_ANSWER:
            return None
        question = _parsed(request)
        asked = "".join(_asked(question))
        events = _events(answer) if stream else [_parsed(answer)]
        said = "".join(part for event in events for part in _said(event))
        model = question.get("model") if isinstance(question, Mapping) else None
        return (model if isinstance(model, str) else "", self.count(asked), self.count(said)) if said else None


def _parsed(text: bytes) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _events(answer: bytes) -> Iterator[Any]:
    for line in answer.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n"):
        if line.startswith(b"data:"):
            yield _parsed(line[5:].strip())


def _asked(request: Any) -> Iterator[str]:
    """The prompt: messages, an input or prompt text, a system text."""
    if not isinstance(request, Mapping):
        return
    for key in ("system", "instructions", "prompt", "input"):
        yield from _text(request.get(key))
    yield from _text(request.get("messages"))


def _said(answer: Any) -> Iterator[str]:
    """The text of an answer or of one event of it, OpenAI- and Anthropic-style."""
    if not isinstance(answer, Mapping):
        return
    for choice in answer.get("choices") or ():
        if isinstance(choice, Mapping):
            for key in ("message", "delta", "text"):
                yield from _text(choice.get(key))
    delta = answer.get("delta")
    yield from _text(delta if isinstance(delta, str | Mapping) else None)
    yield from _text(answer.get("content"))
    yield from _text(answer.get("output"))


def _text(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for one in value:
            yield from _text(one)
    elif isinstance(value, Mapping):
        for key in ("content", "text"):
            yield from _text(value.get(key))
