"""YAML text as plain values that remember their lines. Knows nothing of catalogues.

Stricter than YAML where YAML surprises: a key written twice is refused, only `true` and `false` are booleans (Norway's
`no` is a name), numbers with leading zeros or colons are text, floats keep their spelling so that money can refuse
them, and dates stay text until somebody knows what they mean.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import yaml

from rating.errors import Finding
from rating.specs.fields import WrittenFloat, shown

Path = tuple[str | int, ...]
"""Where a value stands inside a document: keys of mappings and positions in lists."""

_INTEGER = re.compile(r"[+-]?(0|[1-9][0-9_]*)\Z")
_FLOAT = re.compile(r"[+-]?([0-9][0-9_]*\.[0-9_]*|\.[0-9][0-9_]*|[0-9][0-9_]*(\.[0-9_]*)?[eE][+-]?[0-9]+)\Z")
_TAGS = ("str", "int", "float", "bool", "null", "timestamp", "value")
_FAST: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TOO_MANY = 2_000_000
"""Values in one file; a few lines of nested aliases could otherwise grow without end."""


@dataclass(slots=True)
class Document:
    """One file: its values, and the line of each."""

    name: str
    value: Any = None
    root: yaml.Node | None = None
    findings: list[tuple[int, Finding]] = field(default_factory=list)
    """(line, finding) for what is wrong with the text itself."""

    def line(self, path: Path = ()) -> int:
        """The line (from 1) of the value at `path`, or of the nearest thing around it that exists."""
        node, line = self.root, 1
        for step in path:
            found = _child(node, step)
            if found is None:
                break
            node, line = found
        return line

    def where(self, path: Path = ()) -> str:
        return f"{self.name}:{self.line(path)}"


def _child(node: yaml.Node | None, step: str | int) -> tuple[yaml.Node, int] | None:
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        item = node.value[step]
        return item, item.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value == str(step):
                return value, key.start_mark.line + 1
        for key, value in node.value:
            if _merges(key):
                for merged in value.value if isinstance(value, yaml.SequenceNode) else [value]:
                    found = _child(merged, step)
                    if found is not None:
                        return found
    return None


def read(name: str, text: str) -> Document:
    """Never raises: what cannot be read is in `findings`, and `value` is what could."""
    document = Document(name)
    try:
        document.root = _composed(text)
        if document.root is not None:
            document.value = _Reader(document).value(document.root)
    except yaml.YAMLError as error:
        document.findings.append(_syntax(name, text, error))
    except (RecursionError, UnicodeError, _TooMuch):
        return _unreadable(document)
    return document


def _composed(text: str) -> yaml.Node | None:
    try:
        return yaml.compose(text, _FAST)
    except yaml.YAMLError:
        # The slower parser explains itself better.
        return yaml.compose(text, yaml.SafeLoader)


def _unreadable(document: Document) -> Document:
    """Text that no author writes: nested beyond all use, or aliases of aliases that grow without end."""
    document.root = document.value = None
    what = "is nested too deeply, repeats itself too often, or is not text"
    document.findings = [(1, Finding(f"{document.name}:1", what, "write a catalogue"))]
    return document


def _syntax(name: str, text: str, error: yaml.YAMLError) -> tuple[int, Finding]:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    if mark is None:
        position = getattr(error, "position", 0)
        line = text.count("\n", 0, position) + 1
        return line, Finding(f"{name}:{line}", "has a character no text may contain", "save the file as UTF-8")
    line = mark.line + 1
    written = text.splitlines()[mark.line] if mark.line < len(text.splitlines()) else ""
    if "\t" in written[: mark.column + 1]:
        return line, Finding(f"{name}:{line}", "a tab is used for indentation", "YAML indents with spaces only")
    problem = getattr(error, "problem", None) or "cannot be read"
    hint = "check quotes, colons and indentation there"
    if "expected a single document" in str(error) or "another document" in problem:
        problem, hint = "a second document begins", "put it into a file of its own in the same folder"
    elif "undefined alias" in problem:
        hint = "write a value that begins with * in quotes, or define the anchor above"
    elif "mapping values are not allowed" in problem:
        problem, hint = "a second colon on this line", "quote a value that contains a colon"
    return line, Finding(f"{name}:{line}", f"is not YAML: {problem}", hint)


def _merges(key: yaml.Node) -> bool:
    return key.tag == "tag:yaml.org,2002:merge"


class _TooMuch(Exception):
    """More values than a file of this size can mean."""


class _Reader:
    def __init__(self, document: Document) -> None:
        self.document = document
        self.count = 0
        self.open: set[int] = set()

    def find(self, node: yaml.Node, what: str, hint: str) -> None:
        line = node.start_mark.line + 1
        self.document.findings.append((line, Finding(f"{self.document.name}:{line}", what, hint)))

    def value(self, node: yaml.Node) -> Any:
        self.count += 1
        if self.count > _TOO_MANY:
            raise _TooMuch
        if id(node) in self.open:
            self.find(node, "an alias repeats itself without end", "write the value out")
            return None
        self.open.add(id(node))
        try:
            if isinstance(node, yaml.ScalarNode):
                return self.scalar(node)
            if isinstance(node, yaml.SequenceNode):
                return [self.value(item) for item in node.value]
            assert isinstance(node, yaml.MappingNode)
            return self.mapping(node)
        finally:
            self.open.discard(id(node))

    def mapping(self, node: yaml.MappingNode) -> dict[str, Any]:
        result: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        lines: dict[str, int] = {}
        for key, child in node.value:
            if _merges(key):
                for part in child.value if isinstance(child, yaml.SequenceNode) else [child]:
                    value = self.value(part)
                    if isinstance(value, dict):
                        merged = value | merged
                    else:
                        self.find(key, "<< merges something that is not a mapping", "point it at a mapping's anchor")
                continue
            if not isinstance(key, yaml.ScalarNode):
                self.find(key, "a key is a list or a mapping", "write keys as plain words")
                continue
            # A key is what is written: 2024 and no are names here.
            name = key.value
            if name in result:
                self.find(key, f"key {shown(name)} is written twice, first on line {lines[name]}", "keep one of them")
                self.value(child)
                continue
            lines[name] = key.start_mark.line + 1
            result[name] = self.value(child)
        return merged | result if merged else result

    def scalar(self, node: yaml.ScalarNode) -> Any:
        text = node.value
        if node.tag.removeprefix("tag:yaml.org,2002:") not in _TAGS:
            self.find(node, f"tag {node.tag} has no meaning here", "write the plain value")
            return text
        return text if node.style else plain(text)


def plain(text: str) -> Any:
    """What unquoted text means: nothing, true or false, a whole number, a float that keeps its spelling, or itself."""
    if text in ("", "~", "null", "Null", "NULL"):
        return None
    if text in ("true", "True", "TRUE", "false", "False", "FALSE"):
        return text.lower() == "true"
    if len(text) <= 40 and _INTEGER.match(text):
        return int(text.replace("_", ""))
    if _FLOAT.match(text):
        return WrittenFloat(text)
    return text
