"""A document as one HTML page that needs nothing else: its style, its charts and a brand's logo are inside.

A brand is a folder: `colours.yaml`, `logo.svg` or `logo.png`, `brand.css` after our own style, captions in
`captions/LANGUAGE.yaml`, and any of our templates again.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from jinja2 import ChoiceLoader, Environment, FileSystemLoader, StrictUndefined, TemplateError
from markupsafe import Markup, escape

from rating.adapters.documents.charts import bars
from rating.adapters.documents.wording import Wording, direction
from rating.core.documents import Document, Kind, Row, charted
from rating.errors import Finding, SpecError

TEMPLATES = Path(__file__).with_name("templates")

_SCRIPTS = ("Arabic", "Hebrew", "Devanagari", "Thai", "Bengali", "Tamil", "Georgian", "Armenian", "Ethiopic")
# Han characters look different in each language; a name without one is drawn as in simplified Chinese.
_CJK = {"ja": "JP", "ko": "KR", "zh_Hant": "TC", "zh_TW": "TC", "zh_HK": "HK"}
COLOURS = {"ink": "#1c2430", "quiet": "#5d6775", "rule": "#d5dae1", "accent": "#24527a", "wash": "#f5f7f9"}
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}\Z")
_LOGOS = {".svg": "image/svg+xml", ".png": "image/png", ".jpg": "image/jpeg"}


@dataclass(frozen=True, slots=True)
class Chart:
    caption: str
    drawing: Markup


def html(document: Document, brands: Path | None) -> str:
    """Raises:
    SpecError: there is no such brand, its files are wrong, or nobody knows the locale.
    """
    folder = _brand(document.brand, brands)
    words = Wording(document.locale, None if folder is None else folder / "captions")
    colours = _colours(folder)
    drawn = charted(document.rows)
    values = {
        "document": document,
        "w": words,
        "say": words.say,
        "direction": direction,
        "style": Markup(_style(document, words, folder, colours)),
        "logo": _logo(folder),
        "charts": [_chart(row, words, colours) for row in drawn],
        "charts_left": len(charted(document.rows, len(document.rows))) > len(drawn),
        "verify": _verify(document, words),
    }
    try:
        return _templates(folder).get_template(f"{document.kind.value}.html").render(values)
    except TemplateError as error:
        where = f"{getattr(error, 'filename', None) or folder or TEMPLATES}:{getattr(error, 'lineno', 0)}"
        raise SpecError((Finding(where, str(error), "compare it with the template it replaces"),)) from error


def _brand(name: str, brands: Path | None) -> Path | None:
    if not name:
        return None
    folder = None if brands is None else brands / name
    if folder is None or Path(name).name != name or not folder.is_dir():
        where = "RATING_BRANDS" if brands is None else str(brands)
        raise SpecError((Finding(where, f"there is no brand {name!r}", "a brand is a folder of that name in it"),))
    return folder


@cache
def _colours(folder: Path | None) -> Mapping[str, str]:
    file = None if folder is None else folder / "colours.yaml"
    if file is None or not file.exists():
        return COLOURS
    try:
        own = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SpecError((Finding(str(file), f"cannot be read: {error}", 'write `accent: "#24527a"`'),)) from error
    own = own if isinstance(own, dict) else {"": own}
    wrong = [name for name, colour in own.items() if name not in COLOURS or not _COLOUR.match(str(colour))]
    if wrong:
        what = f"{wrong[0]!r} is not one of {', '.join(COLOURS)}, or its colour is not like #24527a"
        raise SpecError((Finding(str(file), what, 'write `accent: "#24527a"`, in quotes'),))
    return COLOURS | own


@cache
def _templates(folder: Path | None) -> Environment:
    places = [TEMPLATES] if folder is None else [folder, TEMPLATES]
    return Environment(
        loader=ChoiceLoader([FileSystemLoader(place) for place in places]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _style(document: Document, words: Wording, folder: Path | None, colours: Mapping[str, str]) -> str:
    asian = _CJK.get(words.locale.language, _CJK.get(str(words.locale), "SC"))
    families = ["Noto Sans", *(f"Noto Sans {script}" for script in _SCRIPTS), f"Noto Sans CJK {asian}", "DejaVu Sans"]
    fonts = ", ".join(f'"{family}"' for family in families)
    before, _, after = words.say("page", page="\x00", pages="\x01").partition("\x00")
    middle, _, end = after.partition("\x01")
    pages = f"{_quoted(before)} counter(page) {_quoted(middle)} counter(pages) {_quoted(end)}"
    short = f"SHA-256 {document.content_hash[:16]}" if document.content_hash else ""
    style = (TEMPLATES / "paper.css").read_text(encoding="utf-8")
    style = style.replace("FONTS", f"{fonts}, sans-serif").replace('"SHORT"', _quoted(short)).replace("PAGES", pages)
    for name, colour in colours.items():
        style = style.replace(f"{{{{{name}}}}}", colour)
    own = None if folder is None else folder / "brand.css"
    if own is not None and own.exists():
        style += own.read_text(encoding="utf-8")
    # The only way out of a style element is its end tag.
    return style.replace("</", "<\\/")


def _quoted(text: str) -> str:
    """Text as a string of CSS."""
    return '"' + "".join(f"\\{ord(letter):x} " if letter in '"\\\n' else letter for letter in text) + '"'


def _logo(folder: Path | None) -> str:
    for suffix, kind in _LOGOS.items():
        file = None if folder is None else folder / f"logo{suffix}"
        if file is not None and file.exists():
            return f"data:{kind};base64,{base64.b64encode(file.read_bytes()).decode()}"
    return ""


def _chart(row: Row, words: Wording, colours: Mapping[str, str]) -> Chart:
    highest = max(row.days, key=lambda day: day.quantity)
    most = words.number(highest.quantity)
    caption = words.say("per_day", title=row.title, unit=row.unit, highest=most, day=words.day(highest.day, "medium"))
    first, last = (words.day(row.days[place].day, "short") for place in (0, -1))
    return Chart(caption, Markup(bars(row.days, caption, first, last, most, colours)))


def _verify(document: Document, words: Wording) -> Markup:
    noun, explain = ("statements", "statements explain") if document.kind is Kind.STATEMENT else ("invoices", "explain")
    commands: dict[str, Any] = {
        "command": f"rating {noun} render {document.number} --format text",
        "explain": f"rating {explain} {document.number}/1",
    }
    said = escape(words.say("verify", command="\x00", explain="\x01"))
    for mark, command in zip("\x00\x01", commands.values(), strict=True):
        said = said.replace(mark, Markup('<bdi dir="ltr" class="hash">{}</bdi>').format(command))
    return said
