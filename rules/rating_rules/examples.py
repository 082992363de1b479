"""A label value that a meter's pattern matches, so that the rules can be tested with any catalogue."""

from __future__ import annotations

import re
from re import _parser  # type: ignore[attr-defined]
from typing import Any

_LIKELY = ("200", "ok", "a")


def matching(pattern: str) -> str | None:
    """A text that `pattern` matches whole, or None when this simple search finds none.

    Prometheus's RE2 and Python's patterns agree on what catalogues use; where they do not, the answer is None.
    """
    try:
        compiled = re.compile(pattern)
        candidates = (*_LIKELY, _walk(_parser.parse(pattern)))
    except (re.error, NotImplementedError):
        return None
    return next((text for text in candidates if compiled.fullmatch(text)), None)


def _walk(parsed: Any) -> str:
    return "".join(_one(str(operation), argument) for operation, argument in parsed)


def _one(operation: str, argument: Any) -> str:
    match operation:
        case "LITERAL":
            return chr(argument)
        case "ANY" | "NOT_LITERAL":
            return "0" if argument != ord("0") else "1"
        case "IN":
            return _one(*((str(argument[0][0]), argument[0][1])))
        case "RANGE":
            return chr(argument[0])
        case "CATEGORY":
            return {"CATEGORY_DIGIT": "0", "CATEGORY_WORD": "a", "CATEGORY_SPACE": " "}.get(str(argument), "-")
        case "MAX_REPEAT" | "MIN_REPEAT":
            return _walk(argument[2]) * max(int(argument[0]), 1)
        case "SUBPATTERN":
            return _walk(argument[-1])
        case "BRANCH":
            return _walk(argument[1][0])
        case "AT":
            return ""
    raise NotImplementedError(operation)
