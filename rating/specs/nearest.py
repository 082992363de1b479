"""The word an author probably meant. Knows nothing of what the words stand for."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def or_one_of(word: str, known: Iterable[str], otherwise: str = "") -> str:
    """`did you mean "charges"?`, or what else could be written: `otherwise`, or the known words in order."""
    words = sorted(known)
    close = get_close_matches(word, words, n=1, cutoff=0.6)
    if close:
        return f'did you mean "{close[0]}"?'
    if otherwise:
        return otherwise
    return f"known are {', '.join(words)}" if words else "none is defined"
