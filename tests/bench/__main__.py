"""`make bench`: runs every measurement and prints its rows. `make bench ARGS="prices --quick"` chooses.

A measurement is a module of this folder with a `TITLE` and `rows(quick) -> [(what, figure)]`.
"""

from __future__ import annotations

import argparse
import importlib
import os
import platform
import time

from rich.console import Console
from rich.table import Table

MEASUREMENTS = (
    "prices",
    "accrue",
    "collect",
    "metering",
    "invoices",
    "rules",
    "exporters",
    "side_by_side",
    "billers",
    "stripe",
)


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench ARGS=...", description=__doc__)
    parser.add_argument(
        "measurements", nargs="*", metavar="NAME", help=f"any of {', '.join(MEASUREMENTS)}; default all"
    )
    parser.add_argument("--quick", action="store_true", help="smaller sizes, to see that everything runs")
    arguments = parser.parse_args()
    unknown = set(arguments.measurements) - set(MEASUREMENTS)
    if unknown:
        parser.error(f"no measurement is called {', '.join(sorted(unknown))}; there are {', '.join(MEASUREMENTS)}")
    console = Console(width=110, highlight=False, markup=False)
    console.print(f"Python {platform.python_version()}, {os.cpu_count()} cores, {platform.machine()}")
    for name in arguments.measurements or MEASUREMENTS:
        module = importlib.import_module(f"tests.bench.{name}")
        begun = time.perf_counter()
        table = Table(title=module.TITLE, title_justify="left", show_header=False)
        for what, figure in module.rows(arguments.quick):
            table.add_row(what, figure)
        console.print(table)
        console.print(f"({name}: {time.perf_counter() - begun:.0f} s)\n")


if __name__ == "__main__":
    main()
