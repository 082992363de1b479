"""What a language model's answer says it used: OpenAI- and Anthropic-style `usage` objects, streamed or not.

Decides which fields mean what. The provider's own figures are taken as they are; nothing is estimated. Leaves counting
to `inference`.

Two conventions for cached input: OpenAI's `prompt_tokens` (or `input_tokens`) *includes* `cached_tokens`; Anthropic's
`input_tokens` *excludes* both `cache_read_input_tokens` and `cache_creation_input_tokens`. Here `input` never includes
cached tokens, so the three add up.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# Bytes. A JSON answer beyond this is not kept in memory to look for its usage; a stream is looked at event by event.
MAX_ANSWER = 16 << 20


@dataclass(frozen=True, slots=True)
class Tokens:
    """Tokens of one inference. `input` without the cached ones; `cache_read` was served from, `cache_write` into a
    provider's cache; `output` includes reasoning."""

    model: str = ""
    input: int = 0
    cache_read: int = 0
    cache_write: int = 0
    output: int = 0


def tokens_of(answer: object) -> Tokens | None:
    """The usage in one JSON answer or one stream event, or None if it states none (or states nonsense)."""
    if not isinstance(answer, Mapping):
        return None
    # Anthropic's message_start wraps the message; OpenAI's response.completed wraps the response.
    for key in ("message", "response"):
        inner = answer.get(key)
        if isinstance(inner, Mapping) and isinstance(inner.get("usage"), Mapping):
            return tokens_of(inner)
    usage = answer.get("usage")
    if not isinstance(usage, Mapping):
        return None
    model = answer.get("model")
    try:
        return _tokens(usage, model if isinstance(model, str) else "")
    except ValueError:
        return None


def _tokens(usage: Mapping[str, Any], model: str) -> Tokens:
    if "prompt_tokens" in usage:  # OpenAI chat completions, embeddings, and the many that copy them
        cached = _count(_details(usage, "prompt_tokens_details"), "cached_tokens")
        prompt, output = _count(usage, "prompt_tokens"), _count(usage, "completion_tokens")
    elif "input_tokens_details" in usage:  # OpenAI responses
        cached = _count(_details(usage, "input_tokens_details"), "cached_tokens")
        prompt, output = _count(usage, "input_tokens"), _count(usage, "output_tokens")
    elif "input_tokens" in usage or "output_tokens" in usage:  # Anthropic messages
        read, write = _count(usage, "cache_read_input_tokens"), _count(usage, "cache_creation_input_tokens")
        return Tokens(model, _count(usage, "input_tokens"), read, write, _count(usage, "output_tokens"))
    else:
        raise ValueError("no known fields")
    if cached > prompt:
        raise ValueError(f"{cached} cached of {prompt} prompt tokens")
    return Tokens(model, prompt - cached, cached, 0, output)


def _details(usage: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    details = usage.get(name)
    return details if isinstance(details, Mapping) else {}


def _count(usage: Mapping[str, Any], name: str) -> int:
    value = usage.get(name)
    if value is None:
        return 0
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**40:
        raise ValueError(f"{name} is {value!r}")
    return value


class TokenReader:
    """Reads the usage out of a response body as it passes by: `feed` each chunk, then ask `tokens`.

    `stream` for server-sent events. Later events overrule earlier ones field by field and never lower them: Anthropic
    states input at the start and cumulative output at the end.
    """

    def __init__(self, *, stream: bool) -> None:
        self.stream = stream
        self.too_long = False
        self._kept = bytearray()
        self._data: list[bytes] = []
        self._seen: Tokens | None = None

    def feed(self, chunk: bytes) -> None:
        """The next bytes of the body, cut anywhere."""
        if self.too_long:
            return
        self._kept += chunk
        if self.stream and (b"\n" in chunk or b"\r" in chunk):
            *lines, rest = bytes(self._kept).replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
            if self._kept.endswith(b"\r"):  # its \n may be in the next chunk
                lines, rest = lines[:-1], (lines[-1] if lines else b"") + b"\r"
            self._kept = bytearray(rest)
            for line in lines:
                self._line(line)
        if len(self._kept) > MAX_ANSWER:
            self.too_long = True
            self._kept.clear()

    def tokens(self) -> Tokens | None:
        """What the body stated, once it is complete (or broke off)."""
        if self.stream:
            self._line(bytes(self._kept).rstrip(b"\r"))
            self._line(b"")
        elif self._kept:
            self._take(bytes(self._kept))
        self._kept.clear()
        return self._seen

    def _line(self, line: bytes) -> None:
        if line.startswith(b"data:"):
            self._data.append(line[5:].strip())
        elif not line and self._data:  # an empty line ends the event
            event, self._data = b"\n".join(self._data), []
            if b"usage" in event:  # most events are text only and need no parsing
                self._take(event)

    def _take(self, text: bytes) -> None:
        try:
            found = tokens_of(json.loads(text))
        except (ValueError, RecursionError):
            return
        if found is None:
            return
        seen = self._seen or found
        self._seen = Tokens(
            seen.model or found.model,
            max(seen.input, found.input),
            max(seen.cache_read, found.cache_read),
            max(seen.cache_write, found.cache_write),
            max(seen.output, found.output),
        )
