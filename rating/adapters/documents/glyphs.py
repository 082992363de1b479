"""Which characters no installed font can draw: said by name before a document is sent, never a silent box.

Fonts are the system's, found by fontconfig as WeasyPrint finds them; what we ask for first is Noto.
"""

from __future__ import annotations

import shutil
import subprocess
import unicodedata
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from functools import cache

from rating.errors import EdgeUnavailable

ADVICE = "install the Noto fonts (Debian and Ubuntu: fonts-noto-core and fonts-noto-cjk)"

# Drawn as nothing, whatever the font.
_INVISIBLE = {"Cc", "Cf", "Zs", "Zl", "Zp"}


def missing(texts: Mapping[str, str]) -> list[str]:
    """A sentence for each text that has characters without a glyph in any font of this machine."""
    sentences = []
    for where, text in texts.items():
        bad = sorted({letter for letter in text if not _drawn(letter)})
        if bad:
            shown = ", ".join(f"U+{ord(letter):04X} {unicodedata.name(letter, 'unnamed')}" for letter in bad[:3])
            more = f" and {len(bad) - 3} more" if len(bad) > 3 else ""
            sentences.append(f"{where} {text!r}: no installed font draws {shown}{more}; {ADVICE}")
    return sentences


def _drawn(letter: str) -> bool:
    return letter.isascii() or unicodedata.category(letter) in _INVISIBLE or covered(ord(letter), ranges())


def covered(point: int, spans: Sequence[tuple[int, int]]) -> bool:
    place = bisect_right(spans, (point, 0x110000)) - 1
    return place >= 0 and spans[place][0] <= point <= spans[place][1]


@cache
def ranges() -> tuple[tuple[int, int], ...]:
    """What the fonts of this machine cover together, as sorted spans of code points that do not touch.

    Raises:
        EdgeUnavailable: fontconfig is not there, or knows no font.
    """
    program = shutil.which("fc-list")
    if program is None:
        raise EdgeUnavailable(f"fontconfig's fc-list was not found, so fonts cannot be chosen; {ADVICE}")
    listed = subprocess.run(
        [program, "--format", "%{charset}\n", ":outline=true"], capture_output=True, text=True, timeout=120
    )
    spans: set[tuple[int, int]] = set()
    for part in listed.stdout.split():
        low, _, high = part.partition("-")
        spans.add((int(low, 16), int(high or low, 16)))
    if not spans:
        raise EdgeUnavailable(f"fontconfig knows no font that can be embedded; {ADVICE}")
    merged: list[tuple[int, int]] = []
    for first, last in sorted(spans):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(merged[-1][1], last))
        else:
            merged.append((first, last))
    return tuple(merged)
