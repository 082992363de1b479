"""Usage per day as a small drawing, in SVG that a browser and a PDF show alike. Knows nothing of money."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from html import escape

from rating.core.documents import Day

WIDTH, HEIGHT = 340, 62
_FLOOR = 48
"""Where bars stand; below it are the first and the last day."""


def bars(days: Sequence[Day], label: str, first: str, last: str, highest: str, colours: Mapping[str, str]) -> str:
    """One bar a day. Coordinates are whole hundredths, so that the same days always give the same text."""
    most = max((day.quantity for day in days), default=Fraction(0))
    step = Fraction(WIDTH - 2, max(len(days), 1))
    wide = step * Fraction(7, 10)
    shapes = []
    for place, day in enumerate(days):
        tall = Fraction(_FLOOR - 14) * day.quantity / most if most > 0 and day.quantity > 0 else Fraction(0)
        if tall:
            tall = max(tall, Fraction(1, 2))
            x = 1 + step * place + (step - wide) / 2
            place_of = f'x="{_at(x)}" y="{_at(_FLOOR - tall)}" width="{_at(wide)}" height="{_at(tall)}"'
            shapes.append(f'<rect {place_of} fill="{colours["accent"]}"/>')
    axis = f'class="axis" fill="{colours["quiet"]}" font-size="6.5"'
    return (
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" role="img" '
        f'aria-label="{escape(label)}" xmlns="http://www.w3.org/2000/svg">'
        f'<text {axis} x="1" y="9">{escape(highest)}</text>'
        f'<path d="M1 {_FLOOR} H{WIDTH - 1}" stroke="{colours["rule"]}" stroke-width="0.6" fill="none"/>'
        f"{''.join(shapes)}"
        f'<text {axis} x="1" y="{HEIGHT - 3}">{escape(first)}</text>'
        f'<text {axis} x="{WIDTH - 1}" y="{HEIGHT - 3}" text-anchor="end">{escape(last)}</text></svg>'
    )


def _at(place: Fraction) -> str:
    hundredths = round(place * 100)
    return f"{hundredths // 100}.{hundredths % 100:02d}"
