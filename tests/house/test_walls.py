"""The walls are real: import contracts, no clock in core, no float near money, a docstring on every room."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CORE = sorted((ROOT / "rating" / "core").rglob("*.py"))
ROOMS = [
    ROOT / folder
    for folder in (
        "rating",
        "exporters/rating_exporters",
        "rules/rating_rules",
        "dashboards/rating_dashboards",
        "compose",
    )
]

CLOCKS = {("datetime", "now"), ("datetime", "utcnow"), ("datetime", "today"), ("date", "today"), ("time", "time")}
EDGES = {"logging", "os", "random", "secrets", "socket", "subprocess", "time", "urllib", "uuid"}


def test_every_import_contract_holds() -> None:
    lint = subprocess.run(
        [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"], cwd=ROOT, capture_output=True, text=True
    )
    assert lint.returncode == 0, lint.stdout + lint.stderr


def test_a_wall_that_is_broken_is_noticed(tmp_path: Path) -> None:
    """The contract is no drawing: a core module that imports an adapter fails it."""
    copy = tmp_path / "house"
    for room in ("rating", "exporters", "rules", "dashboards", "compose"):
        shutil.copytree(ROOT / room, copy / room, ignore=shutil.ignore_patterns("__pycache__"))
    (copy / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text())
    money = copy / "rating" / "core" / "money.py"
    money.write_text(money.read_text() + "\nimport rating.adapters.store  # a hole in the wall\n")
    lint = subprocess.run(
        [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"],
        cwd=copy,
        env={"PYTHONPATH": ":".join(str(copy / room) for room in (".", "exporters", "rules", "dashboards", "compose"))},
        capture_output=True,
        text=True,
    )
    assert lint.returncode != 0, lint.stdout


@pytest.mark.parametrize("file", CORE, ids=lambda file: str(file.relative_to(ROOT)))
def test_core_reads_no_clock_and_touches_no_edge(file: Path) -> None:
    tree = ast.parse(file.read_text())
    clocks = [node.lineno for node in ast.walk(tree) if _reads_clock(node)]
    assert not clocks, f"{file}:{clocks}: now is always an argument"
    edges = [name for name in _imports(tree) if name.partition(".")[0] in EDGES]
    assert not edges, f"{file} imports {edges}"


@pytest.mark.parametrize(
    "file",
    # A reading is a float64 on the wire: `numbers` is the one door where it becomes a whole number of units.
    [file for file in CORE if file.name != "numbers.py"],
    ids=lambda file: str(file.relative_to(ROOT)),
)
def test_core_has_no_float(file: Path) -> None:
    tree = ast.parse(file.read_text())
    floats = [
        node.lineno
        for node in ast.walk(tree)
        if (isinstance(node, ast.Constant) and isinstance(node.value, float))
        or (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "float")
    ]
    assert not floats, f"{file}:{floats}: usage and money are integers or fractions"


def test_every_room_says_what_it_decides() -> None:
    silent = [
        str(file.relative_to(ROOT))
        for room in ROOMS
        for file in room.rglob("*.py")
        if file.read_text().strip() and ast.get_docstring(ast.parse(file.read_text())) is None
    ]
    assert not silent


def _reads_clock(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and (node.func.value.id, node.func.attr) in CLOCKS
    )


def _imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
